"""What a call means: likelihood ratios, and predictive values where another share is ill.

With se and sp the sensitivity and the specificity of the most probable class, and pi the
prevalence,

    LR+ = se / (1 - sp)     PPV = pi LR+ / (pi LR+ + 1 - pi)
    LR- = (1 - se) / sp     NPV = (1 - pi) / (1 - pi + pi LR-)

Intervals of the ratios are made on the log scale (Simel et al., J. Clinical Epidemiology 44, 1991),
with the influence of every row, so that persons are the units. A stated prevalence has no error:
the ends of a predictive value are those of its ratio (Mercaldo et al., Statistics in Medicine 26,
2007). What it takes is that sensitivity and specificity are the same at the other prevalence.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from math import exp, isfinite, log
from typing import Any

from kfold_hs.errors import ConfigError
from kfold_hs.judge.metrics.counts import SMALLEST
from kfold_hs.judge.metrics.scores import METRICS
from kfold_hs.judge.stats.influence import Influence, mean_of
from kfold_hs.judge.stats.intervals import Estimate
from kfold_hs.judge.stats.scored import Scored

POSITIVE, NEGATIVE = "positive", "negative"
_BOUNDS = (log(SMALLEST), -log(SMALLEST))  # of a logarithm of shares
UNDEFINED = "undefined: nobody was called wrongly, or nobody rightly; more people would tell"
NO_SPREAD = "no interval: sensitivity or specificity is 0 or 1; more people would tell"


def likelihood_ratios(
    rows: Scored, estimate_of: Callable[[Influence], Estimate]
) -> dict[str, dict[str, Any]]:
    """LR+ and LR- of the calls of rows, each as an estimate; its `se` is of the logarithm.

    Parameters
    ----------
    rows : Scored
    estimate_of : callable
        From the influence on the log scale to an interval.
    """
    se, sp = (rows.influence(METRICS[name]) for name in ("sensitivity", "specificity"))
    positive = _log_ratio(se, sp, estimate_of)
    negative = _log_ratio(sp, se, estimate_of)
    low, high = negative.low, negative.high
    turned = replace(
        negative,
        value=None if negative.value is None else -negative.value,
        low=None if high is None else -high,
        high=None if low is None else -low,
    )
    return {POSITIVE: asdict(_raised(positive)), NEGATIVE: asdict(_raised(turned))}


def _log_ratio(
    right: Influence, spared: Influence, estimate_of: Callable[[Influence], Estimate]
) -> Estimate:
    """Of log(right / (1 - spared)), to first order in both."""
    values = (right.value, 1 - spared.value)
    if not all(isfinite(each) and each > 0 for each in values):
        return Estimate(None, None, None, method=UNDEFINED)
    if values[0] == 1 or values[1] == 1:
        return Estimate(log(values[0] / values[1]), None, None, method=NO_SPREAD)
    parts = [right.times(1 / values[0]), spared.times(1 / values[1])]
    both = mean_of(parts).times(2)
    value = log(values[0] / values[1])
    runs = both.runs - both.value + value
    return estimate_of(replace(both, value=value, runs=runs, bounds=_BOUNDS))


def _raised(found: Estimate) -> Estimate:
    ends = [None if each is None else exp(each) for each in (found.value, found.low, found.high)]
    return replace(found, value=ends[0], low=ends[1], high=ends[2])


def predictive_values(
    ratios: Mapping[str, Mapping[str, Any]], prevalence: float
) -> dict[str, dict[str, Any]]:
    """PPV and NPV at a prevalence, each with value, low and high (None where not known).

    Parameters
    ----------
    ratios : mapping
        `likelihood_ratios`.
    prevalence : float
        Share of the positive class, above 0 and below 1.

    Raises
    ------
    ConfigError
        The prevalence is out of these bounds.
    """
    if not 0 < prevalence < 1:
        raise ConfigError(f"prevalence={prevalence:g} must be above 0 and below 1.")
    yes, no = ratios[POSITIVE], ratios[NEGATIVE]
    odds = prevalence / (1 - prevalence)
    return {
        "ppv": {
            name: None if yes[name] is None else odds * yes[name] / (1 + odds * yes[name])
            for name in ("value", "low", "high")
        },
        "npv": {
            name: None if no[at] is None else 1 / (1 + odds * no[at])
            for name, at in (("value", "value"), ("low", "high"), ("high", "low"))
        },
    }
