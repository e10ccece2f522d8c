"""Cohort -> Split: persons into stratified folds, and the file that proves it."""

from kfold_hs.splits.split import Split
from kfold_hs.splits.stratify import balance, stratify

__all__ = ["Split", "balance", "stratify"]
