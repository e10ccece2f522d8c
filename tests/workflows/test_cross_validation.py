"""The whole line, as a user types it: from recordings to the report."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
import torch
from support.commands import Child
from support.project import TINY, Silent, kfold_hs

from kfold_hs.cohort.readers.registry import read_cohort
from kfold_hs.config.compose import compose
from kfold_hs.errors import ConfigError, KfoldHsError, SplitError
from kfold_hs.files.paths import FoldId, RunPaths
from kfold_hs.predictions.table import Predictions
from kfold_hs.splits import Split, stratify
from kfold_hs.workflows import cross_validation
from kfold_hs.workflows.options import RunOptions


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, shared_table_csv: Path) -> Path:
    """A folder in which a run called `one` was made by the command line."""
    folder = tmp_path_factory.mktemp("run")
    done = kfold_hs(
        "run", "--folds", "2", "--name", "one", *TINY[:-1], f"data.path={shared_table_csv}",
        "judge.gallery.patients=2", cwd=folder,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert re.search(r"fold 1 epoch 3/3 +loss", done.stderr)
    assert "murmur, out of fold" in done.stdout
    assert "Report: reports/one/report.html" in done.stdout
    return folder


def test_files_of_a_run(finished: Path) -> None:
    report = finished / "reports" / "one"
    assert sorted(p.name for p in report.iterdir()) == [
        ".sha256",
        "cohort.json",
        "config.yaml",
        "gallery.json",
        "history.csv",
        "predictions.parquet",
        "report.html",
        "scored.parquet",
        "split.json",
        "summary.json",
        "tensorboard",
    ]
    best = torch.load(finished / "checkpoints" / "best_model.pt", weights_only=True)
    folds = [
        torch.load(finished / f"checkpoints/one/r0-s0-f{fold}/best_model.pt", weights_only=True)
        for fold in range(2)
    ]
    assert best["val_acc"] == max(fold["val_acc"] for fold in folds)
    assert set(best["digests"]) == {"config", "cohort", "split", "features"}
    summary = json.loads((report / "summary.json").read_text())
    assert summary["provenance"]["digests"] == best["digests"]
    assert Predictions.digests(report / "predictions.parquet") == best["digests"]


def test_everyone_is_predicted_once_by_a_fold_that_never_saw_them(finished: Path) -> None:
    report = finished / "reports" / "one"
    split = Split.read(report / "split.json")
    history = pd.read_csv(report / "history.csv")
    predictions = Predictions.read(report / "predictions.parquet")
    for epoch in range(3):
        predictions.where(level="patient", epoch=epoch).check_partition(
            [f"p{i}" for i in range(16)]
        )
    for person, fold in predictions.table[["person_id", "fold"]].drop_duplicates().to_numpy():
        assert split.folds[person] == (fold,)
    assert len(history) == 6


def test_the_same_command_finds_its_run(finished: Path, shared_table_csv: Path) -> None:
    before = {p: p.stat().st_mtime_ns for p in finished.rglob("*.pt") if "one" in p.parts}
    done = kfold_hs(
        "run", "--folds", "2", "--name", "one", "--json", "-q", *TINY[:-1],
        f"data.path={shared_table_csv}", cwd=finished,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert json.loads(done.stdout) == json.loads(
        (finished / "reports" / "one" / "summary.json").read_text()
    )
    assert {p: p.stat().st_mtime_ns for p in before} == before


def test_files_of_two_splits_are_refused_with_both_digests(
    finished: Path, tmp_path: Path, shared_table_csv: Path
) -> None:
    folder = tmp_path / "reports" / "one"
    shutil.copytree(finished / "reports" / "one", folder)
    cohort = read_cohort(compose([*TINY, f"data.path={shared_table_csv}"]).data)
    own, other = Split.read(folder / "split.json"), stratify(cohort, 2, seed=99)
    other.write(folder / "split.json")
    with pytest.raises(SplitError) as caught:
        cross_validation.report(folder)
    assert own.digest[:16] in str(caught.value)
    assert other.digest[:16] in str(caught.value)


def test_the_report_is_drawn_again_without_torch(finished: Path) -> None:
    page = finished / "reports" / "one" / "report.html"
    before = page.read_text()
    page.unlink()
    code = (
        "import sys; from kfold_hs.cli.main import main\n"
        "try: main(['report', 'reports/one'])\n"
        "except SystemExit as end: assert not end.code, end.code\n"
        "assert 'torch' not in sys.modules"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=finished, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert page.read_text() == before


_STOPS_ITSELF = """
import os, signal, sys
from kfold_hs.cli.main import main
from kfold_hs.orchestrator.rich_progress import RichProgress
epoch = RichProgress.epoch
def and_stop(self, place, row):
    epoch(self, place, row)
    if (place.fold, int(row["epoch"])) == (0, 1):
        os.kill(os.getpid(), signal.SIGSTOP)
