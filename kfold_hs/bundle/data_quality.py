"""How far a recording is from those that were trained on, and what else is wrong with it.

    short             less than one crop of sound: it is repeated to fill one
    saturated         more than 1 % of its samples at full scale
    silent            its samples span less than 4 steps of 16 bit
    unlike training   its mean spectrum is farther from the training recordings' than that of any
                      of them: d = root mean square over the mel bands of (x - mean) / spread

A flag says that the numbers beside it deserve less trust; nothing is left out for one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from kfold_hs.cohort.audio import CLIPPED_SHARE, AudioFacts
from kfold_hs.config.schema import Config
from kfold_hs.learn.features.bank import Bank

_LEAST_SPREAD = 1e-3
OK, SILENT = "ok", "silent"


def profile(frames: np.ndarray) -> np.ndarray:
    """Mean of every mel band over a recording, (n_frames, n_mels) -> (n_mels,) float64."""
    return np.asarray(frames.mean(axis=0, dtype=np.float64))


def typical(bank: Bank, trained_on: np.ndarray) -> dict[str, Any]:
    """Mean and spread of the profiles of recordings, and the largest distance of one.

    Parameters
    ----------
    bank : Bank
    trained_on : ndarray of bool, shape (n_recordings,)
        Which of the bank's recordings count.

    Returns
    -------
    dict
        mean and spread (n_mels numbers each), limit.
    """
    rows = np.flatnonzero(trained_on)
    first, length = bank.first[rows].tolist(), bank.length[rows].tolist()
    frames = bank.frames.cpu()
    profiles = np.stack(
        [profile(frames[a : a + n].numpy()) for a, n in zip(first, length, strict=True)]
    )
    mean, spread = profiles.mean(axis=0), np.maximum(profiles.std(axis=0), _LEAST_SPREAD)
    far = np.sqrt(np.square((profiles - mean) / spread).mean(axis=1))
    return {"mean": mean.tolist(), "spread": spread.tolist(), "limit": float(far.max())}


def distance(frames: np.ndarray, known: Mapping[str, Any]) -> float:
    """Of one recording's features, (n_frames, n_mels), from those that `typical` saw."""
    apart = (profile(frames) - np.array(known["mean"])) / np.array(known["spread"])
    return float(np.sqrt(np.square(apart).mean()))


def flags(
    facts: AudioFacts, frames: np.ndarray, known: Mapping[str, Any], config: Config
) -> list[str]:
    """What is wrong with a recording; empty: nothing."""
    found = []
    if len(frames) < config.train.crop_frames:
        found.append("short")
    if facts.clipped_share > CLIPPED_SHARE:
        found.append("saturated")
    if facts.is_flat:
        found.append(SILENT)
    elif distance(frames, known) > known["limit"] * (1 + 1e-9):
        found.append("unlike training")
    return found
