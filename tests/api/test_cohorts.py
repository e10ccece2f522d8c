"""Cohorts from Python: the people of the command line, and errors that say what to write."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from support.project import TINY

import kfold_hs as kf
from kfold_hs.cohort.readers.registry import read_cohort
from kfold_hs.config.compose import compose


def test_a_frame_is_the_cohort_of_its_csv(people: kf.Cohort, place: Path) -> None:
    of_csv = read_cohort(compose([*TINY, f"data.path={place / 'table.csv'}"]).data)
    assert people.fingerprint == of_csv.fingerprint
    again = read_cohort(compose(people.settings).data)
    assert again.fingerprint == people.fingerprint
    assert people.recordings["recording_id"].tolist()[:2] == ["p0_0.wav", "p0_1.wav"]
    assert people.covariates == of_csv.covariates


def test_a_cohort_goes_through_a_frame(people: kf.Cohort) -> None:
    frame = people.to_frame()
    assert list(frame)[:5] == ["recording", "recording_id", "patient_id", "site", "person_id"]
    again = kf.Cohort.from_frame(frame, people.tasks)
    assert again.fingerprint == people.fingerprint
    few = kf.Cohort.from_frame(frame[frame["patient_id"].isin(["p0", "p1", "p2"])], people.tasks)
    assert (few.n_persons, few.n_patients, few.n_recordings) == (2, 3, 6)


def test_a_column_of_paths_may_have_any_name(frame: pd.DataFrame, place: Path) -> None:
    table = frame.rename(columns={"recording": "recording_id"})
    options: dict[str, Any] = {"root": place, "person": "person"}
    cohort = kf.Cohort.from_frame(table, "outcome", recording="recording_id", **options)
    assert cohort.recordings["recording_id"].tolist()[:2] == ["p0_0.wav", "p0_1.wav"]
    named = kf.Cohort.from_frame(frame.assign(recording_id=range(32)), "outcome", **options)
    assert named.recordings["recording_id"].tolist()[:2] == ["0", "1"]


def test_a_cohort_shows_its_counts(people: kf.Cohort) -> None:
    text = repr(people)
    assert text.startswith("Cohort table: 15 persons, 16 patients, 32 recordings, 0.0 h\n")
    assert "murmur: Present 4, Unknown 4, Absent 8; positive: Present" in text
    assert "<td style='text-align: left'>Abnormal 8, Normal 8" in people._repr_html_()


@pytest.mark.parametrize(
    ("labels", "classes", "positive"),
    [
        (["Normal", "Abnormal"], ("Abnormal", "Normal"), "Abnormal"),
        ([0, 1], ("0", "1"), "1"),
        ([1.0, 0.0], ("0", "1"), "1"),
        ([False, True], ("False", "True"), "True"),
        (["healthy", "AS"], ("AS", "healthy"), "AS"),
    ],
)
def test_classes_are_those_of_the_column(
    frame: pd.DataFrame, place: Path, labels: list[Any], classes: tuple[str], positive: str
) -> None:
    numbers = frame["patient_id"].str[1:].astype(int) % 2
    table = frame.assign(found=[labels[n] for n in numbers])
    cohort = kf.Cohort.from_frame(table.drop(columns="person"), "found", root=place)
    assert (cohort.tasks[0].classes, cohort.tasks[0].positive) == (classes, positive)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"tasks": "murmur"}, r"Absent, Present, Unknown: say which is positive, e\.g\. tasks="),
        ({"tasks": "outcom"}, r"no column 'outcom' of labels.*Did you mean 'outcome'\?"),
        ({"tasks": "outcome", "patient": "patients"}, r"Did you mean patient='patient_id'\?"),
        ({"tasks": "outcome", "person": "p"}, r"no column 'p' for person"),
        ({"tasks": {"ä": ["a", "b"]}}, r"letters of ASCII.*\{'label': \{'column': 'ä'\}\}"),
        ({"tasks": {"outcome": ["Abnormal", "Normale"]}}, r"outcome of patient p2 is 'Normal'"),
        (
            {"tasks": {"outcome": {"clases": ["a", "b"]}}},
            r"unknown key 'data\.tasks\.outcome\.clas",
        ),
        ({"tasks": "tone_hz"}, r"tone_hz has the classes 200, 201: say which is positive"),
        ({"tasks": {"site": {"column": "outcome"}}}, r"cannot be called 'site'"),
        (
            {"tasks": "outcome", "root": "/nowhere"},
            r"32 recordings are missing: /nowhere/p0_0\.wav",
        ),
    ],
)
def test_what_does_not_fit_is_named(
    frame: pd.DataFrame, place: Path, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(kf.KfoldHsError, match=message):
        kf.Cohort.from_frame(frame, **{"root": place, "person": "person", **options})


def test_what_is_no_table_of_recordings_is_named(frame: pd.DataFrame, place: Path) -> None:
    for wrong, message in (
        ("table.csv", r"of type str: give a pandas DataFrame"),
        (frame.head(0), "has no rows"),
        (frame.set_index("patient_id"), r"'patient_id' is the index.*frame\.reset_index"),
        (pd.concat([frame, frame], axis=1), "several columns with the name 'recording'"),
    ):
        with pytest.raises(kf.KfoldHsError, match=message):
            kf.Cohort.from_frame(wrong, "outcome", root=place)  # type: ignore[arg-type]


def test_cohorts_of_the_same_people_are_equal(people: kf.Cohort) -> None:
    again = kf.Cohort.from_frame(people.to_frame(), people.tasks)
    assert again == people
    assert len({again, people}) == 1
    few = people.to_frame().query("patient_id != 'p5'")
    assert kf.Cohort.from_frame(few, people.tasks) != people


def test_a_person_column_that_joins_is_not_overlooked(frame: pd.DataFrame, place: Path) -> None:
    table = frame.rename(columns={"person": "person_id"})
    assert kf.Cohort.from_frame(table, "outcome", root=place).n_persons == 15
    with pytest.raises(kf.KfoldHsError, match=r"person_id .* gives several patients one person"):
        kf.Cohort.from_frame(table, "outcome", root=place, person=None)
    with pytest.raises(TypeError, match="unexpected keyword argument 'persons'"):
        kf.Cohort.from_frame(table, "outcome", root=place, persons="person_id")  # type: ignore[call-arg]


def test_kinds_of_data_have_their_settings(circor_wav: Path) -> None:
    cohort = kf.read_cohort("circor", root=circor_wav)
    assert cohort.name == "circor"
    assert cohort.settings == ("data=circor", f"data.root={circor_wav}")
    with pytest.raises(kf.KfoldHsError, match=r"data\.root must be given"):
        kf.read_cohort("circor")
    with pytest.raises(kf.KfoldHsError, match=r"'data\.rot'.*Did you mean 'data\.root'"):
        kf.read_cohort("circor", rot=circor_wav)
    with pytest.raises(kf.KfoldHsError, match="Did you mean 'circor'"):
        kf.read_cohort("cirkor")
    with pytest.raises(kf.KfoldHsError, match=r"data\.n_patients=3 does not fit"):
        kf.synthetic_cohort(3)
