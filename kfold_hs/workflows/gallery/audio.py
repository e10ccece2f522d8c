"""An excerpt of a recording that a browser plays, as few bytes as it takes.

Ogg/Opus where libsndfile writes it, else WAV of 16 bits at no more than 4 kHz.
"""

from __future__ import annotations

import io
from typing import Literal

import numpy as np
import soundfile
from scipy.signal import resample_poly

from kfold_hs.cohort.audio import resampling_ratio

Format = Literal["ogg", "wav"]
OPUS_RATE_HZ = 8000
"""The lowest that Opus knows."""
WAV_RATE_HZ = 4000
_PEAK = 0.9


def best_format() -> Format:
    """Opus has a tenth of the bytes."""
    return "ogg" if "OPUS" in soundfile.available_subtypes("OGG") else "wav"


def excerpt(samples: np.ndarray, rate_hz: int, start_s: float, end_s: float, kind: Format) -> bytes:
    """A part of a recording as a file, as loud as it can be.

    Parameters
    ----------
    samples : ndarray, shape (n_samples,), float32 in [-1, 1]
    rate_hz : int
    start_s, end_s : float
        Of the part.
    kind : str
        "ogg" or "wav".
    """
    part = samples[round(start_s * rate_hz) : round(end_s * rate_hz)].astype(np.float64)
    part = part - part.mean()
    target = OPUS_RATE_HZ if kind == "ogg" else min(rate_hz, WAV_RATE_HZ)
    if target != rate_hz:
        ratio = resampling_ratio(rate_hz, target)
        part = resample_poly(part, ratio.numerator, ratio.denominator)
    loudest = float(np.abs(part).max())
    part = part * (_PEAK / loudest) if loudest > 0 else part
    buffer = io.BytesIO()
    how = {"format": "OGG", "subtype": "OPUS"} if kind == "ogg" else {"format": "WAV"}
    soundfile.write(buffer, part, target, **how)
    return buffer.getvalue()
