"""A training that comes to nothing is named, recorded, and does not take the others along."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
import torch
from support.project import TINY, Silent, kfold_hs

from kfold_hs.cohort import Task
from kfold_hs.config.compose import compose
from kfold_hs.config.losses import CrossEntropyConfig
from kfold_hs.errors import DivergedError, UnfinishedError
from kfold_hs.files.paths import FoldId, RunPaths
from kfold_hs.learn.checkpoint import _RESUMABLE, save
from kfold_hs.learn.losses import TaskLosses
from kfold_hs.learn.training.divergence import check_training, loss_of_knowing_nothing
from kfold_hs.predictions.table import Predictions
from kfold_hs.workflows import cross_validation
from kfold_hs.workflows.options import RunOptions

PLACE = FoldId(0, 0, 3)


def losses(*values: float) -> list[torch.Tensor]:
    return [torch.tensor(value) for value in values]


def test_the_first_bad_step_is_named() -> None:
    config = compose(["train.accumulate=2"])
    assert check_training(losses(1, 2, 3), [], 1.0, config, PLACE) == 2
    with pytest.raises(DivergedError, match=r"fold 3: .*epoch 3, step 2, is not a finite") as bad:
        check_training(losses(1, 2, float("inf"), float("nan")), [1, 1], 1.0, config, PLACE)
    assert (bad.value.epoch, bad.value.step) == (2, 1)


def test_one_wild_epoch_is_forgiven_two_are_not() -> None:
    config = compose([])
    assert check_training(losses(9, 9), [1.0], 1.0, config, PLACE) == 9
    assert check_training(losses(9, 9), [9.0, 1.0], 1.0, config, PLACE) == 9
    with pytest.raises(DivergedError, match=r"step 2, diverges: two epochs are above 4") as bad:
        check_training(losses(3, 9), [1.0, 5.0], 1.0, config, PLACE)
    assert bad.value.cause.startswith("the loss diverges")


def test_knowing_nothing_costs_the_log_of_the_classes() -> None:
    task = Task("t", ("a", "b"), "a", (3.0, 1.0), "mean")
    hot = torch.eye(2)[[0, 1, 1]]
    config = CrossEntropyConfig(kind="cross_entropy", label_smoothing=0.1, class_weights="task")
    found = loss_of_knowing_nothing(TaskLosses(config, (task,), {"t": hot}), {"t": hot})
    assert found == pytest.approx(0.6931, abs=1e-4)


def test_a_diverging_training_leaves_a_record(tmp_path: Path, shared_table_csv: Path) -> None:
    words = [*TINY, f"data.path={shared_table_csv}", "optim.lr=10", "train.grad_clip=0"]
    config = compose([*words, "optim.beta2=0", "train.epochs=12", "loss.label_smoothing=0.9"])
    for _ in range(2):  # what was learnt of an attempt stands in the way of none
        listener = Silent()
        with pytest.raises(UnfinishedError, match="2 of 2 folds"):
            cross_validation.run(
                config, listener, RunOptions(root=tmp_path, name="a", device="cpu")
            )
        assert listener.states == ["start", "failed", "start", "failed"]
    for fold in range(2):
        record = json.loads(RunPaths("a", tmp_path).fold(FoldId(0, 0, fold)).fault.read_text())
        assert record["fold"] == fold
        assert record["epoch"] is not None
        assert record["cause"].startswith("the loss ")
    assert not RunPaths("a", tmp_path).summary.exists()  # nothing was finished


def test_a_report_of_the_folds_that_could_be_trained(
    tmp_path: Path, shared_table_csv: Path
) -> None:
    words = ["run", "--name", "a", *TINY, f"data.path={shared_table_csv}"]
    paths = RunPaths("a", tmp_path)
    broken = paths.fold(FoldId(0, 0, 1))
    broken.folder.mkdir(parents=True)
    save(broken.resume, {**dict.fromkeys(_RESUMABLE, None), "digests": {"config": "another"}})
    done = kfold_hs(*words, cwd=tmp_path)
    assert done.returncode == 1
    assert "1 of 2 folds could not be trained" in done.stderr
    assert "says what is missing: reports/a/report.html" in done.stderr
    assert "Traceback" not in done.stderr
    summary = json.loads(paths.summary.read_text())
    (missing,) = summary["incomplete"]
    assert missing["fold"] == 1
    assert "belongs to the config another" in missing["cause"]
    assert "it rests on 1 of 2 folds" in summary["headline"]["sentence"]
    page = paths.report.read_text().replace("\n", " ")
    assert "Not finished: without fold 1 of repeat 0, seed 0 (" in page
    # Repeated, it trains what is missing, and the fold that was done stays.
    broken.resume.unlink()
    done = kfold_hs(*words, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "fold 0 was trained before" in done.stderr
    assert not broken.fault.exists()
    assert json.loads(paths.summary.read_text())["incomplete"] == []
    whole = cross_validation.run(
        compose([*TINY, f"data.path={shared_table_csv}"]),
        Silent(),
        RunOptions(root=tmp_path / "once"),
    )
    found = [Predictions.read(p.predictions).table for p in (paths, whole.paths)]
    pd.testing.assert_frame_equal(found[0], found[1], check_exact=True)
