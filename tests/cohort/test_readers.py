"""Readers of BMD-HS and ZCHSound on files of the published form, blemishes included."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import pandas as pd
import pytest
from support.project import TINY, write_table
from support.public_cohorts import POSITIONS, write_bmdhs, write_tone, write_zchsound

from kfold_hs.cohort import Cohort
from kfold_hs.cohort.readers.registry import read_cohort
from kfold_hs.config.compose import compose
from kfold_hs.config.data import DATA
from kfold_hs.errors import CohortError, ConfigError
from kfold_hs.splits import stratify
from kfold_hs.splits.audit import audit
from kfold_hs.splits.make import check_output
from kfold_hs.splits.stratify import SplitRule


def load(kind: str, root: Path, *more: str) -> Cohort:
    return read_cohort(compose([f"data={kind}", f"data.root={root}", *more]).data)


def notes_of(cohort: Cohort) -> dict[str, tuple[str, ...]]:
    return {note.name: note.items for note in cohort.notes}


def change(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


@pytest.mark.parametrize("kind", [name for name, row in DATA.items() if row.build is None])
def test_every_kind_of_data_has_a_reader_of_its_name(kind: str) -> None:
    assert callable(import_module(f"kfold_hs.cohort.readers.{kind}").load)


# --- BMD-HS -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def bmdhs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Read only."""
    return write_bmdhs(tmp_path_factory.mktemp("bmdhs"), n_patients=8)


@pytest.fixture
def own_bmdhs(tmp_path: Path) -> Path:
    return write_bmdhs(tmp_path, n_patients=6, n_recordings=2)


def test_bmdhs_has_a_task_a_disease(bmdhs: Path) -> None:
    cohort = load("bmdhs", bmdhs)
    assert (cohort.n_patients, cohort.n_recordings, cohort.n_persons) == (7, 55, 7)
    counts = {task["name"]: task["counts"] for task in cohort.describe()["tasks"]}
    # Patients 0 to 7 in binary, without 3: AS of 1, 5, 7; AR of 2, 6, 7; MR of 4, 5, 6, 7.
    assert counts == {
        "AS": {"Present": 3, "Absent": 4},
        "AR": {"Present": 3, "Absent": 4},
        "MR": {"Present": 4, "Absent": 3},
        "MS": {"Present": 0, "Absent": 7},
    }
    patient = cohort.patients.set_index("patient_id").loc["patient_005"]
    assert patient[["age_years", "sex", "smoker", "lives"]].tolist() == [
        "25", "Female", "yes", "urban",
    ]  # fmt: skip


def test_bmdhs_names_posture_and_valve(bmdhs: Path) -> None:
    recordings = load("bmdhs", bmdhs).recordings.set_index("recording_id")
    assert recordings.loc["MD_005_sup_Mit", "site"] == "MV supine"
    assert recordings.loc["MD_005_sit_Aor", "site"] == "AV sitting"
    assert recordings["site"].nunique() == len(POSITIONS)


def test_bmdhs_counts_and_names_what_is_odd(bmdhs: Path) -> None:
    assert notes_of(load("bmdhs", bmdhs)) == {
        "patients without a label": ("patient_003",),
        "contradicting labels": ("patient_004: MR, but N is Present",),
        "recordings that are not there": ("AS_001_sup_Mit",),
        "recordings of nobody": ("MD_999_sup_Mit.wav",),
        "identical recordings": ("AR_002_sup_Mit = AR_002_sup_Tri",),
    }


def test_bmdhs_files_that_are_the_same_within_a_patient_are_no_leak(bmdhs: Path) -> None:
    found = [each for each in audit(load("bmdhs", bmdhs)) if each.kind == "copies within a person"]
    assert [each.is_leak for each in found] == [False]
    assert "AR_002_sup_Mit and AR_002_sup_Tri" in found[0].items[0]


def test_bmdhs_any_disease_and_none(bmdhs: Path) -> None:
    tasks = "data.tasks={sick: {classes: [Present, Absent], column: disease}}"
    cohort = load("bmdhs", bmdhs, tasks)
    assert [task.name for task in cohort.tasks] == ["sick"]
    sick = cohort.patients.set_index("patient_id")["sick"]
    assert sick.loc["patient_000"] == "Absent"
    assert (sick.drop("patient_000") == "Present").all()


def test_bmdhs_ages_in_bands(own_bmdhs: Path) -> None:
    path = own_bmdhs / "additional_metadata.csv"
    for i in (0, 1, 2, 4, 5):
        change(path, f"patient_00{i},{20 + i}", f"patient_00{i},{20 + i // 4 * 10}-29")
    assert load("bmdhs", own_bmdhs).patients["age_years"].tolist()[0] == "20-29"


def test_bmdhs_files_named_after_another_group(own_bmdhs: Path) -> None:
    """As in a copy of the tables: no disease and N = 1, but files named MD."""
    for old in (own_bmdhs / "train").glob("N_000_*"):
        old.rename(old.with_name(old.name.replace("N_000", "MD_000")))
    path = own_bmdhs / "train.csv"
    path.write_text(path.read_text().replace("N_000_", "MD_000_"))
    found = notes_of(load("bmdhs", own_bmdhs))["contradicting labels"]
    assert "patient_000: no disease, but the files are named MD" in found


