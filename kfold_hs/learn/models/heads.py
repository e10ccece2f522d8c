"""From features to logits by task: a linear head each, or one over the joint classes.

The joint head has a class for each combination (Present and Abnormal, Present and Normal,
...); a task's log-probabilities are the logarithm of its marginals,

    log p(y_t = c) = logsumexp over the combinations with y_t = c of z  -  logsumexp of z

The loss is each task's own, on these marginals, so that class weights, smoothing, task weights,
a recording's own label and mixup keep their meaning; nothing has to be assumed about how
smoothed labels of two tasks go together. How tasks depend on each other is learnt as far as
both marginals need it, and is not scored by itself.
"""

from __future__ import annotations

import math

import torch
from torch import nn

from kfold_hs.cohort import Task
from kfold_hs.errors import ConfigError

MOST_JOINT_CLASSES = 1024


class SeparateHeads(nn.ModuleDict):
    """A linear layer a task; `forward` gives logits (n, C) by task."""

    def __init__(self, size: int, tasks: tuple[Task, ...]) -> None:
        keys = [_key(task.name, number) for number, task in enumerate(tasks)]
        heads = (nn.Linear(size, task.n_classes) for task in tasks)
        super().__init__(dict(zip(keys, heads, strict=True)))
        self.names = {key: task.name for key, task in zip(keys, tasks, strict=True)}

    def forward(self, hidden: torch.Tensor) -> dict[str, torch.Tensor]:
        return {self.names[key]: head(hidden) for key, head in self.items()}


def _key(name: str, number: int) -> str:
    """A task's key in a ModuleDict: its name, unless torch does not take that."""
    is_taken = hasattr(nn.ModuleDict(), name) or name == "names"
    return f"task {number}" if "." in name or is_taken else name


class JointHead(nn.Module):
    """One linear layer over the joint classes; `forward` gives log marginals (n, C) by task."""

    def __init__(self, size: int, tasks: tuple[Task, ...]) -> None:
        super().__init__()
        self.names = [task.name for task in tasks]
        self.shape = [task.n_classes for task in tasks]
        self.joint = nn.Linear(size, math.prod(self.shape))

    def forward(self, hidden: torch.Tensor) -> dict[str, torch.Tensor]:
        log_p = self.joint(hidden).float().log_softmax(dim=1).view(-1, *self.shape)
        axes = range(1, len(self.shape) + 1)
        return {
            name: log_p.logsumexp([other for other in axes if other != axis])
            if len(self.shape) > 1
            else log_p
            for axis, name in zip(axes, self.names, strict=True)
        }


HEADS = {"separate": SeparateHeads, "joint": JointHead}


def check_heads(name: str, tasks: tuple[Task, ...]) -> None:
    """Refuse a joint head over more combinations than could be learnt.

    Raises
    ------
    ConfigError
        With their number.
    """
    n = math.prod(task.n_classes for task in tasks)
    if name == "joint" and n > MOST_JOINT_CLASSES:
        raise ConfigError(
            f"model.heads=joint takes a class for each of {n} combinations of the tasks' classes; "
            f"at most {MOST_JOINT_CLASSES}. Set model.heads=separate."
        )
