"""The path of the heart cycle through a recording: a hidden semi-Markov model, decoded.

States follow each other in a circle and last as long as their distribution says (Schmidt et al.,
Physiol. Meas. 31(4), 2010; Springer et al., IEEE Trans. Biomed. Eng. 63(4), 2016). Here frames are
told by a network and not by Gaussian densities. The most likely path ends state s at time t with

    delta(t, s) = max over d of delta(t - d, before s) + log p_s(d) + sum of log b_s(t - d + 1..t)

The first and the last state may have begun before the recording, or go on after it: of these the
best longer time counts. A murmur has paths of its own, whose systole (or diastole) is, in whole or
in part, a murmuring one, as McDonald, Gales & Agarwal, Computing in Cardiology 2022, have it: how
much more likely the best of them is than the healthy one is the recording's murmur score.

No torch, one thread: every number is one of its recording alone, whatever is decoded beside it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from kfold_hs.learn.frames.sojourn import Sojourn
from kfold_hs.learn.frames.targets import MURMUR_OF

CYCLES_S = np.geomspace(0.3, 1.5, 16)
"""Lengths of a cycle that are tried: 200 to 40 beats a minute, by steps of 11 %."""
LEAST_LOG = -8.0
"""Log probability of a frame at the least: a single frame shall not rule a path."""
AT_ONCE, MOST_FRAMES = 64, 250_000
"""Recordings that are decoded together, and frames of all of them, the shorter ones filled up: what
they need grows with both (0.8 KB a frame), whatever the length of one recording."""
_NEVER = np.float32(-1e9)


class Part(NamedTuple):
    """A state of a path: its class of frames, its state from 0, and its share of that state."""

    frame_class: int
    state: int
    share: float = 1.0


S1, SYSTOLE, S2, DIASTOLE = (Part(k, k) for k in range(4))


def _murmuring(*parts: tuple[int, float]) -> tuple[Part, ...]:
    return tuple(Part(frame_class, 1, share) for frame_class, share in parts)


HEALTHY = (S1, SYSTOLE, S2, DIASTOLE)
MURMURS = {
    "holosystolic": (S1, *_murmuring((4, 1.0)), S2, DIASTOLE),
    "early-systolic": (S1, *_murmuring((4, 0.5), (1, 0.5)), S2, DIASTOLE),
    "mid-systolic": (S1, *_murmuring((1, 0.25), (4, 0.5), (1, 0.25)), S2, DIASTOLE),
    "late-systolic": (S1, *_murmuring((1, 0.5), (4, 0.5)), S2, DIASTOLE),
}
"""Path of each murmur of systole."""
DIASTOLIC = (S1, SYSTOLE, S2, Part(5, 3, 0.5), Part(3, 3, 0.5))
"""Of an early diastolic murmur, which is nearly the only one there is."""


@dataclass(frozen=True, eq=False)
class Decoded:
    """A recording's heart cycle.

    Parameters
    ----------
    states : ndarray of int8, shape (n_frames,)
        1: S1, 2: systole, 3: S2, 4: diastole.
    cycle_s : float
        Length of a cycle that fits best, of `CYCLES_S`.
    murmur, diastolic_murmur : float
        Log likelihood of the best path with a murmur less that of the healthy one, a frame; 0
        where the network knows no murmurs.
    timing : str
        Of the best path with a murmur of systole; "" where the network knows none.
    """

    states: np.ndarray
    cycle_s: float
    murmur: float
    diastolic_murmur: float
    timing: str


def decode(log_probs: Sequence[np.ndarray], sojourn: Sojourn, frame_s: float) -> list[Decoded]:
    """The heart cycles of recordings.

    Parameters
    ----------
    log_probs : sequence of ndarray, each (n_frames, 4 or 6) float32
        Of every frame's classes (`targets.CLASSES`), each class as frequent as any other.
    """
    found: list[Decoded | None] = [None] * len(log_probs)
    for rows in _together([len(each) for each in log_probs]):
        batch = [np.maximum(log_probs[row], LEAST_LOG).astype(np.float32) for row in rows]
        for row, each in zip(rows, _decode(batch, sojourn, frame_s), strict=True):
            found[row] = each
    return [each for each in found if each is not None]


def _together(lengths: Sequence[int]) -> Iterator[list[int]]:
    """Rows of recordings of like length, so many that memory holds their paths."""
    rows: list[int] = []
    for row in np.argsort(lengths, kind="stable").tolist():
        n = len(rows) + 1
        if rows and (n > AT_ONCE or n * lengths[row] > MOST_FRAMES):
            yield rows
            rows = []
        rows.append(row)
    if rows:
        yield rows


def _decode(batch: list[np.ndarray], sojourn: Sojourn, frame_s: float) -> Iterator[Decoded]:
    lengths = np.array([len(each) for each in batch])
    states = _padded([of_states(each) for each in batch])
    n, rates = len(batch), len(CYCLES_S)
    every_rate = _durations(HEALTHY, sojourn, CYCLES_S, frame_s)  # (D, rates, 4)
    scores = viterbi(
        np.repeat(states, rates, axis=1), np.repeat(lengths, rates), np.tile(every_rate, (1, n, 1))
    )
    best = scores.reshape(n, rates).argmax(axis=1)
    cycles = CYCLES_S[best]
    traced: list[np.ndarray] = []
    viterbi(states, lengths, every_rate[:, best], traced)
    score, murmur, timing = _Paths(batch, lengths, sojourn, cycles, frame_s), np.zeros(n), [""] * n
    diastolic = np.zeros(n)
    if batch[0].shape[1] > len(HEALTHY):
        healthy = score(HEALTHY)
        each = np.stack([score(path) for path in MURMURS.values()])
        murmur = (each.max(axis=0) - healthy) / lengths
        timing = [list(MURMURS)[k] for k in each.argmax(axis=0)]
        diastolic = (score(DIASTOLIC) - healthy) / lengths
    for k in range(n):
        yield Decoded(
            traced[k] + np.int8(1), float(cycles[k]), float(murmur[k]), float(diastolic[k]),
            timing[k],
        )  # fmt: skip


@dataclass(frozen=True, eq=False)
class _Paths:
    """Recordings whose cycles' lengths are known, and how likely a path through them is."""

    batch: list[np.ndarray]
    lengths: np.ndarray
    sojourn: Sojourn
    cycles: np.ndarray
    frame_s: float

    def __call__(self, path: tuple[Part, ...]) -> np.ndarray:
        """Log likelihood of each recording, (n,) float64."""
        emitted = _padded([each[:, [part.frame_class for part in path]] for each in self.batch])
        times = _durations(path, self.sojourn, self.cycles, self.frame_s)
        return viterbi(emitted, self.lengths, times).astype(np.float64)