def test_bmdhs_patients_of_one_table_only(own_bmdhs: Path) -> None:
    change(own_bmdhs / "additional_metadata.csv", "patient_005", "patient_050")
    cohort = load("bmdhs", own_bmdhs)
    assert notes_of(cohort)["patients without metadata"] == ("patient_005",)
    assert notes_of(cohort)["metadata without a patient"] == ("patient_050",)
    assert pd.isna(cohort.patients.set_index("patient_id").loc["patient_005", "sex"])


@pytest.mark.parametrize(
    ("edit", "match"),
    [
        (lambda root: (root / "train.csv").unlink(), r"train\.csv is missing.*data\.root"),
        (lambda root: (root / "additional_metadata.csv").unlink(), r"metadata\.csv is missing"),
        (lambda root: change(root / "train.csv", "MS,", "mitral,"), "lacks the columns MS"),
        (lambda root: change(root / "train.csv", "patient_001,1", "patient_001,2"),
         r"line 3: AS is '2'\. It must be 1 \(present\), 0"),
        (lambda root: change(root / "train.csv", "patient_001,1", "patient_001,"),
         r"AS of patient patient_001 is missing"),
        (lambda root: change(root / "train.csv", "patient_001,", "patient_000,"),
         "patient_000 occurs more than once"),
        (lambda root: change(root / "train.csv", "patient_001,", " ,"), "patient_id is empty in"),
        (lambda root: change(root / "train.csv", "AR_002_sup_Mit", "N_000_sup_Mit"),
         "recording_id must be unique, but N_000_sup_Mit"),
        (lambda root: (root / "train").rename(root / "wav"), "holds none of the 10 recordings"),
        (lambda root: [each.unlink() for each in (root / "train").glob("AR_002*")],
         "1 patient has no recording: patient_002"),
    ],
)  # fmt: skip
def test_bmdhs_that_does_not_fit(
    own_bmdhs: Path, edit: Callable[[Path], object], match: str
) -> None:
    edit(own_bmdhs)
    with pytest.raises(CohortError, match=match):
        load("bmdhs", own_bmdhs)


def test_a_column_that_is_not_there_is_guessed(bmdhs: Path) -> None:
    tasks = "data.tasks={sick: {classes: [Present, Absent], column: diseases}}"
    with pytest.raises(CohortError, match=r"data\.tasks\.sick: .*Did you mean 'disease'"):
        load("bmdhs", bmdhs, tasks)


# --- ZCHSound ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def zchsound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Read only."""
    return write_zchsound(tmp_path_factory.mktemp("zchsound"))


@pytest.fixture
def own_zchsound(tmp_path: Path) -> Path:
    return write_zchsound(tmp_path, n_clean=5, n_noise=1)


def test_zchsound_both_sets(zchsound: Path) -> None:
    cohort = load("zchsound", zchsound)
    assert (cohort.n_patients, cohort.n_recordings) == (15, 15)
    counts = {task["name"]: task["counts"] for task in cohort.describe()["tasks"]}
    assert counts["diagnosis"] == {"VSD": 3, "ASD": 3, "PDA": 3, "PFO": 3, "NORMAL": 3}
    assert counts["abnormal"] == {"yes": 12, "no": 3}
    patients = cohort.patients.set_index("patient_id")
    assert patients.loc["ZCH0012", ["sex", "age_years", "source"]].tolist() == [
        "Male", 12.0, "noise",
    ]  # fmt: skip


def test_zchsound_has_the_outcome_of_other_cohorts(zchsound: Path) -> None:
    cohort = load("zchsound", zchsound, "data.tasks={outcome: {classes: [Abnormal, Normal]}}")
    assert [task.name for task in cohort.tasks] == ["outcome"]
    assert (cohort.patients["outcome"] == "Normal").sum() == 3


def test_zchsound_one_heart_is_one_person(zchsound: Path) -> None:
    cohort = load("zchsound", zchsound)
    assert cohort.n_persons == 14
    assert cohort.person_of["ZCH0002"] == cohort.person_of["ZCH0003"] == "ZCH0002"
    assert notes_of(cohort)["joined persons"] == ("ZCH0002 = ZCH0003",)
    assert "unknown persons" in notes_of(cohort)
    kinds = {each.kind: each.is_leak for each in audit(cohort)}
    assert kinds["copies within a person"] is False
    assert kinds["contradicting labels"] is False  # ASD and VSD: nobody knows which is right
    assert "same recording" not in kinds


def test_zchsound_one_set(zchsound: Path) -> None:
    cohort = load("zchsound", zchsound, "data.sets=[noise]")
    assert cohort.patients["patient_id"].tolist() == [f"ZCH00{i}" for i in range(11, 16)]
    assert set(notes_of(cohort)) == {"unknown persons"}
    with pytest.raises(ConfigError, match="sets"):
        load("zchsound", zchsound, "data.sets=[]")


