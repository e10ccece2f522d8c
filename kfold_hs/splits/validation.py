"""The inner split of a fold: some of its training people are set aside to choose the epoch."""

from __future__ import annotations

import numpy as np

from kfold_hs.cohort import Cohort
from kfold_hs.errors import SplitError
from kfold_hs.splits.strata import strata
from kfold_hs.splits.stratify import PARTS, draw_folds, draw_some

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
    # The two parts are unequal, so several small ones of equal size are put together; a share that
    # they cannot make is drawn to the person.
    n_parts = min(PARTS, len(rows))
    n_whole = max(1, round(share * n_parts))
    if n_parts == PARTS and abs(share * n_parts - n_whole) > 1e-9:
        n = max(1, round(share * len(rows)))
        inner = draw_some(whole, rows, n, (*key, _INNER))
    else:
        inner = rows[draw_folds(whole, rows, n_parts, (*key, _INNER)) < n_whole]
    return frozenset(whole.table.index[inner])
