"""The path on a GPU, walked with tensors that have no values: devices, waits, what is recorded.

A real GPU has the last word (tests/gpu). What these find is what it would refuse, or wait for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from support.fake_cuda import CUDA, FakeGpu, fake_cuda
from support.frame_branches import copy_of_built_in, fold_of, settings
from support.on_device import STEPS
from support.training import config

from kfold_hs.cohort import Cohort
from kfold_hs.files.paths import FoldId
from kfold_hs.learn import checkpoint, cuda_graphs
from kfold_hs.learn.data.fold import Fold, FoldData
from kfold_hs.learn.data.noise import noise_bank
from kfold_hs.learn.features import bank as banks
from kfold_hs.learn.frames.branch import FrameBranch, untrained_net
from kfold_hs.learn.frames.sojourn import Sojourn
from kfold_hs.learn.frames.targets import FrameTargets
from kfold_hs.learn.frames.training import Examples, Loss, train_step
from kfold_hs.learn.prediction.crops import Crops, Predictor
from kfold_hs.learn.training.epoch import train_epoch
from kfold_hs.learn.training.setup import Training
from kfold_hs.splits import stratify

ASKED = ["covariates", "joint heads, attention, deltas", "noise, gain, stops, stretch", "patients"]
"""Those that decide how people are predicted."""
WALKED = sorted(set(STEPS) - {"balanced weights"})
"""Without what counts labels before the first step: there are none to count."""


@dataclass
class OnGpu:
    """A fold that is ready to be trained on a GPU of no values."""

    gpu: FakeGpu
    training: Training

    @property
    def crops(self) -> Crops:
        fold = self.training.fold
        return Crops.of(fold.bank, fold.data.held_out, fold.config)

    def predictor(self) -> Predictor:
        ready, fold = self.training, self.training.fold
        values = ready.covariates.values
        return Predictor(ready.model, fold.bank, fold.config, values, True, ready.recorder)


@contextmanager
def on_gpu(cohort: Cohort, monkeypatch: pytest.MonkeyPatch, *words: str) -> Iterator[OnGpu]:
    settings = config(*words).on("cuda")
    data = FoldData.of(cohort, stratify(cohort, 2, 0).fold_of_patients(cohort, 0), 0)
    bank = banks.build(cohort, settings.features)
    assert bank.on_host  # read before tensors are fake
    noise_bank(settings.augment, settings.features)  # and this one made, as it is for all folds
    with fake_cuda(monkeypatch) as gpu:
        moved = bank.to(CUDA)
        vars(moved)["on_host"] = bank.on_host  # fake tensors have no numbers to read
        fold = Fold(FoldId(0, 0, 0), settings, cohort, data, moved, CUDA, {})
        ready = OnGpu(gpu, Training.of(fold))
        gpu.waits.clear()
        gpu.copies.clear()
        yield ready


@pytest.mark.parametrize("name", WALKED)
def test_nothing_waits_from_the_first_step_of_an_epoch_to_the_last(
    name: str, cohort: Cohort, monkeypatch: pytest.MonkeyPatch
) -> None:
    with on_gpu(cohort, monkeypatch, *STEPS[name]) as ready:
        losses = train_epoch(ready.training, 0, [])
        assert {loss.device for loss in losses} == {CUDA}
        assert len(losses) == ready.training.plan.n_batches
        assert ready.gpu.copies  # the draws, by way of pinned memory
        assert ready.gpu.waits == []


@pytest.mark.parametrize("name", ASKED)
def test_nothing_waits_while_people_are_predicted(
    name: str, cohort: Cohort, monkeypatch: pytest.MonkeyPatch
) -> None:
    with on_gpu(cohort, monkeypatch, *STEPS[name]) as ready, torch.inference_mode():
        asked = ready.predictor()
        if name == "patients":
            found = asked.embeddings(ready.crops)[0]
        else:
            found = asked.logits(ready.crops)["murmur"]
        assert found.device == CUDA
        assert len(found) == len(ready.crops.rows)
        assert ready.gpu.waits == []


@pytest.mark.parametrize("name", WALKED)
def test_what_is_recorded_copies_nothing_from_the_host(
    name: str, cohort: Cohort, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A graph would replay such a copy from memory that has gone; torch refuses some of them."""
    recorded = []

    def walked(
        run: Callable[[], Any], restore: Callable[[], None], device: torch.device, pool: object
    ) -> tuple[Any, Callable[[], None]]:
        before = len(ready.gpu.copies)
        found = run()
        recorded.append(ready.gpu.copies[before:])
        restore()
        return found, lambda: None

    monkeypatch.setattr(cuda_graphs, "capture", walked)
    # A value is read of what a recording found, to refuse an empty one.
    monkeypatch.setattr(cuda_graphs, "_check_computes", lambda _: None)
    with on_gpu(cohort, monkeypatch, *STEPS[name], "train.backend=cuda_graphs") as ready:
        train_epoch(ready.training, 0, [])
        with torch.inference_mode():
            asked = ready.predictor()
            ask = asked.embeddings if name == "patients" else asked.logits
            ask(ready.crops)
        assert ready.gpu.waits == []
    assert len(recorded) >= 2
    assert recorded == [[]] * len(recorded)


