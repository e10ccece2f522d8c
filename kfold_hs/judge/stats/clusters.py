"""Who was predicted by which model: the two ways in which rows of a table hang together.

A *run* is one K-fold cross-validation with its own split and its own random draws (a repeat);
a *fold model* is what one run trained for one fold. Every row belongs to one person and one
fold model. Rows of a person share the person, rows of a fold model share what it learnt.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from kfold_hs.errors import PredictionsError
from kfold_hs.predictions.table import Predictions


@dataclass(frozen=True, eq=False)
class Layout:
    """Codes of every row, each (N,) and counted from 0 without gaps.

    Parameters
    ----------
    run, model, person : ndarray of int, shape (N,)
    n_folds : int
        Folds of a run, K. An unfinished run has fewer models than runs times folds.
    n_layouts : int
        2 of a difference of values on different folds (`beside`), whose runs are the first's and
        then as many of the second's; else 1.

    Raises
    ------
    PredictionsError
        The columns differ in length, or there is no row.
    """

    run: np.ndarray
    model: np.ndarray
    person: np.ndarray
    n_folds: int
    n_layouts: int = 1

    def __post_init__(self) -> None:
        if not len(self.run) == len(self.model) == len(self.person) > 0:
            raise PredictionsError(
                f"{len(self.run)} runs, {len(self.model)} models and {len(self.person)} persons "
                "of rows: a layout needs one of each for every row, and at least one row."
            )

    @classmethod
    def of(
        cls, runs: np.ndarray, folds: np.ndarray, persons: np.ndarray, n_folds: int | None = None
    ) -> Layout:
        """From labels of any kind; `n_folds` is by default the number of different folds."""
        run = np.unique(runs, return_inverse=True)[1]
        different, fold = np.unique(folds, return_inverse=True)
        model = np.unique(run * len(different) + fold, return_inverse=True)[1]
        person = np.unique(persons, return_inverse=True)[1]
        return cls(run, model, person, n_folds or len(different))

    @classmethod
    def of_predictions(cls, kept: Predictions, n_folds: int | None = None) -> Layout:
        """Of rows of one epoch a fold; every repeat (and seed, if not averaged) is a run."""
        table = kept.table
        run = table["repeat"].to_numpy() * (int(table["seed"].max()) + 1) + table["seed"].to_numpy()
        persons = np.asarray(table["person_id"].astype("category").cat.codes)
        return cls.of(run, table["fold"].to_numpy(), persons, n_folds)

    @cached_property
    def n_runs(self) -> int:
        return int(self.run.max()) + 1

    @property
    def n_repeats(self) -> int:
        """Runs of each layout, S."""
        return self.n_runs // self.n_layouts

    @cached_property
    def n_models(self) -> int:
        return int(self.model.max()) + 1

    @cached_property
    def n_persons(self) -> int:
        return int(self.person.max()) + 1

    @cached_property
    def run_of_model(self) -> np.ndarray:
        """Run of every fold model, (J,)."""
        found = np.empty(self.n_models, dtype=np.int64)
        found[self.model] = self.run
        return found

    @cached_property
    def _cell(self) -> np.ndarray:
        return np.unique(self.person * self.n_models + self.model, return_inverse=True)[1]

    @cached_property
    def in_run(self) -> np.ndarray:
        """Which persons have rows in which run, (S, n) of bool."""
        return self.by_run_and_person(np.ones(len(self.run))) > 0

    def by_run_and_person(self, values: np.ndarray) -> np.ndarray:
        """Sums over the rows of every person in every run, (S, n)."""
        n_runs, n = self.n_runs, self.n_persons
        return np.bincount(self.run * n + self.person, values, n_runs * n).reshape(n_runs, n)

    def by_person(self, values: np.ndarray) -> np.ndarray:
        """Sums over the rows of every person, (n,)."""
        return np.bincount(self.person, values)

    def by_model(self, values: np.ndarray) -> np.ndarray:
        """Sums over the rows of every fold model, (J,)."""
        return np.bincount(self.model, values)

    def by_run(self, values: np.ndarray) -> np.ndarray:
        """Sums over the rows of every run, (S,)."""
        return np.bincount(self.run, values)

    def by_cell(self, values: np.ndarray) -> np.ndarray:
        """Sums over the rows that share both person and fold model."""
        return np.bincount(self._cell, values)

    def beside(self, other: Layout) -> Layout:
        """The rows of both, those of the other last, in runs and fold models of their own.

        Raises
        ------
        PredictionsError
            They differ in the numbers of people, folds or runs.
        """
        sizes = [(each.n_persons, each.n_folds, each.n_runs, each.n_models)
                 for each in (self, other)]  # fmt: skip
        if sizes[0] != sizes[1] or self.n_layouts != 1 or other.n_layouts != 1:
            raise PredictionsError(
                f"{sizes[0]} and {sizes[1]} persons, folds, repeats and fold models: results on "
                "different folds can be subtracted where these are as many, and the people the "
                "same. Give both variants the same --folds and --repeats."
            )
        return Layout(
            np.concatenate([self.run, other.run + self.n_runs]),
            np.concatenate([self.model, other.model + self.n_models]),
            np.concatenate([self.person, other.person]),
            self.n_folds,
            n_layouts=2,
        )

    def without_people(self, values: np.ndarray) -> np.ndarray:
        """Of two layouts: the rows, less what the other layout says of their persons, (N,).

        With signs opposite, as in a difference. What two values share by the people is in both
        layouts, and hides what fold models differ by; of one layout the values as they are.
        """
        if self.n_layouts == 1:
            return values
        n_repeats, n = self.n_repeats, self.n_persons
        of_run = self.by_run_and_person(values).reshape(2, n_repeats, n)
        n_rows = self.by_run_and_person(np.ones(len(values)))
        others = of_run.sum(axis=1)[1 - self.run // n_repeats, self.person]
        return np.asarray(values + others / (n_repeats * n_rows[self.run, self.person]))

    def same_as(self, other: Layout) -> bool:
        """Whether every row has the same run, model and person."""
        return all(
            np.array_equal(getattr(self, name), getattr(other, name))
            for name in ("run", "model", "person")
        )
