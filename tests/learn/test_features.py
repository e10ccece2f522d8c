"""Log-mel features and the bank that holds them."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch
import torchaudio
from support.project import TINY, write_table

from kfold_hs.cohort import Cohort
from kfold_hs.cohort.audio import read_samples
from kfold_hs.cohort.readers.registry import read_cohort
from kfold_hs.config.compose import compose
from kfold_hs.config.schema import FeatureConfig
from kfold_hs.errors import CohortError, ConfigError
from kfold_hs.learn.features import bank as banks
from kfold_hs.learn.features.mel import MelFeatures

CONFIG = compose(["features=logmel"]).features


def with_(**values: object) -> FeatureConfig:
    return FeatureConfig.model_validate({**CONFIG.model_dump(), **values})


def tone(frequency_hz: float, rate: int = 4000, seconds: float = 2.0) -> np.ndarray:
    time_s = np.arange(round(rate * seconds)) / rate
    return np.sin(2 * np.pi * frequency_hz * time_s).astype(np.float32)


def test_equals_torchaudio_melspectrogram() -> None:
    config = with_(normalise="none")
    samples = np.random.default_rng(0).standard_normal(8000).astype(np.float32)
    reference = torchaudio.transforms.MelSpectrogram(
        sample_rate=4000, n_fft=512, win_length=200, hop_length=80, f_min=20, f_max=1000, n_mels=64
    )(torch.from_numpy(samples))
    expected = torchaudio.transforms.AmplitudeToDB("power")(reference).T.numpy()
    np.testing.assert_allclose(MelFeatures(config)(samples, 4000), expected, atol=1e-4)


@pytest.mark.parametrize("frequency_hz", [50, 200, 600])
def test_a_tone_is_in_its_band(frequency_hz: float) -> None:
    level = MelFeatures(with_(normalise="none"))(tone(frequency_hz), 4000).mean(axis=0)
    edges = np.linspace(*(2595 * np.log10(1 + f / 700) for f in np.array([20, 1000])), 66)
    mel = 2595 * np.log10(1 + frequency_hz / 700)
    assert abs(int(level.argmax()) - (np.searchsorted(edges, mel) - 1)) <= 1


def test_gain_does_not_matter_and_recordings_are_normalised() -> None:
    samples = tone(200) + 0.1 * np.random.default_rng(0).standard_normal(8000).astype(np.float32)
    transform = MelFeatures(CONFIG)
    loud, soft = transform(samples, 4000), transform(samples / 8, 4000)
    np.testing.assert_allclose(loud, soft, atol=1e-3)
    assert abs(loud.mean()) < 1e-5
    assert abs(loud.std() - 1) < 1e-5


def test_digital_silence_is_at_the_floor() -> None:
    level = MelFeatures(with_(normalise="none"))(np.zeros(8000, dtype=np.float32), 4000)
    np.testing.assert_allclose(level, 20 * np.log10(1 / 32768), rtol=1e-6)


def test_silence_is_zero_not_nan() -> None:
    features = MelFeatures(CONFIG)(np.zeros(8000, dtype=np.float32), 4000)
    assert (features == 0).all()


def test_another_rate_is_resampled() -> None:
    transform = MelFeatures(with_(normalise="none"))
    slow, fast = transform(tone(200, 4000), 4000), transform(tone(200, 8000), 8000)
    assert slow.shape == fast.shape == (transform.n_frames(16000, 8000), 64)
    assert slow.mean(axis=0).argmax() == fast.mean(axis=0).argmax()


def test_bands_without_a_bin_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"features\.n_mels=128.*Raise n_fft"):
        MelFeatures(with_(n_fft=256, n_mels=128))


# --- bank -------------------------------------------------------------------------------------


def test_bank_holds_the_features_of_every_recording(cohort: Cohort) -> None:
    bank = banks.build(cohort, CONFIG)
    transform = MelFeatures(CONFIG)
    for row in (0, 7, 31):
        samples, rate = read_samples(Path(cohort.recordings["path"][row]))
        first, length = int(bank.first[row]), int(bank.length[row])
        stored = bank.frames[first : first + length].numpy()
        np.testing.assert_array_equal(stored, transform(samples, rate).astype(np.float16))


def test_bank_tells_levels_again(cohort: Cohort) -> None:
    bank, plain = banks.build(cohort, CONFIG), banks.build(cohort, with_(normalise="none"))
    rows = torch.tensor([7, 0, 31])
    mean, spread = bank.scale(rows)
    levels = mean + spread * bank.crops(rows, torch.zeros_like(rows), 40)
    expected = plain.crops(rows, torch.zeros_like(rows), 40)
    torch.testing.assert_close(levels, expected, atol=0.06, rtol=0)  # of float16
    assert [float(each) for each in plain.scale(rows)] == [0, 1]


def test_bank_is_found_again_and_is_the_same(
    cohort: Cohort, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = banks.build(cohort, CONFIG)

    def must_not_run(*args: object) -> None:
        raise AssertionError("computed again")

    monkeypatch.setattr(banks, "_compute", must_not_run)
    again = banks.build(cohort, CONFIG)
    assert again.digest == first.digest
    assert torch.equal(again.frames, first.frames)
    with pytest.raises(AssertionError, match="computed again"):
        banks.build(cohort, with_(n_mels=32))


def test_bank_does_not_depend_on_names_and_folders(cohort: Cohort, tmp_path: Path) -> None:
    other = read_cohort(compose([*TINY, f"data.path={write_table(tmp_path)}"]).data)
    assert banks.build(other, CONFIG).digest == banks.build(cohort, CONFIG).digest


def test_an_interrupted_build_leaves_no_bank(
    cohort: Cohort, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("KFOLD_HS_CACHE", str(tmp_path))

    def interrupt(done: int, total: int) -> None:
        if done == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        banks.build(cohort, CONFIG, on_progress=interrupt)
    assert os.listdir(tmp_path / "features") == []  # noqa: PTH208


def test_crops_by_index_and_wrapped(cohort: Cohort) -> None:
    bank = banks.build(cohort, CONFIG)
    crops = bank.crops(torch.tensor([3, 3, 5]), torch.tensor([0, 10, 2]), 32)
    assert crops.shape == (3, 1, 64, 32)
    at = int(bank.first[3]) + 10
    assert torch.equal(crops[1, 0].T, bank.frames[at : at + 32].float())
    length = int(bank.length[5])
    long = bank.crops(torch.tensor([5]), torch.tensor([0]), 2 * length)[0, 0]
    assert torch.equal(long[:, :length], long[:, length:])


def test_too_short_for_a_window(tmp_path: Path) -> None:
    path = write_table(tmp_path, seconds=0.04)
    cohort = read_cohort(compose([*TINY, f"data.path={path}"]).data)
    with pytest.raises(CohortError, match=r"32 recordings are shorter than 0\.06425 s"):
        banks.build(cohort, CONFIG)


def test_band_edge_above_what_a_recording_holds(cinc2016: Path) -> None:
    cohort = read_cohort(compose(["data=cinc2016", f"data.root={cinc2016}"]).data)
    with pytest.raises(CohortError, match=r"as low as 2000 Hz.*features\.f_max_hz to 1000"):
        banks.build(cohort, with_(f_max_hz=1200))
