"""Cohort -> Split: persons into stratified folds, and the certificate that proves it."""

from kfold_hs.splits.balance import balance
from kfold_hs.splits.split import Split
from kfold_hs.splits.stratify import stratify

__all__ = ["Split", "balance", "stratify"]