def of_states(log_probs: np.ndarray) -> np.ndarray:
    """Log probabilities of the four states, murmuring or not, (n_frames, 4)."""
    if log_probs.shape[1] == len(HEALTHY):
        return log_probs
    found = log_probs[:, :4].copy()
    for state, murmuring in MURMUR_OF.items():
        both = log_probs[:, state - 1], log_probs[:, murmuring]
        found[:, state - 1] = np.logaddexp(*both)
    return found


def _padded(batch: Sequence[np.ndarray]) -> np.ndarray:
    """(T, n, S), zeros after a recording's end."""
    found = np.zeros((max(len(each) for each in batch), len(batch), batch[0].shape[1]), np.float32)
    for k, each in enumerate(batch):
        found[: len(each), k] = each
    return found


def _durations(
    path: tuple[Part, ...], sojourn: Sojourn, cycles_s: np.ndarray, frame_s: float
) -> np.ndarray:
    """Log probability of staying 1 to D frames in each part, (D, n_cycles, n_parts) float32."""
    mean, sd = sojourn.times_s(cycles_s)
    state, share = [part.state for part in path], np.array([part.share for part in path])
    # Where within systole a murmur begins is known less well than when systole ends.
    mean, sd = mean[:, state] * share, np.where(share < 1, 0.35 * mean[:, state], sd[:, state])
    longest_mean, longest_sd = sojourn.times_s(CYCLES_S[-1:])
    longest = (longest_mean + 3 * longest_sd).max() / frame_s
    frames = np.arange(1, int(np.ceil(longest)) + 1)[:, None, None]
    found = -0.5 * ((frames * frame_s - mean) / sd) ** 2
    found -= np.log(np.exp(found - found.max(axis=0)).sum(axis=0)) + found.max(axis=0)
    return np.asarray(found, dtype=np.float32)


