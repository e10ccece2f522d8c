"""The path of the heart cycle: against all paths there are, and on sounds whose cycle is known."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np
import pytest

from kfold_hs.learn.frames import decoding
from kfold_hs.learn.frames.decoding import CYCLES_S, MURMURS, decode, viterbi
from kfold_hs.learn.frames.sojourn import Sojourn

FRAME_S = 0.02
SOJOURN = Sojourn((0.1, 0.12, 0.09, -0.31), (0.03, 0.23, 0.02, 0.72), (0.02, 0.03, 0.02, 0.05))


def paths(n_frames: int, n_states: int, longest: int) -> Iterator[list[tuple[int, int]]]:
    """All (state, stay) that fill so many frames; a state follows the one before in the circle."""
    for first in range(n_states):
        for stays in itertools.chain(
            *(itertools.product(range(1, longest + 1), repeat=k) for k in range(1, n_frames + 1))
        ):
            if sum(stays) == n_frames:
                yield [((first + k) % n_states, stay) for k, stay in enumerate(stays)]


def score(path: list[tuple[int, int]], emitted: np.ndarray, durations: np.ndarray) -> float:
    """Of a path: the first and the last state may be cut off, and the best longer stay counts."""
    found, t = 0.0, 0
    for place, (state, stay) in enumerate(path):
        is_cut = place in (0, len(path) - 1)
        found += durations[stay - 1 :, state].max() if is_cut else durations[stay - 1, state]
        found += emitted[t : t + stay, state].sum()
        t += stay
    return found


@pytest.mark.parametrize(("n_states", "longest"), [(2, 3), (4, 3), (2, 9), (5, 4)])
def test_it_is_the_best_of_all_paths(n_states: int, longest: int) -> None:
    rng = np.random.default_rng(n_states + longest)
    lengths = np.array([7, 3, 1, 6, 2])
    emitted = 3 * rng.normal(size=(7, 5, n_states)).astype(np.float32)
    durations = np.log(rng.dirichlet(np.ones(longest), (5, n_states))).transpose(2, 0, 1)
    durations = durations.astype(np.float32)
    traced: list[np.ndarray] = []
    best = viterbi(emitted, lengths, durations, traced)
    assert best.tolist() == viterbi(emitted, lengths, durations).tolist()
    for row, length in enumerate(lengths.tolist()):
        each = durations[:, row].astype(float)
        found = {
            tuple(path): score(path, emitted[:length, row].astype(float), each)
            for path in paths(length, n_states, longest)
        }
        assert best[row] == pytest.approx(max(found.values()), abs=1e-4)
        likeliest = max(found, key=lambda path: found[path])
        np.testing.assert_array_equal(
            traced[row], np.repeat([s for s, _ in likeliest], [d for _, d in likeliest])
        )


def heart(cycle_s: float, seconds: float, murmur: tuple[float, float] | None = None) -> np.ndarray:
    """Log probabilities of frames of a heart that beats evenly, half a cycle before the start.

    murmur : from which to which share of systole one sounds
    """
    stays, _ = SOJOURN.times_s(np.array([cycle_s]))
    ends = np.cumsum(stays[0])
    at = (np.arange(round(seconds / FRAME_S)) * FRAME_S + cycle_s / 2) % cycle_s
    state = np.searchsorted(ends, at, side="right").clip(0, 3)
    share = (at - ends[0]) / stays[0, 1]
    frame_class = state.copy()
    if murmur is not None:
        sounds = (state == 1) & (share >= murmur[0]) & (share <= murmur[1])
        frame_class[sounds] = 4
    probs = np.full((len(at), 6), 0.04)
    probs[np.arange(len(at)), frame_class] = 0.8
    return np.log(probs).astype(np.float32)


def true_states(found: np.ndarray) -> np.ndarray:
    state = found.argmax(axis=1)
    state[state == 4] = 1
    return np.asarray(state + 1)


@pytest.mark.parametrize("cycle_s", [CYCLES_S[0], 0.45, 0.8, 1.2, CYCLES_S[-1]])
def test_the_length_of_the_cycle_is_found_and_every_state(cycle_s: float) -> None:
    sound = heart(cycle_s, 6 * cycle_s)
    (found,) = decode([sound], SOJOURN, FRAME_S)
    nearest = np.abs(np.log(CYCLES_S / cycle_s)).argmin()
    assert abs(np.flatnonzero(found.cycle_s == CYCLES_S)[0] - nearest) <= 1
    # The network says what is true of each frame: only the frames at a border may differ.
    assert (found.states == true_states(sound)).mean() > 0.95
    assert found.murmur < 0


@pytest.mark.parametrize(
    ("timing", "share"),
    [("holosystolic", (0, 1)), ("early-systolic", (0, 0.5)), ("mid-systolic", (0.25, 0.75)),
     ("late-systolic", (0.5, 1))],
)  # fmt: skip
def test_the_path_that_murmurs_where_the_frames_do_is_the_likeliest(
    timing: str, share: tuple[float, float]
) -> None:
    assert timing in MURMURS
    healthy, ill = decode([heart(0.9, 5), heart(0.9, 5, share)], SOJOURN, FRAME_S)
    assert ill.timing == timing
    assert ill.murmur > 0 > healthy.murmur
    assert ill.diastolic_murmur < 0


def test_frames_at_chance_are_ruled_by_the_times_alone() -> None:
    """No frame tells anything: each state lasts its usual share of the cycle."""
    (found,) = decode([np.full((300, 4), np.log(0.25), np.float32)], SOJOURN, FRAME_S)
    begins = np.diff(found.states) != 0
    assert begins.sum() >= 12
    assert set(found.states.tolist()) == {1, 2, 3, 4}
    assert (found.murmur, found.diastolic_murmur, found.timing) == (0, 0, "")


def test_a_recording_is_decoded_alike_whatever_is_decoded_beside_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rng = np.random.default_rng(0)
    sounds = [
        heart(c, s) + rng.normal(0, 1, (round(s / FRAME_S), 6)).astype(np.float32)
        for c, s in [(0.5, 3), (0.9, 1), (0.7, 0.02), (0.8, 5), (0.6, 0.3), (1.2, 65), (0.7, 3)]
    ]
    alone = [decode([each], SOJOURN, FRAME_S)[0] for each in sounds]
    together = decode(sounds, SOJOURN, FRAME_S)
    monkeypatch.setattr(decoding, "AT_ONCE", 2)
    monkeypatch.setattr(decoding, "MOST_FRAMES", 1_000)
    for these in (together, decode(sounds, SOJOURN, FRAME_S)):
        for one, other in zip(alone, these, strict=True):
            np.testing.assert_array_equal(one.states, other.states)
            names = ("cycle_s", "murmur", "diastolic_murmur", "timing")
            assert [getattr(one, n) for n in names] == [getattr(other, n) for n in names]
    assert decode([], SOJOURN, FRAME_S) == []


def test_recordings_shorter_than_any_state_have_a_state() -> None:
    for n_frames in (1, 2, 5):
        (found,) = decode([heart(0.8, n_frames * FRAME_S)], SOJOURN, FRAME_S)
        assert len(found.states) == n_frames
        assert set(found.states.tolist()) <= {1, 2, 3, 4}
        assert np.isfinite([found.murmur, found.diastolic_murmur]).all()


def test_a_frame_that_is_sure_and_wrong_moves_nothing() -> None:
    sound = heart(0.8, 4)
    before = decode([sound], SOJOURN, FRAME_S)[0].states
    at = int(np.flatnonzero(before == 4)[10])
    sound[at] = -np.inf
    sound[at, 0] = 0
    np.testing.assert_array_equal(decode([sound], SOJOURN, FRAME_S)[0].states, before)
