"""Band-pass and removal of spikes, against formulas and the paper's steps written plainly."""

from __future__ import annotations

import numpy as np
import pytest

from kfold_hs.config.compose import compose
from kfold_hs.errors import ConfigError
from kfold_hs.learn.features.mel import MelFeatures, band_pass, remove_spikes


def tone(hz: float, rate_hz: int = 4000) -> np.ndarray:
    return np.sin(2 * np.pi * hz * np.arange(5 * rate_hz) / rate_hz)


@pytest.mark.parametrize("hz", [12.5, 25, 100, 400, 800])
def test_band_pass_is_butterworths_squared_and_moves_nothing(hz: float) -> None:
    def warped(f: np.ndarray | float) -> np.ndarray:  # the bilinear transform's frequency
        return np.tan(np.pi * np.asarray(f) / 4000)

    low, high, at = warped(25), warped(400), warped(hz)
    gain = 1 / (1 + ((at**2 - low * high) / (at * (high - low))) ** 4)  # |H|^2: there and back
    found = band_pass(tone(hz), 4000, 25, 400)
    middle = slice(4000, 16000)
    np.testing.assert_allclose(found[middle], gain * tone(hz)[middle], atol=2e-3)
    if hz in (25, 400):
        assert gain == pytest.approx(0.5)  # 6 dB


def as_the_paper_has_it(samples: np.ndarray, width: int) -> np.ndarray:
    x = samples.astype(float).copy()
    last = len(x) // width - 1
    windows = [(i * width, len(x) if i == last else (i + 1) * width) for i in range(last + 1)]
    while True:
        maa = [max(abs(x[a:b])) for a, b in windows]
        if max(maa) <= 3 * np.median(maa):
            return x
        a, b = windows[int(np.argmax(maa))]
        top = a + int(np.argmax(abs(x[a:b])))
        sign, start, stop = np.sign(x[top]), top, top
        while start > 0 and np.sign(x[start - 1]) == sign:
            start -= 1
        while stop < len(x) and np.sign(x[stop]) == sign:
            stop += 1
        x[start:stop] = 0


@pytest.mark.parametrize("seed", range(6))
def test_spikes_are_removed_step_by_step_as_in_the_paper(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n = int(rng.integers(900, 3000))
    samples = np.convolve(rng.standard_normal(n), np.ones(9) / 9, "same").astype(np.float32)
    for at in rng.integers(0, n - 60, 5):  # slow spikes, too, which cross windows
        length = int(rng.integers(2, 60))
        samples[at : at + length] += 8 * np.sin(np.pi * np.arange(length) / length)
    found = remove_spikes(samples, 200)
    np.testing.assert_array_equal(found, as_the_paper_has_it(samples, 100))
    assert found.dtype == np.float32
    assert np.abs(samples).max() > 6
    assert np.abs(found).max() < 4


def test_heart_sounds_and_silence_stay() -> None:
    quiet = tone(50) * (np.arange(20000) % 4000 < 400)  # a beat in every other window is 0
    np.testing.assert_array_equal(remove_spikes(tone(50), 4000), tone(50))
    np.testing.assert_array_equal(remove_spikes(quiet, 4000), quiet)
    np.testing.assert_array_equal(remove_spikes(np.zeros(300), 4000), np.zeros(300))


def test_both_are_part_of_the_features() -> None:
    samples = (0.1 * tone(100) + 0.1 * tone(800)).astype(np.float32)
    spoilt = samples.copy()
    spoilt[9000:9004] = 0.99
    clean = compose(
        ["features=logmel", "features.normalise=none", "features.band_pass_hz=[25,400]"]
    ).features
    spikes = clean.model_copy(update={"remove_spikes": True})
    plain = clean.model_copy(update={"band_pass_hz": None})
    inside = slice(40, 200)  # the filter settles at either end
    low, high = 10, 60  # bands about 100 and 800 Hz
    before, after = (
        MelFeatures(plain)(samples, 4000)[inside],
        MelFeatures(clean)(samples, 4000)[inside],
    )
    assert np.abs(after - before)[:, low].max() < 0.5
    assert (before - after)[:, high].min() > 10
    by_hand = remove_spikes(band_pass(spoilt, 4000, 25, 400), 4000).astype(np.float32)
    assert (by_hand == 0).sum() > 10  # the filter has made the spike a wave
    np.testing.assert_array_equal(
        MelFeatures(spikes)(spoilt, 4000), MelFeatures(plain)(by_hand, 4000)
    )


@pytest.mark.parametrize("band", ["[400,25]", "[25,2000]"])
def test_a_band_that_cannot_be(band: str) -> None:
    with pytest.raises(ConfigError, match=r"features\.band_pass_hz=.*must go up.*null"):
        compose([f"features.band_pass_hz={band}"])
