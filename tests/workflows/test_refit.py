"""The ensemble against one model: the same people, what nobody trained on, a bundle of each."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from support.project import TINY, Silent, kfold_hs, write_table

from kfold_hs.bundle.format import Bundle
from kfold_hs.cli.main import cli
from kfold_hs.config.compose import compose
from kfold_hs.errors import BundleError
from kfold_hs.judge.results.test_set import side_by_side
from kfold_hs.splits.split import TEST
from kfold_hs.workflows import bundles, cross_validation, refit
from kfold_hs.workflows.options import RunOptions


def test_side_by_side_by_hand() -> None:
    y_true = np.array([0, 0, 1, 1])
    good = np.array([[0.9, 0.1], [0.8, 0.2], [0.3, 0.7], [0.4, 0.6]])
    half = np.array([[0.9, 0.1], [0.2, 0.8], [0.3, 0.7], [0.6, 0.4]])
    found = side_by_side(y_true, {"a": good, "b": half}, list("wxyz"), ("P", "N"), 0)
    by_name = {each["metric"]: each for each in found}
    accuracy = by_name["accuracy"]
    assert accuracy["models"]["a"]["value"] == 1
    assert accuracy["models"]["b"]["value"] == 0.5
    difference = accuracy["above_first"]["b"]
    assert difference["value"] == -0.5
    # Two of four persons differ by 1: variance sum (d - mean)^2 / n^2 = (2 * .25 + 2 * .25) / 16.
    assert difference["se"] == pytest.approx(0.25)
    loss = by_name["log_loss"]
    assert loss["models"]["b"]["value"] == pytest.approx(-np.log([0.9, 0.2, 0.7, 0.4]).mean())
    assert not loss["higher_is_better"]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished run with hold-out test persons."""
    folder = tmp_path_factory.mktemp("refit")
    table = write_table(folder, 24)
    words = [*TINY, "train.epochs=1", "split.test=0.33", f"data.path={table}"]
    words.append("+data.tasks.outcome.stack=[murmur,outcome]")
    cross_validation.run(
        compose(words), Silent(), RunOptions(root=folder, name="one", device="cpu")
    )
    return folder / "reports" / "one"


@pytest.mark.slow
def test_three_models_side_by_side(run: Path, tmp_path: Path) -> None:
    bundle = tmp_path / "bundle"
    words = ["export", str(run), "-o", str(bundle), "--compare-refit", "--device", "cpu", "-q"]
    done = CliRunner().invoke(cli, words)
    assert done.exit_code == 0, done.output
    content = json.loads((bundle / "refit.json").read_text())
    people = json.loads((run / "split.json").read_text())["people"]
    assert content["n_persons"] == 8 < len(people)
    assert content["speed"]["ensemble"]["n_models"] == 2
    assert content["speed"]["refit"]["n_models"] == content["speed"]["distilled"]["n_models"] == 1
    for each in content["tasks"]["murmur"]:
        assert list(each["models"]) == ["ensemble", "refit", "distilled"]
        assert list(each["above_first"]) == ["refit", "distilled"]
    losses = {each["metric"]: each for each in content["tasks"]["outcome"]}["log_loss"]
    assert len({one["value"] for one in losses["models"].values()}) == 3
    assert "refit" in done.output
    assert "log loss" in done.output

    # Bundles of their own, which score nobody they trained on.
    for name in ("refit", "distilled"):
        one = bundle / "alternatives" / name
        assert len({member.file for member in Bundle.read(one).members}) == 1
        table = run.parent.parent / "table.csv"
        said = bundles.predict(
            one, [table], Silent(), bundles.PredictOptions(tmp_path / "x.csv", device="cpu")
        )
        n_test = content["n_patients"]
        assert said.counts["known"] == n_test
        assert said.counts["not_scored"] == 24 - n_test

    # Trained once.
    times = {p: p.stat().st_mtime_ns for p in (run.parent.parent / "checkpoints/one").rglob("*.pt")}
    assert len([p for p in times if p.parent.name in {"refit", "distilled"}]) > 0
    again = refit.compare_refit(run, bundle, Silent(), "cpu")
    assert again["tasks"] == content["tasks"]
    assert times == {p: p.stat().st_mtime_ns for p in times}


def test_what_cannot_be_compared(
    tmp_path: Path, run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = (run / "config.yaml").read_text()
    folder = tmp_path / "reports" / "one"
    folder.mkdir(parents=True)
    for name in ("summary.json", "split.json"):
        (folder / name).write_bytes((run / name).read_bytes())
    (folder / "config.yaml").write_text(config.replace("select: last", "select: best"))
    with pytest.raises(BundleError, match="select=best chooses epochs"):
        refit.check_refit(folder)
    (folder / "config.yaml").write_text(config)
    refit.check_refit(folder)
    for folds, message in (
        ({"p0": (0,), "p1": (1,)}, r"no hold-out test persons \(split.test=0.2, say\)"),
        ({"p0": (0, 1), "p1": (TEST, 1)}, "test persons of one repeat and trained on in another"),
    ):
        without = SimpleNamespace(folds=folds)
        monkeypatch.setattr(refit.Split, "read", lambda path, found=without: found)
        with pytest.raises(BundleError, match=message):
            refit.check_refit(folder)


def test_one_validation_part_goes_all_the_way(tmp_path: Path) -> None:
    """A split from elsewhere into train, val and test: one fold, one model."""
    path = write_table(tmp_path, 24)
    people = pd.read_csv(path).drop_duplicates("patient_id")
    people["fold"] = ["val"] * 8 + ["train"] * 8 + ["test"] * 8
    people[["patient_id", "fold"]].to_csv(tmp_path / "one.csv", index=False)
    words = [*TINY, f"data.path={path}", "split.file=one.csv", "split.n_folds=1", "train.epochs=1"]
    quiet = ["--device", "cpu", "-q"]
    for command in (
        ["split", *words, "-o", "split.json"],
        ["audit", "one.csv", *words],
        ["run", *words, "split.file=split.json", "--name", "one", *quiet],
        ["report", "reports/one"],
        ["export", "reports/one", "-o", "bundle", "--compare-refit", *quiet],
        ["predict", "bundle", path, "-o", "people.csv", *quiet],
    ):
        done = kfold_hs(*command, cwd=tmp_path)
        assert done.returncode == 0, (command[0], done.stderr)
    found = pd.read_csv(tmp_path / "people.csv", dtype={"patient_id": str}).set_index("patient_id")
    told = found["n_models"] == 1
    assert told.tolist() == [word != "train" for word in people["fold"]]
    assert json.loads((tmp_path / "bundle/refit.json").read_text())["n_patients"] == 8
