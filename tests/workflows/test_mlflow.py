"""A cross-validation in MLflow, by MLflow's own client and a store in SQLite."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from support.project import TINY, Silent
from support.training import Interrupts, config, fit

from kfold_hs.cohort import Cohort
from kfold_hs.config.compose import compose
from kfold_hs.config.schema import Config
from kfold_hs.errors import ConfigError
from kfold_hs.files.paths import FoldId, RunPaths
from kfold_hs.learn.training.checks import check_config
from kfold_hs.orchestrator.executor import Fleet
from kfold_hs.predictions.table import Predictions
from kfold_hs.workflows import bundles, cross_validation
from kfold_hs.workflows.mlflow_runs import attach_bundle, followed
from kfold_hs.workflows.options import RunOptions

mlflow = pytest.importorskip("mlflow")


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("MLFLOW_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")


def settings(table: Path, *more: str) -> Config:
    return compose([*TINY, f"data.path={table}", "track=[mlflow]", *more])


def validate(config: Config, root: Path, listener: Silent | None = None, jobs: int = 1) -> Any:
    options = RunOptions(root=root, name="one", device="cpu", fleet=Fleet(jobs=jobs))
    return cross_validation.run(config, listener or Silent(), options)


def runs_of(root: Path, name: str = "kfold-hs") -> tuple[Any, list[Any], Any]:
    """The one run, those of its folds by name, and a client."""
    client = mlflow.MlflowClient(f"sqlite:///{root / 'mlflow.db'}")
    experiment = client.get_experiment_by_name(name)
    found = client.search_runs([experiment.experiment_id])
    (whole,) = [run for run in found if "mlflow.parentRunId" not in run.data.tags]
    folds = [run for run in found if run is not whole]
    return whole, sorted(folds, key=lambda run: run.info.run_name), client


@pytest.fixture(scope="module")
def tracked(tmp_path_factory: pytest.TempPathFactory, shared_table_csv: Path) -> Path:
    """A run in MLflow."""
    root = tmp_path_factory.mktemp("tracked")
    validate(settings(shared_table_csv), root)
    return root


def test_a_run_and_a_run_for_every_fold_model(tracked: Path) -> None:
    whole, folds, client = runs_of(tracked)
    assert [run.info.run_name for run in folds] == ["one r0-s0-f0", "one r0-s0-f1"]
    assert {run.data.tags["mlflow.parentRunId"] for run in folds} == {whole.info.run_id}
    assert {run.info.status for run in (whole, *folds)} == {"FINISHED"}
    params = whole.data.params
    assert (params["optim.lr"], params["data.kind"], params["model.backbone"]) == (
        "0.003",
        "table",
        "test_efficientnet",
    )
    assert not any(str(tracked.parent) in value for value in params.values())
    summary = cross_validation.draw(tracked / "reports" / "one")[0].summary.to_json()
    tags, metrics = whole.data.tags, whole.data.metrics
    assert tags["kfold_hs.digest.split"] == summary["provenance"]["digests"]["split"]
    assert tags["mlflow.note.content"] == summary["headline"]["sentence"]
    for end in ("value", "low", "high"):
        known = summary["headline"][end]
        assert metrics.get("Headline" if end == "value" else f"Headline.{end}") == known
        for name, each in summary["tasks"]["murmur"]["metrics"].items():
            key = f"murmur/{name}" + ("" if end == "value" else f".{end}")
            assert metrics.get(key) == each[end], key
    for fold, run in enumerate(folds):
        history = pd.read_csv(tracked / f"checkpoints/one/r0-s0-f{fold}/history.csv")
        for tag, column in (("Loss/val", "val_loss"), ("Accuracy/murmur", "acc.murmur")):
            points = client.get_metric_history(run.info.run_id, tag)
            assert [each.step for each in points] == [1, 2, 3]
            assert [each.value for each in points] == pytest.approx(history[column].tolist())


def test_report_summary_settings_and_bundle_are_artifacts(
    tracked: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, _, client = runs_of(tracked)
    there = {each.path for each in client.list_artifacts(whole.info.run_id)}
    assert there == {"report.html", "summary.json", "config.yaml"}
    copy = client.download_artifacts(whole.info.run_id, "report.html")
    assert Path(copy).read_bytes() == (tracked / "reports/one/report.html").read_bytes()
    bundles.export(tracked / "reports" / "one", tracked / "bundle", Silent())
    parts = {each.path for each in client.list_artifacts(whole.info.run_id, "bundle")}
    assert {"bundle/bundle.json", "bundle/models", "bundle/README.md"} <= parts
    assert runs_of(tracked)[0].info.status == "FINISHED"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'other.db'}")
    monkeypatch.chdir(tmp_path)
    notes, paths = Notes(), RunPaths("one", tracked)
    attach_bundle(config("track=[mlflow]"), paths, tracked / "bundle", notes)
    (said,) = notes.said
    assert "its store has no run one" in said


def follow(cohort: Cohort, root: Path, listener: Silent | None = None) -> None:
    """Train, with MLflow listening; nothing is judged."""
    settings = config("track=[mlflow]")
    with followed(settings, RunPaths("run", root), {"config": "d"}, listener or Silent()) as run:
        assert run is not None
        fit(cohort, root, listener=run)  # type: ignore[arg-type]


@pytest.mark.slow
def test_a_resumed_run_goes_on_in_the_same_runs(cohort: Cohort, tmp_path: Path) -> None:
    """Interrupted twice, the first time without MLflow: one run, every epoch once."""
    with pytest.raises(KeyboardInterrupt):
        fit(cohort, tmp_path, listener=Interrupts(after=4))
    with pytest.raises(KeyboardInterrupt):
        follow(cohort, tmp_path, Interrupts(after=2))
    assert {run.info.status for run in runs_of(tmp_path)[1]} == {"FINISHED", "KILLED"}
    follow(cohort, tmp_path)
    follow(cohort, tmp_path)  # all is done: nothing more
    whole, folds, client = runs_of(tmp_path)
    assert [run.info.status for run in (whole, *folds)] == ["FINISHED"] * 3
    for run in folds:
        for tag in ("Loss/train", "LearningRate"):
            points = client.get_metric_history(run.info.run_id, tag)
            assert sorted(each.step for each in points) == [1, 2, 3]


@pytest.mark.slow
def test_folds_at_once_meet_nowhere(tmp_path: Path, shared_table_csv: Path) -> None:
    validate(settings(shared_table_csv, "train.threads=1", "n_seeds=2"), tmp_path, jobs=2)
    _, folds, client = runs_of(tmp_path)
    assert len(folds) == 4
    for run in folds:
        points = client.get_metric_history(run.info.run_id, "Loss/val")
        assert sorted(each.step for each in points) == [1, 2, 3]


class Notes(Silent):
    def __init__(self) -> None:
        super().__init__()
        self.said: list[str] = []

    def note(self, text: str) -> None:
        self.said.append(text)


@pytest.mark.slow
def test_no_result_depends_on_it_and_its_failure_is_told_once(
    tracked: Path, tmp_path: Path, shared_table_csv: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = settings(shared_table_csv)
    # Nobody listens at port 9; another store then gets what this one missed.
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    notes = Notes()
    validate(wanted, tmp_path, notes)
    (said,) = [text for text in notes.said if "MLflow" in text]
    assert said.startswith("MLflow is left out from here on: ")
    assert "127.0.0.1" in said
    one, other = (
        Predictions.read(root / "reports/one/predictions.parquet").table
        for root in (tracked, tmp_path)
    )
    pd.testing.assert_frame_equal(one, other, check_exact=True)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "hearts")
    monkeypatch.chdir(tmp_path)
    with followed(wanted, RunPaths("one", tmp_path), {}, Silent()) as run:
        assert run is not None
        for fold in range(2):
            run.fold(FoldId(0, 0, fold), "found")
    _, folds, client = runs_of(tmp_path, "hearts")
    steps = [
        [each.step for each in client.get_metric_history(run.info.run_id, "Loss/val")]
        for run in folds
    ]
    assert steps == [[1, 2, 3], [1, 2, 3]]


@pytest.mark.slow
def test_nothing_leaves_the_machine_and_the_environment_stays(tmp_path: Path) -> None:
    """In a process without a sign of a test, where MLflow would report its use."""
    code = (
        "import os, pathlib\n"
        "from kfold_hs.workflows.mlflow_runs import _connect, _patience\n"
        "before = dict(os.environ)\n"
        "with _patience():\n"
        f"    _connect(pathlib.Path({str(tmp_path)!r}))\n"
        "assert dict(os.environ) == before\n"
        "from mlflow.telemetry import get_telemetry_client\n"
        "assert get_telemetry_client() is None\n"
    )
    keep = ("PATH", "HOME", "PYTHONPATH")
    environment = {name: os.environ[name] for name in keep if name in os.environ}
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=environment,
        cwd=Path.cwd(),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""


def test_a_tracker_that_is_not_installed_is_told_at_once(
    shared_table_csv: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"pip install 'kfold-hs\[mlflow\]'"):
        check_config(settings(shared_table_csv))
