"""A run that holds one source out at a time: from the command line to its page, and compared."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from support.project import TINY, kfold_hs, write_table

from kfold_hs.files.paths import FoldId, RunPaths
from kfold_hs.predictions.table import Predictions
from kfold_hs.splits import Split

HOSPITALS = ("Abuja", "Bern", "Cork")
FAST = ["track=[]"]
HOLD_OUT = ["split.hold_out=hospital", *FAST]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """36 patients of three hospitals, p20 being the person p5 of another one; and a run, `one`."""
    made = tmp_path_factory.mktemp("hospitals")
    path = write_table(made, n_patients=36, n_recordings=1, seconds=1.5)
    table = pd.read_csv(path, dtype=object, keep_default_na=False)
    number = table["patient_id"].str[1:].astype(int)
    table["hospital"] = [HOSPITALS[each // 12] for each in number]
    table.loc[table["patient_id"] == "p20", "person"] = "p5"
    table.to_csv(path, index=False)
    done = kfold_hs("run", *words(made), *HOLD_OUT, "--name", "one", cwd=made)
    assert done.returncode == 0, done.stderr
    assert "Each fold is one hospital: Abuja, Bern, Cork." in " ".join(done.stdout.split())
    return made


def words(folder: Path) -> list[str]:
    return [*TINY[:-1], f"data.path={folder / 'table.csv'}", "train.epochs=1"]


def summary(folder: Path, name: str = "one") -> dict[str, Any]:
    return dict(json.loads((folder / "reports" / name / "summary.json").read_text()))


def test_every_model_is_scored_on_a_hospital_that_it_has_never_met(folder: Path) -> None:
    paths = RunPaths("one", folder)
    split = Split.read(paths.split)
    assert split.sources == HOSPITALS
    assert split.in_several == ("p5",)
    table = Predictions.read(paths.scored).table
    hospital = table["patient_id"].str[1:].astype(int) // 12
    assert (table["fold"] == hospital).all()
    assert set(table["patient_id"]) == {f"p{i}" for i in range(36)} - {"p5", "p20"}
    found = summary(folder)["sources"]
    assert [row["source"] for row in found["rows"]] == list(HOSPITALS)
    # p0 and p1 are one person; p5 is in no fold, nor is p20.
    assert [row["n_persons"] for row in found["rows"]] == [10, 11, 12]
    assert found["n_in_several"] == 1
    assert "n_folds: null" in (folder / "reports/one/config.yaml").read_text()


def test_the_page_can_be_drawn_anew(folder: Path) -> None:
    page = folder / "reports/one/report.html"
    before = page.read_text()
    for name in HOSPITALS:
        assert f"{name} (fold" in before
    assert "Every hospital held out" in before
    assert "What to expect of another hospital" in before
    page.unlink()
    assert kfold_hs("report", "reports/one", "--tables", "tables", cwd=folder).returncode == 0
    assert page.read_text() == before
    (matrix,) = (folder / "tables").glob("sources-murmur.csv")
    assert pd.read_csv(matrix)["hospital"].str.contains("|".join(HOSPITALS)).all()


@pytest.mark.slow
def test_it_resumes_to_the_same_bits(folder: Path) -> None:
    paths = RunPaths("one", folder)
    before = paths.predictions.read_bytes()
    shutil.rmtree(paths.fold(FoldId(0, 0, 1)).folder)
    plan = kfold_hs("run", *words(folder), *HOLD_OUT, "--name", "one", "--dry-run", cwd=folder)
    assert "x 3 folds: 1 fold model is left to train" in plan.stdout
    again = kfold_hs("run", *words(folder), *HOLD_OUT, "--name", "one", cwd=folder)
    assert again.returncode == 0, again.stderr
    assert paths.predictions.read_bytes() == before
    # The number of folds may be said, and another is an error.
    same = kfold_hs("run", *words(folder), *HOLD_OUT, "--name", "one", "--folds", "3", cwd=folder)
    assert same.returncode == 0, same.stderr
    other = kfold_hs("run", *words(folder), *HOLD_OUT, "--folds", "5", cwd=folder)
    assert other.returncode == 1
    assert "split.n_folds=5, but hospital has 3 values" in other.stderr


@pytest.mark.slow
def test_variants_are_compared_on_the_same_hospitals(folder: Path) -> None:
    pools = "predict.patient_pool=mean,max"
    done = kfold_hs("compare", *words(folder), *HOLD_OUT, pools, "--name", "pools", cwd=folder)
    assert done.returncode == 0, done.stderr
    found = json.loads((folder / "reports/pools/comparison.json").read_text())
    assert found["split"]["n_folds"] == 3
    assert found["split"]["held_out"] == {"column": "hospital", "values": list(HOSPITALS)}
    page = (folder / "reports/pools/comparison.html").read_text()
    assert "each fold is one hospital: Abuja, Bern, Cork" in page


@pytest.mark.slow
def test_sources_of_cinc2016(cinc2016: Path, tmp_path: Path) -> None:
    """Real recordings of two sources: what a third would bring cannot be told."""
    for part in ("training-c", "training-d"):
        lines = (cinc2016 / part / "REFERENCE.csv").read_text().split()
        kept = [
            line for sign in (",1", ",-1") for line in [x for x in lines if x.endswith(sign)][:4]
        ]
        (tmp_path / "data" / part).mkdir(parents=True)
        (tmp_path / "data" / part / "REFERENCE.csv").write_text("\n".join(kept))
        for line in kept:
            for file in (cinc2016 / part).glob(f"{line.split(',')[0]}.*"):
                shutil.copy(file, tmp_path / "data" / part)
    tiny = [word for word in TINY if word.startswith(("features.", "train."))]
    done = kfold_hs(
        "run", "data=cinc2016", f"data.root={tmp_path / 'data'}", "split.hold_out=source",
        *tiny, *FAST, "train.epochs=1", "--name", "real", cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = summary(tmp_path, "real")["sources"]
    assert [row["source"] for row in found["rows"]] == ["training-c", "training-d"]
    assert [row["n_persons"] for row in found["rows"]] == [8, 8]
    assert found["mean_accuracy"]["method"].startswith("cannot tell: 2 sources")
    assert "another source: cannot tell" in " ".join(done.stdout.split())
