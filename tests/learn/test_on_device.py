"""What tests/gpu/ holds against the CPU, here CPU against CPU; and that a fault would be seen."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from support import on_device
from support.on_device import PLAIN, STEPS, check_same_step, trained
from support.training import config

from kfold_hs.cohort import Cohort
from kfold_hs.learn.training import optimizer

CPU = torch.device("cpu")


@pytest.mark.parametrize("name", ["loss focal", "accumulation", "patients"])
def test_a_step_is_the_same_on_the_same_device(cohort: Cohort, name: str) -> None:
    assert check_same_step(cohort, config(*PLAIN, *STEPS[name]), CPU) == (0, 0)


def altered(name: str, change: Callable[[torch.Tensor], torch.Tensor]) -> object:
    """`trained`, of which every second call finds another gradient."""
    calls = []

    def run(*inputs: object) -> on_device.Trained:
        found = trained(*inputs)  # type: ignore[arg-type]
        calls.append(name)
        if len(calls) % 2 == 0:
            found.gradients[name] = change(found.gradients[name])
        return found

    return run


@pytest.mark.parametrize("change", [lambda g: 1.002 * g, torch.zeros_like, lambda g: -g])
def test_a_gradient_that_differs_is_found(
    cohort: Cohort,
    monkeypatch: pytest.MonkeyPatch,
    change: Callable[[torch.Tensor], torch.Tensor],
) -> None:
    monkeypatch.setattr(on_device, "trained", altered("backbone.conv_stem.weight", change))
    with pytest.raises(AssertionError, match=r"the gradient of backbone\.conv_stem\.weight"):
        check_same_step(cohort, config(*PLAIN), CPU)


def test_gradients_of_one_batch_are_not_those_of_two(cohort: Cohort) -> None:
    """What is compared is a whole step: of a step of two batches, both count."""
    one = trained(cohort, config(*PLAIN), CPU)
    two = trained(cohort, config(*PLAIN, "train.accumulate=2"), CPU)
    assert on_device.gradient_difference(one.gradients, two.gradients)[0] > 0.1


ONE_STEP = [*PLAIN, "train.accumulate=2", "sched=constant", "sched.warmup=0", "optim.lr=0.01"]
EMA = [*ONE_STEP, "train.average=ema", "train.average_decay=0.15"]


def test_the_optimizers_step(cohort: Cohort, monkeypatch: pytest.MonkeyPatch) -> None:
    on_device.check_optimizer(cohort, config(*ONE_STEP), CPU)
    # AdamW's first step does not depend on the size of gradients, but where they are tiny.
    clipped = config(*ONE_STEP, "train.grad_clip=1e-8")
    on_device.check_optimizer(cohort, clipped, CPU)
    with monkeypatch.context() as patch:
        patch.setattr(torch.nn.utils, "clip_grad_norm_", lambda *_: None)
        with pytest.raises(AssertionError, match="steps from where AdamW goes"):
            on_device.check_optimizer(cohort, clipped, CPU)


def test_the_exponential_average(cohort: Cohort, monkeypatch: pytest.MonkeyPatch) -> None:
    on_device.check_average(cohort, config(*EMA), CPU)
    monkeypatch.setattr(optimizer.Average, "move", lambda *_: None)
    with pytest.raises(AssertionError, match="the average differs"):
        on_device.check_average(cohort, config(*EMA), CPU)


def test_trainings_that_differ_are_told_apart(cohort: Cohort) -> None:
    plain = trained(cohort, config(*PLAIN), CPU, epochs=2)
    again = trained(cohort, config(*PLAIN), CPU, epochs=2, hooks=False)
    assert on_device.check_same_training(again, plain, 0) == 0
    other = trained(cohort, config(*PLAIN, "seed=1"), CPU, epochs=2)
    with pytest.raises(AssertionError, match="they differ by"):
        on_device.check_same_training(other, plain, 0.01)
    averaged = trained(cohort, config(*PLAIN, *STEPS["exponential average"]), CPU, epochs=2)
    with pytest.raises(AssertionError, match="averaged of"):
        on_device.check_same_training(averaged, plain, 1e-6)
