"""One reader a kind of data."""
