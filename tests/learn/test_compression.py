"""PCEN against its recursion written plainly, and against what it must do."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from kfold_hs.config.compose import compose
from kfold_hs.learn.features.mel import MelFeatures, pcen

CONFIG = compose(["features=pcen"]).features


def test_pcen_is_its_recursion() -> None:
    config = CONFIG.model_copy(
        update={
            "hop_s": 0.01, "pcen_time_constant_s": 0.395, "pcen_gain": 0.8, "pcen_bias": 1.5,
            "pcen_root": 0.4, "pcen_floor": 1e-3,
        }
    )  # fmt: skip
    power = torch.from_numpy(np.random.default_rng(0).exponential(size=(50, 3)))
    s = 1 - np.exp(-0.01 / 0.395)
    assert s == pytest.approx(0.025, abs=1e-4)  # the paper's
    expected, past = [], power[0].numpy()
    for energy in power.numpy():
        past = (1 - s) * past + s * energy
        expected.append((energy / (1e-3 + past) ** 0.8 + 1.5) ** 0.4 - 1.5**0.4)
    np.testing.assert_allclose(pcen(power, config), expected, rtol=1e-5)


def test_pcen_of_silence_and_of_another_gain() -> None:
    assert (pcen(torch.zeros(20, 4), CONFIG) == 0).all()
    whole = CONFIG.model_copy(update={"pcen_gain": 1.0, "pcen_floor": 1e-12})
    power = torch.from_numpy(np.random.default_rng(0).exponential(size=(50, 3)))
    torch.testing.assert_close(pcen(power, whole), pcen(100 * power, whole))


def test_pcen_evens_out_steady_noise_and_keeps_the_beat() -> None:
    rng = np.random.default_rng(0)
    time_s = np.arange(40000) / 4000
    beat = 0.2 * np.sin(2 * np.pi * 60 * time_s) * (time_s % 0.8 < 0.1)
    samples = (0.05 * rng.standard_normal(40000) + beat).astype(np.float32)
    settings = CONFIG.model_copy(update={"normalise": "none"})
    features = MelFeatures(settings)(samples, 4000)[100:]  # M has settled
    band = int(features.max(axis=0).argmax())
    on = (np.arange(100, 100 + len(features)) * 0.02 % 0.8) < 0.1
    assert features[on, band].mean() > 3 * features[~on, band].mean()
    # A band's width, and so the power of steady noise in it, does not show.
    steady = features[:, 40:].mean(axis=0)
    slope = np.polyfit(np.arange(24), steady / steady.mean(), 1)[0]
    assert abs(slope) < 0.002
    log = MelFeatures(compose(["features=logmel", "features.normalise=none"]).features)(
        samples, 4000
    )[100:, 40:]
    power = (10 ** (log / 10)).mean(axis=0)
    assert np.polyfit(np.arange(24), power / power.mean(), 1)[0] > 0.01
