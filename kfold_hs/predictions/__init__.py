"""Out-of-fold predictions: the table where training and judging meet."""
