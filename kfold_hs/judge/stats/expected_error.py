"""How good is the recipe: what training anew on other people of this kind would give.

The target is Err_K, the performance of the models that this recipe makes, averaged over people,
splits and random draws, when it is trained on the people of K - 1 folds. Training on everybody
is a little better, and no cross-validation measures that.

With psi_ps the share of person p in the error of run s (see `influence`), E_p their sum over the
S runs, n persons, K folds, J fold models and G_p what a person adds by the class shares (see
`class_shares`), the variance has four parts:

    person        V_person = sum_p E_p^2, and what classes of few people lack (see `rare_classes`)
    class shares  max(0, sum_p (E_p + G_p)^2 of either way - sum_p E_p^2)
    fold model    max(0, J / (J - S) sum over fold models of (sum of their psi)^2 - sum psi_ps^2)
    reciprocal    min((K - 1) (sum_p s_p)^2 / (n c4(S)^2), max(0, V_person - sum_p s_p^2 / S))
                  with s_p the standard deviation over the runs of S psi_ps; with one run V_person

The third is what the two-way cluster variance of Cameron, Gelbach & Miller (J. Business & Economic
Statistics 29(2), 2011) adds to the first. The fourth is of people who test models trained on each
other: what j does to the answer for i and i to that for j are alike, and a sum of squares over
persons counts them once where the error has them twice. c4 is the mean of a standard deviation of
S normal draws over the true one. docs/statistics.md derives all of them, and has the measured
coverage.

A difference of values on different folds has both layouts side by side: E_p is the difference of
both, fold models and pairs are those of either (docs/statistics.md, "On different folds").

Quantiles are t on J - 1 degrees of freedom. One run cannot see what is reciprocal, and counts as
such all that people add, which bounds it; its degrees of freedom are Satterthwaite's (Biometrics
Bulletin 2, 1946) of people, n - 1, and fold models, K - 1: the normal quantile almost, unless fold
models are what differs. Two runs are enough to cover (measured), three are recommended.

V is never less than the variance of these models (`conditional_error`).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import exp, lgamma, sqrt

import numpy as np
from scipy import special

from kfold_hs.judge.stats.influence import Influence
from kfold_hs.judge.stats.intervals import (
    LEVEL,
    METHOD_OF_ALL_OR_NONE,
    MORE_PEOPLE,
    NOTHING_VARIES,
    Estimate,
    around,
    is_nothing,
    of_all_or_none,
    possible_ends,
)

ENOUGH_RUNS = 2
RECOMMENDED_RUNS = 3
FOUR_PARTS = (
    "variance of people, class shares, fold models and people who test models trained on each "
    "other, t with {df:.0f} df"
)
ONE_RUN = (
    FOUR_PARTS + f" (conservative: one repeat cannot see the last part; {RECOMMENDED_RUNS} are "
    "recommended)"
)
TWO_LAYOUTS = ", of two layouts of folds: what fold models add counts for each"
ALL_OR_NONE = METHOD_OF_ALL_OR_NONE
ALL_OR_NONE_OF_ONE_RUN = (
    f"{METHOD_OF_ALL_OR_NONE}, half of them (conservative: one repeat cannot see what people add "
    f"who test models trained on each other; {RECOMMENDED_RUNS} are recommended)"
)
CORRECTED = "Nadeau-Bengio corrected t over folds, {df} df"
ONE_MODEL = "no interval: one fold model does not say how models of this recipe differ"
UNDEFINED = "undefined: a fold or run lacks a class, or what else the metric needs"
FOLDS_AGREE = (
    "no interval: the folds of the one repeat agree, which does not say how models of this recipe "
    "differ; more repeats (--repeats) or more people would tell"
)


@dataclass(frozen=True)
class Parts:
    """The parts of the variance of a value as an estimate of the recipe; each at least 0.

    persistent : of `person`, what no number of repeats averages out; all of it with one run, which
        cannot tell
    """

    person: float
    class_shares: float
    fold_model: float
    reciprocal: float
    persistent: float

    @property
    def variance(self) -> float:
        return self.person + self.class_shares + self.fold_model + self.reciprocal

    def to_json(self) -> dict[str, float]:
        """The parts by name, and their sum."""
        return {
            "person": self.person, "class_shares": self.class_shares,
            "fold_model": self.fold_model, "reciprocal": self.reciprocal, "sum": self.variance,
        }  # fmt: skip


@dataclass(frozen=True)
class Spread:
    """Variance of a value as an estimate of the recipe, and how it was had.

    variance : at least that of these models
    df : of the t quantile
    parts : of the variance
    untold : why no interval can stand on it, or None
    """

    variance: float
    df: float
    method: str
    parts: Parts
    untold: str | None = None

    @property
    def se(self) -> float:
        return sqrt(self.variance)

    def quantile(self, level: float = LEVEL, n_looks: int = 1) -> float:
        """Two-sided t quantile; `n_looks` widens it by Bonferroni."""
        return t_quantile(self.df, 1 - (1 - level) / 2 / n_looks)

    def p_value(self, value: float) -> float:
        """Two-sided, of the value being 0; 1 where nothing varies: nothing speaks against it."""
        if self.variance == 0:
            return 1.0
        return float(2 * special.stdtr(self.df, -abs(value) / self.se))


def t_quantile(df: float, p: float) -> float:
    """Quantile of Student's t."""
    return float(special.stdtrit(df, p))


