"""Intervals by resampling people.

The person is the unit: a resample draws as many persons as there are, with
replacement, and takes all patients of each. The interval holds the middle 95 % of the
values (percentile bootstrap; Efron & Tibshirani 1993, ch. 13). It says how the score
of *these trained models* would vary with other people; that the models would differ,
had they been trained on other people, is not in it.

A share of exactly 0 or 1 is 0 or 1 in every resample, so that resampling would call three
people as sure as three thousand. It gets Wilson's interval instead (Wilson 1927), with the
persons for the number of trials.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from kfold_hs.errors import PredictionsError

LEVEL = 0.95
METHOD = "percentile bootstrap over persons"
METHOD_OF_ALL_OR_NONE = "Wilson over persons, since all are alike"
TARGET = "these models, on other people like these"
OPTIMISTIC = "these models, on the very people who chose their epoch (optimistic)"
_Z = NormalDist().inv_cdf((1 + LEVEL) / 2)
_CELLS = 20_000_000


@dataclass(frozen=True)
class Estimate:
    """A value with its interval; `low` and `high` are None where nothing can be told.

    `n_undefined` of the resamples gave no value, e.g. for want of a class.
    """

    value: float | None
    low: float | None
    high: float | None
    n_undefined: int = 0
    level: float = LEVEL
    method: str = METHOD
    target: str = TARGET


@dataclass(frozen=True)
class Bootstrap:
    """Resamples of persons, the same for every metric, so that differences are paired.

    Parameters
    ----------
    persons : ndarray, shape (n,)
        Person of every patient.
    n_resamples : int
    seed : int
    target : str
        What the intervals speak of, in words.

    Raises
    ------
    PredictionsError
        Fewer than 2 persons: nothing can be said about other people.
    """

    persons: np.ndarray
    n_resamples: int = 2000
    seed: int = 0
    target: str = TARGET

    def __post_init__(self) -> None:
        if len(np.unique(self.persons)) < 2:
            raise PredictionsError(
                f"{len(np.unique(self.persons))} person has no interval: at least 2 are needed."
            )

    def weights(self) -> Iterator[np.ndarray]:
        """Multiplicities of the patients, (B, n) in parts that fit into memory."""
        unique, row = np.unique(self.persons, return_inverse=True)
        rng = np.random.default_rng(self.seed)
        at_once = max(1, min(self.n_resamples, _CELLS // len(row)))
        share = np.full(len(unique), 1 / len(unique))
        for start in range(0, self.n_resamples, at_once):
            count = min(at_once, self.n_resamples - start)
            yield rng.multinomial(len(unique), share, size=count)[:, row].astype(np.float64)

    def estimate(
        self, statistic: Callable[[np.ndarray], np.ndarray], is_share: bool = False
    ) -> Estimate:
        """Value and interval of a statistic of the weights, (B, n) -> (B,).

        `is_share` says that the value is a share of patients, such as accuracy.
        """
        value = float(statistic(np.ones((1, len(self.persons))))[0])
        values = np.concatenate([statistic(weights) for weights in self.weights()])
        defined = values[np.isfinite(values)]
        if not np.isfinite(value) or len(defined) == 0:
            undefined = self.n_resamples - len(defined)
            return Estimate(None, None, None, undefined, target=self.target)
        if is_share and value in {0.0, 1.0}:
            n = len(np.unique(self.persons))
            far = n / (n + _Z**2)
            low, high = (far, 1.0) if value else (0.0, 1 - far)
            return Estimate(value, low, high, method=METHOD_OF_ALL_OR_NONE, target=self.target)
        tail = (1 - LEVEL) / 2
        low, high = (float(each) for each in np.quantile(defined, [tail, 1 - tail]))
        undefined = self.n_resamples - len(defined)
        return Estimate(value, low, high, undefined, target=self.target)
