"""The validation persons of a fold: training people who only choose the epoch."""

from __future__ import annotations

import numpy as np

from kfold_hs.cohort import Cohort
from kfold_hs.errors import SplitError
from kfold_hs.splits.strata import training_strata
from kfold_hs.splits.stratify import PARTS, draw_folds, draw_some

_INNER = 2**31 + 1
"""Separates these draws from those of the folds and of the test persons."""


def inner_persons(
    cohort: Cohort, train: np.ndarray, share: float, key: tuple[int, int, int]
) -> frozenset[str]:
    """The validation persons, stratified on tasks and joint labels as folds are.

    Parameters
    ----------
    cohort : Cohort
    train : ndarray of int64
        Rows of `cohort.recordings` that a fold may train on: all recordings of its persons.
    share : float
        Share of these persons, in (0, 0.5].
    key : (seed, repeat, fold)
        The same key gives the same persons.

    Raises
    ------
    SplitError
        There are fewer than 2 persons to choose from.
    """
    whole, rows = training_strata(cohort, train)
    if len(rows) < 2:
        raise SplitError(
            f"fold {key[2]} has {len(rows)} training person, but select=inner needs at least 2. "
            "Use select=last."
        )
    # The two parts are unequal, so that several small parts of equal size are joined; any other
    # share is drawn person by person.
    n_parts = min(PARTS, len(rows))
    n_whole = max(1, round(share * n_parts))
    if n_parts == PARTS and abs(share * n_parts - n_whole) > 1e-9:
        n = max(1, round(share * len(rows)))
        inner = draw_some(whole, rows, n, (*key, _INNER))
    else:
        inner = rows[draw_folds(whole, rows, n_parts, (*key, _INNER)) < n_whole]
    return frozenset(whole.table.index[inner])