def target(train_share: float) -> str:
    """What these intervals speak of, in words."""
    trained = f"{train_share:.0%}".replace("%", " %")
    return f"this recipe, trained on {trained} of the people"


def spread(influence: Influence) -> Spread | None:
    """Variance of the value as an estimate of the recipe; None with a single fold model a run."""
    layout = influence.layout
    if layout.n_models <= layout.n_runs or layout.n_folds < 2:
        return None
    found = parts(influence)
    n_models = layout.n_models // layout.n_layouts
    df = degrees_of_freedom(found, layout.n_persons, layout.n_repeats, n_models)
    method = FOUR_PARTS if layout.n_repeats >= ENOUGH_RUNS else ONE_RUN
    method += TWO_LAYOUTS if layout.n_layouts > 1 else ""
    # Sums by person of psi may hold a little less than those without what fold models differ by.
    variance = max(found.variance, conditional_variance(influence, found))
    untold = influence.no_interval or None
    # Class shares alone, or a class of few people, are no interval: both are added to one.
    seen = sqrt(influence.seen(influence.psi) + found.fold_model)
    if is_nothing(seen, influence.bounds):
        variance, untold = 0.0, untold or NOTHING_VARIES
    return Spread(variance, df, method.format(df=df), found, untold)


@lru_cache(maxsize=4)  # of one value: its interval, that of its models and its parts
def parts(influence: Influence) -> Parts:
    """The parts of the variance; of a run that is not finished, class shares count too much."""
    layout, psi = influence.layout, influence.psi
    of_person = layout.by_person(psi)
    seen = float((of_person**2).sum())
    person = seen + influence.unseen(psi)
    by_shares = float(((of_person + influence.by_shares) ** 2).sum(axis=1).max())
    n_runs, n_models = layout.n_runs, layout.n_models
    # Where every run has one model, sums by model are 0: nothing is seen of how models differ.
    own = layout.without_people(psi)
    of_models = n_models / max(n_models - n_runs, 1) * float((layout.by_model(own) ** 2).sum())
    of_both = float((layout.by_cell(own) ** 2).sum())
    reciprocal, persistent = _reciprocal(influence, person)
    return Parts(
        person, max(0.0, by_shares - seen), max(0.0, of_models - of_both), reciprocal, persistent
    )


def _reciprocal(influence: Influence, person: float) -> tuple[float, float]:
    """The part of that name, and what of `person` no number of repeats averages out."""
    layout, n = influence.layout, influence.layout.n_persons
    n_runs, n_folds = layout.n_repeats, layout.n_folds
    whole = layout.in_run.all(axis=0)
    if n_runs < ENOUGH_RUNS or not whole.any():
        # Of the people with whom a person trains models, those who are tested, too.
        tested = float(np.mean(np.bincount(layout.run_of_model) - 1)) / max(n_folds - 1, 1)
        return person * tested, person
    # S psi: in units of e / n, whatever the number of people whom a run has.
    e = layout.by_run_and_person(influence.psi) * n_runs
    e *= layout.in_run.sum(axis=1, keepdims=True) / n
    sd = e[:, whole].reshape(layout.n_layouts, n_runs, -1).std(axis=1, ddof=1)
    persistent = max(0.0, person - n * float((sd**2).mean(axis=1).sum()) / n_runs)
    alike = float(((n_folds - 1) * n * (sd.mean(axis=1) / c4(n_runs)) ** 2).sum())
    found = min(alike, persistent)
    if layout.n_layouts > 1:  # by which pairs are parted in one layout and not in the other
        found += alike / ((n_folds - 1) * n_runs)
    return found, persistent


