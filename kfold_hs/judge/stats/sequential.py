"""Racing: a trial that is worse than the best one so far is stopped between two folds.

After every fold of every repeat but the last, when the models of all its seeds are there, the trial
is set against the incumbent, the best of the finished trials, on the people whom both have
predicted by now. With d the incumbent's value minus the trial's on these people (of a metric where
lower is better, the other way round), H0 is d <= 0, the trial is no worse, and it is stopped when

    p = P(t > d / sqrt(V)) <= alpha_k / M        V = max(V_people, V_models / k)

V_people    what people add to d, paired: the parts person, class shares and reciprocal of
            `expected_error`. After k folds of the first repeat a person is tested by models trained
            on k - 1 folds of people who are tested, too, and the reciprocal part is as much smaller
V_models    variance of a fold's difference of two trials, of what is compared, which is the mean of
            its seeds: twice the residual mean square of the finished trials' fold values, with
            trials and fold models taken out. Two folds of one trial cannot say by how much fold
            models differ; finished trials can
k           folds of the trial that are done
M           finished trials
alpha_k     what look k spends of the error alpha

Error. What was spent after a share s of the looks is alpha ln(1 + (e - 1) s), the Pocock-like
spending function of Lan & DeMets (Biometrika 70, 1983), which spends early, where stopping saves
most; look k has what is spent there and not before, so that over all looks at most alpha is spent,
however they depend on each other (Bonferroni). The incumbent is the luckiest of M finished trials:
a trial that is as good as each of them fails some test at level alpha_k / M with probability
alpha_k at most, whichever of them the incumbent is. So the best variant, in its one trial, is
stopped with probability alpha at most, as far as the p values hold: tests/bench/racing.py
measures it.

There is no look inside a fold. Schedules anneal: a trial that learns late is behind at every epoch
but the last, and a test at an earlier one has no controlled error for the score that counts. A
training that diverges ends on its own.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy import stats

from kfold_hs.judge.stats.expected_error import parts
from kfold_hs.judge.stats.influence import Influence
from kfold_hs.judge.stats.intervals import is_nothing

ALPHA = 0.05
FEWEST_FINISHED = 2
"""Finished trials before one is raced: how fold models differ is not known from fewer."""


@dataclass(frozen=True)
class InterimTest:
    """One look at a trial.

    Parameters
    ----------
    n_models : int
        Fold models of the trial that were done.
    difference : float
        The trial minus the incumbent, on the metric's scale.
    p, level : float
        One-sided p value, and what it takes to stop.
    """

    n_models: int
    difference: float
    p: float
    level: float

    @property
    def stops(self) -> bool:
        return self.p <= self.level


def spent(share: float, alpha: float = ALPHA) -> float:
    """Error spent after a share of the looks, in [0, 1]: alpha ln(1 + (e - 1) share)."""
    return alpha * math.log(1 + (math.e - 1) * share)


def level(k: int, n_models: int, alpha: float = ALPHA) -> float:
    """What the look after `k` of `n_models` fold models spends; 0 after the last one."""
    if not 1 <= k < n_models:
        return 0.0
    return spent(k / (n_models - 1), alpha) - spent((k - 1) / (n_models - 1), alpha)


@dataclass(frozen=True)
class Race:
    """The finished trials that others are held against.

    Parameters
    ----------
    finished : mapping
        Trial -> its objective over all folds, with a value; all on one layout.
    higher_is_better : bool
    alpha : float
        Probability, at most, of stopping the best variant.
    """

    finished: Mapping[str, Influence]
    higher_is_better: bool
    alpha: float = ALPHA

    @property
    def incumbent(self) -> str | None:
        """The best finished trial; None where too few are finished to race against."""
        if len(self.finished) < FEWEST_FINISHED:
            return None
        sign = 1 if self.higher_is_better else -1
        return max(self.finished, key=lambda name: sign * self.finished[name].value)

    def models_vary(self) -> tuple[float, int]:
        """V_models and its degrees of freedom."""
        values = np.array([each.models for each in self.finished.values()])
        rest = values - values.mean(axis=0) - values.mean(axis=1, keepdims=True) + values.mean()
        df = (values.shape[0] - 1) * (values.shape[1] - 1)
        return 2 * float((rest**2).sum()) / df, df

    def look(self, trial: Influence, incumbent: Influence) -> InterimTest:
        """The trial against the incumbent.

        Parameters
        ----------
        trial, incumbent : Influence
            Of the same rows: those of the fold models of the trial that are done.
        """
        apart = trial.minus(incumbent)
        k = apart.layout.n_models
        n_models = next(iter(self.finished.values())).layout.n_models
        at = level(k, n_models, self.alpha) / len(self.finished)
        found = parts(apart)
        of_persons = found.variance - found.fold_model
        of_model, df_models = self.models_vary()
        variance, df = max(
            (of_persons, apart.layout.n_persons - 1), (of_model / k, df_models), key=lambda v: v[0]
        )
        worse = -apart.value if self.higher_is_better else apart.value
        if not math.isfinite(worse) or apart.no_interval:  # a class is lacking so far, or a test
            return InterimTest(k, worse, 1.0, at)
        if is_nothing(math.sqrt(variance), apart.bounds):
            # Everybody says the same, which is a sign test's case.
            return InterimTest(
                k, apart.value, 0.5**apart.layout.n_persons if worse > 0 else 1.0, at
            )
        return InterimTest(k, apart.value, float(stats.t.sf(worse / math.sqrt(variance), df)), at)
