"""How wide an interval will be and what a design can see, before or after it is run.

The error of a value, person by run, is a sum of three independent parts with variances

    person    what a person always adds, whoever trained        falls with people
    model     what all people tested by one fold model share    falls with repeats (and seeds)
    residual  the rest, drawn anew in every run                 falls with people and repeats

so that with n people, S runs and K folds (see `recipe`)

    V = K / (K - 1) (person / n + model / (S K) + residual / (n S))              from 2 runs on
    V = (1 / (S K) + 1 / (K - 1)) (model + (person + residual) K / n)            one run

Power is that of the t-test with non-centrality difference / sqrt(V). The parts come from a run
(`components`) or from stated assumptions (see `planning`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import sqrt

import numpy as np
from scipy import special

from kfold_hs.judge.stats.expected_error import ENOUGH_RUNS
from kfold_hs.judge.stats.influence import Influence
from kfold_hs.judge.stats.intervals import LEVEL

POWER = 0.8
MOST_REPEATS = 50
MOST_PEOPLE = 1_000_000


@dataclass(frozen=True)
class Design:
    """How many people are predicted, in how many runs of how many folds."""

    n_people: int
    n_runs: int
    n_folds: int

    @property
    def n_models(self) -> int:
        return self.n_runs * self.n_folds


@dataclass(frozen=True)
class Components:
    """Variances of the parts above, in squared units of the metric.

    `separable` is False where a single run cannot tell person from residual: all is in person.
    """

    person: float
    model: float
    residual: float
    separable: bool = True

    def variance(self, design: Design) -> float:
        """V of the value of a design."""
        n_people, n_folds = design.n_people, design.n_folds
        if design.n_runs >= ENOUGH_RUNS:
            each = self.person / n_people + self.model / design.n_models
            return n_folds / (n_folds - 1) * (each + self.residual / (n_people * design.n_runs))
        of_fold = self.model + (self.person + self.residual) * n_folds / n_people
        return (1 / design.n_models + 1 / (n_folds - 1)) * of_fold


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
    return float(special.nctdtrinc(df, 1 - power, _limit(df, n_looks))) * se


def power_of(difference: float, se: float, df: int, n_looks: int = 1) -> float:
    """Chance that the test finds a true `difference`, in [0, 1]."""
    if se == 0:
        return float(difference != 0)
    limit = _limit(df, n_looks)
    far = abs(difference) / se
    if far > limit + 20:  # beyond what the series of the non-central t can sum
        return 1.0
    above = 1 - special.nctdtr(df, far, limit)
    # The other tail is at most that of a normal beyond `far`, below 1e-6 from 5 on; there and
    # above the limit the series may not converge.
    below = special.nctdtr(df, far, -limit) if far < min(limit, 5) else 0.0
    return float(np.clip(above + below, 0, 1))


def settling(difference: float, parts: Components, design: Design) -> tuple[int | None, int | None]:
    """Repeats alone, or people alone, that see `difference` with 80 % power; None if none do.

    More repeats cannot shrink what the people themselves add. From a single run, all that people
    and residual add counts as the people's: the first of the two is then an upper bound.
    """
    runs = _fewest(
        lambda s: _sees(difference, parts, replace(design, n_runs=s)),
        max(ENOUGH_RUNS - 1, design.n_runs), MOST_REPEATS,
    )  # fmt: skip
    return runs, people_for(difference, parts, design, 1000 * design.n_people)


def people_for(
    difference: float, parts: Components, design: Design, most: int = MOST_PEOPLE
) -> int | None:
    """Fewest people, above those of the design, who see `difference` with 80 % power.

    None where `most` do not: fold models differ too much, which people do not average out.
    """
    return _fewest(
        lambda n: _sees(difference, parts, replace(design, n_people=n)), design.n_people, most
    )


def _fewest(is_enough: Callable[[int], bool], too_few: int, most: int) -> int | None:
    """The smallest number above `too_few` that is enough, if `most` are; more never are less so."""
    if too_few >= most or not is_enough(most):
        return None
    while too_few + 1 < most:
        middle = (too_few + most) // 2
        too_few, most = (too_few, middle) if is_enough(middle) else (middle, most)
    return most


def _limit(df: int, n_looks: int) -> float:
    """Two-sided t quantile; `n_looks` widens it by Bonferroni."""
    return float(special.stdtrit(df, 1 - (1 - LEVEL) / 2 / n_looks))


def _sees(difference: float, parts: Components, design: Design) -> bool:
    se = sqrt(parts.variance(design))
    return power_of(difference, se, design.n_models - 1) >= POWER
