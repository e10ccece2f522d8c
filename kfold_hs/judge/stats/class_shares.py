"""How the class shares of a sample move what its models call, and with it a metric.

Models learn how frequent the classes are from the people they are trained on. If a sample happens
to hold more positives, all of its fold models call more people positive, together. Stratified
folds have the shares of the sample, every one of them, so that no spread of folds shows it.

To first order, with N patients, pi_c the share of class c, and beta_c what the metric gains when
the models' log odds of class c follow a rise of log pi_c by 1, a person p adds to the error

    G_p = sum over the patients of p of (1 / N) sum_c beta_c (1[label is c] / pi_c - 1)

since 1[c] / pi_c - 1 is the influence of a patient on log pi_c. beta is had in two ways; with
d = sqrt((1 - pi_c) / (N pi_c)), a standard deviation of log pi_c:

by probability   central difference of the metric when log p_c of everybody moves by +- a d, over
                 2 d. a is the temperature of least out-of-fold log loss within 1 and 2 and the
                 ratio of impurities (1 - sum pi^2) / (1 - mean sum p^2): outputs sharper than what
                 they know move further. It takes probabilities of a likelihood (cross-entropy)
by call          derivative of the metric when in each class the patients called c count more by
                 the factor 1 + x and all of the class count as before. It takes calls only

Ranks do not move when all log odds do, so that metrics of ranks have G = 0: for two classes
exactly. How well the way by probability does depends on the scale of the probabilities;
docs/statistics.md says how that was measured.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from math import exp, isfinite

import numpy as np

from kfold_hs.judge.metrics.counts import SMALLEST
from kfold_hs.judge.stats.clusters import Layout

SHARPEST = 2.0
_N_TEMPERATURES = 8
_FLATTEST = 1e-3
WAYS = ("by probability", "by call")


@dataclass(frozen=True, eq=False)
class ClassShares:
    """The class shares of a sample, and the predictions for some of its patients.

    Parameters
    ----------
    on_share : ndarray, shape (n_persons, C)
        What every person of the sample adds to the error of log pi_c; 0 for classes nobody has.
    steps : ndarray, shape (C,)
        Standard deviation d of log pi_c; 0 for classes that nobody or everybody has.
    sharpness : float
        a, in [1, 2].
    y_true : ndarray of int, shape (N,)
    y_prob : ndarray, shape (N, C)
    run : ndarray of int, shape (N,)
    """

    on_share: np.ndarray
    steps: np.ndarray
    sharpness: float
    y_true: np.ndarray
    y_prob: np.ndarray
    run: np.ndarray

    @classmethod
    def of(cls, y_true: np.ndarray, y_prob: np.ndarray, layout: Layout) -> ClassShares:
        """Of the rows that are scored, all of a sample's."""
        hot = np.eye(y_prob.shape[1])[y_true]
        # A patient has a row a run, and counts once however many runs have scored the person.
        pairs = np.unique(layout.person * layout.n_runs + layout.run)
        n_runs_of = np.bincount(pairs // layout.n_runs, minlength=layout.n_persons)
        weights = 1 / n_runs_of[layout.person]
        n_patients = float(weights.sum())
        pi = weights @ hot / n_patients
        there = (pi > 0) & (pi < 1)
        steps = np.zeros(len(pi))
        steps[there] = np.sqrt((1 - pi[there]) / (n_patients * pi[there]))
        each = np.zeros(hot.shape)
        each[:, there] = (hot[:, there] / pi[there] - 1) * weights[:, None] / n_patients
        on_share = np.stack([layout.by_person(column) for column in each.T], axis=1)
        return cls(on_share, steps, sharpness(y_true, y_prob), y_true, y_prob, layout.run)

    def among(self, rows: np.ndarray) -> ClassShares:
        """Predictions for some of the patients, who are moved by the shares of the whole sample.

        Parameters
        ----------
        rows : ndarray
            Numbers, or a mask.
        """
        return replace(self, y_true=self.y_true[rows], y_prob=self.y_prob[rows], run=self.run[rows])

    def moved(
        self, value_of: Callable[[np.ndarray], float], psi: np.ndarray | None = None
    ) -> np.ndarray:
        """G of a metric by the two ways, (2, n_persons).

        Parameters
        ----------
        value_of : callable
            (N, C) probabilities -> the metric, the mean of the runs.
        psi : ndarray, shape (N,), optional
            What every row adds to the metric's error (see `influence`), of a metric that depends
            on the calls alone. Without it the way by call is 0.
        """
        return np.stack([self.on_share @ beta for beta in (self._by_prob(value_of),
                                                           self._by_call(psi))])  # fmt: skip

    def _by_prob(self, value_of: Callable[[np.ndarray], float]) -> np.ndarray:
        beta = np.zeros(len(self.steps))
        for c, (raised, lowered) in self._moved_probs.items():
            d, up, down = float(self.steps[c]), value_of(raised), value_of(lowered)
            if isfinite(up) and isfinite(down):
                beta[c] = (up - down) / (2 * d)
                continue
            # Nobody is called so any more, and a precision has no value: half of the difference.
            here = value_of(self.y_prob)
            beta[c] = (up - here) / d if isfinite(up) else (here - down) / d
        return np.where(np.isfinite(beta), beta, 0.0)

    @cached_property
    def _moved_probs(self) -> dict[int, list[np.ndarray]]:
        """By class, probabilities as they are when it is more and when it is less frequent."""
        return {
            int(c): [
                with_odds_of(self.y_prob, int(c), exp(sign * self.sharpness * self.steps[c]))
                for sign in (1, -1)
            ]
            for c in np.flatnonzero(self.steps)
        }

    def _by_call(self, psi: np.ndarray | None) -> np.ndarray:
        if psi is None:
            return np.zeros(len(self.steps))
        return np.asarray(psi @ self._called_above_rate) * (self.steps > 0)

    @cached_property
    def _called_above_rate(self) -> np.ndarray:
        """Whether a row is called c, less the rate of its class in its run; (N, C)."""
        n_classes = len(self.steps)
        called = np.eye(n_classes)[self.y_prob.argmax(axis=1)]
        group = self.run * n_classes + self.y_true
        size = np.maximum(np.bincount(group), 1)
        rates = np.stack([np.bincount(group, each) / size for each in called.T], axis=1)
        return np.asarray(called - rates[group])


def with_odds_of(y_prob: np.ndarray, c: int, factor: float) -> np.ndarray:
    """Probabilities whose odds of class c against every other are `factor` times as high."""
    moved = y_prob.copy()
    moved[:, c] *= factor
    return np.asarray(moved / moved.sum(axis=1, keepdims=True))


def sharpness(y_true: np.ndarray, y_prob: np.ndarray) -> float:
    """By how much outputs move where log odds of the training people move by 1, in [1, 2]."""
    pi = np.bincount(y_true) / len(y_true)
    of_outputs = max(1 - float((y_prob**2).sum(axis=1).mean()), _FLATTEST)
    most = min(SHARPEST, (1 - float((pi**2).sum())) / of_outputs)
    if most <= 1:
        return 1.0
    temperatures = np.geomspace(1, most, _N_TEMPERATURES)
    log_p = np.log(np.maximum(y_prob, SMALLEST))
    log_p -= log_p.max(axis=1, keepdims=True)
    rows = np.arange(len(y_true))
    losses = []
    for t in temperatures:
        z = log_p / t
        losses.append(float((np.log(np.exp(z).sum(axis=1)) - z[rows, y_true]).mean()))
    return float(temperatures[int(np.argmin(losses))])
