"""Phonocardiogram: the sound of a heart at the chest wall, simulated from a few parameters.

Times are in s, frequencies in Hz, heart rates in beats a minute. Levels are relative to
the peak of a first heart sound of level 1. `phonocardiogram` adds up

    beats      integral pulse frequency modulation: a beat whenever the integrated rate
               passes a whole number; the rate swings with breathing (respiratory sinus
               arrhythmia) and near 0.1 Hz, as in McSharry et al., IEEE Trans. Biomed.
               Eng. 50(3), 2003
    S1 to S4   groups of damped sinusoids, most of them at 30-100 Hz, up to 150 Hz
    murmur     band-limited noise, shaped within systole or early diastole
    room       what is not locked to the heart: breathing, coloured noise, mains hum,
               rubbing in the murmur's own band, cries, knocks
    sensor     20-1000 Hz band, gain, clipping at full scale

Every function is deterministic in its parameters and the generator that it is given.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import signal

from kfold_hs.cohort.synthetic.background import (
    PITCHES_HZ,
    SAMPLE_RATE_HZ,
    Floats,
    Room,
    band_noise,
    room_sound,
)

__all__ = [
    "PITCHES_HZ",
    "SAMPLE_RATE_HZ",
    "Beats",
    "Heart",
    "Murmur",
    "Phonocardiogram",
    "Room",
    "Sensor",
    "phonocardiogram",
]

TIMINGS: dict[str, tuple[str, float, float]] = {
    "Early-systolic": ("systole", 0.10, 0.60),
    "Mid-systolic": ("systole", 0.20, 0.80),
    "Late-systolic": ("systole", 0.50, 1.00),
    "Holosystolic": ("systole", 0.05, 1.00),
    "Early-diastolic": ("diastole", 0.05, 0.50),
}
"""Phase in which a murmur sounds, and its start and end as shares of that phase."""

SHAPES: dict[str, Callable[[Floats], Floats]] = {
    "Plateau": lambda u: np.minimum(1.0, 10.0 * np.minimum(u, 1.0 - u)),
    "Crescendo": lambda u: u * np.minimum(1.0, 10.0 * (1.0 - u)),
    "Decrescendo": lambda u: (1.0 - u) * np.minimum(1.0, 10.0 * u),
    "Diamond": lambda u: 1.0 - np.abs(2.0 * u - 1.0),
}
"""Envelope in [0, 1] over the share u in [0, 1] of the murmur's duration."""


@dataclass(frozen=True)
class Heart:
    """A heart that beats.

    Parameters
    ----------
    rate_bpm : float
        Mean heart rate.
    sinus_arrhythmia, variability : float
        Relative swing of the rate with breathing, and of the interval from beat to beat.
    breath_bpm : float
        Breaths a minute.
    s1_level, s2_level, s3_level, s4_level : float
        Peak levels; 0 for a sound that is not there.
    s1_hz, s2_hz : float
        Main frequencies of S1 and S2.
    split_s, split_swing_s : float
        A2 to P2 at mid-breath, and what a full inspiration adds to it (Leatham, Lancet,
        1954). In an atrial septal defect the split is wide and hardly moves.
    p2_share : float
        P2 relative to A2.
    """

    rate_bpm: float
    sinus_arrhythmia: float
    variability: float
    breath_bpm: float
    s1_level: float
    s2_level: float
    s3_level: float
    s4_level: float
    s1_hz: float
    s2_hz: float
    split_s: float
    split_swing_s: float
    p2_share: float


@dataclass(frozen=True)
class Murmur:
    """A murmur by its names in `TIMINGS`, `SHAPES`, `PITCHES_HZ`.

    `level` is the root mean square of its noise where its envelope is 1.
    """

    timing: str
    shape: str
    pitch: str
    level: float


@dataclass(frozen=True)
class Sensor:
    """A stethoscope on a chest, in a room: the body's low pass, and the gain to full scale 1."""

    room: Room
    cutoff_hz: float
    gain: float


