"""How much every row of an out-of-fold table moves a metric.

The value of a metric is the mean over the runs of a run's value; a run's value is the metric of
its rows or, for metrics `by_fold`, the mean over its fold models of theirs. `psi` (N,) is the
share that each row has in the error of that value: with e its influence value, n patients and S
runs, psi = e / (n S). It sums to 0 in every run; sums over a person or over a fold model say how
much that one moved the value. What people add by the models that they train is not in psi; the
part of it that can be known is `moved` (see `class_shares`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import sqrt

import numpy as np

from kfold_hs.errors import PredictionsError
from kfold_hs.judge.metrics.bounds import SHARE, Bounds
from kfold_hs.judge.stats import rare_classes
from kfold_hs.judge.stats.class_shares import WAYS
from kfold_hs.judge.stats.clusters import Layout
from kfold_hs.judge.stats.intervals import apart, is_nothing
from kfold_hs.judge.stats.rare_classes import Sides


@dataclass(frozen=True, eq=False)
class Influence:
    """A value and what every row adds to its error.

    value : float, NaN where the metric is undefined in a run or fold
    psi : (N,) sums to 0 in every run
    within : (N,) the same without what fold models differ by, whose squares, summed by person, are
        the variance of these models; differs from psi only for metrics taken by fold
    runs : (S,) value of every run
    bounds : lowest and highest value that there can be
    unbiased : `psi` and `within` have DeLong's n / (n - 1) of each class and fold
    moved : (2, n_persons) what every person adds by the class shares, by the two ways
    no_interval : why the metric has no interval, "" where it has one
    sides : classes that the value has means over, None where it has none (see `rare_classes`)
    """

    value: float
    psi: np.ndarray
    within: np.ndarray
    runs: np.ndarray
    layout: Layout
    bounds: Bounds = SHARE
    unbiased: bool = False
    moved: np.ndarray | None = None
    no_interval: str = ""
    sides: Sides | None = None

    @property
    def by_shares(self) -> np.ndarray:
        """`moved`, 0 where class shares move nothing; (2, n_persons)."""
        return np.zeros((len(WAYS), self.layout.n_persons)) if self.moved is None else self.moved

    @property
    def is_share(self) -> bool:
        """Lies in [0, 1]: intervals are made on the logit scale."""
        return self.bounds == SHARE

    @property
    def of_people(self) -> float:
        """Variance of the value over people, with the models as they are."""
        return self.seen(self.within) + self.unseen(self.within)

    def persons_behind(self, otherwise: int | None = None) -> int:
        """Whom a value of all or none rests on: the class with the fewest that it has a mean over.

        `otherwise`: of a value that has no mean over a class; by default all persons.
        """
        if self.sides is not None:
            return self.sides.n_fewest
        return otherwise or self.layout.n_persons

    def seen(self, values: np.ndarray) -> float:
        """Sum over persons of the squares of what they add, of `psi` or `within`."""
        return float((self.layout.by_person(values) ** 2).sum())

    def unseen(self, values: np.ndarray) -> float:
        """What classes of few people add besides; nothing where nothing is seen at all."""
        if self.sides is None or is_nothing(sqrt(self.seen(values)), self.bounds):
            return 0.0
        return self.sides.lacks(self.layout.by_person(values))

    @property
    def models(self) -> np.ndarray:
        """Value of every fold model, (J,): that of its run and what it moved the run by.

        For metrics taken by fold the fold's own; for accuracy, too, in folds of one size. Other
        metrics of a run have it to first order, and so also where a fold lacks a class.
        """
        moved = self.layout.n_models * self.layout.by_model(self.psi)
        return np.asarray(self.runs[self.layout.run_of_model] + moved)

    def minus(self, other: Influence) -> Influence:
        """The difference of two values on the same rows.

        Raises
        ------
        PredictionsError
            The rows are not of the same runs, models and persons.
        """
        if not self.layout.same_as(other.layout):
            raise PredictionsError(
                f"{len(self.psi)} and {len(other.psi)} rows: only results of the same people in "
                "the same folds can be subtracted. Give both variants one split and one order."
            )
        psi, sides = self.psi - other.psi, self.sides
        if sides is not None and other.sides is not None:
            sides = sides.minus(other.sides, self.layout.by_person(psi))
        return Influence(
            self.value - other.value, psi, self.within - other.within,
            self.runs - other.runs, self.layout, apart(self.bounds, other.bounds),
            unbiased=self.unbiased and other.unbiased, moved=self.by_shares - other.by_shares,
            no_interval=self.no_interval or other.no_interval, sides=sides or other.sides,
        )  # fmt: skip

    def minus_on_other_folds(self, other: Influence) -> Influence:
        """The difference of two values on the same people in different folds.

        Sums by person are paired, and the fold models of both stay: each run of either layout is a
        run of the difference, and `runs` are those of twice the value, whose mean is the value.

        Raises
        ------
        PredictionsError
            As `Layout.beside`.
        """
        layout = self.layout.beside(other.layout)
        psi, sides = np.concatenate([self.psi, -other.psi]), self.sides
        if sides is not None and other.sides is not None:
            sides = sides.minus(other.sides, layout.by_person(psi))
        return Influence(
            self.value - other.value, psi, np.concatenate([self.within, -other.within]),
            np.concatenate([2 * self.runs, -2 * other.runs]), layout,
            apart(self.bounds, other.bounds), unbiased=self.unbiased and other.unbiased,
            moved=self.by_shares - other.by_shares,
            no_interval=self.no_interval or other.no_interval, sides=sides or other.sides,
        )  # fmt: skip

    def times(self, factor: float) -> Influence:
        """A multiple of the value; `factor` is above 0."""
        low, high = self.bounds
        return replace(
            self, value=factor * self.value, psi=factor * self.psi, within=factor * self.within,
            runs=factor * self.runs, bounds=(factor * low, factor * high),
            moved=factor * self.by_shares,
            sides=None if self.sides is None else self.sides.times(factor),
        )  # fmt: skip


def mean_of(influences: list[Influence]) -> Influence:
    """Of the mean of several values on the same rows, e.g. the tasks' accuracies."""
    first = influences[0]
    return Influence(
        float(np.mean([each.value for each in influences])),
        np.mean([each.psi for each in influences], axis=0),
        np.mean([each.within for each in influences], axis=0),
        np.mean([each.runs for each in influences], axis=0),
        first.layout,
        (
            float(np.mean([each.bounds[0] for each in influences])),
            float(np.mean([each.bounds[1] for each in influences])),
        ),
        all(each.unbiased for each in influences),
        np.mean([each.by_shares for each in influences], axis=0),
        next((each.no_interval for each in influences if each.no_interval), ""),
        rare_classes.mean_of([each.sides for each in influences]),
    )
