"""What a class of few people adds to the variance, at the least.

A mean over the people of a class (a sensitivity, one side of an AUROC) varies by how these people
differ. Where the class has two or three people they may all be alike by luck, and the class would
add nothing, as if it were known from thousands. A side here is such a class. It adds at least

    calls    (by how much the metric moves when one of its people is called otherwise)^2. Of a rate
             of n people this is w^2 / n^2, with w the weight of the rate: its variance, with
             n / (n - 1), when one of the n is unlike the others; or the variance of a count whose
             mean is 1 (a right call in an F1 that has none)
    ranks    v (1 - v) / n^2, with v the value (and the weight of the class as above): what one
             person adds who is at either end of the others

and in a difference of two variants the larger of theirs; of ranks, whose places move gradually, no
more than 3 / n^2 times the variance by which the people of the other classes moved. A class of
five people or more that differ has more by itself, and is left as it is.

One person of a class says nothing of how others of it would do: there is no interval then, but
that of Wilson where the metric is a rate of the calls and 0 or 1.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from kfold_hs.judge.stats.clusters import Layout

FEWEST, USEFUL = 2, 10
ONE_PERSON = (
    "no interval: 1 person of {named}, which says nothing of how others of it would do; it takes "
    f"at least {FEWEST} to have one, and about {USEFUL} to have one of use"
)
FOLD_LACKS = (
    "undefined: {lacking} of {n} folds have nobody of {named}; use fewer folds, or read the pooled "
    "value"
)
_OF_RANKS = 3.0


@dataclass(frozen=True, eq=False)
class Sides:
    """The classes whose people a value has means over.

    Parameters
    ----------
    whose : ndarray of bool, shape (C, n_persons)
    least : ndarray, shape (C,)
        Variance that each adds at the least.
    by_rank : bool
    """

    whose: np.ndarray
    least: np.ndarray
    by_rank: bool = False

    @property
    def n_fewest(self) -> int:
        """Persons of the class that the fewest have."""
        return int(self.whose.sum(axis=1).min())

    def lacks(self, of_person: np.ndarray) -> float:
        """Variance that the sums by person do not show, from their (n_persons,) values."""
        shown = self.whose @ of_person**2
        return float(np.maximum(self.least - shown, 0).sum())

    def times(self, factor: float) -> Sides:
        """Of a multiple of the value."""
        return replace(self, least=factor**2 * self.least)

    def among(self, persons: np.ndarray, n_persons: int) -> Sides:
        """The same people by other numbers: `persons` are the new ones of the old, ascending."""
        whose = np.zeros((len(self.whose), n_persons), dtype=bool)
        whose[:, persons] = self.whose
        return replace(self, whose=whose)

    def minus(self, other: Sides, of_person: np.ndarray) -> Sides:
        """Of a difference, whose sums by person are `of_person`."""
        if not np.array_equal(self.whose, other.whose):  # two groups of people
            return _beside([self, other])
        least, by_rank = np.maximum(self.least, other.least), self.by_rank and other.by_rank
        if by_rank:
            # A person's place, from what it moved a mean over so many people by.
            n_others = np.maximum((~self.whose).sum(axis=1), 1)
            moved = n_others * (~self.whose @ of_person**2)
            least = np.minimum(least, _OF_RANKS * moved / self.whose.sum(axis=1) ** 2)
        return Sides(self.whose, least, by_rank)


def mean_of(sides: Sequence[Sides | None]) -> Sides | None:
    """Of the mean of several values: one person moves all of those of one class, and others one."""
    found = [each for each in sides if each is not None]
    if not found:
        return None
    if all(np.array_equal(each.whose, found[0].whose) for each in found):
        share = len(found) / len(sides)
        return replace(found[0], least=share**2 * np.mean([each.least for each in found], axis=0))
    return _beside([each.times(1 / len(sides)) for each in found])


def _beside(sides: Sequence[Sides]) -> Sides:
    return Sides(
        np.concatenate([each.whose for each in sides]),
        np.concatenate([each.least for each in sides]),
        all(each.by_rank for each in sides),
    )


def rows_of_sides(kind: str, y_true: np.ndarray, n_classes: int, positive: int) -> np.ndarray:
    """Rows of every side that somebody is of, (C, N) of bool; see `Metric.sides`."""
    is_positive = y_true == positive
    found = {
        "": [],
        "positive": [is_positive],
        "negative": [~is_positive],
        "both": [is_positive, ~is_positive],
    }.get(kind, [y_true == c for c in range(n_classes)])
    rows = np.array([each for each in found if each.any()], dtype=bool)
    return rows.reshape(len(rows), len(y_true))


def persons_of(rows: np.ndarray, layout: Layout) -> np.ndarray:
    """Persons who have one of the rows, (C, N) -> (C, n_persons) of bool."""
    found = np.zeros((len(rows), layout.n_persons), dtype=bool)
    for mine, theirs in zip(rows, found, strict=True):
        theirs[layout.person[mine]] = True
    return found


def of_ranks(value: float, rows: np.ndarray, layout: Layout, weight: float) -> Sides:
    """Of a metric of ranks; `weight` is that of a class in the mean over the classes."""
    whose = persons_of(rows, layout)
    return Sides(whose, weight**2 * value * (1 - value) / whose.sum(axis=1) ** 2, True)


def of_calls(
    runs_of: Callable[[np.ndarray], np.ndarray],
    y_prob: np.ndarray,
    rows: np.ndarray,
    layout: Layout,
) -> Sides:
    """Of a metric of calls: one patient of each class and run is called otherwise, in every way.

    Parameters
    ----------
    runs_of : callable
        (N, C) probabilities -> the metric in every run, (S,).
    y_prob : ndarray, shape (N, C)
    rows : ndarray of bool, shape (C, N)
    layout : Layout
    """
    whose, here = persons_of(rows, layout), runs_of(y_prob)
    calls, hot = y_prob.argmax(axis=1), np.eye(y_prob.shape[1])
    least = np.zeros(len(rows))
    for side, mine in enumerate(rows):
        most = np.zeros(layout.n_runs)
        for to in range(y_prob.shape[1]):
            others = np.flatnonzero(mine & (calls != to))
            first = others[np.unique(layout.run[others], return_index=True)[1]]
            moved = y_prob.copy()
            moved[first] = hot[to]
            change = np.abs(runs_of(moved) - here)
            most = np.maximum(most, np.where(np.isfinite(change), change, 0.0))
        # Of patients: a person may be several.
        n_rows, pairs = mine.sum(), len(np.unique(layout.person[mine] * layout.n_runs
                                                  + layout.run[mine]))  # fmt: skip
        least[side] = (most.mean() * n_rows / pairs) ** 2
    return Sides(whose, least)