def viterbi(
    emitted: np.ndarray,
    lengths: np.ndarray,
    durations: np.ndarray,
    traced: list[np.ndarray] | None = None,
) -> np.ndarray:
    """How likely the best path through each recording is.

    Parameters
    ----------
    emitted : ndarray of float32, shape (T, n, S)
        Log likelihood of frames in the states, which follow each other in a circle.
    lengths : ndarray of int64, shape (n,)
        Frames of each recording, at most T.
    durations : ndarray of float32, shape (D, n, S)
        Log probability of staying 1 to D frames.
    traced : list, optional
        To which each recording's path is added, (length,) int8: states from 0.

    Returns
    -------
    ndarray of float32, shape (n,)
    """
    (n_frames, n, n_states), longest = emitted.shape, len(durations)
    total = np.zeros((n_frames + 1, n, n_states), np.float32)  # filled as far as t
    # entered[longest + t, :, s]: best end of the state before s at t, less what s has added by t.
    entered = np.full((longest + n_frames + 1, n, n_states), _NEVER, np.float32)
    backwards = durations[::-1].copy()  # row j: a stay of longest - j
    at_least = np.maximum.accumulate(durations[::-1], axis=0)[::-1]  # row d - 1: d or longer
    at_least_backwards = at_least[::-1].copy()
    stays = np.empty((n_frames, n, n_states), np.int16) if traced is not None else None
    best, last = np.empty(n, np.float32), np.empty((n, 2), np.int64)
    ends: dict[int, list[int]] = {}
    for row, length in enumerate(lengths.tolist()):
        ends.setdefault(length, []).append(row)
    for t in range(1, n_frames + 1):
        np.add(total[t - 1], emitted[t - 1], out=total[t])
        window = entered[t : t + longest]
        score, stay = _longest(window + backwards, stays is not None)
        if t <= longest:  # the first state, which may have begun before
            first = at_least[t - 1]
            if stays is not None:
                stay = np.where(first > score, longest - t, stay)
            score = np.maximum(score, first)
        if stays is not None:
            stays[t - 1] = longest - stay
        if t in ends:
            rows = ends[t]
            whole, left = _longest(window[:, rows] + at_least_backwards[:, rows], True)
            if t <= longest:
                alone = at_least[t - 1, rows]
                left = np.where(alone > whole, longest - t, left)
                whole = np.maximum(whole, alone)
            whole = whole + total[t, rows]
            state = whole.argmax(axis=1)
            at = np.arange(len(rows))
            best[rows] = whole[at, state]
            last[rows] = np.stack([state, longest - left[at, state]], axis=1)
        ended = score + total[t]
        np.subtract(ended[:, :-1], total[t, :, 1:], out=entered[longest + t, :, 1:])
        np.subtract(ended[:, -1], total[t, :, 0], out=entered[longest + t, :, 0])
    if traced is not None and stays is not None:
        traced += [_path(stays[:, k], int(lengths[k]), last[k].tolist()) for k in range(n)]
    return best


def _longest(candidates: np.ndarray, is_traced: bool) -> tuple[np.ndarray, np.ndarray]:
    """Best of (D, n, S) over the first axis, and, where it is asked for, which."""
    if not is_traced:
        return candidates.max(axis=0), candidates[0]
    which = candidates.argmax(axis=0)
    return np.take_along_axis(candidates, which[None], axis=0)[0], which


def _path(stays: np.ndarray, length: int, last: list[int]) -> np.ndarray:
    """States from 0 of a recording, (length,) int8, read from its end."""
    found = np.empty(length, np.int8)
    (state, stay), t = last, length
    while True:
        found[max(0, t - stay) : t] = state
        t -= stay
        if t <= 0:
            return found
        state = (state - 1) % stays.shape[1]
        stay = int(stays[t - 1, state])
