"""From results on disk to pages: HTML, CSV and LaTeX. Nothing is computed here, and no torch."""