@dataclass(frozen=True)
class Beats:
    """When the valves close.

    Parameters
    ----------
    s1_s : ndarray, shape (n_beats + 1,)
        Onsets of S1, in s from the start of the recording. The first lies before 0 and the
        last after its end, so that every instant belongs to one beat.
    s2_s : ndarray, shape (n_beats,)
        Onsets of the aortic part of S2; ``s1_s[i] < s2_s[i] < s1_s[i + 1]``.
    breath : ndarray, shape (n_beats,)
        Breathing at S1, from -1 (breathed out) to 1 (breathed in).
    """

    s1_s: Floats
    s2_s: Floats
    breath: Floats

    def share(self, phase: str, times_s: Floats) -> Floats:
        """How much of the 'systole' or 'diastole' is over at `times_s`; NaN outside of it."""
        beat = np.searchsorted(self.s1_s, times_s, side="right") - 1
        start, end = (
            (self.s1_s[:-1], self.s2_s) if phase == "systole" else (self.s2_s, self.s1_s[1:])
        )
        share = (times_s - start[beat]) / (end - start)[beat]
        return np.where((share >= 0) & (share < 1), share, np.nan)


@dataclass(frozen=True)
class Phonocardiogram:
    """`samples` (int16, shape (n_samples,), at `SAMPLE_RATE_HZ`) and the true `beats`."""

    samples: NDArray[np.int16]
    beats: Beats


def phonocardiogram(
    heart: Heart,
    murmur: Murmur | None,
    sensor: Sensor,
    duration_s: float,
    rng: np.random.Generator,
) -> Phonocardiogram:
    """Simulate `duration_s` seconds; see the module's docstring for the parts."""
    n_samples = round(duration_s * SAMPLE_RATE_HZ)
    times_s = np.arange(n_samples) / SAMPLE_RATE_HZ
    breath_angle = float(rng.uniform(0, 2 * np.pi))
    beats = draw_beats(heart, duration_s, breath_angle, rng)
    inside = heart_sounds(heart, beats, n_samples, rng)
    if murmur is not None:
        inside += murmur_sound(murmur, beats, times_s, rng)
    # First order: 6 dB an octave, so that a high murmur is dulled and not removed.
    chest = signal.butter(1, sensor.cutoff_hz, fs=SAMPLE_RATE_HZ, output="sos")
    sound = signal.sosfilt(chest, inside)
    sound += room_sound(sensor.room, heart.breath_bpm, breath_angle, times_s, rng)
    band = signal.butter(1, (20, 1000), "bandpass", fs=SAMPLE_RATE_HZ, output="sos")
    full_scale = np.clip(sensor.gain * signal.sosfilt(band, sound), -1, 1)
    return Phonocardiogram(np.round(full_scale * 32767).astype(np.int16), beats)


def draw_beats(
    heart: Heart, duration_s: float, breath_angle: float, rng: np.random.Generator
) -> Beats:
    """Beat times that cover 0 to `duration_s`.

    S1 to S2 is the electromechanical systole of men, 546 ms - 2.1 ms per beat a minute
    (Weissler et al., Circulation 37, 1968), less 60 ms from the Q wave to S1.
    """
    slow_angle, first = rng.uniform(0, 2 * np.pi), rng.uniform(0, 1)
    grid = np.arange(-4.0, duration_s + 4.0, 0.01)
    rate = heart.rate_bpm / 60 * (1 + heart.sinus_arrhythmia * _breath(heart, grid, breath_angle))
    rate *= 1 + 0.03 * np.sin(2 * np.pi * 0.1 * grid + slow_angle)
    turns = np.cumsum(rate) * 0.01
    s1 = np.interp(np.arange(turns[0] + first, turns[-1]), turns, grid)
    s1 += 60 / heart.rate_bpm * heart.variability * np.clip(rng.standard_normal(len(s1)), -2, 2)
    # One beat before the start, one after the end.
    before = np.searchsorted(s1, 0.0) - 1
    s1 = s1[before : np.searchsorted(s1, duration_s, side="right") + 1]
    systole = 0.486 - 0.0021 * heart.rate_bpm + 0.004 * rng.standard_normal(len(s1) - 1)
    s2 = s1[:-1] + np.minimum(systole, 0.6 * np.diff(s1))
    return Beats(s1, s2, _breath(heart, s1[:-1], breath_angle))


