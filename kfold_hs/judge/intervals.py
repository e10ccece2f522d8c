"""What an estimate is, and intervals by resampling people.

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
from math import inf, log, sqrt
from statistics import NormalDist

import numpy as np
from scipy.special import expit

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

    `n_undefined` of the resamples gave no value, e.g. for want of a class. `method` and
    `target` say in words how the interval was made and what it speaks of; `se` is the standard
    error on the metric's own scale, `df` the degrees of freedom of the t quantile, if it is one.
    """

    value: float | None
    low: float | None
    high: float | None
    n_undefined: int = 0
    level: float = LEVEL
    method: str = METHOD
    target: str = TARGET
    se: float | None = None
    df: int | None = None


def around(
    value: float, se: float, quantile: float, is_share: bool, lowest: float = -inf
) -> tuple[float, float]:
    """Ends of an interval: value +- quantile * se, for a share made on the logit scale.

    ``logit(value) +- quantile * se / (value (1 - value))``, transformed back, keeps the ends
    within 0 and 1 and makes them uneven near these. A share of exactly 0 or 1 has no logit: see
    `wilson`.
    """
    if not is_share or not 0 < value < 1:
        return max(value - quantile * se, lowest), value + quantile * se
    logit, half = log(value / (1 - value)), quantile * se / (value * (1 - value))
    return float(expit(logit - half)), float(expit(logit + half))


def wilson(value: float, n: float, quantile: float = _Z) -> tuple[float, float]:
    """Wilson's interval of a share of `n` trials, which need not be a whole number (1927)."""
    middle = (value + quantile**2 / (2 * n)) / (1 + quantile**2 / n)
    half = quantile * sqrt(value * (1 - value) / n + quantile**2 / (4 * n**2))
    half /= 1 + quantile**2 / n
    low = 0.0 if value == 0 else max(0.0, middle - half)  # not 0 but for rounding
    return low, 1.0 if value == 1 else min(1.0, middle + half)


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
            low, high = wilson(value, n)
            return Estimate(value, low, high, method=METHOD_OF_ALL_OR_NONE, target=self.target)
        tail = (1 - LEVEL) / 2
        low, high = (float(each) for each in np.quantile(defined, [tail, 1 - tail]))
        undefined = self.n_resamples - len(defined)
        return Estimate(value, low, high, undefined, target=self.target)
