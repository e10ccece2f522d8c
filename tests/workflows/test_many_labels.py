"""Many labels and many classes, and the readers of public cohorts, through all commands."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from support.many_labels import CLASSES, DISEASES, diseases, kinds, write_labels
from support.project import kfold_hs
from support.public_cohorts import write_bmdhs, write_zchsound

from kfold_hs.report.charts.base import COLOURS

QUICK = [
    "features.n_mels=16", "features.n_fft=256", "features.hop_s=0.04", "train.crop_frames=32",
    "train.epochs=1", "train.batch_size=8", "split.n_folds=2", "judge.band_resamples=0",
    "judge.gallery.audio=false",
]  # fmt: skip
TABLE = ["data=table", "data.person_column=person", "data.site_column=site"]


def ran(cwd: Path, name: str, *words: str) -> dict[str, Any]:
    done = kfold_hs("run", "--name", name, *QUICK, *words, cwd=cwd)
    assert done.returncode == 0, done.stderr
    text = (cwd / "reports" / name / "summary.json").read_text()
    found: dict[str, Any] = json.loads(text)
    return found


def predicted(cwd: Path, name: str, people: Path) -> pd.DataFrame:
    """New rows of the run's bundle."""
    for words in (
        ("export", f"reports/{name}", "-o", f"{name}.bundle"),
        ("predict", f"{name}.bundle", people, "-o", f"{name}.csv"),
    ):
        done = kfold_hs(*words, cwd=cwd)
        assert done.returncode == 0, done.stderr
    return pd.read_csv(cwd / f"{name}.csv", dtype={"patient_id": str})


def tables_of(cwd: Path, name: str) -> list[str]:
    done = kfold_hs("report", f"reports/{name}", "--tables", "tables", cwd=cwd)
    assert done.returncode == 0, done.stderr
    return [path.name for path in sorted((cwd / "tables").glob("*.csv"))]


