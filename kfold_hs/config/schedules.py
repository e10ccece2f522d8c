"""Learning-rate schedules as pure functions: step -> multiplier of `optim.lr`.

`step` counts optimizer steps from 0 to n_steps - 1. Only the learning rate follows
the schedule, unless `sched.cycle_momentum` says otherwise: torch's OneCycleLR cycles the
momentum too unless told not to, which would compare two changes at once.

`plateau` alone looks at something: at the training losses of the epochs before. The
validation loss, which is usually looked at, is here the loss of the very people that
the fold is scored on.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from kfold_hs.config.schema import (
    ConstantConfig,
    CosineConfig,
    LinearConfig,
    OneCycleConfig,
    PlateauConfig,
    RestartsConfig,
    SchedConfig,
    StepConfig,
)

Schedule = Callable[[int, Sequence[float]], float]
"""(step, training losses of the epochs before) -> multiplier."""


def onecycle(
    step: int, n_steps: int, pct_start: float, div_factor: float, final_div_factor: float
) -> float:
    """Up from 1/div_factor to 1 and down to 1/(div_factor * final_div_factor), both cosine.

    Smith & Topin, "Super-Convergence", 2018; the phases are those of torch's
    OneCycleLR: the top is reached at step ``pct_start * n_steps - 1``.
    """
    top = pct_start * n_steps - 1
    low, end = 1 / div_factor, 1 / (div_factor * final_div_factor)
    if step <= top:
        return _cosine(low, 1.0, step / top if top > 0 else 1.0)
    return _cosine(1.0, end, (step - top) / (n_steps - 1 - top))


def onecycle_momentum(step: int, n_steps: int, pct_start: float, low: float, high: float) -> float:
    """Down from `high` to `low` while `onecycle` goes up, and back: torch's cycle_momentum."""
    top = pct_start * n_steps - 1
    if step <= top:
        return _cosine(high, low, step / top if top > 0 else 1.0)
    return _cosine(low, high, (step - top) / (n_steps - 1 - top))


def cosine(step: int, n_steps: int, warmup: float, final_ratio: float) -> float:
    """Linear warm-up over a share of the steps, then half a cosine from 1 to final_ratio.

    Loshchilov & Hutter, "SGDR", ICLR 2017, eq. 5, without restarts. The warm-up takes
    the values 1/w, 2/w, ..., 1 at its w steps.
    """
    up, share = _warmed(step, n_steps, warmup)
    return up if up < 1 else _cosine(1.0, final_ratio, share)


def restarts(step: int, n_steps: int, n_cycles: int, lengthen: float, final_ratio: float) -> float:
    """`n_cycles` half cosines, each `lengthen` times as long as the one before.

    Loshchilov & Hutter, "SGDR", ICLR 2017, eq. 5 with restarts; the first cycle is so
    long that the last one ends with the training.
    """
    weights = [lengthen**i for i in range(n_cycles)]
    start = 0.0
    for weight in weights:
        length = n_steps * weight / sum(weights)
        if step < start + length:
            break
        start += length
    return _cosine(1.0, final_ratio, min(1.0, (step - start) / length))


def linear(step: int, n_steps: int, warmup: float, final_ratio: float) -> float:
    """Linear warm-up, then a straight line from 1 to final_ratio."""
    up, share = _warmed(step, n_steps, warmup)
    return up if up < 1 else 1 + (final_ratio - 1) * share


def steps(step: int, n_steps: int, every: float, gamma: float) -> float:
    """`gamma` to the power of how often a share `every` of the steps has passed."""
    return float(gamma ** (step // max(1, math.ceil(round(every * n_steps, 6)))))


def constant(step: int, n_steps: int, warmup: float) -> float:
    """1 after a linear warm-up."""
    return _warmed(step, n_steps, warmup)[0]


def plateau(
    losses: Sequence[float], factor: float, patience: int, threshold: float, final_ratio: float
) -> float:
    """Times `factor` whenever more than `patience` epochs brought no relative gain of `threshold`.

    As torch's ReduceLROnPlateau (mode min, relative threshold), never below final_ratio.
    """
    multiplier, best, waited = 1.0, math.inf, 0
    for loss in losses:
        if loss < best * (1 - threshold):
            best, waited = loss, 0
        else:
            waited += 1
        if waited > patience:
            multiplier, waited = max(multiplier * factor, final_ratio), 0
    return multiplier


def schedule(config: SchedConfig, n_steps: int) -> Schedule:
    """The multiplier as a function of the step (and, for plateau, of training losses)."""
    c = config
    match c:
        case OneCycleConfig():
            ends = c.div_factor, c.final_div_factor
            return lambda step, _: onecycle(step, n_steps, c.pct_start, *ends)
        case CosineConfig():
            return lambda step, _: cosine(step, n_steps, c.warmup, c.final_ratio)
        case RestartsConfig():
            return lambda step, _: restarts(step, n_steps, c.n_cycles, c.lengthen, c.final_ratio)
        case LinearConfig():
            return lambda step, _: linear(step, n_steps, c.warmup, c.final_ratio)
        case StepConfig():
            return lambda step, _: steps(step, n_steps, c.every, c.gamma)
        case ConstantConfig():
            return lambda step, _: constant(step, n_steps, c.warmup)
        case PlateauConfig():
            rule = c.factor, c.patience, c.threshold, c.final_ratio
            return lambda _, losses: plateau(losses, *rule)


def momentum(config: SchedConfig, n_steps: int, otherwise: float) -> Callable[[int], float]:
    """beta1 as a function of the step: `otherwise`, or what a OneCycle schedule cycles it to."""
    if isinstance(config, OneCycleConfig) and config.cycle_momentum:
        c = config
        return lambda step: onecycle_momentum(
            step, n_steps, c.pct_start, c.momentum_low, c.momentum_high
        )
    return lambda _: otherwise


def _warmed(step: int, n_steps: int, warmup: float) -> tuple[float, float]:
    """Multiplier of the warm-up (1 after it) and the share of the steps behind it, in [0, 1]."""
    n_warmup = math.ceil(warmup * n_steps)
    if step < n_warmup - 1:
        return (step + 1) / n_warmup, 0.0
    return 1.0, max(0, step - n_warmup) / max(1, n_steps - n_warmup)


def _cosine(start: float, end: float, share: float) -> float:
    return end + (start - end) / 2 * (1 + math.cos(math.pi * share))
