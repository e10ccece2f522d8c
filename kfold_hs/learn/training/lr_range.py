"""Learning-rate range test: the loss while the rate grows from far too low to far too high.

Smith, "Cyclical Learning Rates for Training Neural Networks", WACV 2017, section 3.3,
with an exponential sweep: on the training people of one fold, with everything as the
recipe has it but the schedule.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from kfold_hs.errors import TrainingError
from kfold_hs.learn.data.fold import Fold
from kfold_hs.learn.training.epoch import train_epoch
from kfold_hs.learn.training.epoch_plan import EpochPlan
from kfold_hs.learn.training.setup import Training

_MEMORY = 0.9
"""Of the exponential mean that smooths the loss (bias-corrected)."""
_DIVERGED = 4.0
"""Times its lowest value, the smoothed loss counts as diverged."""


@dataclass(frozen=True)
class Found:
    """What the range test found.

    Parameters
    ----------
    table : DataFrame
        step, lr, loss, smoothed; up to where the loss diverged.
    steepest : float
        Rate at which the smoothed loss falls fastest per decade: a good highest rate.
    lowest : float
        Rate of the lowest smoothed loss: already too high; a tenth of it is a common choice.
    """

    table: pd.DataFrame
    steepest: float
    lowest: float


@dataclass(frozen=True)
class Range:
    """Learning rates from `lowest` to `highest`, growing exponentially in `n_steps` steps."""

    lowest: float = 1e-6
    highest: float = 1.0
    n_steps: int = 120

    def at(self, step: int) -> float:
        """The rate of a step, from 0."""
        return float(self.lowest * (self.highest / self.lowest) ** (step / (self.n_steps - 1)))


def lr_find(fold: Fold, rates: Range) -> Found:
    """Train a fold while the rate grows.

    Raises
    ------
    TrainingError
        The loss is not finite from the start.
    """
    config, ready = fold.config, Training.of(fold)
    plan = EpochPlan(
        ready.plan.n_batches,
        ready.plan.n_steps,
        1.0,
        lambda step, _: rates.at(min(step, rates.n_steps - 1)),
        lambda _: config.optim.beta1,
    )
    training = replace(ready, plan=plan)
    values: list[float] = []
    for epoch in range(math.ceil(rates.n_steps / plan.n_steps)):
        each = np.array([float(loss) for loss in train_epoch(training, epoch, [])])
        size = config.train.accumulate
        values += [float(each[at : at + size].mean()) for at in range(0, len(each), size)]
        if not math.isfinite(values[-1]):
            break
    return _read(values[: rates.n_steps], rates.at)


def _read(values: list[float], lr: Callable[[int], float]) -> Found:
    mean, rows = 0.0, []
    best = math.inf
    for step, loss in enumerate(values):
        mean = _MEMORY * mean + (1 - _MEMORY) * loss
        smoothed = mean / (1 - _MEMORY ** (step + 1))
        if not math.isfinite(smoothed) or smoothed > _DIVERGED * best:
            break
        best = min(best, smoothed)
        rows.append({"step": step, "lr": lr(step), "loss": loss, "smoothed": smoothed})
    if len(rows) < 10:
        raise TrainingError(
            f"the loss was not finite or diverged after {len(rows)} steps, at a learning rate of "
            f"{lr(len(rows)):g}: there is no range to read. Begin lower with --from."
        )
    table = pd.DataFrame(rows)
    slope = np.gradient(table["smoothed"], np.log10(table["lr"]))
    lowest = int(table["smoothed"].argmin())
    # The first steps are of an untrained mean, and past the lowest point nothing falls.
    steepest = 5 + int(np.argmin(slope[5 : max(6, lowest + 1)]))
    return Found(table, float(table["lr"][steepest]), float(table["lr"][lowest]))
