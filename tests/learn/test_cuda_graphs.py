"""One graph from samples to probabilities: the steps and the answers of predicting."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from support.project import TINY

from kfold_hs.bundle import graph, portable
from kfold_hs.config.compose import compose
from kfold_hs.config.poolings import POOLS
from kfold_hs.errors import BundleError, ConfigError
from kfold_hs.learn.features.mel import MelFeatures
from kfold_hs.learn.prediction.crops import crop_starts

BASE = [*TINY, "data.path=x.csv"]


def noise(n: int, seed: int = 0) -> np.ndarray:
    return (0.1 * np.random.default_rng(seed).standard_normal(n)).astype(np.float32)


@pytest.mark.parametrize(
    "words",
    [[], ["features.n_fft=512", "features.hop_s=0.02"], ["features.normalise=band"],
     ["features.n_fft=301", "features.window_s=0.031"]],
)  # fmt: skip
def test_log_mel_is_that_of_the_bank(words: list[str]) -> None:
    config = compose([*BASE, *words]).features.of_recordings
    ours, theirs = graph.LogMel(config), MelFeatures(config)
    for n in (4000, 5013, 8191):
        wanted = theirs(noise(n), 4000).astype(np.float16)
        found = ours(torch.from_numpy(noise(n))).numpy()
        assert found.shape == wanted.shape
        # A step of float16 at most: roundings can fall to either side.
        step = np.spacing(np.abs(wanted)).astype(np.float32)
        assert (np.abs(found - wanted.astype(np.float32)) <= 2 * step + 1e-4).all()
        assert np.abs(found - wanted.astype(np.float32)).mean() < 1e-4
    silent = theirs(np.zeros(4000, "f"), 4000).astype(np.float16)
    assert (ours(torch.zeros(4000)).numpy() == silent).all()


@pytest.mark.parametrize("overlap", [0.0, 0.25, 0.9])
def test_crops_are_those_of_predicting(overlap: float) -> None:
    config = compose(
        [
            *BASE,
            f"predict.crop_overlap={overlap}",
            "predict.gains_db=[0,6]",
            "features.normalise=none",
        ]
    )
    ours, size = graph.CropsOf(config), config.train.crop_frames
    for n in [*range(1, 4 * size, 3), size, 2 * size, 1000, 1037]:
        frames = torch.arange(n, dtype=torch.float32)[:, None]
        found = ours(frames)
        starts = crop_starts(n, size, overlap)
        at = (np.array(starts)[:, None] + np.arange(size)) % n
        wanted = np.stack([at, at + 6], axis=1).reshape(-1, 1, 1, size)
        assert (found.numpy() == wanted).all(), n


@pytest.mark.parametrize("rule", sorted(POOLS))
def test_pooling_rules(rule: str) -> None:
    rng = np.random.default_rng(1)
    for n in (1, 2, 5):
        probs = rng.dirichlet(np.ones(3), n)
        for positive in range(3):
            found = graph.POOLS[rule](torch.from_numpy(probs), positive)
            np.testing.assert_allclose(found.numpy(), POOLS[rule](probs, positive), atol=1e-12)
    assert set(graph.POOLS) == set(POOLS)
    sure = np.array([[1.0, 0.0, 0.0], [0.2, 0.3, 0.5]])
    found = graph.POOLS[rule](torch.from_numpy(sure), 0)
    np.testing.assert_allclose(found.numpy(), POOLS[rule](sure, 0), atol=1e-12)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["train.level=patient", "predict.patient_pool=attention"], "train.level=patient pools"),
        (["model.covariates=[age]"], r"model\.covariates=\[age\] are no sound"),
        (["features=pcen"], "features.compression=pcen goes"),
        (["predict.n_shifts=2"], "predict.n_shifts=2 gives another number"),
        (["predict.n_shifts=2", "model.covariates=[age]"], "no sound; predict.n_shifts=2"),
    ],
)
def test_what_a_graph_cannot_hold(words: list[str], message: str) -> None:
    with pytest.raises(BundleError, match=message):
        graph.check_graph(compose([*BASE, *words]), Path("run"))


def test_settings_that_only_training_reads_do_not_matter() -> None:
    graph.check_graph(compose([*BASE, "train.align=cycle"]), Path("run"))


def test_a_package_that_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    portable.check_packages(["pt2"])
    with pytest.raises(ConfigError, match=r"pip install 'kfold-hs\[onnx\]'"):
        portable.check_packages(["onnx"])
