"""Errors of those who are answered, when the least sure answers are left out.

Patients are answered in the order of the probability of their most probable class, the surest
first. At a share of the patients, the selective risk is the share of errors among those answered
(Geifman & El-Yaniv, "Selective classification for deep neural networks", NeurIPS 2017). Patients of
one probability come in random order: what is given is the mean over these orders.

`weights` is (B, n), how often each patient counts, one row a resample; what comes back has B rows.
"""

from __future__ import annotations

from math import log

import numpy as np

from kfold_hs.judge.metrics.counts import share


def answered(
    of: np.ndarray, confidence: np.ndarray, weights: np.ndarray, shares: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Patients with a property among those answered, and the area under the first one's share.

    Parameters
    ----------
    of : ndarray of bool, shape (n, M)
        M properties; the first is to be called wrong, where the area is to be AURC.
    confidence : ndarray, shape (n,)
        Probability of the most probable class.
    weights : ndarray, shape (B, n)
    shares : ndarray, shape (G,)
        Of all patients, in [0, 1].

    Returns
    -------
    counts : ndarray, shape (M, B, G)
        Weight of the patients with each property when each share is answered.
    area : ndarray, shape (B,)
        Mean of the first property's share among those answered, over 1/n, 2/n, ..., 1. Of errors it
        is AURC (Geifman, Uziel & El-Yaniv, "Bias-reduced uncertainty estimation", ICLR 2019), and
        without any order the share of errors itself.
    """
    everybody = np.ones((len(of), 1), dtype=bool)
    whole, *each = _summed(np.hstack([everybody, of]), confidence, weights)
    wanted = shares * whole[:, -1:]
    rows = zip(whole, wanted, strict=True)
    right = np.stack([np.searchsorted(n, reached) for n, reached in rows])
    right = np.clip(right, 1, len(confidence))
    left = right - 1
    x0, x1 = (np.take_along_axis(whole, at, axis=1) for at in (left, right))
    part = share(wanted - x0, x1 - x0)
    counts = np.empty((len(each), *wanted.shape))
    for mine, to in zip(each, counts, strict=True):
        y0, y1 = (np.take_along_axis(mine, at, axis=1) for at in (left, right))
        to[:] = y0 + part * (y1 - y0)
    risk = share(each[0], whole)[:, 1:]
    return counts, np.einsum("bi,bi->b", np.diff(whole), risk) / whole[:, -1]


def best_aurc(error: float) -> float:
    """AURC where all errors are the least sure answers (same paper), for many patients."""
    return error + ((1 - error) * log(1 - error) if error < 1 else 0.0)


def _summed(of: np.ndarray, confidence: np.ndarray, weights: np.ndarray) -> list[np.ndarray]:
    """Weight of each property among the first 0, 1, ..., n answered, M times (B, n + 1)."""
    order = np.argsort(-confidence, kind="stable")
    falling = confidence[order]
    new = np.r_[True, falling[1:] < falling[:-1]]
    ordered = weights[:, order]
    if not new.all():
        starts, block = np.flatnonzero(new), np.cumsum(new) - 1
        of_block = np.add.reduceat(ordered, starts, axis=1)
    found = []
    for mine in of[order].T:
        counted = ordered * mine
        if not new.all():  # each of several equally sure patients has the mean of all of them
            mean = share(np.add.reduceat(counted, starts, axis=1), of_block)
            counted = mean[:, block] * ordered
        summed = np.zeros((len(counted), len(order) + 1), dtype=ordered.dtype)
        np.cumsum(counted, axis=1, out=summed[:, 1:])
        found.append(summed)
    return found
