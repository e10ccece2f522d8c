"""`kfold-hs compare split.by=person split.by=patient`: what splitting by patient id does."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner, Result
from support.project import TINY, Silent, write_table
from support.traced import check

from kfold_hs.cli.main import cli
from kfold_hs.config.compose import compose
from kfold_hs.config.sweep import design
from kfold_hs.errors import SplitError
from kfold_hs.files.paths import RunPaths
from kfold_hs.predictions.table import Predictions
from kfold_hs.report.formats import FORMATS
from kfold_hs.splits import Split
from kfold_hs.workflows.comparison import compare
from kfold_hs.workflows.inputs import read_layouts
from kfold_hs.workflows.options import RunOptions

# A key that stands there twice would make variants.
TWICE = ("train.epochs", "split.n_folds", "judge.band_resamples")
BASE = [w for w in TINY if not w.startswith(TWICE)]
SMALL = [*BASE, "train.epochs=1", "split.n_folds=2", "judge.band_resamples=0"]


@pytest.fixture(scope="module")
def linked_csv(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table of 64 patients; 22 of their 42 persons have two patient ids."""
    path = write_table(tmp_path_factory.mktemp("linked"), 64, n_recordings=1, seconds=1.5)
    table = pd.read_csv(path, dtype=object, keep_default_na=False)
    number = table["patient_id"].str[1:].astype(int)
    table["person"] = [f"q{i % 32}" if i % 32 < 22 else f"p{i}" for i in number]
    table.to_csv(path, index=False)
    return path


def command(root: Path, csv: Path, *words: str) -> Result:
    shared = ["--name", "c", "--root", str(root), f"data.path={csv}", *SMALL]
    return CliRunner().invoke(cli, ["compare", *words, *shared])


@pytest.fixture(scope="module")
def torn(tmp_path_factory: pytest.TempPathFactory, linked_csv: Path) -> tuple[Path, Result]:
    """A folder in which both splits were compared, and what the terminal said."""
    folder = tmp_path_factory.mktemp("torn")
    done = command(folder, linked_csv, "split.by=person", "split.by=patient", "--repeats", "2")
    assert done.exit_code == 0, done.output
    return folder, done


def content(folder: Path) -> dict:
    return json.loads((folder / "reports" / "c" / "comparison.json").read_text())


def test_both_layouts_are_trained_and_kept(torn: tuple[Path, Result]) -> None:
    found = content(torn[0])
    by_person, by_patient = (RunPaths(each["run"], torn[0]) for each in found["variants"])
    splits = [Split.read(each.split) for each in (by_person, by_patient)]
    assert [each.by for each in splits] == ["person", "patient"]
    folds = []
    for split, paths in zip(splits, (by_person, by_patient), strict=True):
        table = Predictions.read(paths.predictions).table
        rows = table[table["level"] == "patient"]
        assert len(rows) == 2 * 64
        units = rows["person_id" if split.by == "person" else "patient_id"]
        kept = [split.folds[str(u)][r] for u, r in zip(units, rows["repeat"], strict=True)]
        assert kept == list(rows["fold"])
        folds.append(rows.set_index(["repeat", "patient_id"])["fold"].sort_index())
    assert not folds[0].equals(folds[1])
    assert found["different_folds"]["assignments"] == {
        "split.by=person": splits[0].assignment,
        "split.by=patient": splits[1].assignment,
    }


def test_the_leak_is_named_and_linked_people_are_looked_at(torn: tuple[Path, Result]) -> None:
    folder, done = torn
    found = content(folder)
    paths = RunPaths(found["variants"][1]["run"], folder)
    split = Split.read(paths.split)
    n_torn = []
    for repeat in range(2):
        of_person = [
            {split.folds[p["patient_id"]][repeat] for p in person["patients"]}
            for person in split.people
        ]
        n_torn.append(sum(len(each) > 1 for each in of_person))
    assert list(found["leaking"]) == ["split.by=patient"]
    assert found["leaking"]["split.by=patient"]["torn"] == n_torn
    assert sum(n_torn) > 0
    linked = found["different_folds"]["linked"]
    assert (linked["n_linked"], linked["n_others"]) == (22, 20)
    said = " ".join(done.stdout.split())
    assert "The variants are on different folds: they differ in split.by." in said
    assert "split.by=patient is LEAKING: of 22 people with several patient ids it puts " in said
    assert "among the 22 people with several patient ids alone" in said
    page = (folder / "reports" / "c" / "comparison.html").read_text()
    assert "split.by=patient is LEAKING" in page
    assert "People with several patient ids" in page
    assert found["n_tried"] == 2
    summary = json.loads(paths.summary.read_text())
    assert len(summary["tried"]) == 2


def test_every_number_says_where_it_stands(torn: tuple[Path, Result]) -> None:
    page = (torn[0] / "reports" / "c" / "comparison.html").read_text()
    assert check(page, content(torn[0]), FORMATS) > 100


@pytest.mark.slow
def test_split_files_make_variants_with_models_of_their_own(
    shared_table_csv: Path, tmp_path: Path
) -> None:
    """Their settings and digests are the same: only the folds tell them apart."""
    words = [*SMALL, f"data.path={shared_table_csv}"]
    for seed in (0, 1):
        drawn = read_layouts({"a": compose([*words, f"seed={seed}"])}, Silent())["a"].split
        drawn.write(tmp_path / f"{seed}.json")
    files = [f"split.file={tmp_path / name}" for name in ("0.json", "1.json")]
    found = compare(design([*words, *files]), Silent(), RunOptions(root=tmp_path, device="cpu"))
    first, second = found.result.variants
    assert first.run != second.run
    assert first.predicted_with is second.predicted_with is None
    different = found.result.different_folds
    assert different is not None
    assert "they differ in split.file. " in different["text"]
    # The same folds, whatever their settings: as ever.
    (tmp_path / "again.json").write_bytes((tmp_path / "0.json").read_bytes())
    files[1] = f"split.file={tmp_path / 'again.json'}"
    both = {"a": compose([*words, files[0]]), "b": compose([*words, files[1]])}
    own = read_layouts(both, Silent())
    assert own["a"].split.assignment == own["b"].split.assignment


def test_folds_that_score_other_people_are_refused(linked_csv: Path) -> None:
    words = [*SMALL, f"data.path={linked_csv}", "split.test=[p0,p2]"]
    variants = {by: compose([*words, f"split.by={by}"]) for by in ("person", "patient")}
    with pytest.raises(SplitError, match=r"2 patients are in one alone \(p32, p34\)"):
        read_layouts(variants, Silent())
