"""Curves over a threshold, for many weightings of the patients at once.

Every function takes

    is_positive  (n,) bool     who is of the positive class
    score        (n,) float    in [0, 1], higher for the positives
    weights      (B, n) float  how often each patient counts, one row a resample
    grid         (G,) float    where the curve is wanted

and gives (B, G) values; NaN in the rows of a resample that lacks a class which the curve needs.

tpr_at        true positive rate at a false positive rate; ties are straight lines, so that the area
              is the AUROC, ties counting half
precision_at  precision at a recall: of the highest threshold that reaches it, so that the area is
              the average precision
net_benefit   TP / n - FP / n * t / (1 - t) when positive is called who reaches t (Vickers & Elkin,
              Medical Decision Making 26, 2006)
"""

from __future__ import annotations

import numpy as np

from kfold_hs.judge.tally import by_score, ratio, share

GRID = np.linspace(0, 1, 101)
# Odds are infinite at 1.
PROBABILITIES = np.linspace(0, 0.99, 100)
# Rates are sums of weights, and miss a point of the grid by rounding.
_NEAR = 1e-9


def tpr_at(
    is_positive: np.ndarray, score: np.ndarray, weights: np.ndarray, grid: np.ndarray = GRID
) -> np.ndarray:
    """True positive rate at each false positive rate, the highest where the curve is vertical."""
    found, spared = _from_the_top(is_positive, score, weights)
    tpr, fpr = share(found, found[:, -1:]), share(spared, spared[:, -1:])
    left = _last_at_most(fpr, grid + _NEAR)
    right = np.minimum(left + 1, fpr.shape[1] - 1)
    x0, x1, y0, y1 = (
        np.take_along_axis(values, at, axis=1)
        for values, at in ((fpr, left), (fpr, right), (tpr, left), (tpr, right))
    )
    part = np.clip(share(grid - x0, x1 - x0), 0, 1)
    undefined = (found[:, -1:] <= 0) | (spared[:, -1:] <= 0)
    return np.where(undefined, np.nan, y0 + part * (y1 - y0))


def precision_at(
    is_positive: np.ndarray, score: np.ndarray, weights: np.ndarray, grid: np.ndarray = GRID
) -> np.ndarray:
    """Precision at each recall; at 0 that of the first positives found."""
    found, others = _from_the_top(is_positive, score, weights)
    recall = share(found, found[:, -1:])
    precision = share(found, found + others)
    too_low = _last_at_most(recall, np.maximum(grid - _NEAR, 0))
    at = np.minimum(too_low + 1, recall.shape[1] - 1)
    return np.where(found[:, -1:] <= 0, np.nan, np.take_along_axis(precision, at, axis=1))


def net_benefit(
    is_positive: np.ndarray,
    probability: np.ndarray,
    weights: np.ndarray,
    grid: np.ndarray = PROBABILITIES,
) -> np.ndarray:
    """Net benefit of calling positive who reaches each threshold probability below 1."""
    called = probability[:, None] >= grid
    n = weights.sum(axis=1, keepdims=True)
    right = ratio(weights @ (called & is_positive[:, None]), n)
    wrong = ratio(weights @ (called & ~is_positive[:, None]), n)
    return np.asarray(right - wrong * grid / (1 - grid))


def _from_the_top(
    is_positive: np.ndarray, score: np.ndarray, weights: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Weight of positives and of negatives that reach every distinct score, each (B, 1 + L).

    The scores fall; the first column, above all of them, is 0.
    """
    levels = by_score(is_positive, score, weights)
    above = np.zeros((len(weights), 1))
    found, others = (
        np.hstack([above, np.cumsum(each[:, ::-1], axis=1)])
        for each in (levels.of_positive, levels.of_negative)
    )
    return found, others


def _last_at_most(rates: np.ndarray, grid: np.ndarray) -> np.ndarray:
    """Number of the last rate that is at most each point of the grid, (B, L) -> (B, G).

    Rates ascend from 0 to 1 in every row. All rows are searched at once, two apart.
    """
    n_rows, length = rates.shape
    offset = 2.0 * np.arange(n_rows)[:, None]
    at = np.searchsorted((rates + offset).ravel(), (grid + offset).ravel(), side="right")
    first = length * np.arange(n_rows)[:, None]
    return np.asarray(np.maximum(at.reshape(n_rows, -1) - first - 1, 0))