@pytest.fixture(scope="module")
def labels(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """A folder with a run of nine binary tasks, and its summary."""
    folder = tmp_path_factory.mktemp("labels")
    write_labels(folder, n_patients=24)
    return folder, ran(folder, "nine", *TABLE, "data.path=table.csv", diseases())


def test_nine_labels_at_once(labels: tuple[Path, dict[str, Any]]) -> None:
    folder, summary = labels
    assert list(summary["tasks"]) == list(DISEASES)
    assert "mean of AS, AR, MR, MS, TR, TS, PR, PS and MVP" in summary["headline"]["sentence"]
    found = summary["labels"]
    scored = pd.read_parquet(folder / "reports" / "nine" / "scored.parquet")
    right = np.stack(
        [(scored[f"p.{d}.1"] >= 0.5) == (scored[f"y.{d}"] == "1") for d in DISEASES], axis=1
    )
    assert found["metrics"]["exact_match"]["value"] == pytest.approx(right.all(axis=1).mean())
    assert found["metrics"]["accuracy"]["value"] == pytest.approx(right.mean())
    assert found["n_right"] == np.bincount(right.sum(axis=1), minlength=10).tolist()


def test_page_of_nine_labels(labels: tuple[Path, dict[str, Any]]) -> None:
    folder, _ = labels
    names = tables_of(folder, "nine")
    assert "metrics-all-labels.csv" in names
    assert "split-pairs.csv" in names
    page = (folder / "reports" / "nine" / "report.html").read_text()
    assert "All labels of a patient" in page
    figures = json.loads(
        page.split('<script type="application/json" id="figures">')[1].split("</script>")[0]
    )
    lines = [each.get("line", {}) for each in figures["accuracy"]["data"]]
    lines = [line for line in lines if line.get("width") == 3]
    assert len(lines) == 9 > len(COLOURS)
    assert len({(line["color"], line["dash"]) for line in lines}) == 9
    bars = [each["marker"] for each in figures["balance"]["data"]]
    assert len({(bar["color"], bar["pattern"]["shape"]) for bar in bars}) == 18


def test_pairs_of_labels_are_spread_over_the_folds(labels: tuple[Path, dict[str, Any]]) -> None:
    _, summary = labels
    of_pairs = [row for row in summary["split"]["balance"] if "+" in row["task"]]
    assert {row["task"].count("+") for row in of_pairs} == {1}
    assert len({row["task"] for row in of_pairs}) == 36
    of_labels = [row for row in summary["split"]["balance"] if row["task"] in DISEASES]
    assert max(row["deviation"] - row["limit"] for row in of_labels) < 0.5


def test_nine_labels_of_new_people(labels: tuple[Path, dict[str, Any]]) -> None:
    folder, _ = labels
    rows = predicted(folder, "nine", folder / "table.csv")
    assert len(rows) == 24
    for name in DISEASES:
        assert (rows[f"p.{name}.1"] + rows[f"p.{name}.0"]).to_numpy() == pytest.approx(1)
        assert set(rows[f"label.{name}"].astype(str)) <= {"0", "1"}
        assert rows[f"set.{name}"].astype(str).isin(["1", "0", "1+0"]).all()


@pytest.mark.slow
def test_variants_of_nine_labels(labels: tuple[Path, dict[str, Any]]) -> None:
    folder, _ = labels
    words = [*TABLE, "data.path=table.csv", diseases(), *QUICK]
    done = kfold_hs("compare", "predict.patient_pool=mean,max", "--name", "two", *words, cwd=folder)
    assert done.returncode == 0, done.stderr
    text = (folder / "reports" / "two" / "comparison.json").read_text()
    assert "Accuracy, mean of AS, AR, MR, MS, TR, TS, PR, PS and MVP" in text


def test_a_joint_head_has_a_limit(labels: tuple[Path, dict[str, Any]]) -> None:
    folder, _ = labels
    words = [*TABLE, "data.path=table.csv", "model.heads=joint", diseases()]
    more = "data.tasks.kind={classes: [kind 0, kind 1, kind 2, kind 3, kind 4]}"
    done = kfold_hs("run", *QUICK, *words, more, cwd=folder)
    assert done.returncode == 2
    assert "2560 combinations" in done.stderr
    assert "model.heads=separate" in done.stderr


@pytest.mark.slow
def test_twelve_classes(tmp_path: Path) -> None:
    path = write_labels(tmp_path, n_patients=36, n_classes=12)
    summary = ran(tmp_path, "twelve", *TABLE, "data.path=table.csv", kinds(12))
    result = summary["tasks"]["kind"]
    assert summary["labels"] is None
    assert [each["class"] for each in result["by_class"]] == list(CLASSES)
    confusion = np.array(result["confusion"])
    assert confusion.shape == (12, 12)
    for c, each in enumerate(result["by_class"]):
        assert each["n_patients"] == confusion[c].sum() == 3
        assert each["n_called"] == confusion[:, c].sum()
        recall = each["metrics"]["sensitivity"]["value"]
        assert recall == pytest.approx(confusion[c, c] / 3)
    assert any("metrics-kind-classes" in name for name in tables_of(tmp_path, "twelve"))
    gallery = json.loads((tmp_path / "reports" / "twelve" / "gallery.json").read_text())
    first = gallery["patients"][0]["tasks"]["kind"]
    assert len(first["probs"]) == 12  # all are kept; the page shows the likely ones
    page = (tmp_path / "reports" / "twelve" / "report.html").read_text()
    assert "other classes below 0.1" in page
    rows = predicted(tmp_path, "twelve", path)
    columns = [f"p.kind.{name}" for name in CLASSES]
    assert rows[columns].sum(axis=1).to_numpy() == pytest.approx(1)


@pytest.mark.slow
def test_zchsound_is_trained_reported_and_predicted(tmp_path: Path) -> None:
    """Five classes beside two; the claim is of recordings, since nobody knows the persons."""
    write_zchsound(tmp_path / "zch", n_clean=15, n_noise=5)
    summary = ran(tmp_path, "zch", "data=zchsound", "data.root=zch")
    assert [each["class"] for each in summary["tasks"]["diagnosis"]["by_class"]] == [
        "VSD", "ASD", "PDA", "PFO", "NORMAL",
    ]  # fmt: skip
    assert not any("cost" in task["metrics"] for task in summary["tasks"].values())  # CirCor's
    sentence = summary["headline"]["sentence"]
    assert "on recordings the models were not trained on (whose they are is not known" in sentence
    page = (tmp_path / "reports" / "zch" / "report.html").read_text()
    assert "Nobody knows which recordings are of one person: 20 recordings count" in page
    assert "People, not patient ids, are split" not in page
    rows = predicted(tmp_path, "zch", tmp_path / "zch" / "clean Heartsound Data")
    assert set(rows["known"]) == {"yes"}  # by the digests of their recordings
    assert set(rows["label.abnormal"]) <= {"yes", "no"}


def test_bmdhs_is_trained_and_reported(tmp_path: Path) -> None:
    write_bmdhs(tmp_path / "bmd", n_patients=16, n_recordings=2)
    summary = ran(tmp_path, "bmd", "data=bmdhs", "data.root=bmd", "model.heads=joint")
    assert list(summary["tasks"]) == ["AS", "AR", "MR", "MS"]
    assert summary["labels"]["tasks"] == ["AS", "AR", "MR", "MS"]
    assert "people the models were not trained on" in summary["headline"]["sentence"]
    assert {"sex", "smoker", "lives"} <= set(summary["subgroups"]["covariates"])
    names = {note["name"] for note in summary["cohort"]["notes"]}
    assert {"patients without a label", "recordings of nobody", "identical recordings"} <= names


def test_the_terminal_shows_the_worst_pair_of_many(labels: tuple[Path, dict[str, Any]]) -> None:
    folder, _ = labels
    words = [*TABLE, "data.path=table.csv", diseases(4)]
    done = kfold_hs("split", "--folds", "2", *words, "-o", "split.json", cwd=folder)
    assert done.returncode == 0, done.stderr
    rows = [line.split("│")[1] for line in done.stdout.splitlines() if "│" in line]
    assert sum(" + " in row for row in rows) == 1
    assert "Of the 24 joint classes of 6 pairs of tasks" in " ".join(done.stdout.split())
