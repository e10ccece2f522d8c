"""What an estimate is, the two ways to put ends around a value, and which ends cannot be.

A share of exactly 0 or 1 has no logit and no spread: three people would be as sure as three
thousand. It gets Wilson's interval instead (Wilson 1927), with the persons for the number of
trials; and so does a difference of two shares of -1 or 1, d, whose (1 + d) / 2 is one.

Every interval passes through `possible_ends`. Ends outside the possible values are drawn in. An
interval without width, or one that would hold all that is possible, says nothing: the estimate
says so, and what would help, in place of ends.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import inf, isfinite, log

from scipy.special import expit
from statsmodels.stats.proportion import proportion_confint

from kfold_hs.judge.metrics.bounds import SHARE, Bounds

LEVEL = 0.95
METHOD_OF_ALL_OR_NONE = "Wilson over persons, since all are alike"
TARGET = "these models, on other people like these"
OPTIMISTIC = "these models, on the very people who chose their epoch (optimistic)"
NOTHING_VARIES = (
    "no interval: all people who were scored did alike, which does not say that others would; more "
    "people would tell"
)
ALL_POSSIBLE = "no interval: it would hold 99 % or more of what is possible; {help}"
MORE_PEOPLE = "more people would tell"
# Of the distance of the lowest and the highest possible value: what is less is rounding, and an
# interval that leaves out no more than that holds all.
_NO_WIDTH, _LEAVES_OUT = 1e-9, 1e-2


@dataclass(frozen=True)
class Estimate:
    """A value with its interval; `low` and `high` are None where nothing is known.

    `n_undefined` resamples of a bootstrap gave no value, e.g. for want of a class. `method` and
    `target` say in words how the interval was made, or why there is none and what would tell, and
    what it speaks of; `se` is the standard error on the metric's own scale, `df` the degrees of
    freedom of the t quantile, if it is one.
    """

    value: float | None
    low: float | None
    high: float | None
    n_undefined: int = 0
    level: float = LEVEL
    method: str = ""
    target: str = TARGET
    se: float | None = None
    df: float | None = None

    def without_ends(self, why: str) -> Estimate:
        """The same value, and in place of the interval the reason why there is none."""
        return replace(self, low=None, high=None, method=why, se=None, df=None)


def possible_ends(
    estimate: Estimate, bounds: Bounds, why: str = NOTHING_VARIES, would_tell: str = MORE_PEOPLE
) -> Estimate:
    """The estimate with ends that can be, or without ends.

    Parameters
    ----------
    estimate : Estimate
        As it was made; its ends may lie anywhere.
    bounds : Bounds
        Of the value.
    why : str
        Said where the interval has no width.
    would_tell : str
        What would, where it holds all that is possible.
    """
    value, low, high = estimate.value, estimate.low, estimate.high
    if value is None or low is None or high is None:
        return estimate
    lowest, highest = bounds
    span = highest - lowest
    value = min(max(value, lowest), highest)
    if not (isfinite(low) and isfinite(high)):
        return replace(estimate, value=value).without_ends(ALL_POSSIBLE.format(help=would_tell))
    low, high = max(low, lowest), min(high, highest)
    if not high - low > _NO_WIDTH * (span if isfinite(span) else max(abs(value), 1.0)):
        return replace(estimate, value=value).without_ends(why)
    if high - low >= (1 - _LEAVES_OUT) * span:
        return replace(estimate, value=value).without_ends(ALL_POSSIBLE.format(help=would_tell))
    return replace(estimate, value=value, low=low, high=high)


def is_nothing(se: float, bounds: Bounds) -> bool:
    """Whether a standard error is 0 but for rounding."""
    return not se > _NO_WIDTH * (bounds[1] - bounds[0])


def is_all_or_none(share: float) -> bool:
    """Whether a share is 0 or 1 but for rounding."""
    return min(share, 1 - share) <= _NO_WIDTH


def apart(first: Bounds, second: Bounds) -> Bounds:
    """Of the difference of two values, first minus second."""
    return first[0] - second[1], first[1] - second[0]


def of_all_or_none(
    value: float, bounds: Bounds, n: float, level: float = LEVEL
) -> tuple[float, float] | None:
    """Wilson's ends of a share of 0 or 1, or of a difference of shares of -1 or 1; None of others.

    `n` persons stand behind it.
    """
    if bounds == SHARE and is_all_or_none(value):
        return wilson(round(value), n, level)
    if bounds == apart(SHARE, SHARE) and is_all_or_none((1 + value) / 2):
        low, high = wilson(round((1 + value) / 2), n, level)
        return 2 * low - 1, 2 * high - 1
    return None


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


def wilson(value: float, n: float, level: float = LEVEL) -> tuple[float, float]:
    """Wilson's interval of a share of `n` trials, which need not be a whole number (1927)."""
    low, high = proportion_confint(value * n, n, 1 - level, method="wilson")
    # Of none and of all, an end is the share itself but for rounding.
    return float(min(low, value)), float(max(high, value))
