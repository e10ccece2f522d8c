"""Local search: exchange persons between folds until no exchange improves the balance.

It minimises, over levels s and folds f with c_sf persons, n_s = sum_f c_sf and
m_s = n_s / K:

    sum_sf  w_s  ( max(0, |c_sf - m_s| - r_s) / m_s )^2  +  small * ( |c_sf - m_s| / m_s )^2

r_s is the rounding that no split can avoid: floor and ceiling of m_s both cost nothing.
The squares give the largest relative deviation the most weight. Only sums, products and
PCG64's raw words are used, so that every version of numpy gives the same result.
"""

from __future__ import annotations

import numpy as np

_SMALL = 1e-3
_BLOCK = 40
"""Persons of each fold that are compared at a time."""
_MOST_TURNS = 3000
_NEAR_ENOUGH = 1e-3
"""Relative deviation above the limit that ends the search."""


class Draws:
    """Permutations from PCG64's raw words, which numpy promises never to change."""

    def __init__(self, *key: int) -> None:
        self._bits = np.random.PCG64(np.random.SeedSequence(list(key)))

    def some(self, items: np.ndarray, n: int) -> np.ndarray:
        """`n` of `items` in random order; all of them when there are no more."""
        order = np.argsort(self._bits.random_raw(len(items)), kind="stable")
        return items[order[:n]]


def limits(totals: np.ndarray, n_folds: int) -> np.ndarray:
    """Relative deviation that no split into `n_folds` can go below, for each total.

    With q persons in every fold and r more, the best is ceil or floor of the mean:
    max(ceil(m) - m, m - floor(m)) / m for r > 0, and 0 for r = 0.
    """
    mean = totals / n_folds
    worst = np.maximum(np.ceil(mean) - mean, mean - np.floor(mean))
    return np.where(totals > 0, worst / np.where(totals > 0, mean, 1), 0.0)


def cost(counts: np.ndarray, mean: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The sum above, over the last axis (levels); `counts` of one fold, (..., n_levels)."""
    off = (counts - mean) / mean
    over = beyond(counts, mean)
    return np.asarray((over * over + _SMALL * off * off) @ weights)


def beyond(counts: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """Relative deviation above what rounding allows; 0 between floor and ceiling of the mean."""
    return np.asarray(
        np.maximum(np.maximum(counts - np.ceil(mean), np.floor(mean) - counts), 0) / mean
    )


def even_sizes(folds: np.ndarray, n_folds: int) -> np.ndarray:
    """Move as few persons as needed so that fold sizes differ by one at most."""
    folds = folds.copy()
    while True:
        sizes = np.bincount(folds, minlength=n_folds)
        full, short = int(sizes.argmax()), int(sizes.argmin())
        if sizes[full] - sizes[short] <= 1:
            return folds
        folds[np.flatnonzero(folds == full)[-1]] = short


def improve(
    folds: np.ndarray, values: np.ndarray, weights: np.ndarray, n_folds: int, draws: Draws
) -> np.ndarray:
    """Exchange pairs of persons while that lowers the cost.

    Parameters
    ----------
    folds : ndarray of int64, shape (n_persons,)
        The start; fold sizes in persons stay as they are.
    values : ndarray, shape (n_persons, n_levels)
        What each person adds to every level, >= 0; every column has a sum above 0.
    weights : ndarray, shape (n_levels,)
    n_folds : int
    draws : Draws

    Returns
    -------
    ndarray of int64, shape (n_persons,)
    """
    folds = folds.copy()
    values = values.astype(np.float64)
    mean = values.sum(axis=0) / n_folds
    counts = np.stack([values[folds == fold].sum(axis=0) for fold in range(n_folds)])
    costs = cost(counts, mean, weights)
    pairs = [(a, b) for a in range(n_folds) for b in range(a + 1, n_folds)]
    idle = 0
    # Folds are seen a block at a time; several blocks of each pair without a gain end the search.
    n_blocks = -(-len(folds) // (n_folds * _BLOCK))
    patience = len(pairs) * min(8, n_blocks**2)
    for turn in range(_MOST_TURNS):
        if turn % len(pairs) == 0 and beyond(counts, mean).max() <= _NEAR_ENOUGH:
            break
        a, b = pairs[turn % len(pairs)]
        here = draws.some(np.flatnonzero(folds == a), _BLOCK)
        there = draws.some(np.flatnonzero(folds == b), _BLOCK)
        change = values[there][None, :, :] - values[here][:, None, :]
        after = cost(counts[a] + change, mean, weights) + cost(counts[b] - change, mean, weights)
        best = int(after.argmin())
        i, j = divmod(best, len(there))
        if after[i, j] < costs[a] + costs[b] - 1e-12:
            folds[here[i]], folds[there[j]] = b, a
            counts[a] += change[i, j]
            counts[b] -= change[i, j]
            costs[[a, b]] = cost(counts[[a, b]], mean, weights)
            idle = 0
        else:
            idle += 1
            if idle >= patience:
                break
    return folds