RichProgress.epoch = and_stop
main(sys.argv[1:])
"""


def test_ctrl_c_is_resumable_and_a_second_command_is_told(
    finished: Path, shared_table_csv: Path, tmp_path: Path
) -> None:
    config = compose([*TINY, f"data.path={shared_table_csv}"])
    words = ["run", "--folds", "2", "--name", "one", *TINY[:-1], f"data.path={shared_table_csv}"]
    script = tmp_path / "stops.py"
    script.write_text(_STOPS_ITSELF)  # so that it does not end meanwhile
    process = Child(words, tmp_path, script=str(script))
    for line in process.stderr:
        if "fold 0 epoch 2/3" in line:
            break
    try:
        with pytest.raises(KfoldHsError, match="another process is working on the run one"):
            cross_validation.run(
                config, Silent(), RunOptions(root=tmp_path, name="one", device="cpu")
            )
        process.send_signal(signal.SIGINT)
    finally:
        process.send_signal(signal.SIGCONT)
    _, rest = process.communicate()
    assert process.returncode == 130
    assert "Interrupted." in rest
    assert "--name one" in rest  # the command to repeat
    assert not (tmp_path / "reports" / "one" / "summary.json").exists()
    done = kfold_hs(*words, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "fold 0 epoch 1/3" not in done.stderr
    paths = [folder / "reports/one/predictions.parquet" for folder in (finished, tmp_path)]
    assert Predictions.read(paths[0]).table.equals(Predictions.read(paths[1]).table)


@pytest.mark.parametrize(
    ("words", "status", "text"),
    [
        (["run", "sched=cosin"], 2, "Did you mean 'cosine'?"),
        (["run", "sched=cosine,onecycle"], 2, "several variants"),
        (["run", "data=circor", "data.root=nowhere"], 1, "data.root must be the folder"),
        (["run", "--nonsense"], 2, "No such option"),
        (["run", "--name", "../x"], 2, "--name '../x'"),
        (["run", "--device", "tpu"], 2, "auto, cpu, cuda and cuda:N"),
        (["report", "nowhere"], 1, "not the folder of a finished run"),
        (["walk"], 2, "No such command"),
    ],
)
def test_errors_are_one_paragraph_with_their_status(
    words: list[str], status: int, text: str, tmp_path: Path
) -> None:
    done = kfold_hs(*words, cwd=tmp_path)
    assert done.returncode == status
    assert text in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.iterdir())


def test_debug_shows_the_traceback(tmp_path: Path) -> None:
    process = Child(["--debug", "run", "sched=cosin"], tmp_path)
    _, told = process.communicate()
    assert process.returncode == 1
    assert "Traceback" in told


def test_config_prints_a_document_a_variant(tmp_path: Path) -> None:
    done = kfold_hs("config", "sched=onecycle,cosine", "--folds", "3", cwd=tmp_path)
    documents = done.stdout.split("---\n")
    assert len(documents) == 2
    assert "kind: onecycle" in documents[0]
    assert "kind: cosine" in documents[1]
    assert "n_folds: 3" in documents[1]


def test_split_is_written_and_used(shared_table_csv: Path, tmp_path: Path) -> None:
    words = [*TINY, f"data.path={shared_table_csv}", "seed=7"]
    done = kfold_hs("split", *words, "-o", "mine.json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "recordings" in done.stdout
    config = compose([*words[:-1], f"split.file={tmp_path / 'mine.json'}", "train.epochs=1"])
    run = cross_validation.run(config, Silent(), RunOptions(root=tmp_path, device="cpu"))
    assert run.summary.to_json()["split"]["seed"] == 7
    assert config.seed == 0


# --- what stands in the way -------------------------------------------------------------------


@pytest.fixture
def again(finished: Path, tmp_path: Path) -> Path:
    """A copy of the folder with the finished run `one`, to change."""
    return Path(shutil.copytree(finished, tmp_path / "again"))


def test_a_name_is_not_used_for_two_configurations(again: Path, table_csv: Path) -> None:
    config = compose([*TINY, f"data.path={table_csv}", "optim.lr=2e-3"])
    with pytest.raises(ConfigError, match=r"optim\.lr \(0\.003 there, 0\.002 here\)"):
        cross_validation.run(config, Silent(), RunOptions(root=again, name="one"))


def test_a_split_of_other_data_is_refused(again: Path, table_csv: Path) -> None:
    table = pd.read_csv(table_csv, dtype=str, keep_default_na=False)
    table[table["patient_id"] != "p9"].to_csv(table_csv, index=False)
    config = compose([*TINY, f"data.path={table_csv}"])
    with pytest.raises(SplitError, match=r"data, seed or number of folds changed"):
        cross_validation.run(config, Silent(), RunOptions(root=again, name="one"))


def test_another_target_does_not_train_again(again: Path, shared_table_csv: Path) -> None:
    listener, config = Silent(), compose([*TINY, f"data.path={shared_table_csv}", "target=0.1"])
    summary = cross_validation.run(
        config, listener, RunOptions(root=again, name="one", device="cpu")
    ).summary.to_json()
    assert listener.states == ["found", "found"]
    assert summary["target"]["value"] == 0.1
    headline = summary["headline"]
    assert headline["low"] < headline["value"] < headline["high"]
    assert headline["verdict"] == ("reached" if headline["low"] >= 0.1 else "cannot tell")


def test_another_headline_does_not_train_again(again: Path, shared_table_csv: Path) -> None:
    words = [*TINY, f"data.path={shared_table_csv}", "headline=outcome.cost", "target=40000"]
    listener, config = Silent(), compose(words)
    options = RunOptions(root=again, name="one", device="cpu")
    summary = cross_validation.run(config, listener, options).summary
    assert listener.states == ["found", "found"]
    assert (summary.headline.key, summary.headline.higher_is_better) == ("outcome.cost", False)
    assert summary.headline.value == summary.tasks["outcome"].metrics["cost"]["value"]
    assert "the target of at most 40,000 is" in summary.headline.sentence
    page = (again / "reports/one/report.html").read_text()
    assert "Cost (challenge), outcome, on people the models were not trained on" in page
    wrong = compose([*words[:-2], "headline=outcome.kost"])
    with pytest.raises(ConfigError, match=r"unknown headline.*Did you mean 'outcome\.cost'"):
        cross_validation.run(wrong, Silent(), options)


def test_a_kill_leaves_nothing_that_is_trusted(shared_table_csv: Path, tmp_path: Path) -> None:
    words = ["run", "--name", "a", *TINY, f"data.path={shared_table_csv}", "train.epochs=60"]
    process = Child(words, tmp_path)
    for line in process.stderr:
        if "epoch 5/60" in line:
            time.sleep(0.05)
            os.kill(process.pid, signal.SIGKILL)
            break
    process.communicate()
    paths = RunPaths("a", tmp_path)
    assert not paths.fold(FoldId(0, 0, 0)).is_done
    # Whatever lies under its proper name is whole.
    for path in paths.checkpoint_folder.rglob("[!.]*.pt"):
        assert torch.load(path, weights_only=True)["digests"]


def test_repeats_seeds_and_test_persons(tmp_path: Path, shared_table_csv: Path) -> None:
    """Two splits, two trainings of each fold: apart in the files, their mean in the numbers."""
    words = [*TINY, f"data.path={shared_table_csv}", "split.n_repeats=2", "n_seeds=2"]
    config = compose([*words, "split.test=[p5,p7]", "train.epochs=2"])
    result = cross_validation.run(config, Silent(), RunOptions(root=tmp_path))
    predictions = Predictions.read(result.paths.predictions).where(level="patient", epoch=1)
    places = set(predictions.table[["repeat", "seed", "fold"]].itertuples(index=False, name=None))
    assert len(places) == 8
    assert not set(predictions.table["patient_id"]) & {"p5", "p7"}
    mean = predictions.mean_over_seeds()
    assert len(mean) == len(predictions) / 2 == 2 * 14
    column = "p.outcome.Abnormal"
    for repeat in range(2):
        rows = predictions.where(repeat=repeat, patient_id="p3").table
        (value,) = mean.where(repeat=repeat, patient_id="p3").table[column]
        assert value == pytest.approx(rows[column].mean())
    summary = result.summary.to_json()
    right = (mean.y_prob("outcome").argmax(1) == mean.y_true("outcome")).mean()
    assert summary["tasks"]["outcome"]["metrics"]["accuracy"]["value"] == pytest.approx(right)
    for each in summary["seeds"]:
        mine = predictions.where(seed=each["seed"])
        right = (mean.y_true("outcome") == mine.y_prob("outcome").argmax(1)).mean()
        assert each["tasks"]["outcome"]["accuracy"] == pytest.approx(right)
    assert "8 models, each trained on 43 % of the people" in summary["headline"]["sentence"]
    assert "the mean of 2 seeds" in summary["headline"]["sentence"]
    page = result.paths.report.read_text()
    assert "2 hold-out test persons are in no fold" in page
    assert "Seeds apart" in page
