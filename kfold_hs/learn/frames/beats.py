"""How sure a frame branch is of every beat that was decoded."""

from __future__ import annotations

import numpy as np

from kfold_hs.cohort.segmentation import S1
from kfold_hs.learn.frames.decoding import of_states


def beat_confidence(states: np.ndarray, log_probs: np.ndarray) -> np.ndarray:
    """Of every frame, the mean probability of the decoded states over its beat, (n_frames,).

    A beat goes from the first frame of an S1 to that of the next; what stands before the first S1
    is one, too.

    Parameters
    ----------
    states : ndarray of int8, shape (n_frames,)
        From 1.
    log_probs : ndarray, shape (n_frames, 4 or 6)
        Of every frame's classes.
    """
    probs = np.exp(of_states(log_probs).astype(np.float64))
    chosen = probs[np.arange(len(states)), states - 1]
    is_s1 = states == S1
    begins = is_s1 & ~np.append(False, is_s1[:-1])
    begins[0] = True
    first = np.flatnonzero(begins)
    means = np.add.reduceat(chosen, first) / np.diff(np.append(first, len(states)))
    return np.repeat(means, np.diff(np.append(first, len(states))))