def test_nothing_waits_while_a_frame_branch_learns_and_is_asked(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    fold = fold_of(settings(copy_of_built_in(tmp_path / "few", 3)))
    bank, config = fold.bank, fold.config.on("cuda")
    targets = FrameTargets.of(config, fold.cohort, fold.data.train, bank.on_host[1])
    with fake_cuda(monkeypatch) as gpu:
        moved = bank.to(CUDA)
        vars(moved)["on_host"] = bank.on_host
        fold = replace(fold, config=config, bank=moved, device=CUDA)
        examples, loss = Examples.of(fold, targets), Loss(targets, CUDA)
        net = untrained_net(config).to(CUDA)
        optimizer = torch.optim.SGD(net.parameters())  # Adam's counts of steps are on the host
        gpu.waits.clear()
        gpu.copies.clear()
        for x, allowed in examples.batches(fold, 0):
            assert train_step(net, loss, optimizer, x, allowed).device == CUDA
        branch = FrameBranch(net.eval(), Sojourn.fit(targets.segmentations), 0.02)
        asked = [branch.asked(moved, int(row)) for row in fold.data.held_out]
        assert {each.device for each in asked} == {CUDA}
        assert gpu.copies  # the draws, by way of pinned memory
        assert gpu.waits == []


@pytest.mark.parametrize(
    ("does", "told"),
    [
        (lambda x: x.sum().item(), "_local_scalar_dense"),
        (lambda x: bool((x > 0).any()), "_local_scalar_dense"),
        (lambda x: x[x > 0], "nonzero"),
        (lambda x: x + torch.ones(3, 4), "at least two devices"),
    ],
    ids=["item", "bool", "mask", "devices"],
)
def test_a_gpu_without_values_refuses(
    does: Callable[[torch.Tensor], object], told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with fake_cuda(monkeypatch), pytest.raises(Exception, match=told):
        does(torch.ones(3, 4, device=CUDA))


@pytest.mark.parametrize(
    ("copies", "waits"),
    [
        (lambda: torch.from_numpy(np.ones(3)).to(CUDA), True),
        (lambda: torch.from_numpy(np.ones(3)).to(CUDA, non_blocking=True), True),
        (lambda: torch.from_numpy(np.ones(3)).pin_memory().to(CUDA, non_blocking=True), False),
        (lambda: torch.ones(3, device=CUDA).cpu(), True),
        (lambda: torch.tensor([1.0], device=CUDA), True),
    ],
    ids=["pageable", "asked not to", "pinned", "back", "literal"],
)
def test_a_gpu_without_values_tells_what_it_would_wait_for(
    copies: Callable[[], object], waits: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    with fake_cuda(monkeypatch) as gpu:
        copies()
        assert bool(gpu.waits) == waits
        assert gpu.copies


def test_a_snapshot_for_a_checkpoint_does_not_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    with fake_cuda(monkeypatch) as gpu:
        copy = checkpoint.snapshot({"w": torch.ones(3, device=CUDA), "n": [torch.ones(2)]})
        assert gpu.copies
        assert gpu.waits == []
        assert copy["w"].device.type == "cpu"
