"""`kfold-hs run --nested`: nobody of an outer fold has a part in the choice that it scores."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner, Result
from scipy import stats
from support.fake_comparison import POSITIVES, kept
from support.project import TINY

from kfold_hs.cli.main import cli
from kfold_hs.config.compose import compose
from kfold_hs.errors import ConfigError, SplitError
from kfold_hs.files.paths import FoldId, RunPaths
from kfold_hs.judge.results.nested import nested_result
from kfold_hs.judge.selection.objective import Objective
from kfold_hs.judge.stats.estimates import metrics_of
from kfold_hs.predictions.table import Predictions
from kfold_hs.splits import Split
from kfold_hs.splits.inner_folds import inner_split
from kfold_hs.splits.make import split_of
from kfold_hs.splits.split import TEST
from kfold_hs.workflows.inputs import load_cohort

SKIP = ("train.epochs", "split.n_folds")
ONCE = [word for word in TINY if not word.startswith(SKIP)] + ["train.epochs=1", "track=[]"]


def command(root: Path, table_csv: Path, *words: str) -> Result:
    shared = ["--folds", "2", "--inner-folds", "2", "--name", "n", "--root", str(root)]
    shared += ["--sampler", "grid", f"data.path={table_csv}", *ONCE]
    return CliRunner().invoke(cli, ["run", "--nested", *words, *shared])


@pytest.fixture(scope="module")
def nested(tmp_path_factory: pytest.TempPathFactory, shared_table_csv: Path) -> Path:
    """A folder with a nested cross-validation of two rates, as `n`."""
    folder = tmp_path_factory.mktemp("nested")
    done = command(folder, shared_table_csv, "optim.lr=1e-3,1e-2")
    assert done.exit_code == 0, done.output
    assert "outer fold 1: searching among its training people" in done.stderr
    assert "Chosen inside every fold: accuracy, mean of murmur and outcome" in done.stdout
    assert f"Report: {folder}/reports/n/report.html" in done.stdout
    return folder


def summary(folder: Path) -> dict:
    return json.loads((folder / "reports" / "n" / "summary.json").read_text())


def test_the_outer_fold_scores_what_the_inner_search_chose(nested: Path) -> None:
    found = summary(nested)
    result = found["nested"]
    assert sum(result["frequency"].values()) == len(result["folds"]) == 2
    assert sum(result["by_key"]["optim.lr"].values()) == 2
    whole = Predictions.read(RunPaths("n", nested).predictions).table
    assert whole["patient_id"].nunique() == 16
    for fold, each in enumerate(result["folds"]):
        search = json.loads((nested / "reports" / each["search"] / "tune.json").read_text())
        assert search["winner"]["name"] == each["name"]
        assert search["winner"]["estimate"]["value"] == each["claimed"]
        # To the bit the fold that `kfold-hs run` of the chosen variant trains.
        runs = [
            path.parent.name
            for path in nested.glob("reports/table-*/config.yaml")
            if not path.with_name("summary.json").exists()  # a run of all its folds has one
            and f"lr: {float(each['params']['optim.lr'])}" in path.read_text()
        ]
        (mine,) = runs
        table = Predictions.read(RunPaths(mine, nested).fold(FoldId(0, 0, fold)).predictions).table
        ours = whole[whole["fold"] == fold].reset_index(drop=True)
        pd.testing.assert_frame_equal(ours, table, check_exact=True)
    values = [task["metrics"]["accuracy"]["value"] for task in found["tasks"].values()]
    assert result["delivered"]["value"] == pytest.approx(np.mean(values))
    page = (nested / "reports" / "n" / "report.html").read_text()
    assert "How often each value was chosen" in page


def test_no_inner_fold_knows_the_people_of_the_outer_one(nested: Path) -> None:
    outer = Split.read(RunPaths("n", nested).split)
    for fold, each in enumerate(summary(nested)["nested"]["folds"]):
        search = json.loads((nested / "reports" / each["search"] / "tune.json").read_text())
        runs = [RunPaths(trial["run"], nested) for trial in search["trials"]]
        assert len(runs) == 2
        held_out = {person for person, folds in outer.folds.items() if folds == (fold,)}
        for run in runs:
            inner = Split.read(run.split)
            assert {p for p, folds in inner.folds.items() if folds == (TEST,)} == held_out
            predicted = set(Predictions.read(run.predictions).table["person_id"])
            assert predicted == set(outer.folds) - held_out


def test_the_same_command_trains_nothing_again(nested: Path, shared_table_csv: Path) -> None:
    before = {p: p.stat().st_mtime_ns for p in nested.rglob("r0-*/*.pt")}
    done = command(nested, shared_table_csv, "optim.lr=1e-3,1e-2", "--json", "-q")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["nested"] == summary(nested)["nested"]
    assert {p: p.stat().st_mtime_ns for p in nested.rglob("r0-*/*.pt")} == before


@pytest.mark.slow
def test_folds_at_once_are_the_same_bits(
    nested: Path, shared_table_csv: Path, tmp_path: Path
) -> None:
    done = command(tmp_path, shared_table_csv, "optim.lr=1e-3,1e-2", "--jobs", "2")
    assert done.exit_code == 0, done.output
    assert summary(tmp_path)["nested"] == summary(nested)["nested"]
    tables = [
        Predictions.read(RunPaths("n", root).predictions).table for root in (nested, tmp_path)
    ]
    pd.testing.assert_frame_equal(*tables, check_exact=True)


def test_what_does_not_go_together(shared_table_csv: Path, tmp_path: Path) -> None:
    done = CliRunner().invoke(cli, ["run", "--trials", "3"])
    assert done.exit_code == 2
    assert "need --nested" in done.output
    done = command(tmp_path, shared_table_csv, "select=last,best")
    assert isinstance(done.exception, ConfigError)
    assert "select = last, best decides how predictions are judged" in str(done.exception)


def test_inner_folds_hold_every_class_or_say_why_not(
    shared_table_csv: Path, tmp_path: Path
) -> None:
    config = compose([*TINY, f"data.path={shared_table_csv}", "split.n_repeats=2"])

    class Nobody:
        def __getattr__(self, _: str) -> object:
            return lambda *_, **__: None

    cohort = load_cohort(config, Nobody())  # type: ignore[arg-type]
    outer = split_of(config, cohort)
    found = inner_split(cohort, outer, 1, 0, 2)
    found.write(tmp_path / "split.json")
    assert Split.read(tmp_path / "split.json").folds == found.folds
    assert found.folds == inner_split(cohort, outer, 1, 0, 2).folds
    assert found.folds != inner_split(cohort, outer, 0, 0, 2).folds
    held_out = {person for person, folds in outer.folds.items() if folds[1] == 0}
    assert {person for person, folds in found.folds.items() if folds == (TEST,)} == held_out
    with pytest.raises(SplitError, match="3 folds need at least 3"):
        inner_split(cohort, outer, 0, 0, 3)


def test_the_winners_curse_by_hand() -> None:
    table = kept(2.0)
    objective = Objective.of("murmur.log_loss", table.classes)
    (metric,) = (m for m in metrics_of(table, "murmur") if m.name == "log_loss")
    claims = {(r, f): 0.3 + 0.01 * f for r in (0, 1) for f in range(5)}
    chosen = [
        {"repeat": r, "fold": f, "name": f"v{f % 2}", "params": {"a": f % 2}, "claimed": claim,
         "corrected": claim + 0.02}
        for (r, f), claim in claims.items()
    ]  # fmt: skip
    split = {"n_folds": 5, "train_share": 0.8}
    found = nested_result(chosen, table, objective, POSITIVES, split)
    gaps = []
    for each in found["folds"]:
        mine = table.where(repeat=each["repeat"], fold=each["fold"])
        value = metric(mine.y_true("murmur"), mine.y_prob("murmur"), 0)[0]
        assert each["delivered"] == pytest.approx(value)
        gaps.append(value - each["claimed"])  # a lower loss was claimed than came
    curse = found["winners_curse"]
    half = stats.t.ppf(0.975, 9) * np.std(gaps, ddof=1) * math.sqrt(1 / 10 + 1 / 4)
    assert curse["value"] == pytest.approx(np.mean(gaps))
    assert curse["high"] - curse["value"] == pytest.approx(half)
    assert found["picking"] == pytest.approx(0.02)
    assert found["frequency"] == {"v0": 6, "v1": 4}
    assert found["by_key"] == {"a": {"0": 6, "1": 4}}
    json.dumps(found, allow_nan=False)
    assert "Most often chosen: v0, in 6 of 10 folds." in found["sentence"]
