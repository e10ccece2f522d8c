"""How good are these models: the ones that were trained, on other people like those tested.

The target is R_n of Bayle et al. (NeurIPS 2020): that other people would have made other models
is not in these intervals, so they are narrower than the recipe's and never settle which of two
recipes is better.

bayle    value +- z sqrt(sum over persons of (sum of psi)^2), shares on the logit scale; from two
         runs on with the reciprocal part (see `expected_error`), since people test models trained
         on each other. One run cannot see it: there, and in bca, the interval is too narrow
         where models are near chance
wilson   for accuracy: Wilson's with the number of persons that would give Bayle's variance, which
         is the number of patients where each is one person and there is one run
delong   the same for AUROC (and AUPRC), whose psi have n / (n - 1) of each class in their squares:
         V = 1 / J^2 sum over folds of var(V10) / n1 + var(V01) / n0, by person (DeLong et al. 1988;
         clusters as Obuchowski, Biometrics 53, 1997)
bca      bias-corrected and accelerated bootstrap over persons (Efron, JASA 82, 1987)
"""

from __future__ import annotations

from collections.abc import Callable
from math import sqrt

import numpy as np
from scipy import stats

from kfold_hs.judge.stats.clusters import Layout
from kfold_hs.judge.stats.expected_error import UNDEFINED, conditional_variance
from kfold_hs.judge.stats.influence import Influence
from kfold_hs.judge.stats.intervals import (
    LEVEL,
    METHOD_OF_ALL_OR_NONE,
    NOTHING_VARIES,
    TARGET,
    Estimate,
    around,
    is_nothing,
    of_all_or_none,
    possible_ends,
    wilson,
)

_Z = float(stats.norm.ppf((1 + LEVEL) / 2))
BAYLE = "Bayle's CLT over persons"
WILSON = "Wilson with the effective number of persons"
_CELLS = 4_000_000
DELONG = "by class and fold (DeLong), clustered by person"
BCA = "BCa bootstrap over persons"


def fixed_estimate(
    influence: Influence,
    n_smallest: int,
    is_proportion: bool = False,
    target: str = TARGET,
) -> Estimate:
    """Value and interval of these models: DeLong, Wilson or Bayle, whichever fits the metric.

    Parameters
    ----------
    influence : Influence
    n_smallest : int
        Persons that a share of exactly 0 or 1 rests on (Wilson), if it has no mean over a class.
    is_proportion : bool
        The value is a plain share of patients, such as accuracy.
    """
    value = influence.value
    if not np.isfinite(value):
        why = influence.no_interval or UNDEFINED
        return Estimate(None, None, None, method=why, target=target)
    if influence.no_interval:
        return Estimate(value, None, None, method=influence.no_interval, target=target)
    ends = of_all_or_none(value, influence.bounds, influence.persons_behind(n_smallest))
    if ends:
        return possible_ends(
            Estimate(value, *ends, method=METHOD_OF_ALL_OR_NONE, target=target), influence.bounds
        )
    variance, method = conditional_variance(influence), DELONG if influence.unbiased else BAYLE
    if is_nothing(sqrt(influence.seen(influence.within)), influence.bounds):
        return Estimate(value, None, None, method=NOTHING_VARIES, target=target)
    if is_proportion:
        low, high = wilson(value, value * (1 - value) / variance)
        method = WILSON
    else:
        low, high = around(value, sqrt(variance), _Z, influence.is_share)
    return possible_ends(
        Estimate(value, low, high, method=method, target=target, se=sqrt(variance)),
        influence.bounds,
    )


def bayle(influence: Influence) -> float:
    """Variance of the value over people, with the models as they are; of AUROC, DeLong's.

    Without what is reciprocal: see `expected_error.conditional_variance`.
    """
    return influence.of_people


def bca(
    influence: Influence,
    statistic: Callable[[np.ndarray], np.ndarray],
    n_resamples: int = 2000,
    seed: int = 0,
    target: str = TARGET,
) -> Estimate | None:
    """Bias-corrected and accelerated bootstrap of these models.

    None where the correction of the bias is above a standard error: resampling itself then moves
    the value, and no correction helps.

    Parameters
    ----------
    influence : Influence
        Gives the acceleration, sum e^3 / (6 (sum e^2)^1.5) over persons.
    statistic : callable
        (B, n_persons) weights of the persons -> (B,) values; see `influence.of_persons`.
    n_resamples : int
        At least 2000 for ends at 2.5 and 97.5 %.
    """
    e = influence.layout.by_person(influence.within)
    spread = float((e**2).sum())
    if is_nothing(sqrt(spread), influence.bounds) or not np.isfinite(influence.value):
        return fixed_estimate(influence, influence.layout.n_persons, target=target)
    acceleration = float((e**3).sum()) / (6 * spread**1.5)
    at_once = max(1, min(n_resamples, _CELLS // len(influence.psi)))
    values = np.concatenate(
        [
            statistic(person_weights(influence.layout, min(at_once, n_resamples - start), seed + i))
            for i, start in enumerate(range(0, n_resamples, at_once))
        ]
    )
    defined = values[np.isfinite(values)]
    undefined = n_resamples - len(defined)
    if not len(defined):
        return Estimate(influence.value, None, None, undefined, method=UNDEFINED, target=target)
    below = (defined < influence.value).mean() + (defined == influence.value).mean() / 2
    bias = float(stats.norm.ppf(np.clip(below, 1 / n_resamples, 1 - 1 / n_resamples)))
    if abs(bias) > 1:
        return None
    ends = bias + np.array([-_Z, _Z])
    low, high = np.quantile(defined, stats.norm.cdf(bias + ends / (1 - acceleration * ends)))
    se = float(defined.std(ddof=1))
    return possible_ends(
        Estimate(
            influence.value, float(low), float(high), undefined, method=BCA, target=target, se=se
        ),
        influence.bounds,
    )


def person_weights(layout: Layout, n_resamples: int, seed: int) -> np.ndarray:
    """How often each resample draws every person, (B, n_persons)."""
    n = layout.n_persons
    # Counting draws is many times as fast as drawing the counts.
    drawn = np.random.default_rng(seed).integers(n, size=(n_resamples, n))
    drawn += n * np.arange(n_resamples)[:, None]
    counts = np.bincount(drawn.ravel(), minlength=n_resamples * n)
    return counts.reshape(n_resamples, n).astype(np.float64)
