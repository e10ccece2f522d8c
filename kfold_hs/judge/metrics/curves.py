"""Curves over a threshold, for many weightings of the patients at once.

Every function takes

    is_positive  (n,) bool     who is of the positive class
    score        (n,) float    in [0, 1], higher for the positives
    weights      (B, n) float  how often each patient counts, one row a resample

and gives (B, G) values at G places; NaN in the rows of a resample that lacks a class which the
curve needs.

rates         true positive rate at a false positive rate; ties are straight lines, so that the area
              is the AUROC, ties counting half. Precision at a recall: of the highest threshold that
              reaches it, so that the area is the average precision
net_benefit   TP / n - FP / n * t / (1 - t) when positive is called who reaches t (Vickers & Elkin,
              Medical Decision Making 26, 2006)
"""

from __future__ import annotations

import numpy as np

from kfold_hs.judge.metrics.counts import by_score, ratio, share

N_PLACES = 101
GRID = np.linspace(0, 1, N_PLACES)
# Odds are infinite at 1.
PROBABILITIES = np.linspace(0, 0.99, 100)
# Of the distance of two places: rates are quotients, and miss a place by rounding.
_NEAR = 5e-5


def rates(
    is_positive: np.ndarray, score: np.ndarray, weights: np.ndarray, n_places: int = N_PLACES
) -> tuple[np.ndarray, np.ndarray]:
    """ROC and precision-recall at `n_places` places from 0 to 1.

    Returns
    -------
    tpr : ndarray, shape (B, n_places)
        At each false positive rate, the highest where the curve is vertical.
    precision : ndarray, shape (B, n_places)
        At each recall; at 0 that of the first positives found.
    """
    found, spared = _from_the_top(is_positive, score, weights)
    n_positive, n_negative = found[:, -1:], spared[:, -1:]
    tpr, fpr = share(found, n_positive), share(spared, n_negative)
    precision = share(found, found + spared)
    last = found.shape[1] - 1

    left = _last_before(np.ceil(fpr * (n_places - 1) - _NEAR), n_places)
    right = np.minimum(left + 1, last)
    x0, x1, y0, y1 = (
        np.take_along_axis(values, at, axis=1)
        for values, at in ((fpr, left), (fpr, right), (tpr, left), (tpr, right))
    )
    part = np.clip(share(np.linspace(0, 1, n_places) - x0, x1 - x0), 0, 1)
    roc = np.where((n_positive <= 0) | (n_negative <= 0), np.nan, y0 + part * (y1 - y0))

    # From the place after it on, a recall is too low; none at all is too low from the first on.
    too_low = np.where(tpr > 0, np.floor(tpr * (n_places - 1) + _NEAR) + 1, 0)
    at = np.minimum(_last_before(too_low, n_places) + 1, last)
    found_there = np.take_along_axis(precision, at, axis=1)
    return roc, np.where(n_positive <= 0, np.nan, found_there)


def net_benefit(
    is_positive: np.ndarray,
    probability: np.ndarray,
    weights: np.ndarray,
    grid: np.ndarray = PROBABILITIES,
) -> np.ndarray:
    """Net benefit of calling positive who reaches each threshold probability below 1."""
    n = weights.sum(axis=1, keepdims=True)
    right = ratio(reaching(probability, weights * is_positive, grid), n)
    wrong = ratio(reaching(probability, weights * ~is_positive, grid), n)
    return np.asarray(right - wrong * grid / (1 - grid))


def reaching(score: np.ndarray, weights: np.ndarray, grid: np.ndarray) -> np.ndarray:
    """Weight of the patients whose score reaches each place of an ascending grid, (B, G).

    Patients are counted once, between two places: the time does not grow with the places.
    """
    place = np.searchsorted(grid, score, side="right")  # how many places are reached
    order = np.argsort(place, kind="stable")
    different, starts = np.unique(place[order], return_index=True)
    counts = np.zeros((len(weights), len(grid) + 1), dtype=weights.dtype)
    counts[:, different] = np.add.reduceat(weights[:, order], starts, axis=1)
    return np.asarray(np.cumsum(counts[:, :0:-1], axis=1)[:, ::-1])


def net_benefit_of_all(prevalence: np.ndarray, grid: np.ndarray = PROBABILITIES) -> np.ndarray:
    """Of calling everybody positive, from the shares of positives, (B,) -> (B, G)."""
    share_of_positives = prevalence[:, None]
    return np.asarray(share_of_positives - (1 - share_of_positives) * grid / (1 - grid))


def _from_the_top(
    is_positive: np.ndarray, score: np.ndarray, weights: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Weight of positives and of negatives that reach every distinct score, each (B, 1 + L).

    The scores fall; the first column, above all of them, is 0.
    """
    levels = by_score(is_positive, score, weights)
    above = np.zeros((len(weights), 1), dtype=weights.dtype)
    found, others = (
        np.hstack([above, np.cumsum(each[:, ::-1], axis=1)])
        for each in (levels.of_positive, levels.of_negative)
    )
    return found, others


def _last_before(place: np.ndarray, n_places: int) -> np.ndarray:
    """Number of the last level that is there at each place, (B, L) -> (B, n_places).

    `place` says from which place on each level is there; it ascends in every row from 0.
    """
    last = np.zeros((len(place), n_places + 1), dtype=np.int64)
    rows = np.arange(len(place))[:, None]
    # Of several levels that begin at one place the last one stays.
    last[rows, np.minimum(place, n_places).astype(np.int64)] = np.arange(place.shape[1])
    return np.asarray(np.maximum.accumulate(last[:, :n_places], axis=1))
