"""Metrics of one task, for many weightings of the patients at once.

Every metric is a function of

    y_true   (n,) int          class index of each patient
    y_prob   (n, C) float      probabilities, rows sum to 1
    positive int               index of the positive class
    weights  (B, n) float      how often each patient counts, one row a resample

and gives (B,) values; NaN where a resample holds no patient of a class that the metric
needs. Weights are multiplicities: weight 2 is the same as the patient standing twice.
The predicted class is the most probable one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

_SMALLEST = float(np.finfo(np.float64).eps)

MetricFunction = Callable[[np.ndarray, np.ndarray, int, np.ndarray], np.ndarray]


def accuracy(
    y_true: np.ndarray, y_prob: np.ndarray, positive: int, weights: np.ndarray
) -> np.ndarray:
    """Share of patients whose most probable class is their label."""
    return _ratio(weights @ (y_prob.argmax(axis=1) == y_true), weights.sum(axis=1))


def balanced_accuracy(
    y_true: np.ndarray, y_prob: np.ndarray, positive: int, weights: np.ndarray
) -> np.ndarray:
    """Mean over the classes of the share recognised."""
    true_positive, _, support = _counts(y_true, y_prob, weights)
    return np.asarray(_ratio(true_positive, support).mean(axis=1))


def macro_f1(
    y_true: np.ndarray, y_prob: np.ndarray, positive: int, weights: np.ndarray
) -> np.ndarray:
    """Mean over the classes of 2 TP / (2 TP + FP + FN)."""
    true_positive, predicted, support = _counts(y_true, y_prob, weights)
    return np.asarray(_ratio(2 * true_positive, predicted + support).mean(axis=1))


def auroc(y_true: np.ndarray, y_prob: np.ndarray, positive: int, weights: np.ndarray) -> np.ndarray:
    """Probability that a positive scores above a negative, ties counting half."""
    of_positive, of_negative = _by_score(y_true == positive, y_prob[:, positive], weights)
    below = np.cumsum(of_negative, axis=1) - of_negative
    pairs = (of_positive * (below + of_negative / 2)).sum(axis=1)
    return _ratio(pairs, of_positive.sum(axis=1) * of_negative.sum(axis=1))


def auprc(y_true: np.ndarray, y_prob: np.ndarray, positive: int, weights: np.ndarray) -> np.ndarray:
    """Average precision: precision at each distinct score, weighted by the recall it adds."""
    of_positive, of_negative = _by_score(y_true == positive, y_prob[:, positive], weights)
    found = np.cumsum(of_positive[:, ::-1], axis=1)
    called = found + np.cumsum(of_negative[:, ::-1], axis=1)
    # Before the first patient that counts nothing is called, and nothing is added.
    precision = np.divide(found, called, out=np.zeros_like(found), where=called > 0)
    return _ratio((precision * of_positive[:, ::-1]).sum(axis=1), of_positive.sum(axis=1))


def brier(y_true: np.ndarray, y_prob: np.ndarray, positive: int, weights: np.ndarray) -> np.ndarray:
    """Mean over the patients of the squared error summed over the classes (Brier 1950).

    In [0, 2]; for two classes twice the value of the one-class form.
    """
    error = ((y_prob - np.eye(y_prob.shape[1])[y_true]) ** 2).sum(axis=1)
    return _ratio(weights @ error, weights.sum(axis=1))


def log_loss(
    y_true: np.ndarray, y_prob: np.ndarray, positive: int, weights: np.ndarray
) -> np.ndarray:
    """Mean over the patients of -ln(probability of their class), at least 0.

    Probabilities below the spacing of float64 at 1 count as that, about 36 nats.
    """
    of_class = y_prob[np.arange(len(y_true)), y_true]
    return _ratio(weights @ -np.log(np.maximum(of_class, _SMALLEST)), weights.sum(axis=1))


def macro(metric: MetricFunction) -> MetricFunction:
    """Mean over the classes of a metric of one class against the rest."""

    def function(
        y_true: np.ndarray, y_prob: np.ndarray, positive: int, weights: np.ndarray
    ) -> np.ndarray:
        each = [metric(y_true, y_prob, c, weights) for c in range(y_prob.shape[1])]
        return np.asarray(np.mean(each, axis=0))

    return function


def weighted_accuracy(costs: Sequence[float]) -> MetricFunction:
    """Accuracy in which a patient counts by the weight of their class."""

    def metric(
        y_true: np.ndarray, y_prob: np.ndarray, positive: int, weights: np.ndarray
    ) -> np.ndarray:
        by_class = weights * np.asarray(costs, dtype=np.float64)[y_true]
        return accuracy(y_true, y_prob, positive, by_class)

    return metric


@dataclass(frozen=True)
class Metric:
    """A metric as reports show it."""

    name: str
    label: str
    function: MetricFunction
    higher_is_better: bool = True

    def __call__(
        self,
        y_true: np.ndarray,
        y_prob: np.ndarray,
        positive: int,
        weights: np.ndarray | None = None,
    ) -> np.ndarray:
        """Values, shape (B,); without weights every patient counts once and B is 1."""
        if weights is None:
            weights = np.ones((1, len(y_true)))
        return self.function(y_true, y_prob, positive, weights)


METRICS = (
    Metric("accuracy", "accuracy", accuracy),
    Metric("balanced_accuracy", "balanced accuracy", balanced_accuracy),
    Metric("macro_f1", "macro F1", macro_f1),
    Metric("auroc", "AUROC", auroc),
    Metric("auprc", "AUPRC", auprc),
    Metric("brier", "Brier score", brier, higher_is_better=False),
    Metric("log_loss", "log loss", log_loss, higher_is_better=False),
)

# For two classes AUROC is the same from either side, and these would say nothing new.
MACRO = (
    Metric("macro_auroc", "AUROC, mean of classes", macro(auroc)),
    Metric("macro_auprc", "AUPRC, mean of classes", macro(auprc)),
)


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    empty = np.full(np.broadcast_shapes(part.shape, whole.shape), np.nan)
    return np.asarray(np.divide(part, whole, out=empty, where=whole > 0))


def _counts(
    y_true: np.ndarray, y_prob: np.ndarray, weights: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """True positives, predicted and actual number of every class, each (B, C)."""
    actual = np.eye(y_prob.shape[1])[y_true]
    predicted = np.eye(y_prob.shape[1])[y_prob.argmax(axis=1)]
    return weights @ (actual * predicted), weights @ predicted, weights @ actual


def _by_score(
    is_positive: np.ndarray, score: np.ndarray, weights: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Weight of positives and of negatives at every distinct score, ascending; (B, levels)."""
    order = np.argsort(score, kind="stable")
    starts = np.flatnonzero(np.r_[True, np.diff(score[order]) > 0])
    ordered = weights[:, order]
    of_positive = np.add.reduceat(ordered * is_positive[order], starts, axis=1)
    of_all = np.add.reduceat(ordered, starts, axis=1)
    return of_positive, np.asarray(of_all - of_positive)
