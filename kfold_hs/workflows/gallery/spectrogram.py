"""Spectrograms and what lies over them as small PNG files."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

MOST_COLUMNS = 300
MOST_ROWS = 96
_GREYS = 16
_SHADES = 16
_OVERLAY_COLUMNS, _OVERLAY_ROWS = 75, 16
_ORANGE = (230, 80, 0)
_APART = 0.12
"""Share of the picture's height below which two numbers beside it would touch."""
_STRONGEST = 0.75
"""Opacity of the place that was looked at most."""


def spectrogram(features: np.ndarray) -> bytes:
    """A PNG of 16 greys, dark where it is loud, low bands at the bottom.

    Parameters
    ----------
    features : ndarray, shape (n_mels, n_frames)
        Lowest band first. Its quietest 5 % are white, its loudest 0.5 % black.
    """
    low, high = np.percentile(features, [5, 99.5])
    share = (features.astype(np.float32) - low) / max(high - low, 1e-6)
    image = Image.fromarray(share[::-1].clip(0, 1))
    size = min(image.width, MOST_COLUMNS), min(image.height, MOST_ROWS)
    small = np.asarray(image.resize(size, Image.Resampling.BOX))
    levels = np.rint((1 - small) * (_GREYS - 1)).astype(np.uint8)
    picture = Image.fromarray(levels, "P")
    greys = np.rint(np.linspace(0, 255, _GREYS)).astype(int)
    picture.putpalette([int(grey) for grey in greys for _ in range(3)])
    return _png(picture)


def overlay(look: np.ndarray, top: float) -> bytes:
    """A PNG of one colour, the less transparent the more a place was looked at.

    Parameters
    ----------
    look : ndarray, shape (n_mels, n_frames)
        At least 0, lowest band first.
    top : float
        Where it is the least transparent.
    """
    image = Image.fromarray(np.ascontiguousarray(look[::-1], dtype=np.float32))
    size = min(image.width, _OVERLAY_COLUMNS), min(image.height, _OVERLAY_ROWS)
    small = np.asarray(image.resize(size, Image.Resampling.BOX))
    share = (small / top).clip(0, 1) if top > 0 else np.zeros_like(small)
    picture = Image.fromarray(np.rint(share * (_SHADES - 1)).astype(np.uint8), "P")
    picture.putpalette(_ORANGE * _SHADES)
    opacity = np.rint(np.linspace(0, 255 * _STRONGEST, _SHADES)).astype(np.uint8)
    return _png(picture, transparency=opacity.tobytes())


def _png(picture: Image.Image, **options: bytes) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", optimize=True, bits=4, **options)
    return buffer.getvalue()


def hz_ticks(n_mels: int, f_min_hz: float, f_max_hz: float) -> list[dict[str, float]]:
    """Round frequencies and how far up the picture they lie, in [0, 1].

    The filters' middles are even on the mel scale (HTK), the first one a step above `f_min_hz`.
    """
    low, high = _mel(f_min_hz), _mel(f_max_hz)
    found: list[dict[str, float]] = []
    for hz in (25, 50, 100, 200, 400, 800, 1600, 3200, 6400):
        place = ((_mel(hz) - low) / (high - low) * (n_mels + 1) - 0.5) / n_mels
        lowest = found[-1]["at"] + _APART if found else 0.02
        if lowest <= place <= 0.98:
            found.append({"hz": float(hz), "at": float(place)})
    return found


def hz_of(band: int, n_mels: int, f_min_hz: float, f_max_hz: float) -> float:
    """Middle of a band, from 0."""
    low, high = _mel(f_min_hz), _mel(f_max_hz)
    mel = low + (high - low) * (band + 1) / (n_mels + 1)
    return float(700 * (10 ** (mel / 2595) - 1))


def _mel(hz: float) -> float:
    return float(2595 * np.log10(1 + hz / 700))
