"""The inner splits of nested cross-validation: they split the training people of an outer fold."""

from __future__ import annotations

import numpy as np

from kfold_hs.cohort import Cohort
from kfold_hs.splits.split import TEST, TRAIN, Split
from kfold_hs.splits.strata import covariates_to_stratify, strata
from kfold_hs.splits.stratify import check_classes, draw_folds

_NESTED = 2**31 + 2
"""Separates these draws from those of folds, test persons and validation persons."""


def inner_split(cohort: Cohort, outer: Split, repeat: int, fold: int, n_folds: int) -> Split:
    """Split the training people of an outer fold, stratified like the outer split.

    The people that the outer fold holds out are test persons here: no inner fold trains on them or
    is scored on them.

    Parameters
    ----------
    cohort : Cohort
    outer : Split
    repeat, fold : int
        The fold of the outer split.
    n_folds : int
        At least 2, at most the number of persons of the rarest class among these people.

    Raises
    ------
    SplitError
        A class has fewer persons than there are folds.
    """
    asked = outer.settings.get("stratify", "auto")
    names = covariates_to_stratify(cohort, asked)
    whole = strata(cohort, names, outer.by)
    place = np.array([outer.folds[unit][repeat] for unit in whole.table.index])
    rows = np.flatnonzero((place >= 0) & (place != fold))
    if not len(rows):  # one validation part: split all training people
        rows = np.flatnonzero(place == TRAIN)
    check_classes(whole, rows, n_folds)
    folds = np.where(place == TRAIN, TRAIN, TEST)
    folds[rows] = draw_folds(whole, rows, n_folds, (outer.seed, repeat, fold, _NESTED))
    units = whole.table.index
    split = Split.of(
        cohort,
        {unit: (int(each),) for unit, each in zip(units, folds, strict=True)},
        n_folds=n_folds,
        seed=outer.seed,
        settings={
            "by": outer.by,
            "stratify": list(names),
            "test": sorted(str(unit) for unit in units[place == fold]),
            "source": f"inner split of repeat {repeat}, fold {fold} of {outer.digest[:16]}",
        },
    )
    split.check(cohort)
    return split
