"""Which of two variants is better: difference, interval, p, a verdict, which may be "cannot tell".

Both variants have predicted the same people. In the same folds rows are subtracted one by one and
what they share cancels; in different folds persons are, and what fold models differ by counts for
each. The interval is the recipe's (see `expected_error`), on the differences of the rows and of
what class shares do, on the plain scale.

equivalent    the whole interval lies within the region of practical equivalence: the difference,
              if there is one, is too small to matter
better        the whole interval lies on one side of 0, and not all of it in that region
cannot tell   neither, nor where both did equally well on every patient: that says that they are
              alike on these people, and not how seldom they would differ on others

Where one variant is right on everybody and the other on nobody, the interval is Wilson's and p that
of the sign test.

Beside it the Bayesian correlated t-test (Corani & Benavoli, Machine Learning 100, 2015): with x the
differences of the J fold models, the true difference has a t distribution of J - 1 degrees of
freedom around mean(x), of scale sd(x) sqrt(1 / J + 1 / (K - 1)), or the standard error of the
interval where that is more: folds that agree by chance make nothing certain. On different folds
no fold model has one to be set against, and there is no such test.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from math import ceil, sqrt
from typing import Any

import numpy as np
from scipy import special

from kfold_hs.judge.stats.conditional_error import fixed_estimate
from kfold_hs.judge.stats.expected_error import (
    ONE_MODEL,
    UNDEFINED,
    Spread,
    corrected,
    interval,
    spread,
    trials_of_all_or_none,
)
from kfold_hs.judge.stats.influence import Influence
from kfold_hs.judge.stats.intervals import Estimate
from kfold_hs.judge.stats.power import Design, components, detectable, power_of, settling

BETTER, EQUIVALENT, CANNOT_TELL = "better", "equivalent", "cannot tell"
ALIKE = (
    "no interval: both variants did equally well on every patient, and more people would tell "
    "whether they differ on others"
)


@dataclass(frozen=True)
class Rope:
    """Posterior probabilities of the Bayesian correlated t-test; they sum to 1.

    worse, same, better : of the second variant against the first, by more than the margin
    """

    worse: float
    same: float
    better: float


def correlated_t(
    values: np.ndarray, test_over_train: float, margin: float, least_variance: float = 0.0
) -> Rope | None:
    """Bayesian correlated t-test of fold differences, higher meaning better.

    `least_variance` is that of the interval. None where nothing varies.
    """
    mean = float(np.mean(values))
    scale = sqrt(max(corrected(values, test_over_train), least_variance))
    if scale == 0:
        return None
    df = len(values) - 1
    worse, better = (float(special.stdtr(df, (x - margin) / scale)) for x in (-mean, mean))
    return Rope(worse, 1 - worse - better, better)


def compare(
    first: Influence,
    second: Influence,
    *,
    margin: float,
    higher_is_better: bool = True,
    n_looks: int = 1,
) -> dict[str, Any]:
    """The second variant against the first.

    Parameters
    ----------
    first, second : Influence
        Of one metric on the same rows, or of the same people in different folds.
    margin : float
        Half the width of the region of practical equivalence, at least 0.
    higher_is_better : bool
    n_looks : int
        Comparisons that share the error (Bonferroni); 1 for a single one.

    Returns
    -------
    dict
        difference (an estimate: second - first), p, verdict, winner ("first", "second" or
        None), margin, bayes (worse, same, better), detectable (smallest difference seen with
        80 % power, None where it is more than there can be), power (of this design for the
        observed difference), settle, these_models, variance (its parts by name: see
        `expected_error.Parts`).
    """
    on_same_folds = second.layout.same_as(first.layout)
    apart = second.minus(first) if on_same_folds else second.minus_on_other_folds(first)
    if not np.isfinite(apart.value):
        return _untold(apart, margin, apart.no_interval or UNDEFINED)
    found = spread(apart)
    if found is None:
        return _untold(apart, margin, ONE_MODEL)
    sign = 1 if higher_is_better else -1
    words = "the difference of the recipes, second minus first"
    estimate = interval(apart, found, words, n_looks)
    verdict = verdict_of(estimate.low, estimate.high, margin)
    ahead = "second" if sign * apart.value > 0 else "first"
    if found.untold and estimate.low is not None:
        # Everybody is right in one variant and nobody in the other: the sign test.
        n = trials_of_all_or_none(apart)
        return _untold(apart, margin, "") | {
            "difference": dataclasses.asdict(estimate),
            "p": min(1.0, 2 * 0.5**n),
            "verdict": verdict,
            "winner": ahead if verdict == BETTER else None,
        }
    if found.untold:
        if not apart.psi.any() and apart.value == 0 and not apart.no_interval:
            return _untold(apart, margin, ALIKE) | {"p": 1.0}
        p = found.p_value(apart.value) if found.variance == apart.value == 0 else None
        return _untold(apart, margin, found.untold) | {"p": p}
    bayes = None
    if on_same_folds:
        test_over_train = 1 / (apart.layout.n_folds - 1)
        bayes = correlated_t(sign * apart.models, test_over_train, margin, found.variance)
    least = detectable(found.se, found.df, n_looks=n_looks)
    return {
        "difference": dataclasses.asdict(estimate),
        "p": found.p_value(apart.value),
        "verdict": verdict,
        "winner": ahead if verdict == BETTER else None,
        "margin": margin,
        "bayes": None if bayes is None else dataclasses.asdict(bayes),
        "detectable": least if least <= apart.bounds[1] else None,
        "power": power_of(apart.value, found.se, found.df, n_looks=n_looks),
        "settle": _settle(apart, found, margin, verdict),
        "these_models": these_models(apart),
        "variance": found.parts.to_json(),
    }  # fmt: skip


def verdict_of(low: float | None, high: float | None, margin: float) -> str:
    """better, equivalent or cannot tell, from the interval of the difference alone."""
    if low is None or high is None:
        return CANNOT_TELL
    if -margin < low and high < margin:
        return EQUIVALENT
    return BETTER if low > 0 or high < 0 else CANNOT_TELL


def these_models(apart: Influence) -> dict[str, Any]:
    """The difference of the models that were trained, which is not that of the recipes.

    For AUROC it is DeLong's test of two curves on the same people.
    """
    estimate = fixed_estimate(apart, apart.layout.n_persons)
    p = None if apart.value else 1.0
    if estimate.se:
        p = float(2 * special.ndtr(-abs(apart.value) / estimate.se))
    return {**dataclasses.asdict(estimate), "p": p}


def _settle(apart: Influence, found: Spread, margin: float, verdict: str) -> dict[str, Any] | None:
    """Repeats alone or people alone that would see the observed difference with 80 % power.

    `at_most`: the number of repeats is an upper bound, since a single run cannot tell by how much
    repeats lessen what a person adds, nor two layouts by how much what is reciprocal.
    `people_at_most`: that of people is, since class shares fall with people or do not (see
    `power`).
    """
    if verdict != CANNOT_TELL or apart.value == 0:
        return None
    parts, layout = components(apart), apart.layout
    design = Design(layout.n_persons, layout.n_repeats, layout.n_folds)
    runs, people = settling(apart.value, parts, design)
    return {
        "repeats": runs,
        "at_most": not parts.separable or layout.n_layouts > 1,
        "people": ceil(people) if people else None,
        "people_at_most": parts.class_shares > 0,
        "beyond_margin": bool(abs(apart.value) > margin),
    }


def _untold(apart: Influence, margin: float, why: str) -> dict[str, Any]:
    value = apart.value if np.isfinite(apart.value) else None
    return {
        "difference": dataclasses.asdict(Estimate(value, None, None, method=why)),
        "p": None, "verdict": CANNOT_TELL, "winner": None, "margin": margin, "bayes": None,
        "detectable": None, "power": None, "settle": None,
        "these_models": these_models(apart) if value is not None else None, "variance": None,
    }  # fmt: skip
