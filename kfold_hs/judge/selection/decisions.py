"""From probabilities to a decision: class weights for weighted accuracy, a threshold for the cost.

The most probable class is the right call when every error costs the same. The challenge charges
otherwise: it pays 5 for a murmur recognised and 1 for its absence, and for referrals

    cost(x)   see `challenge`; non-linear in the share x that is referred

With calibrated probabilities, weights in the ratio of the costs would do; those of a network are
not, so both are fitted, to be used on people who had no part in it (see `crossfit`):

weights     argmax of w_c p_c. Coordinate ascent in log w: with all other weights fixed, a patient
            is called c when log w_c is above their own switching point, so that sorting the
            points gives the best log w_c exactly. Started from equal weights and from the costs;
            of equally good weights the first found stay.
threshold   refer from a score on: every threshold between two patients is tried, and of equally
            cheap ones the highest is kept.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from kfold_hs.judge.metrics.challenge2022 import OUTCOME, class_costs, cost_of_shares
from kfold_hs.judge.metrics.counts import SMALLEST
from kfold_hs.judge.selection.crossfit import Choice, choose
from kfold_hs.judge.stats.clusters import Layout
from kfold_hs.judge.stats.estimates import metrics_of
from kfold_hs.predictions.table import Predictions

_SWEEPS = 50


def class_weights(y_true: np.ndarray, y_prob: np.ndarray, costs: Sequence[float]) -> np.ndarray:
    """Weights w that make argmax of w_c p_c most accurate, a patient counting by their class.

    Parameters
    ----------
    y_true : ndarray of int, shape (n,)
    y_prob : ndarray, shape (n, C)
    costs : sequence of float, length C
        What a patient of each class counts.

    Returns
    -------
    ndarray, shape (C,)
        In units of the last class's weight.
    """
    log_p = np.log(np.maximum(y_prob, SMALLEST))
    gain = np.asarray(costs, dtype=np.float64)[y_true]
    starts = [np.zeros(len(costs)), np.log(costs)]
    found = [_ascend(log_p, y_true, gain, start) for start in starts]
    best = found[int(np.argmax([_worth(log_p, y_true, gain, b) for b in found]))]
    return np.asarray(np.exp(best - best[-1]))


def called(y_prob: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The class of largest weighted probability as 0 and 1, (n, C)."""
    log_p = np.log(np.maximum(y_prob, SMALLEST))
    return np.asarray(np.eye(len(weights))[(log_p + np.log(weights)).argmax(axis=1)])


def referral_threshold(score: np.ndarray, abnormal: np.ndarray) -> float:
    """Score from which on patients are referred at the least cost of the challenge.

    Parameters
    ----------
    score : ndarray, shape (n,)
        In [0, 1], higher for those to be referred.
    abnormal : ndarray of bool, shape (n,)
        Whose outcome is Abnormal.

    Returns
    -------
    float
        0 where all are referred, just above 1 where nobody is.
    """
    n, order = len(score), np.argsort(-score, kind="stable")
    ordered = score[order]
    treated = np.r_[0, np.cumsum(abnormal[order])] / n
    costs = cost_of_shares(np.arange(n + 1) / n, treated, treated[-1] - treated)
    # Patients of one score are referred together.
    costs[np.flatnonzero(np.diff(ordered) == 0) + 1] = np.inf
    k = int(np.argmin(costs))
    if k == 0:
        return float(np.nextafter(1, 2))
    if k == n:
        return 0.0
    middle = float(ordered[k - 1] + ordered[k]) / 2
    return middle if middle > ordered[k] else float(ordered[k - 1])


def referral_classes(classes: Sequence[str]) -> list[str]:
    """Classes whose patients the challenge refers, in its order."""
    return [name for name in ("Abnormal", "Present", "Unknown") if name in classes]


def spared_class(classes: Sequence[str]) -> str:
    """The class that stands for whoever is not referred."""
    return "Normal" if "Normal" in classes else "Absent"


