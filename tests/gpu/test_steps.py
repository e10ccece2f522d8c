"""A step on a GPU is that of the CPU, in float32, and nothing in it waits."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from support import on_device
from support.on_device import PLAIN, STEPS, check_same_step, epochs_of, fold_on, without_waiting
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
    cohort: Cohort, cuda: torch.device, figure: Figure, name: str
) -> None:
    losses, gradients = check_same_step(cohort, config(*PLAIN, *STEPS[name]), cuda)
    figure(losses=losses, gradients=gradients)


def test_a_step_of_a_larger_network(cohort: Cohort, cuda: torch.device, figure: Figure) -> None:
    losses, gradients = check_same_step(cohort, config(*PLAIN, *LITE0), cuda)
    figure(losses=losses, gradients=gradients)


def test_the_optimizers_step(cohort: Cohort, cuda: torch.device, figure: Figure) -> None:
    off = on_device.check_optimizer(cohort, config(*ONE_STEP), cuda)
    clipped = on_device.check_optimizer(cohort, config(*ONE_STEP, "train.grad_clip=1e-8"), cuda)
    figure(steps=max(off, clipped))


def test_the_exponential_average(cohort: Cohort, cuda: torch.device, figure: Figure) -> None:
    words = [*ONE_STEP, "train.average=ema", "train.average_decay=0.15"]
    figure(difference=on_device.check_average(cohort, config(*words), cuda))


@pytest.mark.parametrize("backend", ["eager", "cuda_graphs"])
@pytest.mark.parametrize("name", STEPS)
def test_no_step_waits(cohort: Cohort, cuda: torch.device, name: str, backend: str) -> None:
    """The second epoch: in the first one shapes are recorded, which waits."""
    words = [*STEPS[name], f"train.backend={backend}", "model.dropout=0.3", "track=[]"]
    fold = fold_on(cohort, config("augment=none", *words), cuda)
    with exactness(fold.config.train, cuda):
        training = Training.of(fold)
        past = [float(epochs_of(training, 1).mean())]
        for epoch in (1, 2) if backend == "cuda_graphs" else ():
            past.append(float(torch.stack(train_epoch(training, epoch, past)).mean()))
        torch.cuda.synchronize()
        with without_waiting(cuda):
            losses = train_epoch(training, len(past), past)
        assert torch.stack(losses).isfinite().all()