def c4(n: int) -> float:
    """Mean of the standard deviation of `n` normal draws, over the true one."""
    return sqrt(2 / (n - 1)) * exp(lgamma(n / 2) - lgamma((n - 1) / 2))


def degrees_of_freedom(found: Parts, n_persons: int, n_runs: int, n_models: int) -> float:
    """Of the t quantile that goes with the parts."""
    if n_runs >= ENOUGH_RUNS:
        return n_models - 1
    model = found.fold_model
    by_part = (found.variance - model) ** 2 / (n_persons - 1) + model**2 / (n_models - 1)
    return found.variance**2 / by_part if by_part > 0 else n_persons - 1


def conditional_variance(influence: Influence, found: Parts | None = None) -> float:
    """Variance of the value as one of these models, on other people.

    From two runs on with what is reciprocal, which one run cannot see.
    """
    layout = influence.layout
    if layout.n_repeats < ENOUGH_RUNS or layout.n_models <= layout.n_runs or layout.n_folds < 2:
        return influence.of_people
    return influence.of_people + (found or parts(influence)).reciprocal


def corrected(values: np.ndarray, test_over_train: float) -> float:
    """The corrected resampled variance of the mean of fold values.

    V = s^2 (1 / J + n_test / n_train) of Nadeau & Bengio (Machine Learning 52, 2003; for folds
    Bouckaert & Frank, PAKDD 2004). It sees nothing of what all folds share, and where they agree
    by chance it is 0: nested cross-validation and the correlated t-test use it, no verdict does.

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
        Persons that a share of exactly 0 or 1 rests on (Wilson), if it has no mean over a class;
        half of them with one run.
    says : str
        Added to the target, such as "(optimistic)".
    """
    text = " ".join(filter(None, [target(train_share), says]))
    value = influence.value
    if not np.isfinite(value):
        why = influence.no_interval or UNDEFINED
        return Estimate(None, None, None, method=why, target=text)
    found = spread(influence)
    if found is None:
        return Estimate(value, None, None, method=ONE_MODEL, target=text)
    if influence.no_interval:
        return Estimate(value, None, None, method=influence.no_interval, target=text)
    return interval(influence, found, text, n_smallest=n_smallest)


def trials_of_all_or_none(influence: Influence, n_smallest: int | None = None) -> float:
    """Persons behind a value of all or none; half of them with one run.

    As everywhere one run counts twice what people add, since it cannot see what is reciprocal.
    """
    n = influence.persons_behind(n_smallest)
    return n if influence.layout.n_repeats >= ENOUGH_RUNS else n / 2


def interval(
    influence: Influence,
    found: Spread,
    text: str,
    n_looks: int = 1,
    n_smallest: int | None = None,
) -> Estimate:
    """The value with the interval of its spread, or without one where none can be told.

    `text` says what the interval speaks of; `n_looks` widens it by Bonferroni; `n_smallest` as
    `recipe_estimate`.
    """
    value, quantile = influence.value, found.quantile(n_looks=n_looks)
    n, level = trials_of_all_or_none(influence, n_smallest), 1 - (1 - LEVEL) / n_looks
    ends = of_all_or_none(value, influence.bounds, n, level)
    if ends and not influence.no_interval:
        is_one = influence.layout.n_repeats < ENOUGH_RUNS
        method = ALL_OR_NONE_OF_ONE_RUN if is_one else ALL_OR_NONE
        return possible_ends(Estimate(value, *ends, method=method, target=text), influence.bounds)
    if found.untold:
        return Estimate(value, None, None, method=found.untold, target=text)
    low, high = around(value, found.se, quantile, influence.is_share)
    return possible_ends(
        Estimate(value, low, high, method=found.method, target=text, se=found.se, df=found.df),
        influence.bounds,
        would_tell=_would_tell(found.parts, influence.layout.n_repeats),
    )


def _would_tell(found: Parts, n_runs: int) -> str:
    """What would make the interval narrower, after the largest part."""
    if found.class_shares > found.variance / 2:
        return (
            "most of it is class shares, which near chance fall with neither people nor repeats; "
            "the AUROC, or class weights chosen on the other folds, would tell"
        )
    if n_runs < ENOUGH_RUNS or found.fold_model > found.variance / 2:
        return "more people or more repeats (--repeats) would tell"
    return MORE_PEOPLE
