"""Recordings and labels on disk -> `Cohort`: people, their recordings and their labels."""

from kfold_hs.cohort.cohort import Cohort, Note, Task

__all__ = ["Cohort", "Note", "Task"]
