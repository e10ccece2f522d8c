"""How good is the recipe: what training anew on other people of this kind would give.

The target is Err_K, the performance of the models that this recipe makes, averaged over people,
splits and random draws, when it is trained on the people of K - 1 folds. Training on everybody
is a little better, and no cross-validation measures that.

From 2 runs on (F1), with psi the rows' influence (see `influence`), J fold models, K folds:

    V_person = sum over persons of (sum of their psi)^2
    V_model  = J / (J - 1) sum over fold models of (sum of their psi)^2
    V_both   = sum over rows that share person and model of (sum of their psi)^2
    V        = K / (K - 1) max(V_person, V_person + V_model - V_both)

with t on J - 1 degrees of freedom; the two-way cluster variance of Cameron, Gelbach & Miller
(J. Business & Economic Statistics 29(2), 2011). K / (K - 1) stands for training sets that overlap;
it is empirical, and docs/statistics.md has the measured coverage.

With one run (F2), x the J fold models' values (`Influence.models`) and s their standard deviation:

    V = s^2 (1 / J + n_test / n_train),  n_test / n_train = 1 / (K - 1)

(Nadeau & Bengio, Machine Learning 52, 2003; Bouckaert & Frank, PAKDD 2004), which covers more
than it says. Two runs are enough for F1 to cover (measured), three are recommended: they are much
narrower.

V is never less than the variance of these models over people (`Influence.of_people`): models that
would be trained anew vary at least as the trained ones do. The folds of one run may agree by
chance; how models of the recipe differ is unknown then, and an estimate gets no interval.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt

import numpy as np
from scipy import special

from kfold_hs.judge.metrics.bounds import SHARE
from kfold_hs.judge.stats.clusters import Layout
from kfold_hs.judge.stats.influence import Influence
from kfold_hs.judge.stats.intervals import (
    LEVEL,
    METHOD_OF_ALL_OR_NONE,
    NOTHING_VARIES,
    Estimate,
    around,
    is_all_or_none,
    is_nothing,
    possible_ends,
    wilson,
)

ENOUGH_RUNS = 2
RECOMMENDED_RUNS = 3
TWO_WAY = "two-way clustered by person and fold model, t with {df} df"
CORRECTED = (
    "Nadeau-Bengio corrected t over folds, {df} df (conservative: one run; "
    f"{RECOMMENDED_RUNS} are recommended)"
)
ONE_MODEL = "no interval: one fold model does not say how models of this recipe differ"
UNDEFINED = "undefined: a fold or run lacks a class, or what else the metric needs"
FOLDS_AGREE = (
    "no interval: the folds of the one repeat agree, which does not say how models of this recipe "
    "differ; more repeats (--repeats) or more people would tell"
)


@dataclass(frozen=True)
class Spread:
    """Variance of a value as an estimate of the recipe, and how it was had.

    variance : at least that of these models
    untold : why no interval can stand on it, or None
    """

    variance: float
    df: int
    method: str
    untold: str | None = None

    @property
    def se(self) -> float:
        return sqrt(self.variance)

    def quantile(self, level: float = LEVEL, n_looks: int = 1) -> float:
        """Two-sided t quantile; `n_looks` widens it by Bonferroni."""
        return float(special.stdtrit(self.df, 1 - (1 - level) / 2 / n_looks))

    def p_value(self, value: float) -> float:
        """Two-sided, of the value being 0; 1 where nothing varies: nothing speaks against it."""
        if self.variance == 0:
            return 1.0
        return float(2 * special.stdtr(self.df, -abs(value) / self.se))


def target(train_share: float) -> str:
    """What these intervals speak of, in words."""
    trained = f"{train_share:.0%}".replace("%", " %")
    return f"this recipe, trained on {trained} of the people"


def spread(influence: Influence) -> Spread | None:
    """Variance of the value as an estimate of the recipe; None with a single fold model."""
    layout = influence.layout
    if layout.n_models < 2 or layout.n_folds < 2:
        return None
    df, least = layout.n_models - 1, influence.of_people
    if layout.n_runs >= ENOUGH_RUNS:
        variance, method, alike = two_way(influence.psi, layout), TWO_WAY, NOTHING_VARIES
    else:
        variance, method = corrected(influence.models, 1 / (layout.n_folds - 1)), CORRECTED
        alike = FOLDS_AGREE
    untold = alike if is_nothing(sqrt(variance), influence.bounds) else None
    variance = max(variance, least)
    if is_nothing(sqrt(variance), influence.bounds):
        variance, untold = 0.0, NOTHING_VARIES
    return Spread(variance, df, method.format(df=df), untold)


def two_way(psi: np.ndarray, layout: Layout) -> float:
    """F1: the variance V above."""
    n_models, n_folds = layout.n_models, layout.n_folds
    of_persons = float((layout.by_person(psi) ** 2).sum())
    of_models = n_models / (n_models - 1) * float((layout.by_model(psi) ** 2).sum())
    of_both = float((layout.by_cell(psi) ** 2).sum())
    return n_folds / (n_folds - 1) * max(of_persons, of_persons + of_models - of_both)


def corrected(values: np.ndarray, test_over_train: float) -> float:
    """F2: the corrected resampled variance of the mean of fold values.

    Parameters
    ----------
    values : ndarray, shape (J,)
        Of every fold model, or their differences between two variants.
    test_over_train : float
        People tested over people trained on: 1 / (K - 1) for K folds.
    """
    return float(np.var(values, ddof=1) * (1 / len(values) + test_over_train))


def recipe_estimate(
    influence: Influence, train_share: float, n_smallest: int, says: str = ""
) -> Estimate:
    """Value and interval of the recipe.

    Parameters
    ----------
    influence : Influence
    train_share : float
        Share of the people that each model trained on, in (0, 1].
    n_smallest : int
        Persons that a share of exactly 0 or 1 rests on (Wilson).
    says : str
        Added to the target, such as "(optimistic)".
    """
    text = " ".join(filter(None, [target(train_share), says]))
    value = influence.value
    if not np.isfinite(value):
        return Estimate(None, None, None, method=UNDEFINED, target=text)
    found = spread(influence)
    if found is None:
        return Estimate(value, None, None, method=ONE_MODEL, target=text)
    if influence.is_share and is_all_or_none(value):
        low, high = wilson(round(value), n_smallest)
        return possible_ends(
            Estimate(value, low, high, method=METHOD_OF_ALL_OR_NONE, target=text), SHARE
        )
    return interval(influence, found, text)


def interval(influence: Influence, found: Spread, text: str, n_looks: int = 1) -> Estimate:
    """The value with the interval of its spread, or without one where none can be told.

    `text` says what the interval speaks of; `n_looks` widens it by Bonferroni.
    """
    value, quantile = influence.value, found.quantile(n_looks=n_looks)
    if found.untold:
        return Estimate(value, None, None, method=found.untold, target=text)
    low, high = around(value, found.se, quantile, influence.is_share)
    return possible_ends(
        Estimate(value, low, high, method=found.method, target=text, se=found.se, df=found.df),
        influence.bounds,
    )
