"""The sounds around the heart: breathing, noise, hum, rubbing, cries, knocks.

Levels are relative to the peak of a first heart sound of level 1, frequencies in Hz.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import fft, signal

Floats = NDArray[np.float64]

SAMPLE_RATE_HZ = 4000

PITCHES_HZ = {"Low": (60.0, 180.0), "Medium": (120.0, 320.0), "High": (200.0, 600.0)}
"""Band of the murmur's noise."""


@dataclass(frozen=True)
class Room:
    """All sounds but the heart's; counts are a second, on average.

    Parameters
    ----------
    floor, tilt : float
        RMS of the coloured noise, and the power of 1/f in its power spectrum.
    hum : float
        Amplitude of the mains (60 Hz and two harmonics).
    breath : float
        RMS of a breath at its loudest.
    rubs, rub_level : float
        Skin and clothes rubbing on the stethoscope: noise of a murmur's band and length.
    cries, cry_level : float
        Voiced bursts with a gliding pitch.
    knocks, knock_level : float
        Short broadband clicks.
    """

    floor: float
    tilt: float
    hum: float
    breath: float
    rubs: float
    rub_level: float
    cries: float
    cry_level: float
    knocks: float
    knock_level: float


def room_sound(
    room: Room, breath_bpm: float, breath_angle: float, times_s: Floats, rng: np.random.Generator
) -> Floats:
    """Everything of `Room`, none of it in step with the heart.

    Breath sounds lie mostly at 100-500 Hz and are louder on breathing in (Gavriely et al.,
    J. Appl. Physiol. 50, 1981).
    """
    n_samples = len(times_s)
    total = room.floor * _noise(n_samples, lambda hz: np.maximum(hz, 15) ** (-room.tilt / 2), rng)
    for harmonic, share in ((60, 1.0), (120, 0.5), (180, 0.3)):
        angle = rng.uniform(0, 2 * np.pi)
        total += room.hum * share * np.sin(2 * np.pi * harmonic * times_s + angle)
    flow = np.sin(2 * np.pi * breath_bpm / 60 * times_s + breath_angle + np.pi / 2)
    flow = np.where(flow > 0, flow, -0.5 * flow)
    total += room.breath * flow**1.5 * band_noise(n_samples, 100, rng.uniform(300, 500), rng)
    for count, level, make in (
        (room.rubs, room.rub_level, _rub),
        (room.cries, room.cry_level, _cry),
        (room.knocks, room.knock_level, _knock),
    ):
        for _ in range(rng.poisson(count * n_samples / SAMPLE_RATE_HZ)):
            wave = level * np.exp(0.4 * rng.standard_normal()) * make(rng)
            start = int(rng.integers(n_samples))
            stop = min(start + len(wave), n_samples)
            total[start:stop] += wave[: stop - start]
    return total


def _noise(
    n_samples: int, amplitude: Callable[[Floats], Floats], rng: np.random.Generator
) -> Floats:
    """Gaussian noise of RMS 1 with the amplitude spectrum `amplitude(hz)`."""
    size = fft.next_fast_len(n_samples, real=True)
    spectrum = fft.rfft(rng.standard_normal(size))
    spectrum *= amplitude(fft.rfftfreq(size, 1 / SAMPLE_RATE_HZ))
    noise = fft.irfft(spectrum, size)[:n_samples]
    return np.asarray(noise / np.sqrt(np.mean(noise**2)))


def band_noise(n_samples: int, low: float, high: float, rng: np.random.Generator) -> Floats:
    """Noise between two frequencies, with flanks of 18 dB an octave (3rd order)."""
    return _noise(
        n_samples,
        lambda hz: 1 / np.sqrt((1 + (low / np.maximum(hz, 1)) ** 6) * (1 + (hz / high) ** 6)),
        rng,
    )


def _rub(rng: np.random.Generator) -> Floats:
    """Noise of a murmur's pitch and length, at any moment: what is not locked is no murmur."""
    n_samples = round(rng.uniform(0.08, 0.4) * SAMPLE_RATE_HZ)
    low, high = tuple(PITCHES_HZ.values())[int(rng.integers(3))]
    return np.asarray(band_noise(n_samples, low, high, rng) * signal.windows.tukey(n_samples, 0.5))


def _cry(rng: np.random.Generator) -> Floats:
    """A voice: harmonics of a pitch that glides, 250 to 450 Hz; peak about 1."""
    n_samples = round(rng.uniform(0.2, 0.8) * SAMPLE_RATE_HZ)
    pitch = rng.uniform(250, 450) * np.linspace(1, rng.uniform(0.75, 1.2), n_samples)
    angle = 2 * np.pi * np.cumsum(pitch) / SAMPLE_RATE_HZ
    voice = sum((np.sin(k * angle) * 0.5 ** (k - 1) for k in range(1, 5)), np.zeros(n_samples))
    return np.asarray(0.7 * voice * signal.windows.tukey(n_samples, 0.3))


def _knock(rng: np.random.Generator) -> Floats:
    """A click of a few ms, up to the top of the band."""
    n_samples = round(0.03 * SAMPLE_RATE_HZ)
    decay = np.exp(-np.arange(n_samples) / SAMPLE_RATE_HZ / rng.uniform(0.002, 0.006))
    return np.asarray(rng.standard_normal(n_samples) * decay)
