"""A frame branch on a GPU: a step is the CPU's, it learns as much, and its paths are the same."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from support.frame_branches import (
    LEARNS,
    LEAST_AGREEMENT,
    copy_of_built_in,
    fold_of,
    learnt,
    settings,
)
from support.gpu_runs import within_noise
from support.on_device import cpu, difference, gradient_difference

from kfold_hs.learn.data.fold import Fold
from kfold_hs.learn.device import exactness
from kfold_hs.learn.frames.branch import FrameBranch, HeartCycles, untrained_net
from kfold_hs.learn.frames.targets import FrameTargets
from kfold_hs.learn.frames.training import Examples, Loss, fit_branch

pytestmark = pytest.mark.gpu
Figure = Callable[..., None]
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """24 people of the built-in cohort; do not change its files."""
    return copy_of_built_in(tmp_path_factory.mktemp("frames") / "cohort")


def fold_on(table: Path, device: torch.device, *words: str) -> Fold:
    return fold_of(settings(table, *words).on(device.type), device=device)


def fitted(fold: Fold) -> FrameBranch:
    with exactness(fold.config.train, fold.device):
        return fit_branch(fold)


def first_step(fold: Fold) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """The loss of the first batch and its gradients, on the CPU."""
    config, lengths = fold.config, fold.bank.on_host[1]
    targets = FrameTargets.of(config, fold.cohort, fold.data.train, lengths)
    torch.manual_seed(0)  # weights are drawn on the CPU
    net = untrained_net(config).to(fold.device).train()
    with exactness(config.train, fold.device):
        x, allowed = next(Examples.of(fold, targets).batches(fold, 0))
        loss = Loss(targets, fold.device)(net, x, allowed)
        loss.backward()  # type: ignore[no-untyped-call]
    found = {name: cpu(each.grad) for name, each in net.named_parameters() if each.grad is not None}
    return cpu(loss), found


def test_a_step_is_that_of_the_cpu(table: Path, device: torch.device, figure: Figure) -> None:
    """Without dropout, which the device draws by itself."""
    here, there = (first_step(fold_on(table, each, "frames.dropout=0")) for each in (CPU, device))
    losses = difference(there[0], here[0])
    gradients, name = gradient_difference(there[1], here[1])
    figure(losses=losses, gradients=gradients)
    assert losses < 1e-3
    assert gradients < 1e-3, name


def test_it_learns_as_much_as_on_the_cpu(table: Path, device: torch.device, figure: Figure) -> None:
    """The same seeds: crops and weights are the same, and dropout is not."""
    here, there = (
        np.array([
            learnt(fold, fitted(fold))
            for fold in (fold_on(table, each, *LEARNS, f"seed={seed}") for seed in range(3))
        ])
        for each in (CPU, device)
    )  # fmt: skip
    figure(agreement=there[:, 0].mean(), AUROC=there[:, 1].mean())
    for number, margin in enumerate((0.02, 0.05)):
        within_noise(there[:, number].tolist(), here[:, number].tolist(), margin)
    assert there[:, 0].min() > LEAST_AGREEMENT - 0.05


def test_the_same_probabilities_are_the_same_paths(
    table: Path, device: torch.device, figure: Figure
) -> None:
    """Paths are the CPU's work; levels are read from the bank where it lies."""
    here, there = (fold_on(table, each, *LEARNS[:1]) for each in (CPU, device))
    branch = fitted(here)
    moved = FrameBranch.from_state(branch.to_state(), there.config, device)
    rows = [int(row) for row in here.data.held_out]
    with exactness(there.config.train, device):
        probs = [branch.log_probs(here.bank, row) for row in rows]
        others = [moved.log_probs(there.bank, row) for row in rows]
    apart = max(
        float(np.abs(np.exp(a) - np.exp(b)).max()) for a, b in zip(probs, others, strict=True)
    )
    figure(probabilities=apart)
    assert apart < 1e-3
    one = HeartCycles.of(here.bank, rows, probs, branch)
    other = HeartCycles.of(there.bank, rows, probs, moved)
    for a, b in zip(one.decoded, other.decoded, strict=True):
        np.testing.assert_array_equal(a.states, b.states)
        assert (a.murmur, a.cycle_s) == (b.murmur, b.cycle_s)
    pd.testing.assert_frame_equal(one.measures, other.measures, rtol=1e-4)


def test_deterministic_it_is_the_same_again(table: Path, device: torch.device) -> None:
    states = [
        fitted(fold_on(table, device, "train.deterministic=true")).to_state() for _ in range(2)
    ]
    assert states[0]["sojourn"] == states[1]["sojourn"]
    for name, each in states[0]["net"].items():
        assert torch.equal(each, states[1]["net"][name]), name
