"""How wide an interval will be and what a design can see, before or after it is run.

The variance of a value has the parts of `expected_error`. By what lessens them they are

    person        what a person always adds, whoever trained        people
    residual      what is drawn anew for a person in every run      people and repeats
    reciprocal    people who test models trained on each other      people
    class_shares  the class shares of the sample move all models    people
    model         what all people tested by one fold model share    repeats (and seeds)

so that with n people, S runs and K folds

    V = (person + residual / S + reciprocal + class_shares) / n + model / (S K)

and with one run, which cannot see it, reciprocal is person + residual. Power is that of the t-test
with non-centrality difference / sqrt(V). The parts come from a run (`components`) or from stated
assumptions (see `sample_size`). Where models are near chance class shares move them more the more
people there are, and that part does not fall. Which it is a run does not tell: beyond its own
people the part is taken to stay, so that what is said of more people is a bound.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import sqrt

import numpy as np
from scipy import special

from kfold_hs.judge.stats.expected_error import (
    ENOUGH_RUNS,
    Parts,
    degrees_of_freedom,
    parts,
    t_quantile,
)
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

    `separable` is False where a single run cannot tell person from residual, nor what is
    reciprocal: all is in person, and as much in reciprocal. `people` are those of the run, beyond
    whom class shares fall no more; 0 where they always do.
    """

    person: float
    model: float
    residual: float
    reciprocal: float = 0.0
    class_shares: float = 0.0
    separable: bool = True
    people: int = 0

    def parts(self, design: Design) -> Parts:
        """Of the value of a design."""
        n, is_one = design.n_people, design.n_runs < ENOUGH_RUNS
        person = (self.person + self.residual / design.n_runs) / n
        return Parts(
            person, self.class_shares / min(n, self.people or n), self.model / design.n_models,
            person if is_one else self.reciprocal / n, person if is_one else self.person / n,
        )  # fmt: skip

    def variance(self, design: Design) -> float:
        """V of the value of a design."""
        return self.parts(design).variance

    def df(self, design: Design) -> float:
        """Degrees of freedom of its t quantile."""
        n_people, n_runs = design.n_people, design.n_runs
        return degrees_of_freedom(self.parts(design), n_people, n_runs, design.n_models)


def components(influence: Influence) -> Components:
    """Parts of the error of a value, of which a design like its own has the same variance.

    They are estimates themselves, and rough ones with few fold models.
    """
    layout, found = influence.layout, parts(influence)
    n, n_runs = layout.n_persons, layout.n_repeats
    person, residual = n * found.persistent, n * n_runs * (found.person - found.persistent)
    n_models, is_one = layout.n_models // layout.n_layouts, n_runs < ENOUGH_RUNS
    model = n_models * found.fold_model
    reciprocal = person if is_one else n * found.reciprocal
    class_shares = n * found.class_shares
    return Components(person, model, residual, reciprocal, class_shares, not is_one, n)


def detectable(se: float, df: float, power: float = POWER, n_looks: int = 1) -> float:
    """Smallest difference that a design of this standard error sees with the given power."""
    return float(special.nctdtrinc(df, 1 - power, _limit(df, n_looks))) * se


def power_of(difference: float, se: float, df: float, n_looks: int = 1) -> float:
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


def _limit(df: float, n_looks: int) -> float:
    """Two-sided t quantile; `n_looks` widens it by Bonferroni."""
    return t_quantile(df, 1 - (1 - LEVEL) / 2 / n_looks)


def _sees(difference: float, parts: Components, design: Design) -> bool:
    se = sqrt(parts.variance(design))
    return power_of(difference, se, parts.df(design)) >= POWER