def referral_score(y_prob: np.ndarray, classes: Sequence[str]) -> np.ndarray:
    """Probability of being one of `referral_classes`, (n, C) -> (n,)."""
    at = [classes.index(name) for name in referral_classes(classes)]
    return np.asarray(np.minimum(y_prob[:, at].sum(axis=1), 1))


def decisions(kept: Predictions, task: str, layout: Layout) -> list[Choice]:
    """Class weights and referral threshold of a task, where the challenge charges for it.

    Parameters
    ----------
    kept : Predictions
        Patient rows of the epoch that counts.
    task : str
    layout : Layout
        Of these rows.
    """
    metrics = {metric.name: metric for metric in metrics_of(kept, task)}
    y_true, y_prob, classes = kept.y_true(task), kept.y_prob(task), kept.classes[task]
    found = []
    if (costs := class_costs(classes)) and "weighted_accuracy" in metrics:
        crossfit, scored, weights = choose(
            layout,
            lambda rows: class_weights(y_true[rows], y_prob[rows], costs),
            lambda chosen, rows: called(y_prob[rows], chosen),
        )
        found.append(
            Choice(
                "class weights", "called is the class of largest weighted probability", task,
                metrics["weighted_accuracy"], y_true, y_prob, crossfit, scored,
                [dict(zip(classes, each.tolist(), strict=True)) for each in weights],
            )
        )  # fmt: skip
    if "cost" in metrics:
        referral = referral_classes(classes)
        score = referral_score(y_prob, classes)
        yes = np.eye(len(classes))[classes.index(referral[0])]
        no = np.eye(len(classes))[classes.index(spared_class(classes))]
        abnormal = abnormal_of(kept, task)
        crossfit, scored, thresholds = choose(
            layout,
            lambda rows: referral_threshold(score[rows], abnormal[rows]),
            lambda chosen, rows: np.where((score[rows] >= chosen)[:, None], yes, no),
        )
        words = f"referred is who reaches a threshold of {' or '.join(referral)}"
        found.append(
            Choice(
                "referral threshold", words, task, metrics["cost"], y_true, y_prob, crossfit,
                scored, thresholds,
            )
        )  # fmt: skip
    return found


def abnormal_of(kept: Predictions, task: str) -> np.ndarray:
    """Whose outcome is Abnormal: of the task itself, or of the run's task of outcomes."""
    name = next(t for t in (task, *kept.tasks) if set(kept.classes[t]) == set(OUTCOME))
    return np.asarray(kept.y_true(name) == kept.classes[name].index("Abnormal"))


def _ascend(
    log_p: np.ndarray, y_true: np.ndarray, gain: np.ndarray, start: np.ndarray
) -> np.ndarray:
    """Log weights from which no single one can be moved to more weighted patients called right."""
    found = start.copy()
    for _ in range(_SWEEPS):
        before = _worth(log_p, y_true, gain, found)
        for c in range(log_p.shape[1]):
            scores = log_p + found
            scores[:, c] = -np.inf
            rival = scores.argmax(axis=1)
            switch = scores[np.arange(len(rival)), rival] - log_p[:, c]
            moved = _best_along(switch, gain * ((y_true == c) * 1.0 - (y_true == rival)))
            trial = found.copy()
            trial[c] = moved
            if _worth(log_p, y_true, gain, trial) > _worth(log_p, y_true, gain, found):
                found = trial
        if _worth(log_p, y_true, gain, found) == before:
            break
    return found


def _best_along(switch: np.ndarray, change: np.ndarray) -> float:
    """Middle of the first stretch on which the sum of `change` over lower switches is largest."""
    order = np.argsort(switch, kind="stable")
    ordered = switch[order]
    total = np.r_[0, np.cumsum(change[order])]
    total[np.flatnonzero(np.diff(ordered) == 0) + 1] = -np.inf
    k = int(np.argmax(total))
    ends = np.r_[ordered[0] - 1, ordered, ordered[-1] + 1]
    return float((ends[k] + ends[k + 1]) / 2)


def _worth(
    log_p: np.ndarray, y_true: np.ndarray, gain: np.ndarray, log_weights: np.ndarray
) -> float:
    return float(gain[(log_p + log_weights).argmax(axis=1) == y_true].sum())
