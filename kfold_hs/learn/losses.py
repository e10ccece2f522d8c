"""Losses on class probabilities, so that smoothing and mixup need no special case.

With targets q (n, C) that sum to 1, log-probabilities log p and class weights w:

    loss = sum_ic w_c q_ic (1 - p_ic)^gamma (-log p_ic)  /  sum_ic w_c q_ic

gamma = 0 is cross-entropy, gamma > 0 the focal loss (Lin et al., "Focal Loss for Dense
Object Detection", ICCV 2017, eq. 4) with each class's own p. For hard labels and
gamma = 0 this equals torch's weighted cross-entropy with its mean. Label smoothing
(Szegedy et al., CVPR 2016) replaces q by (1 - s) q + s / C first.
"""

from __future__ import annotations

import torch

from kfold_hs.cohort import Task
from kfold_hs.settings import CrossEntropyConfig, FocalConfig


def soft_loss(
    logits: torch.Tensor, targets: torch.Tensor, weights: torch.Tensor, gamma: float = 0.0
) -> torch.Tensor:
    """The formula above.

    Parameters
    ----------
    logits, targets : Tensor, shape (n, C)
        Targets are probabilities.
    weights : Tensor, shape (C,)
        Class weights, > 0.
    gamma : float
        Focusing parameter, >= 0.

    Returns
    -------
    Tensor, scalar
    """
    log_p = logits.float().log_softmax(dim=1)
    share = targets * weights
    cost = -log_p if gamma == 0 else -log_p * (1 - log_p.exp()).clamp_min(0) ** gamma
    return (share * cost).sum() / share.sum()


def smooth(targets: torch.Tensor, smoothing: float) -> torch.Tensor:
    """(1 - s) q + s / C, for targets of shape (..., C)."""
    return targets if smoothing == 0 else (1 - smoothing) * targets + smoothing / targets.shape[-1]


class TaskLosses:
    """Mean of the tasks' losses; class weights as `config.class_weights` says.

    Parameters
    ----------
    config : CrossEntropyConfig or FocalConfig
    tasks : tuple of Task
    targets : dict of Tensor, each (n_recordings, C)
        Of the training recordings; "balanced" weights are 1 / share of the class among
        them, scaled to mean 1.
    """

    def __init__(
        self,
        config: CrossEntropyConfig | FocalConfig,
        tasks: tuple[Task, ...],
        targets: dict[str, torch.Tensor],
    ) -> None:
        self.smoothing = config.label_smoothing
        self.gamma = config.gamma if isinstance(config, FocalConfig) else 0.0
        self.weights = {
            task.name: _class_weights(config.class_weights, task, targets[task.name])
            for task in tasks
        }

    def to(self, device: torch.device) -> TaskLosses:
        self.weights = {name: weights.to(device) for name, weights in self.weights.items()}
        return self

    def __call__(
        self, logits: dict[str, torch.Tensor], targets: dict[str, torch.Tensor]
    ) -> torch.Tensor:
        """Scalar loss; `logits` and `targets` hold (n, C) for each task."""
        each = [
            soft_loss(logits[name], smooth(targets[name], self.smoothing), weights, self.gamma)
            for name, weights in self.weights.items()
        ]
        return torch.stack(each).mean()


def _class_weights(kind: str, task: Task, targets: torch.Tensor) -> torch.Tensor:
    if kind == "task":
        return torch.tensor(task.class_weights, dtype=torch.float32)
    if kind == "balanced":
        # A class that is absent from the training recordings can never be a target.
        inverse = 1 / targets.sum(dim=0).clamp_min(1)
        return inverse / inverse.mean()
    return torch.ones(task.n_classes)
