"""From samples to features, of whatever kind."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
import torch

from kfold_hs.cohort.audio import n_resampled
from kfold_hs.config.features import FEATURES
from kfold_hs.config.registry import Build
from kfold_hs.config.schema import FeatureConfig, FeatureSettings
from kfold_hs.errors import ConfigError
from kfold_hs.learn.features.mel import MelFeatures, prepare, scaled


class Transform(Protocol):
    """Samples -> features, by the rules of `config`."""

    @property
    def config(self) -> Any: ...

    def n_frames(self, n_samples: int, sample_rate_hz: int) -> int:
        """Frames of a recording, for estimates."""

    def measure(
        self, samples: np.ndarray, sample_rate_hz: int
    ) -> tuple[np.ndarray, tuple[float, float]]:
        """Features (n_frames, n_bands) float32, and the mean and spread taken out of them."""


def kept(frames: np.ndarray) -> np.ndarray:
    """Features as they are kept, in float16; torch rounds as numpy does, twenty times as fast."""
    half: np.ndarray = torch.from_numpy(frames).half().numpy()
    return half


def transform_of(config: FeatureSettings) -> Transform:
    """What computes such features."""
    if isinstance(config, FeatureConfig):
        return MelFeatures(config)
    build = FEATURES.of(config).build
    assert build is not None
    return _Own(config, build)


class _Own:
    """Features that a function gives, checked."""

    def __init__(self, config: FeatureSettings, build: Build) -> None:
        self.config, self._build = config, build

    def n_frames(self, n_samples: int, sample_rate_hz: int) -> int:
        rate_hz, frame_s = self.config.sample_rate_hz, self.config.frame_s
        if frame_s is None:
            return 1
        return max(1, int(n_resampled(n_samples, sample_rate_hz, rate_hz) / rate_hz / frame_s))

    @torch.inference_mode()
    def measure(
        self, samples: np.ndarray, sample_rate_hz: int
    ) -> tuple[np.ndarray, tuple[float, float]]:
        """As `Transform`.

        Raises
        ------
        ConfigError
            The function gives another shape, or numbers that float16 cannot hold.
        """
        config = self.config
        wave = prepare(samples, sample_rate_hz, config).numpy()
        found = np.asarray(self._build(wave, config.sample_rate_hz, config), dtype=np.float32)
        if found.ndim != 2 or len(found) != config.n_mels or not found.shape[1]:
            raise ConfigError(
                f"features={config.kind} gave an array of shape {found.shape} of {len(wave)} "
                f"samples; ({config.n_mels}, frames) was declared."
            )
        frames, level = scaled(torch.from_numpy(np.ascontiguousarray(found.T)), config.normalise)
        if not np.isfinite(kept(frames)).all():
            raise ConfigError(
                f"features={config.kind} gave {float(np.abs(frames).max()):g} of {len(wave)} "
                "samples, and features are kept in float16: finite numbers up to 65504. Scale them."
            )
        return frames, level
