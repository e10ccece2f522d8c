"""How well the onsets of heart sounds were found, where somebody marked them.

An onset of S1 or S2 is found if one of that sound lies within 60 ms of it, and each is found by one
alone (Schmidt et al., Physiol. Meas. 31(4), 2010). Sensitivity is the share of marked onsets that
are found, positive predictive value the share of found ones that are marked, and F1 = 2 TP / (2 TP
+ FP + FN) (Springer et al., IEEE Trans. Biomed. Eng. 63(4), 2016).

Only stretches whose states are marked are judged. What was found within the tolerance of the end of
such a stretch, and is nobody's, may belong to what is not marked: it counts neither way. A state
that the recording begins with has no onset in it.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from kfold_hs.cohort.segmentation import S1, S2, Segmentation

TOLERANCE_S = 0.06
SOUNDS = {"S1": S1, "S2": S2}
GAP_S = 0.01
"""Between two marked rows: less is rounding, and no end of a stretch."""
STEP_S = 0.005
"""At which states are compared."""


class Counts(NamedTuple):
    """Onsets of one sound in one recording: found, found in vain, missed."""

    hits: int
    false: int
    missed: int


class Agreement(NamedTuple):
    """A recording's segmentation beside its marks.

    Parameters
    ----------
    sounds : dict of Counts
        By the names of `SOUNDS`.
    right_s, marked_s : float
        Time in the right state, and all that is marked.
    """

    sounds: dict[str, Counts]
    right_s: float
    marked_s: float


def agreement(found: Segmentation, marked: Segmentation) -> Agreement:
    """One recording's."""
    whole = stretches(marked)
    sounds = {
        name: count(_onsets(found, state), _onsets(marked, state), whole)
        for name, state in SOUNDS.items()
    }
    end_s = float(whole.max()) if len(whole) else 0.0
    at = np.arange(STEP_S / 2, end_s, STEP_S)
    truth = state_at(marked, at)
    is_marked = truth > 0
    right = (state_at(found, at) == truth) & is_marked
    return Agreement(sounds, STEP_S * int(right.sum()), STEP_S * int(is_marked.sum()))


def count(found_s: np.ndarray, marked_s: np.ndarray, whole: np.ndarray) -> Counts:
    """Hits, false ones and misses of onsets.

    Parameters
    ----------
    found_s, marked_s : ndarray, ascending
        Onsets in s.
    whole : ndarray, shape (n, 2)
        Stretches that are marked.
    """
    limit = TOLERANCE_S + 1e-9
    is_free = np.ones(len(found_s), dtype=bool)
    hits, k = 0, 0
    # Of two sorted lists, the earliest pair that can be is in one of the largest sets of pairs.
    for onset in marked_s.tolist():
        while k < len(found_s) and found_s[k] < onset - limit:
            k += 1
        if k < len(found_s) and found_s[k] <= onset + limit:
            is_free[k], hits, k = False, hits + 1, k + 1
    left = found_s[is_free]
    inside = (left[:, None] > whole[:, 0] + limit) & (left[:, None] < whole[:, 1] - limit)
    return Counts(hits, int(inside.any(axis=1).sum()), len(marked_s) - hits)


def stretches(marked: Segmentation) -> np.ndarray:
    """Where the states are marked without a gap, (n, 2) in s."""
    is_marked = marked.state > 0
    rows = np.stack([marked.start_s[is_marked], marked.end_s[is_marked]], axis=1)
    rows = rows[np.argsort(rows[:, 0], kind="stable")]
    if not len(rows):
        return rows
    until = np.maximum.accumulate(rows[:, 1])
    first = np.flatnonzero(np.append(True, rows[1:, 0] > until[:-1] + GAP_S))
    return np.stack([rows[first, 0], until[np.append(first[1:], len(rows)) - 1]], axis=1)


def state_at(segmentation: Segmentation, at_s: np.ndarray) -> np.ndarray:
    """States at ascending times; where rows overlap, that of the last one; 0: no row."""
    found = np.zeros(len(at_s), dtype=np.int64)
    first = np.searchsorted(at_s, segmentation.start_s)
    end = np.searchsorted(at_s, segmentation.end_s)
    for a, b, state in zip(first, end, segmentation.state, strict=True):
        found[a:b] = state
    return found


def _onsets(segmentation: Segmentation, state: int) -> np.ndarray:
    onsets = segmentation.onsets(state)
    return onsets[onsets > 0]