def heart_sounds(heart: Heart, beats: Beats, n_samples: int, rng: np.random.Generator) -> Floats:
    """S1 (mitral, tricuspid), S2 (aortic, pulmonary), S3 and S4 of every beat."""
    s1, s2, n_beats = beats.s1_s[:-1], beats.s2_s, len(beats.s2_s)
    # The split closes to nothing, P2 never comes before A2.
    split = np.maximum(heart.split_s + heart.split_swing_s * (beats.breath + 1) / 2, 0)
    diastole = np.diff(beats.s1_s) - (s2 - s1)
    parts = (
        (s1, heart.s1_level, heart.s1_hz, 0.022),
        (s1 + rng.uniform(0.015, 0.030), 0.6 * heart.s1_level, 1.3 * heart.s1_hz, 0.016),
        (s2, heart.s2_level, heart.s2_hz, 0.013),
        (s2 + split, heart.p2_share * heart.s2_level, 0.9 * heart.s2_hz, 0.013),
        (s2 + np.minimum(0.13, 0.4 * diastole), heart.s3_level, 0.6 * heart.s1_hz, 0.025),
        (beats.s1_s[1:] - 0.10, heart.s4_level, 0.6 * heart.s1_hz, 0.025),
    )
    total = np.zeros(n_samples)
    for onsets_s, level, main_hz, decay_s in parts:
        # Draw in any case: a level of 0 must not shift the stream of the other parts.
        levels = level * np.exp(0.12 * rng.standard_normal(n_beats))
        wave = _thud(main_hz, decay_s, rng)
        if level > 0:
            total += _place(wave, onsets_s, levels, n_samples)
    return total


def murmur_sound(murmur: Murmur, beats: Beats, times_s: Floats, rng: np.random.Generator) -> Floats:
    """Band-limited noise under the murmur's envelope, with a level that varies by the beat."""
    phase, start, end = TIMINGS[murmur.timing]
    share = (beats.share(phase, times_s) - start) / (end - start)
    envelope = SHAPES[murmur.shape](np.clip(np.nan_to_num(share), 0, 1))
    by_beat = np.exp(0.15 * rng.standard_normal(len(beats.s2_s)))
    beat = np.searchsorted(beats.s1_s, times_s, side="right") - 1
    noise = band_noise(len(times_s), *PITCHES_HZ[murmur.pitch], rng)
    return np.where((share >= 0) & (share <= 1), envelope, 0) * murmur.level * by_beat[beat] * noise


def _breath(heart: Heart, times_s: Floats, angle: float) -> Floats:
    return np.sin(2 * np.pi * heart.breath_bpm / 60 * times_s + angle)


def _thud(main_hz: float, decay_s: float, rng: np.random.Generator) -> Floats:
    """Damped sinusoids around `main_hz`, the higher the shorter; peak 1."""
    t = np.arange(round(0.15 * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ
    wave = np.zeros_like(t)
    for ratio, share in ((0.7, 0.6), (1.0, 1.0), (1.5, 0.5), (2.1, 0.25)):
        hz = min(main_hz * ratio * rng.uniform(0.9, 1.1), 150.0)
        angle = rng.uniform(0, 2 * np.pi)
        wave += share * np.sin(2 * np.pi * hz * t + angle) * np.exp(-t * ratio**0.5 / decay_s)
    wave *= 1 - np.exp(-t / 0.006)
    return np.asarray(wave / np.abs(wave).max())


def _place(wave: Floats, onsets_s: Floats, levels: Floats, n_samples: int) -> Floats:
    """`wave` at every onset, also where its beginning or end falls outside."""
    index = np.round(onsets_s * SAMPLE_RATE_HZ).astype(np.int64) + len(wave)
    train = np.zeros(n_samples + len(wave))
    kept = (index >= 0) & (index < len(train))
    np.add.at(train, index[kept], levels[kept])
    placed = signal.oaconvolve(train, wave)
    return np.asarray(placed[len(wave) : len(wave) + n_samples])
