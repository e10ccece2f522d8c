"""Cohort -> Split: persons in stratified folds, with the certificate of who is where."""

from kfold_hs.splits.balance import balance
from kfold_hs.splits.split import Split
from kfold_hs.splits.stratify import stratify

__all__ = ["Split", "balance", "stratify"]
