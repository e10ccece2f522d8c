"""Noise that is added to training crops: coloured, or from a folder of recordings.

It goes through the same resampling, band-pass and mel bands as the recordings, and is
added to them in mel bands, not in samples. That is an approximation, in three ways:

    power     of sound and noise add up: what their waves do to each other in a cell, which is
              nothing on average, is left out
    level     where recordings are normalised, the mean and spread that the noisy recording
              would have are told from what the noise does to those of the crop
    spikes    `features.remove_spikes` has seen the recording without the noise

The signal-to-noise ratio is that of the crop: its mean power over all bands and frames
over that of the noise.
"""

from __future__ import annotations

import functools
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from kfold_hs.cohort.audio import inspect_all
from kfold_hs.config.digests import for_digest
from kfold_hs.config.schema import AugmentConfig, Config, FeatureConfig
from kfold_hs.errors import ConfigError
from kfold_hs.files.stored import warn
from kfold_hs.files.walk import find_files
from kfold_hs.learn.device import to_device
from kfold_hs.learn.features.bank import Bank, build_from
from kfold_hs.learn.features.mel import FLOOR_POWER, MelFeatures

SYNTHETIC_S = 120
_EXPONENTS = {"white": 0, "pink": 1, "brown": 2}
"""Power falls with frequency to the minus this: 0, 3 and 6 dB an octave."""
_LEAST_SPREAD = 1e-3


@functools.lru_cache(maxsize=1)  # the folds of a run read a folder once
def noise_bank(config: AugmentConfig, features: FeatureConfig) -> Bank | None:
    """Levels of the noise in dB, one recording a file, or one of `SYNTHETIC_S` s; None: off.

    Raises
    ------
    ConfigError
        `augment.noise_folder` holds no WAV, FLAC or AIFF.
    CohortError
        One of its files cannot be used.
    """
    if not config.noise_share:
        return None
    levels = features.model_copy(update={"normalise": "none", "remove_spikes": False})
    if config.noise_folder is not None:
        return build_from(_files(config.noise_folder), levels)
    samples = coloured(config.noise, SYNTHETIC_S, levels.sample_rate_hz)
    frames = torch.from_numpy(MelFeatures(levels)(samples, levels.sample_rate_hz)).half()
    content = json.dumps([config.noise, for_digest(levels, "features")])
    digest = hashlib.sha256(content.encode()).hexdigest()
    return Bank(frames, torch.zeros(1, dtype=torch.long), torch.tensor([len(frames)]), digest)


def coloured(name: str, duration_s: float, rate_hz: int) -> np.ndarray:
    """Gaussian noise whose power falls by 0 (white), 3 (pink) or 6 (brown) dB an octave.

    Always the same; below 1 Hz it falls no further, and the root mean square is 0.1.
    """
    rng = np.random.default_rng(0)
    spectrum = np.fft.rfft(rng.standard_normal(round(duration_s * rate_hz)))
    hz = np.fft.rfftfreq(round(duration_s * rate_hz), 1 / rate_hz)
    wave = np.fft.irfft(spectrum * np.maximum(hz, 1) ** (-_EXPONENTS[name] / 2))
    return np.asarray(0.1 * wave / wave.std(), dtype=np.float32)


@dataclass(frozen=True)
class Noise:
    """What is added to training crops.

    Parameters
    ----------
    levels_db : Bank
        The noise itself.
    share : float
        Of the crops, in (0, 1].
    snr_db : (float, float)
        Lowest and highest signal-to-noise ratio of a crop.
    """

    levels_db: Bank
    share: float
    snr_db: tuple[float, float]

    @classmethod
    def of(cls, config: Config, device: torch.device) -> Noise | None:
        """What the configuration asks for; None: nothing."""
        levels, augment = noise_bank(config.augment, config.features), config.augment
        if levels is None:
            return None
        return cls(levels.to(device), augment.noise_share, augment.noise_snr_db)

    @property
    def digest(self) -> str:
        return self.levels_db.digest


def noisy(
    x: torch.Tensor,
    recordings: torch.Tensor,
    bank: Bank,
    noise: Noise,
    rng: np.random.Generator,
) -> torch.Tensor:
    """Crops with noise in a share `noise_share` of them, at a ratio uniform in `noise_snr_db`.

    Parameters
    ----------
    x : Tensor, shape (n, 1, n_mels, n_frames)
        In the units of `bank`.
    recordings : Tensor of int64, shape (n,)
        Rows of `bank`.
    """
    levels = noise.levels_db
    n, n_frames = len(x), x.shape[3]
    draw = to_device(rng.random((4, n)), x.device)
    rows = (draw[0] * len(levels.length)).long()
    starts = (draw[1] * levels.length[rows]).long()
    low, high = noise.snr_db
    snr_db = (low + (high - low) * draw[2]).float()
    mean, spread = bank.scale(recordings)
    before = mean + spread * x
    after = add_noise(before, levels.crops(rows, starts, n_frames), snr_db)
    if bank.level is not None:
        mean = mean + _mean(after) - _mean(before)
        spread = spread * _spread(after) / _spread(before)
    chosen = (draw[3] < noise.share).view(n, 1, 1, 1)
    return torch.where(chosen, (after - mean) / spread, x)


def add_noise(level_db: torch.Tensor, noise_db: torch.Tensor, snr_db: torch.Tensor) -> torch.Tensor:
    """Levels of the sum, the noise scaled so that each crop has its signal-to-noise ratio.

    Parameters
    ----------
    level_db, noise_db : Tensor, shape (n, 1, n_mels, n_frames)
    snr_db : Tensor, shape (n,)
    """
    power, noise = 10 ** (level_db / 10), 10 ** (noise_db / 10)
    ratio = 10 ** (-snr_db.view(-1, 1, 1, 1) / 10)
    return 10 * (power + noise * ratio * _mean(power) / _mean(noise)).clamp_min(FLOOR_POWER).log10()


def _files(folder: Path) -> pd.DataFrame:
    found = find_files(folder)
    for note in found.notes(folder):
        warn(f"{note}.")
    paths = found.files
    if not paths:
        raise ConfigError(
            f"augment.noise_folder={folder} holds no .wav, .flac or .aiff file. Name a folder that "
            "does, or leave it out for synthetic noise (augment.noise)."
        )
    facts = pd.DataFrame([vars(each) for each in inspect_all(paths)])
    durations = facts["n_samples"] / facts["sample_rate_hz"]
    return facts.assign(path=[str(path) for path in paths], duration_s=durations)


def _mean(x: torch.Tensor) -> torch.Tensor:
    return x.mean(dim=(2, 3), keepdim=True)


def _spread(x: torch.Tensor) -> torch.Tensor:
    return x.std(dim=(2, 3), keepdim=True, correction=0).clamp_min(_LEAST_SPREAD)
