"""From features in memory to batches: crops, bags, augmentation."""
