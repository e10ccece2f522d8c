"""The names of all files of kfold-hs, and how they are written and read."""
