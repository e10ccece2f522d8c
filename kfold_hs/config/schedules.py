"""Learning-rate schedules: the settings of each, and the function of the step that they make.

A schedule is a pure function: (step, training losses of the epochs before) -> multiplier of
`optim.lr`, where `step` counts optimizer steps from 0 to n_steps - 1. A new one is a settings
class, a function that makes the schedule, and a row of `SCHEDULES`: `sched=NAME` then chooses it.

Only the learning rate follows the schedule, unless `sched.cycle_momentum` says otherwise: torch's
OneCycleLR cycles the momentum too unless told not to, which would compare two changes at once.
`plateau` alone looks at the losses. They are those of training, since the validation loss of a
fold is of the very people that the fold is scored on.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from kfold_hs.config.base import Choice, Settings, Share
from kfold_hs.config.registry import Registry, Row, one_of

Schedule = Callable[[int, Sequence[float]], float]
"""(step, training losses of the epochs before) -> multiplier."""

_Warmup = Annotated[float, Field(ge=0, lt=1)]


class OneCycleConfig(Choice):
    """Settings of `onecycle`.

    pct_start : share of the steps on the way up
    div_factor, final_div_factor : highest rate over the first; the first over the last
    cycle_momentum : whether beta1 goes down from `momentum_high` to `momentum_low` while the rate
        goes up, and back
    momentum_low, momentum_high : ends of that cycle
    """

    kind: Literal["onecycle"] = "onecycle"
    pct_start: Annotated[float, Field(gt=0, lt=1)] = 0.3
    div_factor: Annotated[float, Field(ge=1, le=1e9)] = 25.0
    final_div_factor: Annotated[float, Field(ge=1, le=1e12)] = 1e4
    cycle_momentum: bool = False
    momentum_low: Annotated[float, Field(ge=0, lt=1)] = 0.85
    momentum_high: Annotated[float, Field(ge=0, lt=1)] = 0.95


def onecycle(config: OneCycleConfig, n_steps: int) -> Schedule:
    """Up from 1/div_factor to 1 and down to 1/(div_factor * final_div_factor), both cosine.

    Smith & Topin, "Super-Convergence", 2018; the phases are those of torch's
    OneCycleLR: the top is reached at step ``pct_start * n_steps - 1``.
    """
    low = 1 / config.div_factor
    end = 1 / (config.div_factor * config.final_div_factor)
    return lambda step, _: _there_and_back(step, n_steps, config.pct_start, (low, 1.0, end))


def momentum(config: Settings, n_steps: int, otherwise: float) -> Callable[[int], float]:
    """beta1 as a function of the step: `otherwise`, or what `onecycle` cycles it to."""
    if not isinstance(config, OneCycleConfig) or not config.cycle_momentum:
        return lambda _: otherwise
    share, low, high = config.pct_start, config.momentum_low, config.momentum_high
    return lambda step: _there_and_back(step, n_steps, share, (high, low, high))


class CosineConfig(Choice):
    """Settings of `cosine`.

    warmup : share of all steps
    final_ratio : last rate over highest rate
    """

    kind: Literal["cosine"] = "cosine"
    warmup: _Warmup = 0.05
    final_ratio: Share = 0.0


def cosine(config: CosineConfig, n_steps: int) -> Schedule:
    """Linear warm-up over a share of the steps, then half a cosine from 1 to final_ratio.

    Loshchilov & Hutter, "SGDR", ICLR 2017, eq. 5, without restarts. The warm-up takes
    the values 1/w, 2/w, ..., 1 at its w steps.
    """

    def multiplier(step: int, _: Sequence[float]) -> float:
        up, share = _warmed(step, n_steps, config.warmup)
        return up if up < 1 else _cosine(1.0, config.final_ratio, share)

    return multiplier


class RestartsConfig(Choice):
    """Settings of `restarts`.

    n_cycles : how many half cosines
    lengthen : each cycle is so many times as long as the one before
    final_ratio : rate at the end of a cycle over highest rate
    """

    kind: Literal["restarts"] = "restarts"
    n_cycles: Annotated[int, Field(ge=1, le=100)] = 3
    lengthen: Annotated[float, Field(ge=1, le=10)] = 2.0
    final_ratio: Share = 0.0


def restarts(config: RestartsConfig, n_steps: int) -> Schedule:
    """`n_cycles` half cosines, each `lengthen` times as long as the one before.

    Loshchilov & Hutter, "SGDR", ICLR 2017, eq. 5 with restarts; the first cycle is so
    long that the last one ends with the training.
    """
    weights = [config.lengthen**i for i in range(config.n_cycles)]

    def multiplier(step: int, _: Sequence[float]) -> float:
        start = 0.0
        for weight in weights:
            length = n_steps * weight / sum(weights)
            if step < start + length:
                break
            start += length
        return _cosine(1.0, config.final_ratio, min(1.0, (step - start) / length))

    return multiplier


class LinearConfig(Choice):
    """Settings of `linear`.

    warmup : share of all steps
    final_ratio : last rate over highest rate
    """

    kind: Literal["linear"] = "linear"
    warmup: _Warmup = 0.05
    final_ratio: Share = 0.0


def linear(config: LinearConfig, n_steps: int) -> Schedule:
    """Linear warm-up, then a straight line from 1 to final_ratio."""

    def multiplier(step: int, _: Sequence[float]) -> float:
        up, share = _warmed(step, n_steps, config.warmup)
        return up if up < 1 else 1 + (config.final_ratio - 1) * share

    return multiplier


class StepConfig(Choice):
    """Settings of `steps`.

    every : share of all steps between two drops
    gamma : what a drop multiplies the rate by
    """

    kind: Literal["step"] = "step"
    every: Annotated[float, Field(gt=0, le=1)] = 0.3333333333
    gamma: Annotated[float, Field(gt=0, le=1)] = 0.1


def steps(config: StepConfig, n_steps: int) -> Schedule:
    """`gamma` to the power of how often a share `every` of the steps has passed."""
    every = max(1, math.ceil(round(config.every * n_steps, 6)))
    return lambda step, _: float(config.gamma ** (step // every))


class ConstantConfig(Choice):
    """Settings of `constant`.

    warmup : share of all steps
    """

    kind: Literal["constant"] = "constant"
    warmup: _Warmup = 0.05


def constant(config: ConstantConfig, n_steps: int) -> Schedule:
    """1 after a linear warm-up."""
    return lambda step, _: _warmed(step, n_steps, config.warmup)[0]


class PlateauConfig(Choice):
    """Settings of `plateau`.

    factor : what a drop multiplies the rate by
    patience : epochs without a gain before a drop
    threshold : least relative gain
    final_ratio : lowest rate over highest rate
    """

    kind: Literal["plateau"] = "plateau"
    factor: Annotated[float, Field(gt=0, lt=1)] = 0.1
    patience: Annotated[int, Field(ge=0, le=10_000)] = 5
    threshold: Share = 1e-4
    final_ratio: Share = 1e-4


def plateau(config: PlateauConfig, _: int) -> Schedule:
    """Times `factor` whenever more than `patience` epochs brought no relative gain of `threshold`.

    As torch's ReduceLROnPlateau (mode min, relative threshold), never below final_ratio.
    """

    def multiplier(_: int, losses: Sequence[float]) -> float:
        found, best, waited = 1.0, math.inf, 0
        for loss in losses:
            if loss < best * (1 - config.threshold):
                best, waited = loss, 0
            else:
                waited += 1
            if waited > config.patience:
                found, waited = max(found * config.factor, config.final_ratio), 0
        return found

    return multiplier


SCHEDULES = Registry(
    "schedule",
    Choice,
    {
        "onecycle": Row(OneCycleConfig, onecycle),
        "cosine": Row(CosineConfig, cosine),
        "restarts": Row(RestartsConfig, restarts),
        "linear": Row(LinearConfig, linear),
        "step": Row(StepConfig, steps),
        "constant": Row(ConstantConfig, constant),
        "plateau": Row(PlateauConfig, plateau),
    },
)
"""Name -> its settings, and what makes the schedule of them and of the number of steps."""

if TYPE_CHECKING:
    AnySchedule = Choice
else:
    AnySchedule = one_of(SCHEDULES)


def schedule(config: AnySchedule, n_steps: int) -> Schedule:
    """The schedule of a training of `n_steps` optimizer steps."""
    build = SCHEDULES.of(config).build
    assert build is not None
    found: Schedule = build(config, n_steps)
    return found


def _warmed(step: int, n_steps: int, warmup: float) -> tuple[float, float]:
    """Multiplier of the warm-up (1 after it) and the share of the steps behind it, in [0, 1]."""
    n_warmup = math.ceil(warmup * n_steps)
    if step < n_warmup - 1:
        return (step + 1) / n_warmup, 0.0
    return 1.0, max(0, step - n_warmup) / max(1, n_steps - n_warmup)


def _there_and_back(
    step: int, n_steps: int, share: float, values: tuple[float, float, float]
) -> float:
    """From the first to the second value in a share of the steps, then to the third; cosine."""
    first, second, third = values
    top = share * n_steps - 1
    if step <= top:
        return _cosine(first, second, step / top if top > 0 else 1.0)
    return _cosine(second, third, (step - top) / (n_steps - 1 - top))


def _cosine(start: float, end: float, share: float) -> float:
    return end + (start - end) / 2 * (1 + math.cos(math.pi * share))
