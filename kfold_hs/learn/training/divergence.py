"""When a training has come to nothing: its loss is no number, or it is far too large and stays so.

Looked at once an epoch, on all losses of its batches, so that no step waits for the device.

Diverging: the mean training loss of two epochs running is more than 4 times what knowing
nothing costs (the same probability for every class, with the same class weights and
smoothing; for two classes and cross-entropy ln 2). One such epoch may be a rate that is still
to fall.
"""

from __future__ import annotations

import math

import torch

from kfold_hs.config.schema import Config
from kfold_hs.errors import DivergedError
from kfold_hs.files.paths import FoldId
from kfold_hs.learn.losses import TaskLosses

DIVERGED = 4.0
"""Times the loss of knowing nothing."""


def loss_of_knowing_nothing(losses: TaskLosses, targets: dict[str, torch.Tensor]) -> float:
    """Loss of even probabilities on the training targets."""
    return float(losses({name: torch.zeros_like(q) for name, q in targets.items()}, targets))


def check_training(
    batch_losses: list[torch.Tensor],
    past_losses: list[float],
    knowing_nothing: float,
    config: Config,
    fold: FoldId,
) -> float:
    """The mean training loss of an epoch, or an error that names the first bad step.

    Parameters
    ----------
    batch_losses : list of Tensor, scalars
        Of every batch of the epoch.
    past_losses : list of float
        Mean training losses of the epochs before.

    Raises
    ------
    DivergedError
        A loss is not a finite number, or the training diverges (see above).
    """
    epoch, mean = len(past_losses), float(sum(batch_losses)) / len(batch_losses)
    each = torch.stack(batch_losses).tolist()
    bound = DIVERGED * knowing_nothing
    for batch, loss in enumerate(each):
        if not math.isfinite(loss):
            step = batch // config.train.accumulate
            raise _diverged("is not a finite number", loss, config, fold, (epoch, step))
    if mean > bound and past_losses and past_losses[-1] > bound:
        step = next(i for i, loss in enumerate(each) if loss > bound) // config.train.accumulate
        cause = f"diverges: two epochs are above {bound:.3g}, {DIVERGED:g} times knowing nothing"
        raise _diverged(cause, mean, config, fold, (epoch, step))
    return mean


def check_scored(loss: float, who: str, config: Config, fold: FoldId, epoch: int) -> None:
    """Refuse a loss of people who are not trained on that is not a finite number.

    Raises
    ------
    DivergedError
        After the last step of the epoch.
    """
    if not math.isfinite(loss):
        cause = f"on {who} is not a finite number"
        raise _diverged(cause, loss, config, fold, (epoch, None))


def _diverged(
    cause: str, loss: float, config: Config, fold: FoldId, when: tuple[int, int | None]
) -> DivergedError:
    epoch, step = when
    where = "after its last step" if step is None else f"step {step + 1}"
    return DivergedError(
        f"fold {fold.fold}: the loss of epoch {epoch + 1}, {where}, {cause} ({loss:g}). Lower "
        f"optim.lr={config.optim.lr:g}, or set train.grad_clip.",
        epoch=epoch,
        step=step,
        cause=f"the loss {cause}",
    )
