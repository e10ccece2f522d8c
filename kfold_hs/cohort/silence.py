"""Recordings that identify nobody: silent, or so simple that many devices make the same samples.

Silence, an unplugged microphone, a click, a drifting level, hum and test tones are the same for
every person. Two such recordings can be equal though they are of two people. The measure is how
much information a recording holds, not how loud it is.
"""

from __future__ import annotations

import bz2
import zlib

import numpy as np

from kfold_hs.cohort.audio import FLAT_RANGE

_CLICKS = 0.001
"""Share of the samples that may stand out of a silent recording."""
_FEWEST_BYTES = 100
"""Compressed size; a file of a few samples is smaller, and equals others by chance."""
_BYTES, _BYTES_A_SAMPLE = 2048, 0.25
"""Compressed size; heart sounds take 1.1 bytes a sample or more, tones and steps far less."""
_FIRST = 8192


def identifies(samples: np.ndarray) -> bool:
    """Whether the samples belong to one person only, so that nobody else's are the same.

    Parameters
    ----------
    samples : ndarray of float, shape (n_samples,), in [-1, 1]
    """
    if not _stands_out(samples):
        return False
    some = np.diff(_steps(samples[: _FIRST + 1]))
    if len(zlib.compress(some.tobytes(), 1)) > max(_BYTES, len(some) / 2):  # nearly all of them
        return True
    n_bytes = len(bz2.compress(np.diff(_steps(samples)).tobytes()))
    return n_bytes > _FEWEST_BYTES and n_bytes > min(_BYTES, _BYTES_A_SAMPLE * len(samples))


def _stands_out(samples: np.ndarray) -> bool:
    """Whether more samples than a few clicks are apart from the median."""
    most = _CLICKS * len(samples)
    # Wherever the median is, one of these two sides is apart from it; and no sorting is needed.
    sides = samples >= FLAT_RANGE, samples <= -FLAT_RANGE
    if all(np.count_nonzero(side) > most for side in sides):
        return True
    steps = _steps(samples)
    apart = np.abs(steps - int(np.median(steps))) >= FLAT_RANGE * 32768
    return bool(np.count_nonzero(apart) > most)


def _steps(samples: np.ndarray) -> np.ndarray:
    """In steps of 16 bit, int32."""
    steps: np.ndarray = np.rint(np.clip(samples, -16.0, 16.0) * 32768).astype(np.int32)
    return steps
