"""Splits from elsewhere: every kind is read, certified, or refused with names."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path

import pandas as pd
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from support.project import TINY, kfold_hs, two_numberings

from kfold_hs.cohort import Cohort
from kfold_hs.cohort.aliases import link, of_patients
from kfold_hs.cohort.whose import Whose
from kfold_hs.config.compose import compose
from kfold_hs.errors import SplitError
from kfold_hs.splits import stratify
from kfold_hs.splits.fold_names import fold_numbers
from kfold_hs.splits.imported import certify, folds_of_recordings, is_imported, read_folds
from kfold_hs.splits.make import split_of
from kfold_hs.splits.split import TEST, TRAIN


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
    assert is_imported(path)
    assert same(cohort, path, fold_of)
    parts[0]["train"].append(parts[0]["val"][0])
    path.write_text(json.dumps(parts))
    with pytest.raises(SplitError, match="fold 0 has 1 case both in train and in val"):
        read_folds(path, cohort)
    parts[0]["train"] = parts[0]["train"][1:-1]
    path.write_text(json.dumps(parts))
    with pytest.raises(SplitError, match="fold 0 lacks 1 case that other folds use"):
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
    with pytest.raises(SplitError, match=r"puts 1 person on two sides: q\..*audit .*torn.csv"):
        certify(read_folds(path, cohort), cohort, str(path))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"p3": None}, "lacks 1 of the 16 patients"),
        ({"p99": 1}, "names 1 patient that this cohort does not have: p99"),
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
    with pytest.raises(SplitError, match="does not exist"):
        read_folds(tmp_path / "none.csv", cohort)
    (tmp_path / "x.csv").write_text("a,b\n1,2\n")
    with pytest.raises(SplitError, match="needs one column fold, and one of"):
        read_folds(tmp_path / "x.csv", cohort)
    (tmp_path / "x.json").write_text('[{"a": 1}]')
    with pytest.raises(SplitError, match="not like nnU-Net"):
        read_folds(tmp_path / "x.json", cohort)
    (tmp_path / "empty").mkdir()
    with pytest.raises(SplitError, match="hold no recording"):
        read_folds(tmp_path / "empty", cohort)


def test_our_own_file_and_the_number_of_folds(
    cohort: Cohort, shared_table_csv: Path, tmp_path: Path
) -> None:
    split = stratify(cohort, 3, 0)
    path = tmp_path / "split.json"
    split.write(path)
    assert not is_imported(path)
    assert read_folds(path, cohort).equals(folds_of_recordings(split, cohort))
    words = [*TINY, f"data.path={shared_table_csv}", f"split.file={path}"]
    with pytest.raises(SplitError, match=r"Add split\.n_folds=3"):
        split_of(compose(words), cohort)
    assert split_of(compose([*words, "split.n_folds=3"]), cohort).digest == split.digest


LEGAL: dict[str, tuple[list[str], list[int]]] = {
    "numbers": (["0", "1"], [0, 1]),
    "from 1, as pandas and spreadsheets write them": (["1", "02.0"], [0, 1]),
    "named": (["Fold_1", "fold 2"], [0, 1]),
    "scikit-learn's PredefinedSplit": (["-1", "0", "1"], [TRAIN, 0, 1]),
    "the same with decimals": (["-1.0", "0.0"], [TRAIN, 0]),
    "one validation part": (["train", "val", "test"], [TRAIN, 0, TEST]),
    "one part by numbers": (["train", "1"], [TRAIN, 0]),
    "folds and a test part": (["1", "2", "hold-out"], [0, 1, TEST]),
    "what cannot be seen": (["\ufeff0", "1\u200b", "\uff12"], [0, 1, 2]),
}
REFUSED = [
    "-2", "-0", "--1", "fold_-1", "fold -1", "- 1", "\u22121", "0.5", "1e0", "1,0", "0x1", "1_0",
    "NaN", "nan", "inf", "None", "null", "NA", "True", "FALSE", "yes", "#N/A", "1.", ".0", "+1",
    "9" * 30, "9" * 5000, "1/2", "fold", "fold1fold", "fold 1 of 5", "a", "vall", "\u0661",
    "\u00bd", "1;2", "train,val", "=1+1", "1-", "2021-01-01", "0 1", "f1", "k1",
]  # fmt: skip
MIXED = [
    ["0", "val"], ["-1", "val"], ["val", "dev"], ["fold_0", "part_1"], ["0", "fold_1"],
    ["-1", "fold_0"], ["0", "1", "3"], ["2", "3"], ["0", "2"], ["0", "999999999"], ["5"],
    ["train", "test"], ["-1"], ["train"],
]  # fmt: skip


@pytest.mark.parametrize("kind", LEGAL)
def test_what_folds_are_called(kind: str) -> None:
    names, numbers = LEGAL[kind]
    found = fold_numbers(names, "x")
    assert [found[name] for name in names] == numbers


def test_what_could_be_misread_is_refused() -> None:
    for name in REFUSED:
        with pytest.raises(SplitError, match="x has a fold '") as caught:
            fold_numbers(["0", "1", name], "x")
        assert repr(name[:80]) in str(caught.value)
        assert len(str(caught.value)) < 250
    for names in MIXED:
        with pytest.raises(SplitError):
            fold_numbers(names, "x")


@settings(max_examples=300, deadline=None)
@given(st.lists(st.text("-+.,0123456789efoldx _nai\u0661", max_size=8), min_size=1, max_size=4))
def test_no_text_is_read_as_another_number(names: list[str]) -> None:
    try:
        found = fold_numbers(names, "x")
    except SplitError:
        return
    read = {}
    for name in names:
        digits = "".join(c for c in name.split(".")[0] if c.isdigit())
        assert (found[name] == TRAIN) == ("-1" in name and not name.strip("-1.0 "))
        if found[name] != TRAIN:
            read[name] = int(digits) - found[name]
    assert set(read.values()) <= {0} or set(read.values()) <= {1}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ("patient_id,fold\np0,0,1\n", "line 2 has 3 cells"),
        ("patient_id,fold\np0\n", "line 2 has 1 cell,"),
        ('patient_id,fold\n"p0,0\n', "as CSV"),
        ("patient_id fold\np0 0\n", "has the columns patient_id fold"),
        ("patient_id,patient,fold\np0,p0,0\n", "has the columns"),
        ("patient_id,fold,fold\np0,0,1\n", "several columns with the name 'fold'"),
        ("patient_id,fold\n,0\n", "a row without an id"),
        ("patient_id,fold\np0,0\np0 ,1\n", "puts p0 into fold 0 and into fold 1"),
        ("patient_id,fold,repeat\np0,0,a\n", "has a repeat 'a'"),
        ("patient_id,fold,repeat\np0,0,-1\n", "has a repeat '-1'"),
        ("patient_id,fold,repeat\np0,0,0\np0,0,2\n", "has the repeats 0, 2"),
        ("patient_id,fold\n\0p0,0\n", "is not text"),
    ],
)
def test_csv_files_that_are_none(cohort: Cohort, tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "x.csv").write_text(text)
    with pytest.raises(SplitError, match=message):
        read_folds(tmp_path / "x.csv", cohort)


@pytest.mark.parametrize(
    "text",
    ["[", "[" * 100_000, "[3]", '[{"train": "p0", "val": "p1"}]', '[{"train": [true], "val": []}]',
     '[{"train": [], "val": ["p0"], "test": []}]', '[{"train": ["p0"], "val": []}]', "[]",
     '[{"train": {"p0": 1}, "val": ["p1"]}]', '[{"train": [null], "val": ["p1"]}]', "3", "null",
     '[{"train": ["p0"], "val": [["p1"]]}]', "9" * 5000],
)  # fmt: skip
def test_json_files_that_are_none(cohort: Cohort, tmp_path: Path, text: str) -> None:
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(SplitError):
        read_folds(tmp_path / "x.json", cohort)


def test_ids_as_somebody_else_spells_them(
    cohort: Cohort, fold_of: dict[str, int], tmp_path: Path
) -> None:
    spelled = {f" {p}\u200b": f for p, f in fold_of.items()}
    assert same(cohort, write_csv(tmp_path / "a.csv", spelled, "Patient ID"), fold_of)
    rows = "".join(f'"{p}",{f}\r\n' for p, f in fold_of.items())
    (tmp_path / "b.csv").write_text(f"\ufeffPATIENT_ID,Fold\r\n{rows}\r\n")
    assert same(cohort, tmp_path / "b.csv", fold_of)
    rows = "".join(f"{p};{f};\n" for p, f in fold_of.items())
    (tmp_path / "c.csv").write_text(f"patient;fold;\n{rows}", encoding="utf-16")
    assert same(cohort, tmp_path / "c.csv", fold_of)


def test_a_leaking_column_of_the_table_is_found(table_csv: Path) -> None:
    table = pd.read_csv(table_csv)
    number = table["patient_id"].str[1:].astype(int)
    table["honest"] = table["person"].map(lambda p: p in ("q", "p3", "p4", "p6", "p8", "p9", "p10"))
    table["honest"] = table["honest"].astype(int)
    table["leaks"] = (number + table.index) % 2
    table.to_csv(table_csv, index=False)
    words = [*TINY, f"data.path={table_csv}"]
    found = kfold_hs("audit", "column:leaks", *words, cwd=table_csv.parent)
    assert found.returncode == 1, found.stderr
    assert "LEAK  person on two sides: 15 of 15 persons" in found.stdout
    assert "patient p2 (1 recording) in fold 0, patient p2 (1 recording) in fold 1" in found.stdout
    honest = kfold_hs("audit", "column:honest", *words, cwd=table_csv.parent)
    assert honest.returncode == 0, honest.stdout
    refused = kfold_hs("split", "split.file=column:leaks", *words, cwd=table_csv.parent)
    assert refused.returncode == 1
    assert "puts 15 persons on two sides" in refused.stderr


def test_patients_and_persons_of_the_same_numbers(cohort: Cohort, tmp_path: Path) -> None:
    numbered = two_numberings(cohort)
    fold = {str(i): i % 2 for i in range(16)}
    ids = numbered.recordings["patient_id"]
    by_patient = read_folds(write_csv(tmp_path / "a.csv", fold, "patient_id"), numbered)
    assert by_patient[0].tolist() == ids.map(fold).tolist()
    by_person = read_folds(write_csv(tmp_path / "b.csv", fold, "person_id"), numbered)
    assert by_person[0].tolist() == ids.map(numbered.person_of).map(fold).tolist()
    assert by_person[0].tolist() != by_patient[0].tolist()
    with pytest.raises(SplitError, match=r"all patients and all persons .*patient_id or person_id"):
        read_folds(write_csv(tmp_path / "c.csv", fold, "id"), numbered)
    parts = [{"train": list(map(str, range(k == 0, 16, 2))),
              "val": list(map(str, range(k == 1, 16, 2)))} for k in range(2)]  # fmt: skip
    (tmp_path / "d.json").write_text(json.dumps(parts))
    with pytest.raises(SplitError, match="all patients and all persons"):
        read_folds(tmp_path / "d.json", numbered)
    with pytest.raises(
        SplitError, match="The ids are those of its persons: name the column person_id"
    ):
        read_folds(
            write_csv(tmp_path / "e.csv", {"q": 0} | {f"p{i}": 1 for i in range(2, 16)}), cohort
        )


def test_links_put_nobody_into_two_folds(
    cohort: Cohort, fold_of: dict[str, int], tmp_path: Path
) -> None:
    split = tmp_path / "split"
    for row in cohort.recordings.itertuples():
        folder = split / f"fold{fold_of[row.patient_id]}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / row.recording_id).symlink_to(row.path)
    (split / "fold0" / "circle").symlink_to(split)
    assert same(cohort, split, fold_of)
    first = next(row for row in cohort.recordings.itertuples() if fold_of[row.patient_id] == 1)
    again = split / "fold0" / "again.wav"
    again.symlink_to(first.path)
    with pytest.raises(SplitError, match=r"in fold0 and, by the link fold1/.*, in fold1\. Remove"):
        read_folds(split, cohort)
    again.unlink()
    (split / "fold2").symlink_to(split / "fold1")
    with pytest.raises(SplitError, match=r"in fold1 and, by the link fold2, in fold2"):
        read_folds(split, cohort)


def test_a_qualified_id_comes_before_an_id_spelled_like_it(cohort: Cohort) -> None:
    name = {"p3": "patient:2", "p4": "2"}
    renamed = dataclasses.replace(
        cohort,
        patients=cohort.patients.replace({"patient_id": name}),
        recordings=cohort.recordings.replace({"patient_id": name}),
    )
    whose = Whose(renamed)
    assert whose.patients("patient:2") == {"2"}
    assert whose.patients("patient:patient:2") == {"patient:2"}
    linked = link(renamed, of_patients([("2", "patient:2")]))
    assert linked.n_persons == cohort.n_persons - 1
