"""One head for all tasks: probabilities are marginals, and it trains like any other."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pandas as pd
import pytest
import torch
from support.project import TINY
from support.training import Interrupts, fit

from kfold_hs.cohort import Cohort, Task
from kfold_hs.config.compose import compose
from kfold_hs.errors import ConfigError
from kfold_hs.learn.models.heads import JointHead, SeparateHeads
from kfold_hs.learn.training.fold import check

TASKS = tuple(
    Task(name, tuple("abc"[:n]), "a", (1.0,) * n, "mean") for name, n in (("t", 3), ("u", 2))
)


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


def test_a_task_may_be_called_like_a_part_of_torch() -> None:
    names = ("type", "train", "forward", "keys", "training", "murmur")
    tasks = tuple(Task(name, ("a", "b"), "a", (1.0, 1.0), "mean") for name in names)
    heads = SeparateHeads(4, tasks)
    assert tuple(heads(torch.zeros(3, 4))) == names
    assert "murmur.weight" in heads.state_dict()


@pytest.mark.parametrize(
    "more",
    [
        ["augment.mixup_alpha=0.5", "loss=focal"],
        ["train.level=patient", "loss.ordinal_smoothing=true", "loss.class_weights=balanced"],
    ],
    ids=["mixed", "patients"],
)
def test_a_joint_head_trains_and_resumes(cohort: Cohort, tmp_path: Path, more: list[str]) -> None:
    words = ["model.heads=joint", *more]
    _, whole = fit(cohort, tmp_path / "whole", *words)
    _, separate = fit(cohort, tmp_path / "separate", *more)
    assert not whole.table.equals(separate.table)
    with pytest.raises(KeyboardInterrupt):
        fit(cohort, tmp_path / "parts", *words, listener=Interrupts(after=2))
    _, parts = fit(cohort, tmp_path / "parts", *words)
    pd.testing.assert_frame_equal(parts.table, whole.table, check_exact=True)


def test_too_many_combinations_are_refused(cohort: Cohort) -> None:
    many = Task("many", tuple(f"c{i}" for i in range(600)), "c0", (1.0,) * 600, "mean")
    patients = cohort.patients.assign(many="c0")
    wide = dataclasses.replace(cohort, patients=patients, tasks=(*cohort.tasks, many))
    with pytest.raises(ConfigError, match=r"3600 combinations.*model\.heads=separate"):
        check(compose([*TINY, "data.path=x.csv", "model.heads=joint"]), wide)
