"""Where our files lie, and how they are written and read."""
