"""The frame branch: every frame's state of the heart cycle, and what follows from it."""
