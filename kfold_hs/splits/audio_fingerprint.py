"""Audio fingerprints: find recordings with the same sound without comparing all pairs.

1. Every recording is brought to 1000 Hz and 25 to 400 Hz (`Sound`).
2. Its *anchors* are the peaks of its envelope, mostly heart sounds: they move with the
   sound when it is shifted or trimmed, and not when its gain changes.
3. Around each anchor, the level in 8 bands over 1.5 s, relative to the loudest cell and
   cut 25 dB below it, makes a *patch*. Principal components of the patches, whitened
   and rotated at random, give bits by their signs: 3 words of 22 bits, and 4 variants of
   each with the least certain bits turned (multi-probe LSH; Lv et al., VLDB 2007).
4. Sounds with a word in common at the same delay are candidates (the voting of Wang,
   "An Industrial-Strength Audio Search Algorithm", ISMIR 2003): a sort, not all pairs.
5. A candidate is kept when the wave forms, laid over each other at that delay, have a
   normalised cross-correlation of at least `SAME` over at least `SHORTEST_S`. No two
   hearts beat in time to the millisecond, so that different recordings are far below.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy import ndimage, signal

from kfold_hs.cohort.audio import read_samples, resampling_ratio

RATE_HZ = 1000
BAND_HZ = (25.0, 400.0)
SAME = 0.5
"""Normalised cross-correlation from which two stretches count as the same sound."""
SHORTEST_S = 3.0
"""Shortest common stretch that is searched for."""

_FLAT_HZ = 300.0
_N_BANDS = 8
_CELL_S = 0.03
_BEFORE, _AFTER = 17, 33  # cells of a patch before and after its anchor
_DEPTH_DB = 25.0
_APART_S = 0.12
_N_WORDS, _N_BITS, _N_TURNED = 3, 22, 2
_N_COMPONENTS = 32
_CROWD = 24
"""Most other patches that a patch with the same word is compared with."""
_DELAY_S = 0.05
_VOTES = 4
_VOTES_SHARE = 0.2
"""Share of the anchors in the common stretch that must vote for the delay."""
_MOST_PATCHES_FITTED = 50_000

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Sound:
    """The fingerprint of a recording.

    Parameters
    ----------
    wave : ndarray of float16, shape (n,)
        At 1000 Hz, 25 to 300 Hz, its spectrum flattened half-way, of unit variance.
    anchors : ndarray of float32, shape (n_anchors,)
        Seconds from the start.
    patches : ndarray of float16, shape (n_anchors, 400)
    """

    wave: np.ndarray
    anchors: np.ndarray
    patches: np.ndarray


@dataclass(frozen=True)
class Match:
    """Two recordings, by row, that hold the same sound.

    `delay_s`: time t of the first is time t + delay_s of the second.
    """

    first: int
    second: int
    correlation: float
    delay_s: float
    overlap_s: float


def sound(samples: np.ndarray, sample_rate_hz: int) -> Sound:
    """Steps 1 to 3 for one recording; samples (n,), float, any scale."""
    ratio = resampling_ratio(sample_rate_hz, RATE_HZ)
    wave = signal.resample_poly(samples, ratio.numerator, ratio.denominator)
    if len(wave) < RATE_HZ // 2:
        wave = np.pad(wave, (0, RATE_HZ // 2 - len(wave)))
    sos = signal.butter(4, BAND_HZ, "bandpass", fs=RATE_HZ, output="sos")
    wave = signal.sosfiltfilt(sos, wave)
    spread = float(wave.std())
    if spread < 1e-7:  # silence has no fingerprint
        none = np.zeros((0, _N_BANDS * (_BEFORE + _AFTER)), dtype=np.float16)
        return Sound(wave.astype(np.float16), np.zeros(0, dtype=np.float32), none)
    wave = wave / spread
    level = _levels(wave)
    envelope = ndimage.gaussian_filter1d(level.sum(axis=0), 2)
    reach = round(_APART_S / 0.01)
    peaks = np.flatnonzero(envelope == ndimage.maximum_filter1d(envelope, 2 * reach + 1))
    # A cell is three steps of 10 ms; the sum over an anchor's cells starts one step before.
    cells = ndimage.uniform_filter1d(level, 3, axis=1)
    before, after = 3 * _BEFORE, 3 * _AFTER
    peaks = peaks[(peaks >= before) & (peaks + after <= level.shape[1])]
    steps = peaks[:, None] + np.arange(-before, after, 3)[None]
    patches = 10 * np.log10(cells[:, steps].transpose(1, 0, 2) + 1e-12)
    patches -= patches.max(axis=(1, 2), keepdims=True)
    patches = np.maximum(patches, -_DEPTH_DB).reshape(len(peaks), _N_BANDS * (_BEFORE + _AFTER))
    return Sound(
        _flattened(wave).astype(np.float16),
        (peaks * 0.01).astype(np.float32),
        patches.astype(np.float16),
    )


def sounds(
    paths: Sequence[Path], channel: int | None = None, on_progress: Progress | None = None
) -> list[Sound]:
    """`sound` of every file, in order, computed by a few threads."""

    def one(path: Path) -> Sound:
        return sound(*read_samples(path, channel))

    found = []
    with ThreadPoolExecutor(max_workers=4) as pool:
        for each in pool.map(one, paths):
            found.append(each)
            if on_progress:
                on_progress(len(found), len(paths))
    return found


def matches(library: Sequence[Sound]) -> list[Match]:
    """Steps 4 and 5: all pairs of recordings that share a stretch of sound."""
    owner = np.repeat(np.arange(len(library)), [len(each.anchors) for each in library])
    if len(owner) < 2:
        return []
    times = np.concatenate([each.anchors for each in library])
    patches = np.concatenate([each.patches for each in library])
    votes = _candidates(_words(patches), owner, times)
    found: dict[tuple[int, int], Match] = {}
    for first, second, delay in votes:
        match = _verify(library, first, second, delay)
        known = found.get((first, second))
        if match and (known is None or match.correlation > known.correlation):
            found[first, second] = match
    return [found[pair] for pair in sorted(found)]


def correlation_at(one: Sound, other: Sound, delay_s: float) -> tuple[float, float, float]:
    """Highest |normalised cross-correlation| within 60 ms of a delay, that delay and the overlap.

    Returns
    -------
    correlation, delay_s, overlap_s : float
        The correlation is in [0, 1]; its sign is dropped, so that inverted copies are found.
    """
    a, b = one.wave.astype(np.float32), other.wave.astype(np.float32)
    lag = round(delay_s * RATE_HZ)
    slack = round(0.06 * RATE_HZ)
    start = max(0, -lag + slack)
    end = min(len(a), len(b) - lag - slack)
    if end - start < SHORTEST_S * RATE_HZ:
        return 0.0, delay_s, max(0.0, (end - start) / RATE_HZ)
    part = a[start:end]
    wide = b[start + lag - slack : end + lag + slack]
    products = signal.correlate(wide, part, mode="valid", method="auto")
    energy = np.cumsum(np.concatenate([[0], wide.astype(np.float64) ** 2]))
    energies = energy[len(part) :] - energy[: -len(part)]
    scale = np.sqrt(np.maximum(energies * float(part.astype(np.float64) @ part), 1e-12))
    values = np.abs(products) / scale
    best = int(values.argmax())
    return (
        float(values[best]),
        (lag + best - slack) / RATE_HZ,
        (end - start) / RATE_HZ,
    )


def _flattened(wave: np.ndarray) -> np.ndarray:
    """Each frequency over the square root of the level around it (4 Hz), 25 to 300 Hz.

    Mains hum is alike in any two recordings made beside the same cable; flattened, what
    remains of a line is little.
    """
    spectrum = np.fft.rfft(wave)
    width = max(3, round(4 * len(wave) / RATE_HZ))
    power = ndimage.uniform_filter1d(np.abs(spectrum) ** 2, width)
    around = np.sqrt(np.maximum(power, 0))  # a running sum, which rounding can take below zero
    hz = np.fft.rfftfreq(len(wave), 1 / RATE_HZ)
    inside = (hz >= BAND_HZ[0]) & (hz <= _FLAT_HZ)
    weight = np.where(inside, 1 / np.sqrt(around + 1e-3 * around.max()), 0)
    flat = np.fft.irfft(spectrum * weight, len(wave))
    return np.asarray(flat / flat.std())


def _levels(wave: np.ndarray) -> np.ndarray:
    """Power in bands of equal ratio, (8, n_steps), a step every 10 ms, windows of 64 ms."""
    hop = RATE_HZ // 100
    _, _, spectrum = signal.stft(
        wave, RATE_HZ, nperseg=64, noverlap=64 - hop, nfft=128, boundary="zeros", padded=False
    )
    power = np.abs(spectrum) ** 2
    hz = np.arange(power.shape[0]) * RATE_HZ / 128
    edges = np.geomspace(*BAND_HZ, _N_BANDS + 1)
    place = np.clip(np.searchsorted(edges, hz, side="right") - 1, -1, _N_BANDS)
    return np.stack([power[place == band].sum(axis=0) for band in range(_N_BANDS)])


def _words(patches: np.ndarray) -> np.ndarray:
    """Words of every patch, (n_patches, n_words, n_variants), uint32, the word in front."""
    rng = np.random.Generator(np.random.PCG64(20220))
    step = max(1, len(patches) // _MOST_PATCHES_FITTED)
    some = patches[::step].astype(np.float32)
    middle = some.mean(axis=0)
    values, vectors = np.linalg.eigh(np.cov(some - middle, rowvar=False))
    n = min(_N_COMPONENTS, int((values > values[-1] * 1e-6).sum()))
    if n == 0:  # patches that are all alike have one word
        n, whiten = 1, np.zeros((len(middle), 1))
    else:
        whiten = vectors[:, -n:] / np.sqrt(values[-n:])
    found = np.zeros((len(patches), _N_WORDS, 2**_N_TURNED), dtype=np.uint32)
    powers = (1 << np.arange(_N_BITS)).astype(np.uint32)
    turns = (np.arange(2**_N_TURNED)[:, None] >> np.arange(_N_TURNED)) & 1
    for word in range(_N_WORDS):
        rotate = rng.standard_normal((n, _N_BITS))
        project = (whiten @ rotate).astype(np.float32)
        for at in range(0, len(patches), 50_000):
            score = (patches[at : at + 50_000].astype(np.float32) - middle) @ project
            base = ((score > 0) * powers).sum(axis=1).astype(np.uint32)
            unsure = np.argsort(np.abs(score), axis=1)[:, :_N_TURNED]
            flips = (powers[unsure][:, None, :] * turns[None]).sum(axis=2).astype(np.uint32)
            # A word's number is part of it, so that words of different kinds never meet.
            tagged = (base[:, None] ^ flips) | np.uint32(word << _N_BITS)
            found[at : at + 50_000, word] = tagged
    return found


def _candidates(
    words: np.ndarray, owner: np.ndarray, times: np.ndarray
) -> list[tuple[int, int, float]]:
    """(first, second, delay) with `_VOTES` patches or more that share a word at that delay."""
    n_variants = words.shape[1] * words.shape[2]
    flat = words.reshape(-1)
    order = np.argsort(flat, kind="stable")
    sorted_words = flat[order]
    patch = (order // n_variants).astype(np.int64)
    keys = []
    for ahead in range(1, _CROWD + 1):
        same = np.flatnonzero(sorted_words[ahead:] == sorted_words[:-ahead])
        if len(same) == 0:
            break
        one, other = patch[same], patch[same + ahead]
        differ = owner[one] != owner[other]
        one, other = one[differ], other[differ]
        turn = owner[one] > owner[other]
        one, other = np.where(turn, other, one), np.where(turn, one, other)
        # Variants of the two same patches meet several times: that is one vote.
        keys.append(np.unique(one * len(owner) + other))
    if not keys:
        return []
    pairs = np.unique(np.concatenate(keys))
    one, other = pairs // len(owner), pairs % len(owner)
    delay = np.round((times[other] - times[one]) / _DELAY_S).astype(np.int64)
    n, middle = int(owner.max()) + 1, 1 << 24
    cast = []
    for neighbour in (0, 1):  # a delay at the edge of a bin votes for both
        cast.append((owner[one] * n + owner[other]) * (2 * middle) + (delay + neighbour) + middle)
    ballots, counts = np.unique(np.concatenate(cast), return_counts=True)
    chosen = counts >= _VOTES
    ballots, counts = ballots[chosen], counts[chosen]
    first, second = ballots // (2 * middle) // n, ballots // (2 * middle) % n
    delay_s = (ballots % (2 * middle) - middle - 0.5) * _DELAY_S
    common = _anchors_in_common(owner, times, first, second, delay_s)
    enough = counts >= _VOTES_SHARE * common
    found = zip(first[enough], second[enough], delay_s[enough], strict=True)
    return [(int(one), int(other), float(delay)) for one, other, delay in found]


def _anchors_in_common(
    owner: np.ndarray, times: np.ndarray, first: np.ndarray, second: np.ndarray, delay: np.ndarray
) -> np.ndarray:
    """Anchors of the one or the other, whichever has fewer, where the two lie over each other."""
    longest = float(times.max()) + 1
    place = owner * (4 * longest) + times  # ascending: a time axis for each recording
    start = np.searchsorted(owner, np.arange(int(owner.max()) + 2))
    last = np.append(times, 0.0)[start[1:] - 1]

    def count(who: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
        low, high = np.clip(low, -longest, longest), np.clip(high, -longest, 2 * longest)
        base = who * (4 * longest)
        beyond = np.searchsorted(place, base + high, "right")
        return np.asarray(beyond - np.searchsorted(place, base + low))

    margin = _DELAY_S
    low = np.maximum(0, -delay) - margin
    high = np.minimum(last[first], last[second] - delay) + margin
    either = count(first, low, high), count(second, low + delay, high + delay)
    return np.asarray(np.minimum(*either))


def _verify(library: Sequence[Sound], first: int, second: int, delay: float) -> Match | None:
    value, exact, overlap = correlation_at(library[first], library[second], delay)
    if value < SAME or overlap < SHORTEST_S:
        return None
    return Match(first, second, value, exact, overlap)
