"""How wide an interval will be and what a design can see, before or after it is run.

The error of a value, person by run, is a sum of three independent parts with variances

    person    what a person always adds, whoever trained        falls with people
    model     what all people tested by one fold model share    falls with repeats (and seeds)
    residual  the rest, drawn anew in every run                 falls with people and repeats

so that with n people, S runs and K folds (see `recipe`)

    V = K / (K - 1) (person / n + model / (S K) + residual / (n S))              from 2 runs on
    V = (1 / (S K) + 1 / (K - 1)) (model + (person + residual) K / n)            one run

Power is that of the t-test with non-centrality difference / sqrt(V). The parts come from a run
(`components`) or from stated assumptions (`assumed`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import sqrt

import numpy as np
from scipy import special, stats

from kfold_hs.errors import ConfigError, unknown_name
from kfold_hs.judge.influence import Influence
from kfold_hs.judge.intervals import LEVEL, around
from kfold_hs.judge.recipe import ENOUGH_RUNS

POWER = 0.8
MOST_REPEATS = 50


@dataclass(frozen=True)
class Components:
    """Variances of the parts above, in squared units of the metric.

    `separable` is False where a single run cannot tell person from residual: all is in person.
    """

    person: float
    model: float
    residual: float
    separable: bool = True

    def variance(self, n_people: int, n_runs: int, n_folds: int) -> float:
        """V of the value of a design."""
        if n_runs >= ENOUGH_RUNS:
            each = self.person / n_people + self.model / (n_runs * n_folds)
            return n_folds / (n_folds - 1) * (each + self.residual / (n_people * n_runs))
        of_fold = self.model + (self.person + self.residual) * n_folds / n_people
        return (1 / (n_runs * n_folds) + 1 / (n_folds - 1)) * of_fold


def components(influence: Influence) -> Components:
    """Parts of the error of a value by the method of moments, each at least 0.

    They are estimates themselves, and rough ones with few fold models.
    """
    layout, n = influence.layout, influence.layout.n_persons
    n_runs, n_models = layout.n_runs, layout.n_models
    if n_models < 2 or n <= n_models:
        return Components(n * float((layout.by_person(influence.psi) ** 2).sum()), 0, 0, False)
    # In units of the influence value e of one person in one run, n S cells.
    cells = n * n_runs * layout.by_cell(influence.psi)
    total = float((cells**2).mean())
    values = n_models * layout.by_model(influence.psi)
    per_model = n * n_runs / n_models
    within = max(0.0, float((cells**2).sum()) - per_model * float((values**2).sum()))
    within /= len(cells) - n_models
    model = max(0.0, float((values**2).sum()) / max(n_models - n_runs, 1) - within / per_model)
    model = min(model, total)
    if n_runs == 1:
        return Components(total - model, model, 0.0, separable=False)
    of_persons = n * float((layout.by_person(influence.psi) ** 2).sum())
    person = float(np.clip((n_runs * of_persons - total) / (n_runs - 1), 0, total - model))
    return Components(person, model, total - model - person)


def detectable(se: float, df: int, power: float = POWER, n_looks: int = 1) -> float:
    """Smallest difference that a design of this standard error sees with the given power."""
    limit = stats.t.ppf(1 - (1 - LEVEL) / 2 / n_looks, df)
    return float(special.nctdtrinc(df, 1 - power, limit)) * se


def power_of(difference: float, se: float, df: int, n_looks: int = 1) -> float:
    """Chance that the test finds a true `difference`, in [0, 1]."""
    if se == 0:
        return float(difference != 0)
    limit = float(stats.t.ppf(1 - (1 - LEVEL) / 2 / n_looks, df))
    far = abs(difference) / se
    if far > limit + 20:  # beyond what the series of the non-central t can sum
        return 1.0
    above = 1 - special.nctdtr(df, far, limit)
    # Further out the other tail is below 1e-6, and the series may not converge.
    below = special.nctdtr(df, far, -limit) if far < limit else 0.0
    return float(np.clip(above + below, 0, 1))


def settling(
    difference: float, parts: Components, n_people: int, n_runs: int, n_folds: int
) -> tuple[int | None, int | None]:
    """Repeats alone, or people alone, that see `difference` with 80 % power; None if none do.

    More repeats cannot shrink what the people themselves add. From a single run, what repeats
    would do is not known, and the first of the two is None.
    """
    runs = next(
        (
            s
            for s in range(max(ENOUGH_RUNS, n_runs + 1), MOST_REPEATS + 1)
            if parts.separable and _sees(difference, parts, n_people, s, n_folds)
        ),
        None,
    )
    few, many = n_people, 1000 * n_people
    if not _sees(difference, parts, many, n_runs, n_folds):
        return runs, None
    while few + 1 < many:
        middle = (few + many) // 2
        enough = _sees(difference, parts, middle, n_runs, n_folds)
        few, many = (few, middle) if enough else (middle, many)
    return runs, many


def _sees(difference: float, parts: Components, n_people: int, n_runs: int, n_folds: int) -> bool:
    se = sqrt(parts.variance(n_people, n_runs, n_folds))
    return power_of(difference, se, n_runs * n_folds - 1) >= POWER


# --- before anything is run -------------------------------------------------------------------


def _hanley(value: float, positives: float) -> float:
    """n times the variance of an AUROC (Hanley & McNeil, Radiology 143, 1982)."""
    q1, q2 = value / (2 - value), 2 * value**2 / (1 + value)
    return (q1 - value**2) / positives + (q2 - value**2) / (1 - positives)


def _weighted(value: float, positives: float) -> float:
    """Accuracy in which a positive counts five times, as in the challenge's outcome."""
    mean, square = 5 * positives + 1 - positives, 25 * positives + 1 - positives
    return value * (1 - value) * square / mean**2


