"""Between what a metric's values lie."""

Bounds = tuple[float, float]
"""The lowest and the highest value that there can be."""
SHARE: Bounds = (0.0, 1.0)
