"""Joint heads give marginals, binary ones nested dichotomies; both train like any other."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from support.project import TINY
from support.training import check_resumed, config, fit

from kfold_hs.cohort import Cohort, Task
from kfold_hs.config.compose import compose
from kfold_hs.config.losses import CrossEntropyConfig
from kfold_hs.errors import ConfigError
from kfold_hs.learn.losses import smooth, soft_loss
from kfold_hs.learn.models.heads import BinaryHeads, Dichotomies, JointHead, SeparateHeads
from kfold_hs.learn.training.fold import check

TASKS = tuple(
    Task(name, tuple("abc"[:n]), "a", (1.0,) * n, "mean") for name, n in (("t", 3), ("u", 2))
)
MIXED = "augment.mixup_alpha=0.5"
PATIENTS = ["train.level=patient", "loss.class_weights=balanced"]


def test_marginals_by_hand() -> None:
    head = JointHead(4, TASKS)
    hidden = torch.randn(5, 4, generator=torch.Generator().manual_seed(0))
    joint = head.joint(hidden).softmax(1)  # aa ab ba bb ca cb
    found = {name: each.softmax(1) for name, each in head(hidden).items()}
    expected = torch.stack([joint[:, 2 * i] + joint[:, 2 * i + 1] for i in range(3)], dim=1)
    torch.testing.assert_close(found["t"], expected)
    torch.testing.assert_close(found["u"][:, 0], joint[:, 0] + joint[:, 2] + joint[:, 4])
    alone = JointHead(4, TASKS[:1])
    torch.testing.assert_close(alone(hidden)["t"].exp(), alone.joint(hidden).softmax(1))


def dichotomies(classes: str, positive: str, size: int = 4) -> Dichotomies:
    torch.manual_seed(0)
    return Dichotomies(size, Task("t", tuple(classes), positive, (1.0,) * len(classes), "mean"))


def hidden_and_answers(head: Dichotomies) -> tuple[torch.Tensor, torch.Tensor]:
    """Embeddings of five people, and sigmoids of the questions in the order they are asked."""
    hidden = torch.randn(5, 4, generator=torch.Generator().manual_seed(1))
    return hidden, (hidden @ head.weight.T + head.bias).sigmoid()


def test_dichotomies_by_hand() -> None:
    head = dichotomies("abcd", "c")  # asked for c, then a, then b; d is what is left
    hidden, s = hidden_and_answers(head)
    no = 1 - s
    expected = [
        no[:, 0] * s[:, 1],
        no[:, 0] * no[:, 1] * s[:, 2],
        s[:, 0],
        no.prod(dim=1),
    ]
    torch.testing.assert_close(head(hidden).exp(), torch.stack(expected, dim=1))
    two = dichotomies("ab", "b")
    hidden, s = hidden_and_answers(two)
    torch.testing.assert_close(two(hidden).exp(), torch.cat([1 - s, s], dim=1))
    # An answer that is sure to the last bit and wrong still has a gradient.
    with torch.no_grad():
        two.bias.fill_(200.0)
    assert two(hidden)[:, 0].sum().isfinite()
    (gradient,) = torch.autograd.grad(two(hidden)[:, 0].sum(), two.bias)
    assert gradient == -5


def test_the_loss_is_the_sum_of_binary_ones() -> None:
    """With class weights, mixed and smoothed targets, and an example whose label is dropped."""
    head = dichotomies("PUA", "P")
    hidden, s = hidden_and_answers(head)
    q = smooth(torch.eye(3)[[0, 1, 2, 2, 0]], 0.1)
    q[3] = 0.3 * q[0] + 0.7 * q[1]
    q[4] = 0
    weights = torch.tensor([3.0, 2.0, 1.0])
    found = soft_loss(head(hidden), q, weights, CrossEntropyConfig())
    a = weights * q
    later = torch.stack([a[:, 1] + a[:, 2], a[:, 2]], dim=1)
    each = torch.nn.functional.binary_cross_entropy(
        s, a[:, :2] / (a[:, :2] + later).clamp_min(1e-9), a[:, :2] + later, reduction="sum"
    )
    torch.testing.assert_close(found, each / a.sum())


def test_unknown_has_no_say_about_present() -> None:
    head = dichotomies("PUA", "P")
    hidden, _ = hidden_and_answers(head)
    for row, cost in ((0, head(hidden)[:, 0]), (1, head(hidden)[:, 1] - head(hidden)[:, 2])):
        (gradient,) = torch.autograd.grad(cost.sum(), head.weight)
        assert gradient[row].abs().min() > 0
        assert (gradient[1 - row].abs() < 1e-6).all()


def test_all_classes_begin_about_as_likely() -> None:
    head = dichotomies("abcde", "a", size=10_000)
    found = head(torch.zeros(1, 10_000)).exp()
    torch.testing.assert_close(found, torch.full((1, 5), 0.2), atol=0.01, rtol=0)


def test_every_task_has_its_own_questions() -> None:
    heads = BinaryHeads(4, TASKS)
    assert {name: each.shape for name, each in heads(torch.zeros(6, 4)).items()} == {
        "t": (6, 3), "u": (6, 2),
    }  # fmt: skip
    assert {name: each.shape for name, each in heads.state_dict().items()} == {
        "t.weight": (2, 4), "t.bias": (2,), "u.weight": (1, 4), "u.bias": (1,),
    }  # fmt: skip


def test_heads_of_before_keep_their_digest() -> None:
    assert config().digest == config("model.heads=separate").digest
    others = {config(f"model.heads={name}").digest for name in ("separate", "binary", "joint")}
    assert len(others) == 3


def test_a_task_may_be_called_like_a_part_of_torch() -> None:
    names = ("type", "train", "forward", "keys", "training", "murmur")
    tasks = tuple(Task(name, ("a", "b"), "a", (1.0, 1.0), "mean") for name in names)
    heads = SeparateHeads(4, tasks)
    assert tuple(heads(torch.zeros(3, 4))) == names
    assert "murmur.weight" in heads.state_dict()


@pytest.mark.parametrize(
    ("heads", "more"),
    [
        pytest.param("joint", [MIXED, "loss=focal"], marks=pytest.mark.slow),
        ("joint", [*PATIENTS, "loss.ordinal_smoothing=true"]),
        ("binary", [*PATIENTS, MIXED, "loss.label_smoothing=0.1", "train.uncertain=soft"]),
    ],
    ids=["joint", "joint of patients", "binary of patients"],
)
def test_they_train_and_resume(cohort: Cohort, tmp_path: Path, heads: str, more: list[str]) -> None:
    _, separate = fit(cohort, tmp_path / "separate", *more)
    _, found = check_resumed(cohort, tmp_path, f"model.heads={heads}", *more)
    for task in found.tasks:
        y_prob = found.y_prob(task)
        assert not np.allclose(y_prob, separate.y_prob(task))
        np.testing.assert_allclose(y_prob.sum(axis=1), 1, rtol=1e-12)


def test_too_many_combinations_are_refused(cohort: Cohort) -> None:
    many = Task("many", tuple(f"c{i}" for i in range(600)), "c0", (1.0,) * 600, "mean")
    patients = cohort.patients.assign(many="c0")
    wide = dataclasses.replace(cohort, patients=patients, tasks=(*cohort.tasks, many))
    with pytest.raises(ConfigError, match=r"3600 combinations.*model\.heads=separate"):
        check(compose([*TINY, "data.path=x.csv", "model.heads=joint"]), wide)
