"""How a metric moves when one patient counts a little more: d value / d weight.

Every gradient is a function of what its metric is a function of (see `metrics`) and gives
(B, n): the derivative of the B-th value by the weight of every patient. Since doubling all
weights changes no metric, gradient times weight sums to 0 over the patients. n times the
gradient is the patient's influence value (the infinitesimal jackknife; Jaeckel 1972; Efron
1982, ch. 6), of which the jackknife's (n - 1)(value - value without the patient) differs by
a share of 1/n.

AUROC   positives (V10 - AUC) / n1, negatives (V01 - AUC) / n0, with V10 the share of negatives
        below a positive and V01 the share of positives above a negative, ties counting half
        (DeLong et al., Biometrics 44, 1988)
        For variances each class's part is widened by sqrt(n / (n - 1)), n its patients: placement
        values vary by that much more than their mean square says, and a fold may have few of a
        class. The same is done for AUPRC
AUPRC   for a patient at score s with label t in {0, 1}
        [t (precision(s) - AP) + sum over positives j at or below s of
        (t - precision(s_j)) / called(s_j)] / n1
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from kfold_hs.judge.metrics.counts import SMALLEST, by_score, called, one_hot, ratio, right, share

Gradient = Callable[[np.ndarray, np.ndarray, int, np.ndarray], np.ndarray]


def of_ratio(part: np.ndarray, whole: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Of (weights @ part) / (weights @ whole), for part and whole of shape (n,)."""
    below = (weights @ whole)[:, None]
    value = ratio((weights @ part)[:, None], below)
    return ratio(part - value * whole, np.broadcast_to(below, weights.shape))


def accuracy(
    y_true: np.ndarray, y_prob: np.ndarray, positive: int, weights: np.ndarray
) -> np.ndarray:
    return of_ratio(right(y_true, y_prob), np.ones(len(y_true)), weights)


def balanced_accuracy(
    y_true: np.ndarray, y_prob: np.ndarray, positive: int, weights: np.ndarray
) -> np.ndarray:
    actual, predicted = one_hot(y_true, y_prob)
    each = [of_ratio(a * p, a, weights) for a, p in zip(actual.T, predicted.T, strict=True)]
    return np.asarray(np.mean(each, axis=0))


def macro_f1(
    y_true: np.ndarray, y_prob: np.ndarray, positive: int, weights: np.ndarray
) -> np.ndarray:
    actual, predicted = one_hot(y_true, y_prob)
    pairs = zip(actual.T, predicted.T, strict=True)
    each = [of_ratio(2 * a * p, a + p, weights) for a, p in pairs]
    return np.asarray(np.mean(each, axis=0))


def auroc(y_true: np.ndarray, y_prob: np.ndarray, positive: int, weights: np.ndarray) -> np.ndarray:
    is_positive = y_true == positive
    levels = by_score(is_positive, y_prob[:, positive], weights)
    positives, negatives = levels.of_positive, levels.of_negative
    n1, n0 = positives.sum(axis=1)[:, None], negatives.sum(axis=1)[:, None]
    v10 = ratio(np.cumsum(negatives, axis=1) - negatives / 2, n0)
    v01 = 1 - ratio(np.cumsum(positives, axis=1) - positives / 2, n1)
    value = ratio((positives * v10).sum(axis=1)[:, None], n1)
    return np.where(
        is_positive,
        ratio(v10 - value, n1)[:, levels.level],
        ratio(v01 - value, n0)[:, levels.level],
    )


def auprc(y_true: np.ndarray, y_prob: np.ndarray, positive: int, weights: np.ndarray) -> np.ndarray:
    is_positive = y_true == positive
    levels = by_score(is_positive, y_prob[:, positive], weights)
    positives = levels.of_positive
    found = np.cumsum(positives[:, ::-1], axis=1)[:, ::-1]
    n_called = found + np.cumsum(levels.of_negative[:, ::-1], axis=1)[:, ::-1]
    precision = share(found, n_called)
    n1 = positives.sum(axis=1)[:, None]
    value = ratio((precision * positives).sum(axis=1)[:, None], n1)
    per_call = share(positives, n_called)
    gained = np.cumsum(per_call, axis=1)
    lost = np.cumsum(per_call * precision, axis=1)
    of_positive = ratio(precision - value + gained - lost, n1)
    of_negative = ratio(-lost, n1)
    return np.where(is_positive, of_positive[:, levels.level], of_negative[:, levels.level])


