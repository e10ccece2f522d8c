"""Learning-rate schedules as pure functions: step -> multiplier of `optim.lr`.

`step` counts optimizer steps from 0 to n_steps - 1. Only the learning rate follows
the schedule: torch's OneCycleLR cycles the momentum too unless told not to, which
would compare two changes at once.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from kfold_hs.settings import CosineConfig, OneCycleConfig

Schedule = Callable[[int], float]


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


def cosine(step: int, n_steps: int, warmup: float, final_ratio: float) -> float:
    """Linear warm-up over a share of the steps, then half a cosine from 1 to final_ratio.

    Loshchilov & Hutter, "SGDR", ICLR 2017, eq. 5, without restarts. The warm-up takes
    the values 1/w, 2/w, ..., 1 at its w steps.
    """
    n_warmup = math.ceil(warmup * n_steps)
    if step < n_warmup:
        return (step + 1) / n_warmup
    return _cosine(1.0, final_ratio, (step - n_warmup) / max(1, n_steps - n_warmup))


def schedule(config: OneCycleConfig | CosineConfig, n_steps: int) -> Schedule:
    """The multiplier as a function of the step alone."""
    match config:
        case OneCycleConfig():
            return lambda step: onecycle(
                step, n_steps, config.pct_start, config.div_factor, config.final_div_factor
            )
        case CosineConfig():
            return lambda step: cosine(step, n_steps, config.warmup, config.final_ratio)


def _cosine(start: float, end: float, share: float) -> float:
    return end + (start - end) / 2 * (1 + math.cos(math.pi * share))
