"""From features to logits by task: a linear head each, binary ones, or one over the joint classes.

Binary heads ask one question after the other (nested dichotomies; Frank & Kramer, "Ensembles of
Nested Dichotomies for Multi-Class Problems", ICML 2004): first for the positive class against all
others, then for the other classes in their order, each against those that are still left. The
last class has no question of its own. With s_k = sigmoid(z_k) of the k-th question,

    log p_k = log s_k + sum_{j<k} log (1 - s_j),    log p_last = sum_j log (1 - s_j)

For murmur: p(Present) = s_1, p(Unknown) = (1 - s_1) s_2, p(Absent) = (1 - s_1) (1 - s_2). The
probabilities sum to 1, and Present is told by a sigmoid in which Unknown has no part. A task's
cross-entropy, weighted, smoothed or mixed, is the sum of binary ones: with a_c = w_c q_c,

    sum_c a_c (-log p_c) = sum_k [ a_k (-log s_k) + sum_{c after k} a_c (-log (1 - s_k)) ]

so that each question is learnt by itself, from the examples that get as far as it. (The focal
loss weighs an example by the p of its class, which is of several questions.) Biases begin where
all classes are about as likely, as with the other heads.

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
    """A head of its own for each task; `forward` gives its logits (n, C) by task."""

    def __init__(self, size: int, tasks: tuple[Task, ...]) -> None:
        keys = [_key(task.name, number) for number, task in enumerate(tasks)]
        heads = (self._head(size, task) for task in tasks)
        super().__init__(dict(zip(keys, heads, strict=True)))
        self.names = {key: task.name for key, task in zip(keys, tasks, strict=True)}

    def forward(self, hidden: torch.Tensor) -> dict[str, torch.Tensor]:
        return {self.names[key]: head(hidden) for key, head in self.items()}

    @staticmethod
    def _head(size: int, task: Task) -> nn.Module:
        return nn.Linear(size, task.n_classes)


class BinaryHeads(SeparateHeads):
    """Questions of yes or no, one for each class but the last; `forward` gives log p (n, C)."""

    @staticmethod
    def _head(size: int, task: Task) -> nn.Module:
        return Dichotomies(size, task)


def _key(name: str, number: int) -> str:
    """A task's key in a ModuleDict: its name, unless torch does not take that."""
    is_taken = hasattr(nn.ModuleDict(), name) or name == "names"
    return f"task {number}" if "." in name or is_taken else name


class Dichotomies(nn.Linear):
    """One task's questions, the positive class's first; `forward` gives log p (n, C)."""

    answers: torch.Tensor

    def __init__(self, size: int, task: Task) -> None:
        n = task.n_classes
        super().__init__(size, n - 1)
        asked = [task.positive, *(name for name in task.classes if name != task.positive)]
        # Of each class: 1 for its own question, -1 for those before it, 0 for those after it.
        answers = (torch.eye(n) - torch.ones(n, n).tril(-1))[:, : n - 1]
        rows = torch.tensor([asked.index(name) for name in task.classes])
        self.register_buffer("answers", answers[rows], persistent=False)
        with torch.no_grad():
            self.bias.sub_(torch.arange(n - 1, 0, -1).log())

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        z = super().forward(hidden).float()
        # Not by a running sum, which has no deterministic kernel on GPUs.
        each = nn.functional.logsigmoid(self.answers * z[:, None]) * self.answers.abs()
        return each.sum(dim=2)


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


HEADS = {"separate": SeparateHeads, "binary": BinaryHeads, "joint": JointHead}


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
