"""Scores of the George B. Moody PhysioNet Challenge 2022.

murmur    weighted accuracy (5 PP + 3 UU + AA) / (5 nP + 3 nU + nA)
outcome   weighted accuracy with 5 for Abnormal and 1 for Normal
cost      mean cost of a patient when some are referred to an expert; with x the share
          referred, TP and FN the patients of Abnormal outcome who are referred and who
          are missed among n patients:

          10 + 25 + 397 x - 1718 x^2 + 11296 x^4 + (10000 TP + 50000 FN) / n

          10 for the prescreening of each patient, 25 + ... + 11296 x^4 for the expert's
          screening, 10000 for a treatment in time, 50000 for one that comes too late.
          Referred are those called Abnormal (outcome), or Present or Unknown (murmur).

Reyna et al., "Heart murmur detection from phonocardiogram recordings: The George B.
Moody PhysioNet Challenge 2022", PLOS Digital Health 2(9), 2023.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from kfold_hs.judge.metrics import gradients
from kfold_hs.judge.metrics.own import is_used
from kfold_hs.judge.metrics.scores import METRICS, Metric, MetricFunction, weighted_accuracy

MURMUR = ("Present", "Unknown", "Absent")
OUTCOME = ("Abnormal", "Normal")
COST_BOUNDS = (35.0, 50_035.0)
"""Of the cost: nobody is ill and nobody referred; everybody is ill and nobody referred."""
_MURMUR_WEIGHTS = {"Present": 5.0, "Unknown": 3.0, "Absent": 1.0}
_OUTCOME_WEIGHTS = {"Abnormal": 5.0, "Normal": 1.0}


def cost(referred: np.ndarray, abnormal: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Mean cost of a patient, in the challenge's units.

    Parameters
    ----------
    referred, abnormal : ndarray of bool, shape (n,)
    weights : ndarray, shape (B, n)
        How often each patient counts.

    Returns
    -------
    ndarray, shape (B,)
    """
    n = weights.sum(axis=1)
    n = np.where(n > 0, n, np.nan)
    treated, missed = referred & abnormal, ~referred & abnormal
    return cost_of_shares(weights @ referred / n, weights @ treated / n, weights @ missed / n)


def cost_of_shares(x: np.ndarray, treated: np.ndarray, missed: np.ndarray) -> np.ndarray:
    """Cost from the shares of patients referred, treated in time and missed."""
    screening = 10 + 25 + 397 * x - 1718 * x**2 + 11296 * x**4
    return np.asarray(screening + 10000 * treated + 50000 * missed)


def cost_gradient(referred: np.ndarray, abnormal: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """d cost / d weight, (B, n): by the chain rule through the share referred."""
    n = weights.sum(axis=1)[:, None]
    n = np.where(n > 0, n, np.nan)
    x = (weights @ referred)[:, None] / n
    treated, missed = referred & abnormal, ~referred & abnormal
    slope = 397 - 2 * 1718 * x + 4 * 11296 * x**3
    moved = slope * (referred - x) + 10000 * (treated - (weights @ treated)[:, None] / n)
    moved = moved + 50000 * (missed - (weights @ missed)[:, None] / n)
    return np.asarray(moved / n)


def outcome_cost(
    y_true: np.ndarray, y_prob: np.ndarray, positive: int, weights: np.ndarray
) -> np.ndarray:
    """`cost` with the patients called Abnormal referred."""
    return cost(y_prob.argmax(axis=1) == positive, y_true == positive, weights)


def outcome_cost_gradient(
    y_true: np.ndarray, y_prob: np.ndarray, positive: int, weights: np.ndarray
) -> np.ndarray:
    """Of `outcome_cost`."""
    return cost_gradient(y_prob.argmax(axis=1) == positive, y_true == positive, weights)


def murmur_cost(classes: Sequence[str], abnormal: np.ndarray) -> Metric:
    """`cost` of a murmur task: its patients called Present or Unknown are referred.

    Parameters
    ----------
    classes : sequence of str
        Of the murmur task, in the order of its probabilities.
    abnormal : ndarray of bool, shape (n,)
        Whose outcome is Abnormal, in the order of the patients.
    """
    referral = [classes.index(name) for name in ("Present", "Unknown")]

    def function(
        y_true: np.ndarray, y_prob: np.ndarray, positive: int, weights: np.ndarray
    ) -> np.ndarray:
        return cost(np.isin(y_prob.argmax(axis=1), referral), abnormal, weights)

    def gradient(
        y_true: np.ndarray, y_prob: np.ndarray, positive: int, weights: np.ndarray
    ) -> np.ndarray:
        return cost_gradient(np.isin(y_prob.argmax(axis=1), referral), abnormal, weights)

    return cost_metric(function, gradient)


def class_costs(classes: Sequence[str]) -> list[float] | None:
    """What a patient of each class counts in weighted accuracy; None for classes of other tasks."""
    for weights in (_MURMUR_WEIGHTS, _OUTCOME_WEIGHTS):
        if set(classes) == set(weights):
            return [weights[name] for name in classes]
    return None


def metrics_for(classes: tuple[str, ...]) -> tuple[Metric, ...]:
    """The general metrics, and the challenge's where a task has its classes."""
    found = [e for e in METRICS.values() if len(classes) >= e.fewest_classes and is_used(e)]
    if costs := class_costs(classes):
        found.append(
            Metric(
                "weighted_accuracy", "weighted accuracy (challenge)", weighted_accuracy(costs),
                0.01, gradient=gradients.weighted_accuracy(costs), needs="decisions",
                sides="weighted",
            )
        )  # fmt: skip
    if set(classes) == set(OUTCOME):
        found.append(cost_metric(outcome_cost, outcome_cost_gradient))
    return tuple(found)


def cost_metric(function: MetricFunction, gradient: gradients.Gradient) -> Metric:
    """The cost by some rule of who is referred."""
    return Metric(
        "cost", "cost (challenge)", function, 200.0, False, gradient, bounds=COST_BOUNDS,
        needs="decisions",
    )  # fmt: skip
