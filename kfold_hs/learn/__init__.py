"""Where torch lives: features, models and the training of one fold."""
