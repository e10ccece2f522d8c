"""What a set of probabilities scores, and how each patient moves it."""
