"""Networks: backbone, pooling, heads."""
