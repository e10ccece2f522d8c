"""What a recording's heart cycle says of it, and of its patient, in a few numbers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from kfold_hs.learn.frames.decoding import Decoded
from kfold_hs.learn.frames.targets import MURMUR_OF, STATE_NAMES
from kfold_hs.predictions.cycle import N_BAND_GROUPS, POOLS, column


def measure(
    decoded: Decoded, log_probs: np.ndarray, levels: np.ndarray, frame_s: float
) -> dict[str, float]:
    """The numbers of a recording; what each one is, `kfold_hs.predictions.cycle` says.

    Parameters
    ----------
    log_probs : ndarray, shape (n_frames, 4 or 6)
        Of every frame's classes.
    levels : ndarray, shape (n_frames, n_mels)
        Of the bands, in dB (or the unit that the features have), up to a constant.
    """
    probs = np.exp(log_probs.astype(np.float64))
    knows_murmurs = probs.shape[1] > len(STATE_NAMES)
    in_state = probs[:, :4].copy()
    if knows_murmurs:
        for state, murmuring in MURMUR_OF.items():
            in_state[:, state - 1] += probs[:, murmuring]
    # Band levels in each state, weighted by how likely a frame is of it.
    weight = in_state / np.maximum(in_state.sum(axis=0), 1e-6)
    level = (weight[:, :, None] * levels[:, None, :]).sum(axis=0)
    rate, variability = _rate(decoded, frame_s)
    at = np.arange(len(in_state)), decoded.states - 1
    found = {
        "quality": in_state[at].mean(),
        "heart_rate_bpm": rate,
        "rate_variability": variability,
        "s1_db": (level[0] - level[3]).mean(),
        "s2_db": (level[2] - level[3]).mean(),
    }
    systole = np.array_split(level[1] - level[3], N_BAND_GROUPS)
    found |= {f"systole_db_{k}": each.mean() for k, each in enumerate(systole, start=1)}
    if knows_murmurs:
        found |= {
            "murmur": decoded.murmur,
            "diastolic_murmur": decoded.diastolic_murmur,
            "murmur_share": probs[:, 4].sum() / max(in_state[:, 1].sum(), 1e-6),
        }
    return {name: float(value) for name, value in found.items()}


def _rate(decoded: Decoded, frame_s: float) -> tuple[float, float]:
    """Heart rate in beats a minute, and the spread of its intervals relative to their mean."""
    is_s1 = decoded.states == 1
    onsets = np.flatnonzero(is_s1[1:] & ~is_s1[:-1]) + 1
    if len(onsets) < 3:
        return 60 / decoded.cycle_s, 0.0
    intervals = np.diff(onsets) * frame_s
    return float(60 / np.median(intervals)), float(intervals.std() / intervals.mean())


def of_patients(of_recordings: pd.DataFrame, owner: np.ndarray, n_patients: int) -> pd.DataFrame:
    """Of patients, from those of their recordings, each pooled as `predictions.cycle.POOLS` says.

    Parameters
    ----------
    of_recordings : DataFrame
        `measure` of every recording.
    owner : ndarray of int64, shape (n_recordings,)
        Whose each is, in [0, n_patients); each occurs.
    """
    rows = [np.flatnonzero(owner == patient) for patient in range(n_patients)]
    found: dict[str, list[float]] = {}
    for name, pools in POOLS.items():
        if name not in of_recordings:
            continue
        values = of_recordings[name].to_numpy()
        for pool in pools:
            reduce = _REDUCE[pool]
            found[column(name, pool)] = [float(reduce(values[each])) for each in rows]
    found[column("n_recordings")] = [float(len(each)) for each in rows]
    return pd.DataFrame(found, dtype=np.float64)


_REDUCE: Mapping[str, Callable[[np.ndarray], np.floating[Any]]] = {
    "max": np.max,
    "min": np.min,
    "mean": np.mean,
}
