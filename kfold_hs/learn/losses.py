"""Losses on class probabilities, so that smoothing and mixup need no special case.

With targets q (n, C), log-probabilities log p and class weights w:

    loss = sum_ic w_c q_ic cost(p_ic)  /  sum_ic w_c q_ic

where a row of `COSTS` says what a probability costs if its class is the true one. For hard labels
cross-entropy equals torch's weighted cross-entropy with its mean. Label smoothing (Szegedy et al.,
CVPR 2016) replaces q by (1 - s) q + s m / C first, where m = sum_c q_c. A new loss is a settings
class and a row in `kfold_hs.config.training`, and a cost and a row here.

An example's targets sum to m = 1; or to m = 0 where its label is dropped (`train.uncertain`), so
that it has no part in the loss, and to something in between where mixup mixed the two: then it
counts for the share whose label is known. Without any label the loss is 0.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from kfold_hs.cohort import Task
from kfold_hs.config.losses import LOSSES, CrossEntropyConfig, FocalConfig, LossConfig
from kfold_hs.errors import ConfigError, unknown_name

_LEAST = torch.finfo(torch.float32).tiny


Cost = Callable[[torch.Tensor, Any], torch.Tensor]
"""(log p, the settings of the loss) -> costs, both of shape (n, C)."""


def cross_entropy(log_p: torch.Tensor, config: CrossEntropyConfig) -> torch.Tensor:
    """-log p."""
    return -log_p


def focal(log_p: torch.Tensor, config: FocalConfig) -> torch.Tensor:
    """(1 - p)^gamma (-log p), with each class's own p; 0 is cross-entropy.

    Lin et al., "Focal Loss for Dense Object Detection", ICCV 2017, eq. 4.
    """
    if config.gamma == 0:
        return -log_p
    # Above 0, where a root has no gradient (NaN with torch 2.11), and below all that float32 has.
    return -log_p * (1 - log_p.exp()).clamp_min(1e-12) ** config.gamma


COSTS: dict[str, Cost] = {"cross_entropy": cross_entropy, "focal": focal}
"""A row for each of the package's own in `kfold_hs.config.losses.LOSSES`."""


def soft_loss(
    logits: torch.Tensor, targets: torch.Tensor, weights: torch.Tensor, config: LossConfig
) -> torch.Tensor:
    """The formula above, without smoothing.

    Parameters
    ----------
    logits, targets : Tensor, shape (n, C)
        Targets are probabilities, or zeros without a label.
    weights : Tensor, shape (C,)
        Class weights, > 0.
    config : LossConfig
        `kind` names the cost.

    Returns
    -------
    Tensor, scalar
    """
    share = targets * weights
    build = LOSSES.of(config).build
    if build is not None and not getattr(config, "is_cost", True):  # a plug-in's, by example
        summed = (share.sum(dim=1) * build(config, logits.float(), targets)).sum()
    else:
        log_p = logits.float().log_softmax(dim=1)
        costs = COSTS[config.kind](log_p, config) if build is None else build(config, log_p)
        summed = (share * costs).sum()
    found: torch.Tensor = summed / share.sum().clamp_min(_LEAST)
    return found


def smooth(targets: torch.Tensor, smoothing: float, ordinal: bool = False) -> torch.Tensor:
    """(1 - s) q + s m / C, for targets of shape (..., C) whose sum is m.

    `ordinal`: the share s goes to the neighbouring classes alone, in the order of the class
    list (Present, Unknown, Absent), half to each where there are two: to mistake Present
    for Unknown is less wrong than for Absent (after Diaz & Marathe, "Soft Labels for
    Ordinal Regression", CVPR 2019).
    """
    if smoothing == 0:
        return targets
    n = targets.shape[-1]
    if not ordinal:
        return (1 - smoothing) * targets + smoothing / n * targets.sum(dim=-1, keepdim=True)
    place = torch.arange(n, device=targets.device)
    near = ((place[:, None] - place[None]).abs() == 1).to(targets.dtype)
    near = near / near.sum(dim=1, keepdim=True)
    return (1 - smoothing) * targets + smoothing * targets @ near


class TaskLosses:
    """Weighted mean of the tasks' losses; class weights as `config.class_weights` says.

    Parameters
    ----------
    config : LossConfig
    tasks : tuple of Task
    targets : dict of Tensor, each (n_recordings, C)
        Of the training recordings; "balanced" weights are 1 / share of the class among
        them, scaled to mean 1; "effective" ones (1 - b) / (1 - b^n) for n of a class
        (Cui et al., "Class-Balanced Loss", CVPR 2019, eq. 3), scaled alike. A class of no
        target has the mean weight of the others.

    Raises
    ------
    ConfigError
        `task_weights` names a task that does not exist or weighs them all 0; "challenge"
        weights for a task that the challenge does not have.
    """

    def __init__(
        self,
        config: LossConfig,
        tasks: tuple[Task, ...],
        targets: dict[str, torch.Tensor],
    ) -> None:
        self.config = config
        self.weights = {
            task.name: _class_weights(config, task, targets[task.name]) for task in tasks
        }
        names = [task.name for task in tasks]
        if unknown := set(config.task_weights) - set(names):
            raise ConfigError(unknown_name("task in loss.task_weights", sorted(unknown)[0], names))
        shares = [config.task_weights.get(name, 1.0) for name in names]
        if not any(shares):
            raise ConfigError("loss.task_weights weighs every task 0: nothing would be learnt.")
        self.shares = dict(zip(names, shares, strict=True))

    def to(self, device: torch.device) -> TaskLosses:
        self.weights = {name: weights.to(device) for name, weights in self.weights.items()}
        return self

    def __call__(
        self, logits: dict[str, torch.Tensor], targets: dict[str, torch.Tensor]
    ) -> torch.Tensor:
        """Scalar loss; `logits` and `targets` hold (n, C) for each task."""
        smoothing = self.config.label_smoothing, self.config.ordinal_smoothing
        each = [
            self.shares[name]
            * soft_loss(logits[name], smooth(targets[name], *smoothing), weights, self.config)
            for name, weights in self.weights.items()
        ]
        return torch.stack(each).sum() / sum(self.shares.values())


CHALLENGE_WEIGHTS = {
    "Present": 5.0, "Unknown": 3.0, "Absent": 1.0, "Abnormal": 5.0, "Normal": 1.0,
}  # fmt: skip
"""Of the weighted accuracies of the PhysioNet Challenge 2022 (Reyna et al. 2023, eq. 1, 2)."""


def _class_weights(config: LossConfig, task: Task, targets: torch.Tensor) -> torch.Tensor:
    match config.class_weights:
        case "task":
            return torch.tensor(task.class_weights, dtype=torch.float32)
        case "challenge":
            if missing := [name for name in task.classes if name not in CHALLENGE_WEIGHTS]:
                raise ConfigError(
                    f"loss.class_weights=challenge has no weight for {task.name}={missing[0]}: "
                    f"the challenge's classes are {', '.join(CHALLENGE_WEIGHTS)}."
                )
            return torch.tensor([CHALLENGE_WEIGHTS[name] for name in task.classes])
        case "balanced" | "effective":
            counts = targets.sum(dim=0)
            inverse = 1 / counts
            if config.class_weights == "effective":
                beta = config.effective_beta
                inverse = (1 - beta) / (1 - beta**counts)
            # A class that is never a target still gets its share of label smoothing.
            inverse[counts == 0] = inverse[counts > 0].mean()
            return inverse / inverse.mean()
        case _:
            return torch.ones(task.n_classes)
