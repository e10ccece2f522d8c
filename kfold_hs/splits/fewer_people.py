"""Some of a fold's training people: what a model learns from fewer is a learning curve's question.

People are put into one order, so that those of a smaller share are among those of a larger one.
Each next person is the one with whom the classes so far come nearest to those of all training
people; those who would do equally well are drawn. So every share is stratified, to within a person
or two of each class.
"""

from __future__ import annotations

from math import ceil

import numpy as np

from kfold_hs.cohort import Cohort
from kfold_hs.errors import SplitError, counted
from kfold_hs.splits.strata import Strata, training_strata

_FEWER = 2**31 + 3
"""Separates these draws from those of folds, of test, validation and inner persons."""


def fewer_persons(
    cohort: Cohort, train: np.ndarray, share: float, key: tuple[int, int, int]
) -> frozenset[str]:
    """A share of a fold's training persons, to the nearest person.

    Parameters
    ----------
    cohort : Cohort
    train : ndarray of int64
        Rows of `cohort.recordings` that a fold may train on: all recordings of its persons.
    share : float
        In (0, 1].
    key : (seed, repeat, fold)
        The same key gives the same order of persons.

    Raises
    ------
    SplitError
        None of them is of a class that the training persons have.
    """
    whole, rows = training_strata(cohort, train)
    members = whole.table.to_numpy()[rows]
    order = _balanced_order(members, np.random.default_rng((*key, _FEWER)))
    n = max(1, round(share * len(rows)))
    _check_classes(whole, members[order], n, key[2])
    return frozenset(whole.table.index[rows][order[:n]])


def _balanced_order(members: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Persons in an order whose every beginning has the levels of all of them, about.

    Parameters
    ----------
    members : ndarray of bool, shape (n, n_levels)
        Whether a person has a level.

    Returns
    -------
    ndarray of int64, shape (n,)
    """
    levels = members.astype(np.float64)
    totals = levels.sum(axis=0)
    levels, totals = levels[:, totals > 0], totals[totals > 0]
    left = rng.permutation(len(levels))
    order = np.empty(len(levels), dtype=np.int64)
    so_far = np.zeros(len(totals))
    for k in range(len(order)):
        wanted = totals * (k + 1) / len(order)
        # Squared distance in standard deviations of a count, so that rare levels weigh as others.
        apart = ((so_far + levels[left] - wanted) ** 2 / totals).sum(axis=1)
        chosen = int(apart.argmin())
        order[k] = left[chosen]
        so_far += levels[left[chosen]]
        left = np.delete(left, chosen)
    return order


def _check_classes(whole: Strata, ordered: np.ndarray, n: int, fold: int) -> None:
    """Refuse a share that leaves out a class: no model could tell it."""
    for column in np.flatnonzero(whole.is_class):
        having = np.flatnonzero(ordered[:, column])
        if len(having) and having[0] >= n:
            least = ceil(1000 * (having[0] + 1) / len(ordered)) / 1000
            raise SplitError(
                f"train.people_share leaves fold {fold} {counted(n, 'training person', 'people')} "
                f"of {len(ordered)}, and none of them has {list(whole.table.columns)[column]}. "
                f"Give at least {least:g}."
            )