def test_zchsound_folders_by_class_and_a_missing_file(own_zchsound: Path) -> None:
    clean = own_zchsound / "clean Heartsound Data"
    (clean / "NORMAL").mkdir()
    (clean / "ZCH0001.wav").rename(clean / "NORMAL" / "zch0001.WAV")
    (clean / "ZCH0004.wav").unlink()
    write_tone(clean / "ZCH0099.wav", 99)
    cohort = load("zchsound", own_zchsound)
    assert cohort.n_recordings == 5
    assert notes_of(cohort)["recordings that are not there"] == ("ZCH0004 (clean)",)
    assert notes_of(cohort)["recordings of nobody"] == ("ZCH0099.wav",)


@pytest.mark.parametrize(
    ("header", "years"), [("age(months)", 1.0), ("age (years)", 12.0), ("Age_days", 12 / 365.25)]
)
def test_zchsound_says_the_unit_of_ages(own_zchsound: Path, header: str, years: float) -> None:
    path = own_zchsound / "Clean Heartsound Data Details.csv"
    change(path, "age(days)", header)
    change(path, "365.25", "12")
    age = load("zchsound", own_zchsound).patients["age_years"].iloc[0]
    assert age == pytest.approx(years, abs=5e-4)


@pytest.mark.parametrize(
    ("old", "new", "match"),
    [
        ("age(days)", "age", r"lacks the columns age\(days\).*must name its unit"),
        ("diagnosis", "finding", "lacks the columns diagnosis; it has fileName"),
        (";365.25;", ";one year;", r"line 2: the age is 'one year'"),
        (";365.25;", ";-1;", r"the age is '-1'\. It must be a number, at least 0"),
        (";NORMAL", ";Normale", r"diagnosis of patient ZCH0001 is 'NORMALE'"),
        (";NORMAL", ";", r"diagnosis of patient ZCH0001 is missing"),
        ("ZCH0001.wav", "", "fileName is empty in line 2"),
        ("ZCH0001.wav", "ZCH0002.wav", "patient_id must be unique, but ZCH0002"),
    ],
)
def test_zchsound_that_does_not_fit(own_zchsound: Path, old: str, new: str, match: str) -> None:
    change(own_zchsound / "Clean Heartsound Data Details.csv", old, new)
    with pytest.raises(CohortError, match=match):
        load("zchsound", own_zchsound)


def test_zchsound_at_the_wrong_place_and_two_files_of_a_name(
    own_zchsound: Path, tmp_path: Path
) -> None:
    with pytest.raises(CohortError, match=r"has no table 'Clean heartsound.*data\.sets"):
        load("zchsound", own_zchsound / "clean Heartsound Data")
    write_tone(own_zchsound / "copy" / "ZCH0001.wav", 1)
    with pytest.raises(CohortError, match="have the same name"):
        load("zchsound", own_zchsound)


@pytest.mark.parametrize(
    ("kind", "name"),
    [("bmdhs", "train.csv"), ("zchsound", "Noise Heartsound Data Details.csv")],
)
def test_no_split_is_written_over_the_tables(
    kind: str, name: str, bmdhs: Path, zchsound: Path
) -> None:
    root = {"bmdhs": bmdhs, "zchsound": zchsound}[kind]
    config = compose([f"data={kind}", f"data.root={root}"])
    check_output(config, root / "split.csv")
    with pytest.raises(ConfigError, match=name):
        check_output(config, root / name)


# --- Nobody knows who they are ------------------------------------------------------------------


def test_a_table_without_persons_says_so(tmp_path: Path) -> None:
    path = write_table(tmp_path, n_patients=4, n_recordings=1)
    words = [each for each in TINY if "person_column" not in each]
    cohort = read_cohort(compose([*words, f"data.path={path}", "data.persons_known=false"]).data)
    assert [note.count for note in cohort.notes if note.name == "unknown persons"] == [4]
    with pytest.raises(ConfigError, match="persons_known is false"):
        compose([*TINY, f"data.path={path}", "data.persons_known=false"])


def test_the_lines_that_make_a_table_of_yaseen_2018(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (Path(__file__).parents[2] / "docs" / "data.md").read_text()
    section = text.split("## Yaseen 2018")[1].split("\n## ")[0]
    lines = section.split("```python\n")[1].split("```")[0]
    command = next(line for line in section.splitlines() if line.startswith("kfold-hs run"))
    valves = ("AS", "MR", "MS", "MVP", "N")
    for i, valve in enumerate(valves):
        for k in (1, 2):
            folder = tmp_path / "yaseen" / f"{valve}_New_3주기"
            write_tone(folder / f"New_{valve}_{k:03d}.wav", 9 * i + k)
    monkeypatch.chdir(tmp_path)
    exec(compile(lines, "data.md", "exec"), {})
    cohort = read_cohort(compose(shlex.split(command)[2:]).data)
    assert cohort.describe()["tasks"][0]["counts"] == dict.fromkeys(valves, 2)
    assert "unknown persons" in notes_of(cohort)


def test_years_of_age_are_stratified(zchsound: Path) -> None:
    split = stratify(load("zchsound", zchsound), 3, 0, rule=SplitRule("auto"))
    assert split.settings["stratify"] == ["age_years", "sex", "source", "n_recordings", "site"]
