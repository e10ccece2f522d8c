"""Noise added in mel bands, against noise added to the samples."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from scipy import signal
from support.project import TINY, write_table

from kfold_hs.cohort.readers.registry import read_cohort
from kfold_hs.config.compose import compose
from kfold_hs.config.schema import Config
from kfold_hs.errors import ConfigError
from kfold_hs.learn.data.crops import Source
from kfold_hs.learn.data.noise import Noise, add_noise, coloured, noise_bank, noisy
from kfold_hs.learn.features.bank import Bank, build
from kfold_hs.learn.features.mel import MelFeatures


def settings(*words: str) -> Config:
    return compose(
        ["features=logmel", "augment.noise_share=1", "augment.noise_snr_db=[3,3]", *words]
    )


@pytest.mark.parametrize(("name", "slope"), [("white", 0), ("pink", -1), ("brown", -2)])
def test_colours_fall_by_3_and_6_db_an_octave(name: str, slope: int) -> None:
    samples = coloured(name, 60, 4000)
    hz, power = signal.welch(samples, 4000, nperseg=4096)
    inside = (hz > 20) & (hz < 1000)
    found = np.polyfit(np.log10(hz[inside]), np.log10(power[inside]), 1)[0]
    assert found == pytest.approx(slope, abs=0.05)
    assert samples.std() == pytest.approx(0.1, rel=1e-3)


def test_the_ratio_is_met_in_every_crop() -> None:
    torch.manual_seed(0)
    level, noise = 10 * torch.randn(5, 1, 8, 20), 30 + 5 * torch.randn(5, 1, 8, 20)
    snr = torch.tensor([-5.0, 0, 3, 10, 20])
    power = 10 ** (level.double() / 10)
    added = 10 ** (add_noise(level, noise, snr).double() / 10) - power
    ratio = 10 * (power.mean((1, 2, 3)) / added.mean((1, 2, 3))).log10()
    torch.testing.assert_close(ratio.float(), snr, atol=1e-3, rtol=0)


def mixed_in_samples() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Beats, pink noise, and their sum at 3 dB between 20 and 1000 Hz."""
    time_s = np.arange(40000) / 4000
    beats = 0.2 * np.sin(2 * np.pi * 60 * time_s) * (time_s % 0.8 < 0.1)
    beats += 0.01 * np.random.default_rng(1).standard_normal(40000)
    noise = coloured("pink", 10, 4000)
    mel = MelFeatures(compose(["features=logmel", "features.normalise=none"]).features)
    levels = [mel(each.astype(np.float32), 4000) for each in (beats, noise)]
    power = [np.mean(10 ** (each / 10)) for each in levels]
    scaled = noise * np.sqrt(power[0] / power[1] * 10 ** (-3 / 10))
    return tuple(each.astype(np.float32) for each in (beats, noise, beats + scaled))


@pytest.mark.parametrize("normalise", ["none", "recording"])
def test_sums_of_power_are_sums_of_samples_on_average(normalise: str) -> None:
    beats, noise, both = mixed_in_samples()
    config = settings(f"features.normalise={normalise}")
    mel = MelFeatures(config.features)
    plain = MelFeatures(compose(["features=logmel", "features.normalise=none"]).features)
    features, scale = mel.measure(beats, 4000)
    n = len(features)
    level = torch.tensor([scale]) if normalise == "recording" else None
    one = torch.zeros(1, dtype=torch.long), torch.tensor([n])
    bank = Bank(torch.from_numpy(features), *one, "", level)
    source = Bank(torch.from_numpy(plain(noise, 4000)), *one, "")

    class AtTheStart:
        """Draws the first frame of the noise."""

        def random(self, size: tuple[int, int]) -> np.ndarray:
            return np.zeros(size)

    crop = bank.crops(torch.tensor([0]), torch.tensor([0]), n)
    added = Noise(source, config.augment.noise_share, config.augment.noise_snr_db)
    found = noisy(crop, torch.tensor([0]), bank, added, AtTheStart())  # type: ignore[arg-type]
    expected = mel(both, 4000).T
    found = found[0, 0].numpy()
    off = found - expected
    unit = 1 if normalise == "none" else scale[1]  # dB
    assert abs(off.mean()) * unit < 0.5
    assert off.std() * unit < 2.5  # of cells in which both are equally loud
    assert np.corrcoef(found.ravel(), expected.ravel())[0, 1] > 0.94
    assert np.abs(features.T - expected).mean() > 4 * np.abs(off).mean()


def test_a_share_of_the_crops_is_noisy_and_the_others_keep_their_bits() -> None:
    config = settings("features.normalise=none", "augment.noise_share=0.3")
    noise = Noise.of(config, torch.device("cpu"))
    assert noise is not None
    frames = torch.randn(50, 64).half()
    bank = Bank(frames, torch.zeros(1, dtype=torch.long), torch.tensor([50]), "digest")
    rows = torch.zeros(400, dtype=torch.long)
    x = bank.crops(rows, rows, 40)
    found = noisy(x, rows, bank, noise, np.random.default_rng(0))
    changed = (found != x).flatten(1).any(dim=1)
    assert 90 < int(changed.sum()) < 150
    assert len(found[changed].flatten(1).unique(dim=0)) > 100  # each its own


def test_noise_from_a_folder(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "notes.txt").write_text("none")
    for i in range(3):
        samples = np.random.default_rng(i).standard_normal(8000 * (i + 1)) / 10
        soundfile.write(tmp_path / "deep" / f"{i}.wav", samples, 8000)
    config = settings(f"augment.noise_folder={tmp_path}")
    noise = noise_bank(config.augment, config.features)
    assert noise is not None
    assert noise.length.tolist() == [51, 101, 151]
    assert "1 left out of" in caplog.text
    assert "notes.txt" in caplog.text
    cohort = read_cohort(compose([*TINY, f"data.path={write_table(tmp_path)}"]).data)
    bank = build(cohort, config.features)
    stamps = Source.of(config, cohort, bank).digests()
    assert stamps == {"noise": noise.digest}
    (tmp_path / "none").mkdir()
    with pytest.raises(ConfigError, match=r"noise_folder=.*none holds no \.wav, \.flac or"):
        noise_bank(settings(f"augment.noise_folder={tmp_path / 'none'}").augment, config.features)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["features=pcen"], r"noise_share=1 adds up powers.*compression=log"),
        (["augment.noise_snr_db=[9,3]"], r"noise_snr_db=\[9,3\] must go up"),
    ],
)
def test_noise_that_cannot_be(words: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        settings(*words)
