"""A step on a GPU is that of the CPU, in float32, and nothing in it waits."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from support import on_device
from support.on_device import PLAIN, STEPS, check_same_step, fold_on
from support.training import config

from kfold_hs.cohort import Cohort
from kfold_hs.learn.device import exactness
from kfold_hs.learn.training.epoch import train_epoch
from kfold_hs.learn.training.setup import Training

pytestmark = pytest.mark.gpu
Figure = Callable[..., None]
LITE0 = ["model.backbone=tf_efficientnet_lite0", "features.n_mels=64", "features.n_fft=512"]
ONE_STEP = [*PLAIN, "train.accumulate=2", "sched=constant", "sched.warmup=0", "optim.lr=0.01"]


@pytest.mark.parametrize("name", STEPS)
def test_a_step_is_that_of_the_cpu(
    cohort: Cohort, device: torch.device, figure: Figure, name: str
) -> None:
    losses, gradients = check_same_step(cohort, config(*PLAIN, *STEPS[name]), device)
    figure(losses=losses, gradients=gradients)


def test_a_step_of_a_larger_network(cohort: Cohort, device: torch.device, figure: Figure) -> None:
    losses, gradients = check_same_step(cohort, config(*PLAIN, *LITE0), device)
    figure(losses=losses, gradients=gradients)


def test_the_optimizers_step(cohort: Cohort, device: torch.device, figure: Figure) -> None:
    off = on_device.check_optimizer(cohort, config(*ONE_STEP), device)
    clipped = on_device.check_optimizer(cohort, config(*ONE_STEP, "train.grad_clip=1e-8"), device)
    figure(steps=max(off, clipped))


def test_the_exponential_average(cohort: Cohort, device: torch.device, figure: Figure) -> None:
    words = [*ONE_STEP, "train.average=ema", "train.average_decay=0.15"]
    figure(difference=on_device.check_average(cohort, config(*words), device))


@pytest.mark.parametrize("name", STEPS)
def test_no_step_waits(cohort: Cohort, cuda: torch.device, name: str) -> None:
    check_second_epoch(cohort, cuda, *STEPS[name])


@pytest.mark.parametrize("name", STEPS)
def test_no_recorded_step_waits(cohort: Cohort, cuda: torch.device, name: str) -> None:
    check_second_epoch(cohort, cuda, *STEPS[name], "train.backend=cuda_graphs")


def check_second_epoch(cohort: Cohort, cuda: torch.device, *words: str) -> None:
    """Later epochs have nothing left to record, to choose kernels for, or to take memory for."""
    settings = config("augment=none", "model.dropout=0.3", "track=[]", "train.epochs=4", *words)
    fold = fold_on(cohort, settings, cuda)
    with exactness(fold.config.train, cuda):
        training, past = Training.of(fold), []
        for epoch in range(3):  # crops have grown by then
            past.append(float(torch.stack(train_epoch(training, epoch, past)).mean()))
        torch.cuda.set_sync_debug_mode("error")
        try:
            losses = train_epoch(training, 3, past)
        finally:
            torch.cuda.set_sync_debug_mode("default")
        assert torch.stack(losses).isfinite().all()
