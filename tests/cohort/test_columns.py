"""A user's table as people really have them: odd ids, columns called like ours, odd cells."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile

from kfold_hs.cohort import Cohort
from kfold_hs.cohort.cohort import Note
from kfold_hs.cohort.columns import PREFIX
from kfold_hs.cohort.readers.registry import read_cohort
from kfold_hs.config.compose import compose
from kfold_hs.errors import CohortError

Table = pd.DataFrame
TASK = "data.tasks={murmur: {classes: [Present, Absent]}}"


@pytest.fixture(scope="module")
def sounds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sounds")
    for i in range(24):
        wave = 0.1 * np.random.default_rng(i).standard_normal(2000)
        soundfile.write(folder / f"{i}.wav", wave, 4000, subtype="PCM_16")
    return folder


@pytest.fixture
def load(sounds: Path, tmp_path: Path) -> Callable[..., Cohort]:
    """The cohort of a table of 12 patients, two recordings each, with these columns besides."""

    def run(*words: str, save: dict[str, object] | None = None, **columns: object) -> Cohort:
        table = pd.DataFrame(
            {
                "recording": [str(sounds / f"{i}.wav") for i in range(24)],
                "patient_id": [f"{i // 2:03d}" for i in range(24)],
                "murmur": ["Present", "Present", "Absent", "Absent"] * 6,
            }
        )
        for name, values in columns.items():
            if values is None:
                table = table.drop(columns=name)
            else:
                cells = list(values)  # type: ignore[call-overload]
                table[name] = np.repeat(cells, 2) if len(cells) == 12 else cells
        table.to_csv(tmp_path / "t.csv", index=False, **(save or {}))  # type: ignore[call-overload]
        config = compose(["data=table", f"data.path={tmp_path / 't.csv'}", *(words or [TASK])])
        return read_cohort(config.data)

    return run


def notes(cohort: Cohort) -> dict[str, tuple[int, tuple[str, ...]]]:
    return {note.name: (note.count, note.items) for note in cohort.notes}


# --- ids ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("odd", ["{} ", "\u00a0{}", "{}\u200b", "\ufeff{}", "{}\t"], ids=ascii)
def test_ids_that_look_alike_are_one_patient(load: Callable[..., Cohort], odd: str) -> None:
    ids = [f"{i // 2:03d}" if i % 2 else odd.format(f"{i // 2:03d}") for i in range(24)]
    plain, cohort = load(), load(patient_id=ids)
    assert cohort.patients["patient_id"].tolist() == [f"{i:03d}" for i in range(12)]
    assert cohort.fingerprint == plain.fingerprint
    assert notes(plain) == {}
    assert notes(cohort)["cleaned ids"][0] == 12
    assert "12 of the ids had several spellings" in cohort.notes[0].text


def test_labels_persons_and_column_names_are_cleaned(load: Callable[..., Cohort]) -> None:
    words = [TASK, "data.person_column='who '"]
    murmur = ["Present", "Present ", "Absent\u00a0", "Absent"] * 6
    persons = [f"q{i // 4}" + " " * (i % 2) for i in range(24)]
    cohort = load(*words, murmur=None, **{" murmur": murmur, "who": persons})
    assert (cohort.n_patients, cohort.n_persons) == (12, 6)
    assert cohort.fingerprint == load(*words, who=[f"q{i // 2}" for i in range(12)]).fingerprint


def test_files_are_found_however_their_names_are_spelled(
    load: Callable[..., Cohort], sounds: Path, tmp_path: Path
) -> None:
    (tmp_path / "Übung").mkdir()
    names = []
    for i in range(24):
        (tmp_path / "Übung" / f"é {i}.wav").write_bytes((sounds / f"{i}.wav").read_bytes())
        names.append(["U\u0308bung/e\u0301 {}.wav", "Übung\\é {}.wav", "Übung/é {}.wav "][i % 3])
    cohort = load(recording=[name.format(i) for i, name in enumerate(names)])
    assert all(Path(path).is_file() for path in cohort.recordings["path"])
    with pytest.raises(CohortError, match="recordings are missing"):
        load(recording=[f"{'x' * 300}/{i}.wav" for i in range(24)])


# --- columns called like ours ---------------------------------------------------------------------

OURS = ["person_id", "sha256", "path", "site", "n_samples", "duration_s", "is_flat", "n_recordings"]


def test_a_column_called_like_ours_is_a_covariate(load: Callable[..., Cohort]) -> None:
    plain = load()
    other = [f"{11 - i:03d}" for i in range(12)]
    cohort = load(**dict.fromkeys(OURS, other))
    assert cohort.fingerprint == plain.fingerprint
    assert cohort.covariates == tuple(PREFIX + name for name in OURS)
    assert cohort.patients[f"{PREFIX}path"].tolist() == other
    assert notes(cohort)["renamed covariates"][0] == len(OURS)


def test_a_patient_id_beside_the_column_of_patients(load: Callable[..., Cohort]) -> None:
    subject = [f"{i:03d}" for i in range(12)]
    cohort = load(TASK, "data.patient_column=subject", subject=subject, patient_id=subject[::-1])
    assert cohort.fingerprint == load().fingerprint
    assert cohort.patients[f"{PREFIX}patient_id"].tolist() == subject[::-1]
    words = [TASK, "data.person_column=subject"]
    whose = [f"s{i // 2}" for i in range(12)]
    cohort = load(*words, subject=whose, person_id=subject[::-1])
    assert cohort.n_persons == 6


def test_a_person_id_that_nobody_named_and_that_joins_patients(load: Callable[..., Cohort]) -> None:
    whose = [f"s{i // 2}" for i in range(12)]
    with pytest.raises(CohortError, match=r"s0: 000, 001; 6 such persons.*data.person_column=pers"):
        load(person_id=whose)
    assert load(TASK, "data.person_column=person_id", person_id=whose).n_persons == 6
    assert load(TASK, "data.person_column=patient_id", person_id=whose).n_persons == 12


def test_a_task_and_a_covariate_of_one_name(load: Callable[..., Cohort]) -> None:
    task = "data.tasks={verdict: {column: adjudicated, classes: [ill, well]}}"
    right, wrong = ["ill", "well"] * 6, ["well", "ill"] * 6
    cohort = load(task, adjudicated=right, verdict=wrong)
    assert cohort.patients["verdict"].tolist() == right
    assert cohort.patients[f"{PREFIX}verdict"].tolist() == wrong


@pytest.mark.parametrize("name", ["sha256", "patient_id", "person_id", "path", "site"])
def test_a_task_cannot_be_called_like_a_column_of_ours(
    load: Callable[..., Cohort], name: str
) -> None:
    task = f"data.tasks={{{name}: {{column: murmur, classes: [Present, Absent]}}}}"
    with pytest.raises(CohortError, match=rf"a task cannot be called '{name}'"):
        load(task, "data.patient_column=subject", subject=[str(i) for i in range(12)])


def test_recording_id_named_for_something_else_is_no_id(load: Callable[..., Cohort]) -> None:
    ids = [f"r{i // 2}" for i in range(24)]
    cohort = load(TASK, "data.patient_column=recording_id", recording_id=ids)
    assert cohort.n_recordings == 24
    assert cohort.n_patients == 12


# --- labels ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("classes", "cells"),
    [
        ("[1, 0]", ["1", "0"]), ("[1, 0]", ["1.0", "0.0"]), ("[true, false]", ["TRUE", "FALSE"]),
        ("[1.0, 0.0]", ["1", "0"]), ("['1', '0']", ["1,0", "0,0"]), ("[yes, no]", ["yes ", "no"]),
        ("['None', Mild]", ["None", "Mild"]), ("['+', '-']", ["+", "-"]), ("[NA, x]", ["NA", "x"]),
    ],
)  # fmt: skip
def test_labels_as_numbers_truth_values_and_odd_words(
    load: Callable[..., Cohort], classes: str, cells: list[str]
) -> None:
    cohort = load(f"data.tasks={{ill: {{classes: {classes}}}}}", ill=cells * 6)
    (task,) = cohort.tasks
    assert cohort.patients["ill"].tolist() == list(task.classes) * 6


def test_positive_and_weights_of_classes_that_are_numbers(load: Callable[..., Cohort]) -> None:
    task = "data.tasks={ill: {classes: [0, 1], positive: 1, class_weights: [1, 2]}}"
    cohort = load(task, ill=[0, 1] * 6, patient_id=np.repeat(np.arange(12), 2))
    assert cohort.tasks[0].positive == "1"
    assert cohort.patients["patient_id"].tolist() == [str(i) for i in range(12)]


# --- covariates -----------------------------------------------------------------------------------


def test_missing_words_leave_a_column_numeric(load: Callable[..., Cohort]) -> None:
    age = ["N/A", "NA", "null", " ", "-", "7", "7.5", "8,5", "9", "?", "10", "None"]
    cohort = load(age=age)
    assert cohort.covariates == ("age",)
    found = cohort.patients["age"].fillna("").tolist()
    assert found == [*[""] * 5, "7", "7.5", "8.5", "9", "", "10", ""]
    assert notes(cohort) == {}


def test_an_odd_cell_is_missing_and_named(load: Callable[..., Cohort]) -> None:
    cohort = load(age=[*range(11), "about 5"])
    assert cohort.patients["age"].fillna("").tolist() == [*map(str, range(11)), ""]
    assert notes(cohort) == {"odd cells": (1, ("age of 011: 'about 5'",))}
    assert cohort.notes[0].text.startswith("no numbers in the numeric columns age;")


def test_a_count_of_one_is_singular() -> None:
    names = {
        "odd cells": "1 odd cell",
        "covariates left out": "1 covariate left out",
        "recordings that are not there": "1 recording that is not there",
        "metadata without a patient": "1 metadata without a patient",
        "encoding": "1 encoding",
    }
    assert {name: Note(name, 1, "").counted for name in names} == names
    assert Note("odd cells", 1200, "").counted == "1,200 odd cells"


def test_words_with_too_many_values_are_left_out(load: Callable[..., Cohort]) -> None:
    cohort = load(comment=[f"seen by {i}" for i in range(12)], sex=["f", "m"] * 6)
    assert cohort.covariates == ("sex",)
    assert notes(cohort) == {"covariates left out": (1, ("comment (12 different values)",))}


@pytest.mark.parametrize(
    "save",
    [{"sep": ";"}, {"sep": "\t"}, {"encoding": "utf-16"}, {"encoding": "utf-8-sig", "sep": ";"}],
    ids=str,
)
def test_tables_as_spreadsheets_save_them(
    load: Callable[..., Cohort], save: dict[str, str]
) -> None:
    assert load(save=save, age=range(12)).fingerprint == load(age=range(12)).fingerprint


def test_decimal_commas_between_semicolons(load: Callable[..., Cohort]) -> None:
    height = [f"1,{600 + i}" for i in range(12)]
    cohort = load(save={"sep": ";"}, height=height)
    assert cohort.patients["height"].tolist() == [each.replace(",", ".") for each in height]
    mixed = load(save={"sep": ";"}, dose=["1,200", *["12.5"] * 11])  # a thousand, or a mistake
    assert notes(mixed) == {"odd cells": (1, ("dose of 000: '1,200'",))}
