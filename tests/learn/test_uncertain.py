"""Unknown as a class, dropped, or as a soft label: targets, loss and a training with each."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from support.project import TINY
from support.training import check_resumed, fit

from kfold_hs.cohort import Cohort, Task
from kfold_hs.config.compose import compose
from kfold_hs.config.losses import CrossEntropyConfig, FocalConfig
from kfold_hs.config.schema import Config
from kfold_hs.errors import CohortError, ConfigError
from kfold_hs.learn.data.examples import make_targets
from kfold_hs.learn.losses import TaskLosses, smooth, soft_loss

CPU = torch.device("cpu")


def config(*more: str) -> Config:
    return compose([*TINY, "data.path=unused.csv", *more])


@pytest.mark.parametrize(
    ("uncertain", "unknown"), [("class", [0, 1, 0]), ("drop", [0, 0, 0]), ("soft", [0.5, 0, 0.5])]
)
@pytest.mark.parametrize("level", ["recording", "patient"])
def test_targets_by_hand(cohort: Cohort, uncertain: str, unknown: list[float], level: str) -> None:
    settings = config(f"train.uncertain={uncertain}", f"train.level={level}")
    targets = make_targets(cohort, settings.train, CPU)
    # Two recordings a patient: p0 is Present, p1 Absent, p2 Unknown.
    assert targets["murmur"][0:6:2].tolist() == [[1, 0, 0], [0, 0, 1], unknown]
    plain = make_targets(cohort, config().train, CPU)
    assert torch.equal(targets["outcome"], plain["outcome"])  # it names no uncertain class


def test_a_site_of_its_own_label_is_uncertain_by_that(cohort: Cohort) -> None:
    own = pd.Series([None] * cohort.n_recordings, dtype=object)
    own[0], own[4] = "Unknown", "Absent"  # of the Present p0 and of the Unknown p2
    sites = cohort.recordings.assign(murmur=own)
    mixed = Cohort(cohort.name, cohort.tasks, cohort.persons, cohort.patients, sites)
    found = make_targets(mixed, config("train.uncertain=drop").train, CPU)["murmur"]
    assert found[[0, 1, 4, 5]].tolist() == [[0, 0, 0], [1, 0, 0], [0, 0, 1], [0, 0, 0]]


def test_a_dropped_example_has_no_part_in_the_loss() -> None:
    torch.manual_seed(0)
    logits = torch.randn(6, 3, requires_grad=True)
    targets = torch.eye(3)[[0, 1, 2, 0, 2, 1]]
    known = torch.tensor([True, False, True, True, True, False])
    dropped = targets * known[:, None]
    weights = torch.tensor([3.0, 2.0, 1.0])
    for kind in (CrossEntropyConfig(), FocalConfig()):
        loss = soft_loss(logits, smooth(dropped, 0.1), weights, kind)
        alone = soft_loss(logits[known], smooth(targets[known], 0.1), weights, kind)
        torch.testing.assert_close(loss, alone)
    loss.backward()
    assert (logits.grad[~known] == 0).all()  # type: ignore[index]
    # Half of a known example counts as half of one.
    half = torch.cat([targets[:1], 0.5 * targets[2:3]])
    each = [
        soft_loss(logits[[row]], targets[[row]], torch.ones(3), CrossEntropyConfig())
        for row in (0, 2)
    ]
    mean = soft_loss(logits[[0, 2]], half, torch.ones(3), CrossEntropyConfig())
    torch.testing.assert_close(mean, (each[0] + 0.5 * each[1]) / 1.5)


def test_a_batch_of_nothing_but_dropped_ones_costs_nothing() -> None:
    logits = torch.randn(4, 3, requires_grad=True)
    loss = soft_loss(logits, smooth(torch.zeros(4, 3), 0.1), torch.ones(3), FocalConfig())
    loss.backward()
    assert loss.item() == 0
    assert (logits.grad == 0).all()


@pytest.mark.parametrize("kind", ["balanced", "effective"])
def test_a_class_that_is_never_a_target_weighs_as_the_others_do(kind: str) -> None:
    task = Task("t", ("a", "b", "c"), "a", (1.0, 1.0, 1.0), "mean", uncertain="b")
    targets = {"t": torch.tensor([[1.0, 0, 0], [0, 0, 1], [0, 0, 1], [0, 0, 0]])}
    loss = CrossEntropyConfig(
        kind="cross_entropy", label_smoothing=0, class_weights=kind, effective_beta=0.5
    )
    a, b, c = TaskLosses(loss, (task,), targets).weights["t"].tolist()
    assert a > c
    assert b == pytest.approx((a + c) / 2)


@pytest.mark.parametrize(("uncertain", "level"), [("drop", "recording"), ("soft", "patient")])
def test_it_trains_resumes_and_scores_everybody(
    cohort: Cohort, tmp_path: Path, uncertain: str, level: str
) -> None:
    words = [f"train.uncertain={uncertain}", f"train.level={level}", "train.epochs=3"]
    words += ["train.sites_per_patient=2", "augment.mixup_alpha=0.5", "augment.cutmix_alpha=0.5"]
    _, whole = check_resumed(cohort, tmp_path, *words)
    last = whole.where(level="patient", epoch=2)
    assert (last.table["y.murmur"] == "Unknown").sum() == 4
    assert np.isfinite(last.y_prob("murmur")).all()


def test_unknown_is_answered_less(cohort: Cohort, tmp_path: Path) -> None:
    mean = {}
    for uncertain in ("class", "drop", "soft"):
        words = ["train.epochs=6", "optim.lr=5e-3", f"train.uncertain={uncertain}"]
        _, found = fit(cohort, tmp_path / uncertain, *words, "loss.class_weights=none")
        last = found.where(level="patient", epoch=5)
        mean[uncertain] = last.y_prob("murmur")[:, 1].mean()
    assert max(mean["drop"], mean["soft"]) < mean["class"] - 0.03


def test_a_task_must_name_the_class() -> None:
    tasks = "data.tasks={rhythm: {classes: [af, sinus]}}"
    with pytest.raises(ConfigError, match=r"train\.uncertain=drop .*none of rhythm names one"):
        config(tasks, "train.uncertain=drop")
    for task, text in (
        ("{classes: [a, b, c], uncertain: a}", r"uncertain=a does not fit the classes"),
        ("{classes: [a, b], uncertain: b}", r"names one of three or more"),
        ("{classes: [a, b, c], uncertain: d}", r"uncertain=d does not fit"),
    ):
        with pytest.raises(ConfigError, match=text):
            config(f"data.tasks={{t: {task}}}")
    with pytest.raises(CohortError, match="the uncertain class 'a' must be"):
        Task("t", ("a", "b", "c"), "a", (1.0, 1.0, 1.0), "mean", uncertain="a")


def test_naming_it_alone_orphans_no_run() -> None:
    """Runs from before the data configuration named the class keep their digest."""
    without = config("data.tasks.murmur.uncertain=null")
    assert config().digest == without.digest
    assert config("train.uncertain=drop").digest != config().digest
