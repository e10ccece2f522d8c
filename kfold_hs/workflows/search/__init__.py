"""Looking for the settings that score best: the points, their trials, what ends early."""
