"""Weighted counts that metrics and their gradients are made of.

`weights` is (B, n), one row a resample or a subset; what comes back has B rows.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

SMALLEST = float(np.finfo(np.float64).eps)


def ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """part / whole, NaN where the whole is not above 0."""
    empty = np.full(np.broadcast_shapes(part.shape, whole.shape), np.nan)
    return np.asarray(np.divide(part, whole, out=empty, where=whole > 0))


def share(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """part / whole, 0 where the whole is not above 0: there is nothing to count."""
    return np.asarray(np.divide(part, whole, out=np.zeros_like(part), where=whole > 0))


def right(y_true: np.ndarray, y_prob: np.ndarray) -> np.ndarray:
    """1 where the most probable class is the label, shape (n,), float."""
    return np.asarray(y_prob.argmax(axis=1) == y_true, dtype=np.float64)


def one_hot(y_true: np.ndarray, y_prob: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Actual and most probable class of every patient as 0 and 1, each (n, C)."""
    classes = np.eye(y_prob.shape[1])
    return classes[y_true], classes[y_prob.argmax(axis=1)]


def called(y_prob: np.ndarray, positive: int, threshold: float | None) -> np.ndarray:
    """Who is called positive: by the most probable class, or from `threshold` on; (n,)."""
    if threshold is None:
        return np.asarray(y_prob.argmax(axis=1) == positive)
    return np.asarray(y_prob[:, positive] >= threshold)


@dataclass(frozen=True)
class Levels:
    """Weight of positives and of negatives at every distinct score, ascending.

    of_positive, of_negative : (B, L);  level : (n,) the level of every patient
    """

    of_positive: np.ndarray
    of_negative: np.ndarray
    level: np.ndarray


def by_score(is_positive: np.ndarray, score: np.ndarray, weights: np.ndarray) -> Levels:
    """Count positives and negatives by score."""
    order = np.argsort(score, kind="stable")
    ascending = score[order]
    new = np.r_[True, ascending[1:] > ascending[:-1]]  # a difference of infinities is none
    starts = np.flatnonzero(new)
    ordered = weights[:, order]
    of_positive = np.add.reduceat(ordered * is_positive[order], starts, axis=1)
    of_all = np.add.reduceat(ordered, starts, axis=1)
    level = np.empty(len(score), dtype=np.int64)
    level[order] = np.cumsum(new) - 1
    return Levels(of_positive, np.asarray(of_all - of_positive), level)
