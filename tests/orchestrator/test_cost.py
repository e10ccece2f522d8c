"""--dry-run: what would be trained, what is done, what it costs; nothing is begun."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from support.frame_branches import FRAMES, copy_of_built_in, fold_of, settings, table_words
from support.project import TINY, Silent

from kfold_hs.cli.main import cli
from kfold_hs.cli.tables import _duration, _size
from kfold_hs.cohort.readers.registry import read_cohort
from kfold_hs.config.compose import compose
from kfold_hs.files.paths import FoldId, RunPaths
from kfold_hs.learn.data.fold import FoldData
from kfold_hs.learn.features import bank as banks
from kfold_hs.learn.frames.cached import branch_of
from kfold_hs.learn.frames.targets import FrameTargets
from kfold_hs.learn.frames.training import fit_branch
from kfold_hs.learn.prediction.crops import Crops
from kfold_hs.learn.training.benchmark import (
    TimingRun,
    frames_of,
    n_predicted,
    time_branch,
    time_steps,
)
from kfold_hs.orchestrator.context import RunContext, RunInputs
from kfold_hs.splits import stratify
from kfold_hs.splits.make import split_of
from kfold_hs.workflows import cross_validation
from kfold_hs.workflows.options import RunOptions

WORDS = [word for word in TINY if not word.startswith("split.n_folds")]


def foreseen(root: Path, table_csv: Path, *words: str) -> dict:
    shared = ["--folds", "2", "--root", str(root), "--device", "cpu", f"data.path={table_csv}"]
    command, *rest = words
    done = CliRunner().invoke(cli, [command, "--dry-run", "--json", "-q", *shared, *WORDS, *rest])
    assert done.exit_code == 0, done.output
    return dict(json.loads(done.stdout))


def test_a_run_is_foreseen_and_what_is_done_is_counted(
    shared_table_csv: Path, tmp_path: Path
) -> None:
    found = foreseen(tmp_path, shared_table_csv, "run", "--jobs", "2")
    assert not list(tmp_path.iterdir())
    (run,) = found["runs"]
    assert (found["repeats"], found["seeds"], found["folds"], found["left"]) == (1, 1, 2, 2)
    # 16 training recordings in batches of 8, 3 epochs; 16 held out, one batch of crops an epoch.
    assert (run["steps"], run["predict_batches"]) == (6, 3)
    assert run["fold_s"] == pytest.approx(6 * run["step_s"] + 3 * run["predict_s"])
    assert found["at_least_s"] == pytest.approx(found["left_s"] / 2)
    config = compose([*TINY, f"data.path={shared_table_csv}"])
    done = cross_validation.run(config, Silent(), RunOptions(root=tmp_path, device="cpu"))
    assert run["run"] == done.paths.name
    # The files are what was foreseen, to within what a checkpoint says about itself.
    files = [
        done.paths.fold(FoldId(0, 0, 0)).last_model,
        done.paths.fold(FoldId(0, 0, 0)).best_model,
    ]
    cost = timing_of(shared_table_csv)
    assert cost.kept_bytes == pytest.approx(sum(f.stat().st_size for f in files), rel=0.25)
    after = foreseen(tmp_path, shared_table_csv, "run")
    assert (after["runs"][0]["done"], after["left"], after["left_s"]) == (2, 0, 0)
    assert after["runs"][0]["has_features"]
    assert after["runs"][0]["disk_bytes"] == 0


def timing_of(table_csv: Path, *words: str) -> TimingRun:
    config = compose([*TINY, f"data.path={table_csv}", *words])
    cohort = read_cohort(config.data)
    data = FoldData.of(cohort, stratify(cohort, 2, 0).fold_of_patients(cohort, 0), 0)
    return time_steps(config, cohort, data, torch.device("cpu"))


@pytest.mark.parametrize(
    "words",
    [
        [
            "train.level=patient",
            "model.covariates=[age]",
            "train.average=ema",
            "train.average_decay=0.9",
        ],
        ["model.deltas=1", "features.normalise=band", "loss=focal", "model.heads=joint"],
    ],
)
def test_all_kinds_of_networks_can_be_rehearsed(shared_table_csv: Path, words: list[str]) -> None:
    cost = timing_of(shared_table_csv, *words)
    assert 0 < cost.step_s < 60
    assert 0 < cost.predict_s < 60
    assert cost.optimizer_bytes > cost.model_bytes > 0
    assert cost.is_averaged == ("train.average=ema" in words)


def test_crops_are_counted_without_features(shared_table_csv: Path) -> None:
    config = compose([*TINY, f"data.path={shared_table_csv}", "predict.n_shifts=2"])
    cohort = read_cohort(config.data)
    bank, rows = banks.build(cohort, config.features), np.arange(cohort.n_recordings)
    frames = frames_of(cohort, config)
    assert frames.tolist() == bank.length.tolist()
    assert n_predicted(frames, config) == len(Crops.of(bank, rows, config).owner)


def test_a_comparison_is_foreseen(shared_table_csv: Path, tmp_path: Path) -> None:
    found = foreseen(
        tmp_path, shared_table_csv, "compare", "sched=onecycle,cosine",
        "predict.patient_pool=max,mean", "--repeats", "2", "--name", "c",
    )  # fmt: skip
    runs = found["runs"]
    assert [run["predicted_with"] for run in runs] == [None, runs[0]["run"], None, runs[2]["run"]]
    assert found["left"] == 2 * 2 * 2
    assert not list(tmp_path.iterdir())


def test_what_is_printed(shared_table_csv: Path, tmp_path: Path) -> None:
    shared = ["--root", str(tmp_path), "--device", "cpu", f"data.path={shared_table_csv}", *TINY]
    done = CliRunner().invoke(cli, ["run", "--dry-run", "--jobs", "2", *shared])
    assert done.exit_code == 0, done.output
    words = " ".join(done.stdout.split())
    assert "1 variant x 1 repeat x 1 seed x 2 folds: 2 fold models are left to train." in words
    assert "with --jobs 2 at least" in words
    assert "Disk: up to" in words
    assert [_duration(s) for s in (0, 89, 720, 12_000)] == ["0 s", "89 s", "12 min", "3 h 20 min"]
    assert [_size(n) for n in (5e6, 2.5e9)] == ["5 MB", "2.5 GB"]


@pytest.mark.slow
def test_frame_branches_are_foreseen_unless_they_are_in_the_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = copy_of_built_in(tmp_path / "few", 3)
    monkeypatch.setenv("KFOLD_HS_CACHE", str(tmp_path / "cache"))
    shared = [w for w in FRAMES if not w.startswith(("frames", "split"))] + table_words(table)
    shared += ["--folds", "2", "--root", str(tmp_path), "--device", "cpu", "--dry-run", "-q"]
    branch = [word for word in FRAMES if word.startswith("frames")]

    def foreseen(command: str, *words: str) -> list[dict]:
        done = CliRunner().invoke(cli, [command, "--json", *shared, *words])
        assert done.exit_code == 0, done.output
        return list(json.loads(done.stdout)["runs"])

    def network_s(run: dict) -> float:
        return float(run["steps"] * run["step_s"] + run["predict_batches"] * run["predict_s"])

    (run,) = foreseen("run", *branch)
    assert run["branches"] == 2
    assert run["branch_s"] > 0
    assert run["fold_s"] == pytest.approx(network_s(run) + run["branch_s"])
    assert run["left_s"] == pytest.approx(2 * run["fold_s"])
    assert not list((tmp_path / "cache").rglob("branch.pt"))
    config, device = settings(table), torch.device("cpu")
    cohort = read_cohort(config.data)
    inputs = RunInputs(cohort, split_of(config, cohort))
    bank = banks.build(cohort, config.features)
    context = RunContext(config, inputs, RunPaths("run"), {"config": "d"}, device, bank)
    assert branch_of(context.fold(FoldId(0, 0, 1))) is not None
    (run,) = foreseen("run", *branch)
    assert run["branches"] == 1
    assert run["left_s"] == pytest.approx(2 * network_s(run) + run["branch_s"])
    # The networks are asked, and branches of earlier variants found.
    plain = [
        word for word in branch if not word.startswith(("frames.epochs", "frames=", "frames.lr"))
    ]
    runs = foreseen("compare", "frames=cycle", "frames.epochs=1,2", "optim.lr=0.01,0.001", *plain)
    assert [each["branches"] for each in runs] == [1, 0, 2, 0]
    assert runs[2]["predicted_with"] == runs[0]["run"]
    assert runs[2]["left_s"] == pytest.approx(2 * runs[2]["branch_s"])
    assert (
        CliRunner().invoke(cli, ["run", *shared, *branch]).stdout.count("for 1 frame branch") == 1
    )


def test_a_frame_branch_is_trained_for_so_many_steps(tmp_path: Path) -> None:
    fold = fold_of(settings(copy_of_built_in(tmp_path / "few", 3), "frames.epochs=3"))
    config, lengths = fold.config, frames_of(fold.cohort, fold.config)
    targets = FrameTargets.of(config, fold.cohort, fold.data.train, lengths)
    whole = FrameTargets.of(config, fold.cohort, np.arange(fold.cohort.n_recordings), lengths)
    assert whole.among(fold.data.train).digest == targets.digest
    cost = time_branch(config, targets, fold.device)
    assert cost.n_steps == 3 * (len(fold.data.train) // 8)
    weights = fit_branch(fold).to_state()["net"].values()
    assert cost.model_bytes == sum(each.nbytes for each in weights)
