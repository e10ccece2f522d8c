"""The inner split of a fold: some of its training people are set aside to choose the epoch."""

from __future__ import annotations

import numpy as np

from kfold_hs.cohort import Cohort
from kfold_hs.errors import SplitError
from kfold_hs.splits.strata import strata
from kfold_hs.splits.stratify import draw_folds

_PARTS = 20
_INNER = 2**31 + 1
"""Keeps these draws apart from those of the folds and of the test persons."""


def inner_persons(
    cohort: Cohort, train: np.ndarray, share: float, key: tuple[int, int, int]
) -> frozenset[str]:
    """Persons who are set aside, stratified on tasks and joint labels as folds are.

    Parameters
    ----------
    cohort : Cohort
    train : ndarray of int64
        Rows of `cohort.recordings` that a fold may train on; their persons are whole.
    share : float
        Of these persons, in (0, 0.5].
    key : (seed, repeat, fold)
        The same key sets the same persons aside.

    Raises
    ------
    SplitError
        There are fewer than 2 persons to choose from.
    """
    whole = strata(cohort)
    owners = cohort.recordings["patient_id"].iloc[train].map(cohort.person_of)
    rows = np.flatnonzero(whole.table.index.isin(set(owners)))
    if len(rows) < 2:
        raise SplitError(
            f"fold {key[2]} has {len(rows)} person to train on, of whom select=inner can set "
            "nobody aside. Use select=last."
        )
    # The two parts are unequal, so several small ones of equal size are put together.
    n_parts = min(_PARTS, len(rows))
    parts = draw_folds(whole, rows, n_parts, (*key, _INNER))
    inner = parts < max(1, round(share * n_parts))
    return frozenset(whole.table.index[rows[inner]])
