"""Learning-rate range test: the loss while the rate grows from far too low to far too high.

Smith, "Cyclical Learning Rates for Training Neural Networks", WACV 2017, section 3.3,
with an exponential sweep: on the training people of one fold, with everything as the
recipe has it but the schedule.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch

from kfold_hs.cohort import Cohort
from kfold_hs.config.schema import Config
from kfold_hs.errors import TrainingError
from kfold_hs.learn.data.bags import Bags
from kfold_hs.learn.data.covariates import encode
from kfold_hs.learn.data.crops import Source
from kfold_hs.learn.data.examples import FoldData, make_targets, sampling_weights
from kfold_hs.learn.features.bank import Bank
from kfold_hs.learn.losses import TaskLosses
from kfold_hs.learn.models.network import make_model
from kfold_hs.learn.random_streams import Place
from kfold_hs.learn.training.epoch import train_epoch
from kfold_hs.learn.training.optimizer import make_optimizer
from kfold_hs.learn.training.pace import Pace, steps_of_an_epoch
from kfold_hs.learn.training.step import Step

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


def lr_find(
    config: Config,
    cohort: Cohort,
    bank: Bank,
    data: FoldData,
    device: torch.device,
    lowest_lr: float = 1e-6,
    highest_lr: float = 1.0,
    n_steps: int = 120,
) -> Found:
    """Train with a rate that grows from `lowest_lr` to `highest_lr` in `n_steps` steps.

    Raises
    ------
    TrainingError
        The loss is not finite from the start.
    """
    place = Place(config.seed, 0, 0, 0)
    of_patients = config.train.level == "patient"
    source = Source.of(config, cohort, bank)
    bags = Bags.of(cohort, data.train, config.train)
    targets = make_targets(cohort, config.train, device)
    rows = torch.from_numpy(bags.first).to(device)
    train_targets = {name: q[rows] for name, q in targets.items()}
    losses = TaskLosses(config.loss, cohort.tasks, {n: q.cpu() for n, q in train_targets.items()})
    losses.to(device)
    encoder, covariates = encode(cohort, data.train, config.model.covariates, device)
    width = encoder.width if encoder else 0
    model = make_model(
        config.model, cohort.tasks, place.torch_seed("init", 0), width, of_patients,
        config.features.n_fitted_bands,
    )  # fmt: skip
    model.front.fit(bank, data.train)
    model.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = make_optimizer(model, config, device)
    step = Step(config, model, losses, device)
    n_batches, per_epoch = steps_of_an_epoch(config, len(bags))

    def lr(step: int) -> float:
        return float(lowest_lr * (highest_lr / lowest_lr) ** (step / (n_steps - 1)))

    pace = Pace(
        n_batches, per_epoch,
        lambda step, _: lr(min(step, n_steps - 1)) / config.optim.lr, lambda _: config.optim.beta1,
    )  # fmt: skip
    weights = sampling_weights(config.train.sampling, cohort, bags.first)
    values: list[float] = []
    for epoch in range(math.ceil(n_steps / per_epoch)):
        torch.manual_seed(place.torch_seed("dropout", epoch))
        batch_losses = train_epoch(
            config, model, None, optimizer, pace, source, bags, train_targets, step, weights,
            place, epoch, [], covariates,
        )  # fmt: skip
        each = np.array([float(loss) for loss in batch_losses])
        size = config.train.accumulate
        values += [float(each[at : at + size].mean()) for at in range(0, len(each), size)]
        if not math.isfinite(values[-1]):
            break
    return _read(values[:n_steps], lr)


def _read(values: list[float], lr: object) -> Found:
    assert callable(lr)
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
