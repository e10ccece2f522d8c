"""Splits from elsewhere: every kind is read, certified, or refused with names."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest
import soundfile
from conftest import TINY

from kfold_hs import cohort as cohorts
from kfold_hs.cohort import Cohort
from kfold_hs.config import compose
from kfold_hs.errors import SplitError
from kfold_hs.splits import stratify
from kfold_hs.splits.foreign import certify, folds_of_recordings, is_foreign, read_folds
from kfold_hs.splits.obtain import make_split
from kfold_hs.splits.split import TEST, TRAIN


@pytest.fixture(scope="module")
def cohort(shared_table_csv: Path) -> Cohort:
    return cohorts.load(compose([*TINY, f"data.path={shared_table_csv}"]).data)


@pytest.fixture
def fold_of(cohort: Cohort) -> dict[str, int]:
    """An honest fold of every patient, as somebody else would write it down."""
    split = stratify(cohort, 2, 3)
    return dict(zip(cohort.patients["patient_id"], split.fold_of_patients(cohort, 0), strict=True))


def write_csv(path: Path, fold_of: dict[str, object], column: str = "patient") -> Path:
    pd.DataFrame({column: list(fold_of), "fold": list(fold_of.values())}).to_csv(path, index=False)
    return path


def same(cohort: Cohort, source: Path | str, fold_of: dict[str, int]) -> bool:
    split = certify(read_folds(source, cohort), cohort, str(source))
    return split.fold_of_patients(cohort, 0).tolist() == list(fold_of.values())


def test_csv_of_patients_counted_from_0_or_1(
    cohort: Cohort, fold_of: dict[str, int], tmp_path: Path
) -> None:
    assert same(cohort, write_csv(tmp_path / "a.csv", fold_of), fold_of)
    from_one = {p: f + 1 for p, f in fold_of.items()}
    assert same(cohort, write_csv(tmp_path / "b.csv", from_one, "patient_id"), fold_of)
    named = {p: f"fold_{f}" for p, f in fold_of.items()}
    assert same(cohort, write_csv(tmp_path / "c.csv", named, "id"), fold_of)


def test_csv_of_persons_and_of_repeats(
    cohort: Cohort, fold_of: dict[str, int], tmp_path: Path
) -> None:
    rows = [
        {"person_id": cohort.person_of[p], "fold": (f + r) % 2, "repeat": r}
        for r in range(2)
        for p, f in fold_of.items()
    ]
    path = tmp_path / "repeats.csv"
    pd.DataFrame(rows).to_csv(path, index=False)
    split = certify(read_folds(path, cohort), cohort, str(path))
    assert (split.n_repeats, split.n_folds) == (2, 2)
    assert split.settings["source"] == "repeats.csv"


def test_a_column_of_the_table(cohort: Cohort, fold_of: dict[str, int]) -> None:
    folds = cohort.recordings["patient_id"].map(fold_of)
    with_column = Cohort(
        cohort.name, cohort.tasks, cohort.persons, cohort.patients,
        cohort.recordings.assign(my_fold=folds), cohort.covariates,
    )  # fmt: skip
    assert same(with_column, "column:my_fold", fold_of)
    with pytest.raises(SplitError, match="no column 'fold'"):
        read_folds("column:fold", cohort)


def test_nnunet_by_recording(cohort: Cohort, fold_of: dict[str, int], tmp_path: Path) -> None:
    folds = cohort.recordings.set_index("recording_id")["patient_id"].map(fold_of)
    parts = [
        {"train": folds.index[folds != k].tolist(), "val": folds.index[folds == k].tolist()}
        for k in range(2)
    ]
    path = tmp_path / "splits_final.json"
    path.write_text(json.dumps(parts))
    assert is_foreign(path)
    assert same(cohort, path, fold_of)
    parts[0]["train"].append(parts[0]["val"][0])
    path.write_text(json.dumps(parts))
    with pytest.raises(SplitError, match="fold 0 trains on 1 cases that it validates on"):
        read_folds(path, cohort)
    parts[0]["train"] = parts[0]["train"][1:-1]
    path.write_text(json.dumps(parts))
    with pytest.raises(SplitError, match="neither trains on nor validates 1 cases"):
        read_folds(path, cohort)


def test_folders_by_name_and_by_samples(
    cohort: Cohort, fold_of: dict[str, int], tmp_path: Path
) -> None:
    for row in cohort.recordings.itertuples():
        folder = tmp_path / f"fold{fold_of[row.patient_id]}"
        folder.mkdir(exist_ok=True)
        if row.patient_id == "p3":  # under another name and in another container
            samples, rate = soundfile.read(row.path, dtype="int16")
            soundfile.write(folder / f"copy-of-{Path(row.path).stem}.flac", samples, rate)
        else:
            shutil.copy(row.path, folder / Path(row.recording_id).name)
    assert same(cohort, tmp_path, fold_of)
    shutil.copytree(tmp_path / "fold1", tmp_path / "fold0", dirs_exist_ok=True)
    with pytest.raises(SplitError, match="in fold0 and in fold1"):
        read_folds(tmp_path, cohort)


def test_train_val_test_is_one_fold(
    cohort: Cohort, fold_of: dict[str, int], tmp_path: Path
) -> None:
    words: dict[str, object] = {p: ("val", "train")[f] for p, f in fold_of.items()}
    words["p5"] = "test"
    split = certify(read_folds(write_csv(tmp_path / "s.csv", words), cohort), cohort, "s.csv")
    assert split.n_folds == 1
    assert set(split.folds["p5"]) == {TEST}
    assert {f for folds in split.folds.values() for f in folds} == {0, TEST, TRAIN}
    assert split.scored_patients(cohort) == [p for p in fold_of if words[p] == "val"]


def test_a_torn_person_is_refused(cohort: Cohort, fold_of: dict[str, int], tmp_path: Path) -> None:
    fold_of["p1"] = 1 - fold_of["p0"]  # both are person q
    path = write_csv(tmp_path / "torn.csv", fold_of)
    with pytest.raises(SplitError, match=r"puts 1 persons on two sides: q\..*audit .*torn.csv"):
        certify(read_folds(path, cohort), cohort, str(path))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"p3": None}, "says nothing of 1 of 16 patients"),
        ({"p99": 1}, "names 1 patients that this cohort has not: p99"),
        ({"p3": "third"}, "has a fold 'third'"),
    ],
)
def test_what_does_not_fit(
    cohort: Cohort, fold_of: dict[str, int], tmp_path: Path, change: dict[str, object], message: str
) -> None:
    changed = {p: f for p, f in {**fold_of, **change}.items() if f is not None}
    with pytest.raises(SplitError, match=message):
        read_folds(write_csv(tmp_path / "x.csv", changed), cohort)


def test_not_a_split_at_all(cohort: Cohort, tmp_path: Path) -> None:
    with pytest.raises(SplitError, match="no such file or folder"):
        read_folds(tmp_path / "none.csv", cohort)
    (tmp_path / "x.csv").write_text("a,b\n1,2\n")
    with pytest.raises(SplitError, match="has a column fold and one of"):
        read_folds(tmp_path / "x.csv", cohort)
    (tmp_path / "x.json").write_text('[{"a": 1}]')
    with pytest.raises(SplitError, match=r"not of \{'train'"):
        read_folds(tmp_path / "x.json", cohort)
    (tmp_path / "empty").mkdir()
    with pytest.raises(SplitError, match="holds no recording"):
        read_folds(tmp_path / "empty", cohort)


def test_our_own_file_and_the_number_of_folds(
    cohort: Cohort, shared_table_csv: Path, tmp_path: Path
) -> None:
    split = stratify(cohort, 3, 0)
    path = tmp_path / "split.json"
    split.write(path)
    assert not is_foreign(path)
    assert read_folds(path, cohort).equals(folds_of_recordings(split, cohort))
    words = [*TINY, f"data.path={shared_table_csv}", f"split.file={path}"]
    with pytest.raises(SplitError, match=r"Add split\.n_folds=3"):
        make_split(compose(words), cohort)
    assert make_split(compose([*words, "split.n_folds=3"]), cohort).digest == split.digest