# Variance of a person's influence value, from the metric's value and the share of positives; both
# classes are recognised alike.
TOTALS: Mapping[str, Callable[[float, float], float]] = {
    "accuracy": lambda value, positives: value * (1 - value),
    "balanced_accuracy": lambda v, positives: v * (1 - v) / (4 * positives * (1 - positives)),
    "sensitivity": lambda value, positives: value * (1 - value) / positives,
    "specificity": lambda value, positives: value * (1 - value) / (1 - positives),
    "weighted_accuracy": _weighted,
    "auroc": _hanley,
}


@dataclass(frozen=True)
class Assumptions:
    """What is assumed about a recipe that nobody has trained, for two classes.

    value : of the metric, in (0, 1)
    prevalence : share of positives, in (0, 1)
    person_share : share of a person's error that is the same whoever trained, in [0, 1]
    model_sd : standard deviation of true performance between fold models
    correlation : between the errors of two variants on one person, in [0, 1)
    """

    metric: str
    value: float
    prevalence: float
    person_share: float = 0.7
    model_sd: float = 0.01
    correlation: float = 0.7

    def __post_init__(self) -> None:
        if self.metric not in TOTALS:
            raise ConfigError(unknown_name("metric to plan for", self.metric, TOTALS))
        for name in ("value", "prevalence"):
            if not 0 < getattr(self, name) < 1:
                raise ConfigError(f"{name}={getattr(self, name):g} must lie between 0 and 1.")
        if not 0 <= self.person_share <= 1 or not 0 <= self.correlation < 1 or self.model_sd < 0:
            raise ConfigError(
                f"person_share={self.person_share:g} must be in [0, 1], correlation="
                f"{self.correlation:g} in [0, 1), model_sd={self.model_sd:g} at least 0."
            )


def assumed(a: Assumptions) -> tuple[Components, Components]:
    """Parts of one variant's value, and of the difference of two variants.

    What two variants share of a person's error cancels; half of what is left is taken to stay
    with the person, and the fold models to differ independently.
    """
    total = TOTALS[a.metric](a.value, a.prevalence)
    one = Components(a.person_share * total, a.model_sd**2, (1 - a.person_share) * total)
    left = 2 * total * (1 - a.correlation)
    return one, Components(left / 2, 2 * a.model_sd**2, left / 2)


def plan(
    one: Components,
    two: Components,
    *,
    value: float,
    difference: float,
    n_people: int,
    n_runs: int,
    n_folds: int,
    is_share: bool = True,
) -> dict[str, float | int]:
    """Width of the interval of one variant and power for a difference of two, for one design.

    Parameters
    ----------
    one, two : Components
        Of a variant's value and of the difference of two variants.
    value, difference : float
        Expected, in the metric's units.
    n_people, n_runs, n_folds : int

    Raises
    ------
    ConfigError
        Fewer than 2 folds, no run, or fewer people than folds.
    """
    if n_folds < 2 or n_runs < 1 or n_people < n_folds:
        raise ConfigError(
            f"{n_people} people in {n_folds} folds and {n_runs} runs: a plan needs at least 2 "
            "folds, one run, and a person for every fold."
        )
    df = n_runs * n_folds - 1
    se, se_difference = (sqrt(each.variance(n_people, n_runs, n_folds)) for each in (one, two))
    low, high = around(value, se, float(stats.t.ppf((1 + LEVEL) / 2, df)), is_share)
    return {
        "people": n_people, "repeats": n_runs, "folds": n_folds, "se": se, "low": low,
        "high": high, "width": high - low, "se_difference": se_difference,
        "power": power_of(difference, se_difference, df),
        "detectable": detectable(se_difference, df),
    }  # fmt: skip