def brier(y_true: np.ndarray, y_prob: np.ndarray, positive: int, weights: np.ndarray) -> np.ndarray:
    error = ((y_prob - np.eye(y_prob.shape[1])[y_true]) ** 2).sum(axis=1)
    return of_ratio(error, np.ones(len(y_true)), weights)


def log_loss(
    y_true: np.ndarray, y_prob: np.ndarray, positive: int, weights: np.ndarray
) -> np.ndarray:
    of_class = y_prob[np.arange(len(y_true)), y_true]
    return of_ratio(-np.log(np.maximum(of_class, SMALLEST)), np.ones(len(y_true)), weights)


def ece(n_bins: int) -> Gradient:
    """Of `metrics.ece`: in a bin the sign of its gap decides; 0 where the gap is 0."""

    def gradient(
        y_true: np.ndarray, y_prob: np.ndarray, positive: int, weights: np.ndarray
    ) -> np.ndarray:
        confidence = y_prob.max(axis=1)
        number = np.minimum((confidence * n_bins).astype(int), n_bins - 1)
        gap = right(y_true, y_prob) - confidence
        by_bin = weights @ (np.eye(n_bins)[number] * gap[:, None])
        whole = weights.sum(axis=1)[:, None]
        value = ratio(np.abs(by_bin).sum(axis=1)[:, None], whole)
        return ratio(np.sign(by_bin)[:, number] * gap - value, whole)

    return gradient


def precision(
    y_true: np.ndarray, y_prob: np.ndarray, positive: int, weights: np.ndarray
) -> np.ndarray:
    is_called = called(y_prob, positive, None).astype(np.float64)
    return of_ratio(is_called * (y_true == positive), is_called, weights)


def sensitivity(threshold: float | None) -> Gradient:
    def gradient(
        y_true: np.ndarray, y_prob: np.ndarray, positive: int, weights: np.ndarray
    ) -> np.ndarray:
        is_positive = np.asarray(y_true == positive, dtype=np.float64)
        return of_ratio(is_positive * called(y_prob, positive, threshold), is_positive, weights)

    return gradient


def specificity(threshold: float | None) -> Gradient:
    def gradient(
        y_true: np.ndarray, y_prob: np.ndarray, positive: int, weights: np.ndarray
    ) -> np.ndarray:
        is_negative = np.asarray(y_true != positive, dtype=np.float64)
        return of_ratio(is_negative * ~called(y_prob, positive, threshold), is_negative, weights)

    return gradient


def by_class(gradient: Gradient) -> Gradient:
    """The same with n / (n - 1) of each class in the square of what its n patients differ by.

    Of `auroc` DeLong's, exactly.
    """

    def function(
        y_true: np.ndarray, y_prob: np.ndarray, positive: int, weights: np.ndarray
    ) -> np.ndarray:
        found = gradient(y_true, y_prob, positive, weights)
        wider = np.zeros_like(found)
        for part in (y_true == positive, y_true != positive):
            n = (weights @ part)[:, None]
            # 0 without patients of the class: AUPRC needs no negatives.
            mean = share((weights * found) @ part, n[:, 0])[:, None]
            # A class of one patient has no variance of its own; it adds what it adds.
            factor = np.sqrt(n / np.maximum(n - 1, 1))
            wider += np.where(part, mean + (found - mean) * factor, 0.0)
        return wider

    return function


def macro(gradient: Gradient) -> Gradient:
    def function(
        y_true: np.ndarray, y_prob: np.ndarray, positive: int, weights: np.ndarray
    ) -> np.ndarray:
        each = [gradient(y_true, y_prob, c, weights) for c in range(y_prob.shape[1])]
        return np.asarray(np.mean(each, axis=0))

    return function


def weighted_accuracy(costs: Sequence[float]) -> Gradient:
    def gradient(
        y_true: np.ndarray, y_prob: np.ndarray, positive: int, weights: np.ndarray
    ) -> np.ndarray:
        cost = np.asarray(costs, dtype=np.float64)[y_true]
        return of_ratio(cost * right(y_true, y_prob), cost, weights)

    return gradient
