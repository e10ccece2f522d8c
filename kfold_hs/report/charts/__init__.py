"""Charts of a page, drawn from its results."""
