"""Mel spectrogram of a recording: power in mel bands, in dB or as PCEN.

[resampled, band-passed, without its spikes: `cleaning`] -> windowed (Hann) power spectrum
-> triangular mel filters (HTK scale, mel = 2595 log10(1 + f / 700)) -> 10 log10 with a
floor, or PCEN (`compression`) -> optionally mean 0 and variance 1 over the recording, so
that the gain of a stethoscope does not matter.

From power in mel bands to what a network can take: its logarithm, or PCEN.

What is done to a recording's samples before its spectrogram: band-pass, removal of spikes.
"""

from __future__ import annotations

import math

import numpy as np
import torch
import torchaudio

from kfold_hs.cohort.audio import n_resampled, resampling_ratio
from kfold_hs.config.schema import FeatureConfig, FeatureSettings
from kfold_hs.errors import ConfigError

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
        self._filters_in_use = self.filters[: int(self.filters.any(dim=1).nonzero().max()) + 1]
        self._spectrum = torchaudio.transforms.Spectrogram(
            n_fft=config.n_fft,
            win_length=config.window_samples,
            hop_length=config.hop_samples,
            power=None,
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
        # Bins above the last band are left out, and torch has no fast absolute value of complex
        # numbers that lie so: a third of the time, and the same bits, as its power spectrogram.
        bins = self._spectrum(self.prepare(samples, sample_rate_hz))[: len(self._filters_in_use)].T
        power = torch.hypot(bins.real.contiguous(), bins.imag.contiguous()).square_()
        level = COMPRESSIONS[self.config.compression](power @ self._filters_in_use, self.config)
        return scaled(level, self.config.normalise)

    def prepare(self, samples: np.ndarray, sample_rate_hz: int) -> torch.Tensor:
        """What is done before the spectrum: resampled and cleaned samples, (n,) float32."""
        return prepare(samples, sample_rate_hz, self.config)


def prepare(samples: np.ndarray, sample_rate_hz: int, config: FeatureSettings) -> torch.Tensor:
    """Samples as all features take them: resampled and cleaned, (n,) float32."""
    wave = torch.from_numpy(samples)
    if sample_rate_hz != config.sample_rate_hz:
        ratio = resampling_ratio(sample_rate_hz, config.sample_rate_hz)
        wave = torchaudio.functional.resample(wave, ratio.denominator, ratio.numerator)
    if config.band_pass_hz or config.remove_spikes:
        wave = torch.from_numpy(_clean(wave.numpy(), config))
    return wave


def _clean(samples: np.ndarray, config: FeatureSettings) -> np.ndarray:
    if config.band_pass_hz:
        samples = band_pass(samples, config.sample_rate_hz, *config.band_pass_hz)
    if config.remove_spikes:
        samples = remove_spikes(samples, config.sample_rate_hz)
    return samples.astype(np.float32)


def scaled(level: torch.Tensor, normalise: str) -> tuple[np.ndarray, tuple[float, float]]:
    """Mean 0 and variance 1 over the recording, where asked for; and what was taken out."""
    if normalise != "recording":
        return level.numpy(), (0.0, 1.0)
    mean, spread = level.mean(), level.std(correction=0)
    # A silent recording has no spread; it becomes all zeros, not all NaN.
    if spread <= LEAST_SPREAD:
        return np.zeros_like(level.numpy()), (float(mean), 1.0)
    return ((level - mean) / spread).numpy(), (float(mean), float(spread))


def _every_band_has_a_bin(config: FeatureConfig) -> bool:
    def mel(hz: np.ndarray) -> np.ndarray:
        return 2595 * np.log10(1 + hz / 700)

    edges = mel(np.array([config.f_min_hz, config.f_max_hz]))
    edges = np.linspace(edges[0], edges[1], config.n_mels + 2)
    bins = mel(np.linspace(0, config.sample_rate_hz / 2, config.n_fft // 2 + 1))
    inside = (bins[None] > edges[:-2, None]) & (bins[None] < edges[2:, None])
    return bool(inside.any(axis=1).all())


FLOOR_POWER = 2.0**-30
"""Power of one step of 16 bit, (1 / 32768)^2: about -90 dB."""


def log_level(power: torch.Tensor, config: FeatureConfig) -> torch.Tensor:
    """10 log10 of the power, in dB; digital silence is at `FLOOR_POWER`, not at minus infinity.

    Parameters
    ----------
    power : Tensor, shape (n_frames, n_mels)
    """
    return 10 * power.clamp_min(FLOOR_POWER).log10()


def pcen(power: torch.Tensor, config: FeatureConfig) -> torch.Tensor:
    """Per-channel energy normalisation: every band over its own recent past, then a root.

    Wang et al., "Trainable Frontend for Robust and Far-Field Keyword Spotting", ICASSP
    2017, eq. 1 and 2, with fixed parameters:

        M(t) = (1 - s) M(t - 1) + s E(t),  M(0) = E(0)
        PCEN = (E / (eps + M)^alpha + delta)^r - delta^r

    where E is the power, alpha `pcen_gain`, delta `pcen_bias`, r `pcen_root`, eps
    `pcen_floor`, and s = 1 - exp(-hop_s / `pcen_time_constant_s`): the paper's s = 0.025
    at frames of 10 ms is 0.395 s.

    Parameters
    ----------
    power : Tensor, shape (n_frames, n_mels)
    """
    from scipy import signal  # processes that only train do without

    share = 1 - math.exp(-config.hop_s / config.pcen_time_constant_s)
    energy = power.double().numpy()
    # The filter's state before frame 0 is such that M(0) = E(0).
    past, _ = signal.lfilter([share], [1, share - 1], energy, 0, zi=(1 - share) * energy[:1])
    gained = energy / (config.pcen_floor + past) ** config.pcen_gain
    bias, root = config.pcen_bias, config.pcen_root
    return torch.from_numpy((gained + bias) ** root - bias**root).float()


COMPRESSIONS = {"log": log_level, "pcen": pcen}


FILTER_ORDER = 2
SPIKE_WINDOW_S = 0.5
SPIKE_RATIO = 3.0


def band_pass(samples: np.ndarray, rate_hz: int, low_hz: float, high_hz: float) -> np.ndarray:
    """Butterworth band-pass, run forwards and backwards, so that nothing moves in time.

    Each edge is of second order and counts twice: 6 dB down at the edge, 24 dB an octave
    beyond it. 25 to 400 Hz, so filtered, is what Springer et al., "Logistic
    Regression-HSMM-Based Heart Sound Segmentation", IEEE Trans. Biomed. Eng. 63(4), 2016,
    take before they look for heart sounds.

    Parameters
    ----------
    samples : ndarray, shape (n_samples,)
    rate_hz : int
    low_hz, high_hz : float
        0 < low_hz < high_hz < rate_hz / 2.

    Returns
    -------
    ndarray, shape (n_samples,), float64
    """
    from scipy import signal  # processes that only train do without

    sections = signal.butter(FILTER_ORDER, (low_hz, high_hz), "bandpass", fs=rate_hz, output="sos")
    # A period of the lowest frequency is mirrored at either end, for the filter to settle in.
    padding = min(len(samples) - 1, round(rate_hz / low_hz))
    return np.asarray(
        signal.sosfiltfilt(sections, samples.astype(np.float64), padlen=padding), dtype=np.float64
    )


def remove_spikes(samples: np.ndarray, rate_hz: int) -> np.ndarray:
    """Zeros in place of spikes: knocks and rubbing that stand far above the heart sounds.

    Schmidt et al., "Segmentation of heart sound recordings by a duration-dependent hidden
    Markov model", Physiol. Meas. 31(4), 2010, section 2.2: in windows of 500 ms the
    maximum absolute amplitude (MAA) is found. While one is above three times the median of all,
    the spike whose top it is, from the last zero-crossing before it to the first one after it, is
    set to zero.

    The paper leaves open what is left over at the end, which here belongs to the last window, and
    recordings that are silent for more than half of their windows: the median says nothing
    about their sounds, and they stay as they are.

    Parameters
    ----------
    samples : ndarray, shape (n_samples,)
    rate_hz : int

    Returns
    -------
    ndarray, shape (n_samples,), of the same type
    """
    width = max(1, round(SPIKE_WINDOW_S * rate_hz))
    begins = np.arange(max(1, len(samples) // width)) * width
    ends = np.append(begins[1:], len(samples))
    cleaned = samples.copy()
    size = np.abs(cleaned)
    heights = np.maximum.reduceat(size, begins)
    # Where the sign changes; a removed spike's zeros lie between two such places already.
    crossings = np.flatnonzero(np.diff(np.sign(samples))) + 1
    crossings = np.concatenate([[0], crossings, [len(samples)]])
    while 0 < SPIKE_RATIO * np.median(heights) < heights.max():
        window = int(heights.argmax())
        top = begins[window] + int(size[begins[window] : ends[window]].argmax())
        after = int(np.searchsorted(crossings, top, side="right"))
        start, stop = crossings[after - 1], crossings[after]
        cleaned[start:stop] = size[start:stop] = 0
        # A slow spike can reach into the windows beside its own.
        touched = slice(
            np.searchsorted(begins, start, side="right") - 1, np.searchsorted(begins, stop)
        )
        for each in range(touched.start, touched.stop):
            heights[each] = size[begins[each] : ends[each]].max()
    return cleaned
