"""What an estimate is, and the two ways to put ends around a value.

A share of exactly 0 or 1 has no logit and no spread: three people would be as sure as three
thousand. It gets Wilson's interval instead (Wilson 1927), with the persons for the number of
trials.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, log, sqrt
from statistics import NormalDist

from scipy.special import expit

LEVEL = 0.95
METHOD_OF_ALL_OR_NONE = "Wilson over persons, since all are alike"
TARGET = "these models, on other people like these"
OPTIMISTIC = "these models, on the very people who chose their epoch (optimistic)"
_Z = NormalDist().inv_cdf((1 + LEVEL) / 2)


@dataclass(frozen=True)
class Estimate:
    """A value with its interval; `low` and `high` are None where nothing can be told.

    `n_undefined` resamples of a bootstrap gave no value, e.g. for want of a class. `method` and
    `target` say in words how the interval was made and what it speaks of; `se` is the standard
    error on the metric's own scale, `df` the degrees of freedom of the t quantile, if it is one.
    """

    value: float | None
    low: float | None
    high: float | None
    n_undefined: int = 0
    level: float = LEVEL
    method: str = ""
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
