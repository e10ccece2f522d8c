"""Mel spectrogram of a recording: power in mel bands, in dB or as PCEN.

[resampled, band-passed, without its spikes: `cleaning`] -> windowed (Hann) power spectrum
-> triangular mel filters (HTK scale, mel = 2595 log10(1 + f / 700)) -> 10 log10 with a
floor, or PCEN (`compression`) -> optionally mean 0 and variance 1 over the recording, so
that the gain of a stethoscope does not matter.
"""

from __future__ import annotations

import numpy as np
import torch
import torchaudio

from kfold_hs.cohort.audio import n_resampled, resampling_ratio
from kfold_hs.config.schema import FeatureConfig
from kfold_hs.errors import ConfigError
from kfold_hs.learn.features.cleaning import band_pass, remove_spikes
from kfold_hs.learn.features.compression import COMPRESSIONS

LEAST_SPREAD = 1e-3
"""A recording whose levels vary less (in dB or PCEN) is silent."""


class MelFeatures:
    """Samples -> features, by the rules of `config`.

    Raises
    ------
    ConfigError
        When a mel band is so narrow that no frequency bin falls into it.
    """

    def __init__(self, config: FeatureConfig) -> None:
        self.config = config
        if not _every_band_has_a_bin(config):
            raise ConfigError(
                f"features.n_mels={config.n_mels} bands from {config.f_min_hz:g} to "
                f"{config.f_max_hz:g} Hz are too narrow for the bins of "
                f"{config.sample_rate_hz / config.n_fft:.2f} Hz that features.n_fft="
                f"{config.n_fft} gives: some band would always be empty. Raise n_fft (a power "
                "of two is fastest) or lower n_mels."
            )
        self.filters = torchaudio.functional.melscale_fbanks(
            n_freqs=config.n_fft // 2 + 1,
            f_min=config.f_min_hz,
            f_max=config.f_max_hz,
            n_mels=config.n_mels,
            sample_rate=config.sample_rate_hz,
        )
        self._spectrum = torchaudio.transforms.Spectrogram(
            n_fft=config.n_fft,
            win_length=config.window_samples,
            hop_length=config.hop_samples,
            power=2.0,
        )

    def n_frames(self, n_samples: int, sample_rate_hz: int) -> int:
        """Frames of a recording of `n_samples` at `sample_rate_hz`."""
        n_samples = n_resampled(n_samples, sample_rate_hz, self.config.sample_rate_hz)
        return 1 + n_samples // self.config.hop_samples

    def __call__(self, samples: np.ndarray, sample_rate_hz: int) -> np.ndarray:
        """Features of one recording; `measure` without what was taken out."""
        return self.measure(samples, sample_rate_hz)[0]

    @torch.inference_mode()
    def measure(
        self, samples: np.ndarray, sample_rate_hz: int
    ) -> tuple[np.ndarray, tuple[float, float]]:
        """Features of one recording, and the mean and spread that were taken out of them.

        Parameters
        ----------
        samples : ndarray, shape (n_samples,), float32 in [-1, 1]
        sample_rate_hz : int
            Resampled to the configured rate when it differs.

        Returns
        -------
        features : ndarray, shape (n_frames, n_mels), float32
        scale : (float, float)
            mean + spread * features are the levels in dB (or PCEN) again; 0 and 1 unless
            recordings are normalised.
        """
        mel = self._spectrum(self.prepare(samples, sample_rate_hz)).T @ self.filters
        level = COMPRESSIONS[self.config.compression](mel, self.config)
        if self.config.normalise != "recording":
            return level.numpy(), (0.0, 1.0)
        mean, spread = level.mean(), level.std(correction=0)
        # A silent recording has no spread; it becomes all zeros, not all NaN.
        if spread <= LEAST_SPREAD:
            return np.zeros_like(level.numpy()), (float(mean), 1.0)
        return ((level - mean) / spread).numpy(), (float(mean), float(spread))

    def prepare(self, samples: np.ndarray, sample_rate_hz: int) -> torch.Tensor:
        """What is done before the spectrum: resampled and cleaned samples, (n,) float32."""
        wave = torch.from_numpy(samples)
        if sample_rate_hz != self.config.sample_rate_hz:
            ratio = resampling_ratio(sample_rate_hz, self.config.sample_rate_hz)
            wave = torchaudio.functional.resample(wave, ratio.denominator, ratio.numerator)
        if self.config.band_pass_hz or self.config.remove_spikes:
            wave = torch.from_numpy(self._clean(wave.numpy()))
        return wave

    def _clean(self, samples: np.ndarray) -> np.ndarray:
        rate_hz = self.config.sample_rate_hz
        if self.config.band_pass_hz:
            samples = band_pass(samples, rate_hz, *self.config.band_pass_hz)
        if self.config.remove_spikes:
            samples = remove_spikes(samples, rate_hz)
        return samples.astype(np.float32)


def _every_band_has_a_bin(config: FeatureConfig) -> bool:
    def mel(hz: np.ndarray) -> np.ndarray:
        return 2595 * np.log10(1 + hz / 700)

    edges = mel(np.array([config.f_min_hz, config.f_max_hz]))
    edges = np.linspace(edges[0], edges[1], config.n_mels + 2)
    bins = mel(np.linspace(0, config.sample_rate_hz / 2, config.n_fft // 2 + 1))
    inside = (bins[None] > edges[:-2, None]) & (bins[None] < edges[2:, None])
    return bool(inside.any(axis=1).all())
