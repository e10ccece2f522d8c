"""Leave one source out: the folds are the values of a column, and nobody is on two sides of it."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from support.people import people
from support.project import TINY, kfold_hs

from kfold_hs.cohort import Cohort
from kfold_hs.cohort.readers.registry import read_cohort
from kfold_hs.config.compose import compose, load_yaml
from kfold_hs.errors import ConfigError, SplitError
from kfold_hs.orchestrator.progress import NullProgress
from kfold_hs.splits import Split, balance
from kfold_hs.splits.audit import audit
from kfold_hs.splits.balance import compare
from kfold_hs.splits.hold_out import hold_out
from kfold_hs.splits.imported import folds_of_recordings
from kfold_hs.splits.make import split_of
from kfold_hs.splits.split import TEST
from kfold_hs.splits.stratify import SplitRule
from kfold_hs.workflows.inputs import check_leaks

RULE = SplitRule()
HOSPITALS = ("Bern", "Cork", "Abuja")


def of_hospitals(values: list[object] | None = None, n: int = 90) -> Cohort:
    """People of three hospitals, of whom every class is in each; others where values are given."""
    made = people(n)
    given = values or [HOSPITALS[i % 3] for i in range(n)]
    murmur = np.repeat(["Present", "Unknown", "Absent"], n // 3)
    outcome = np.random.default_rng(0).permutation(["Abnormal", "Normal"] * (n // 2))
    patients = made.patients.assign(
        hospital=pd.Series(given, dtype=object), murmur=murmur, outcome=outcome
    )
    return dataclasses.replace(made, patients=patients, covariates=(*made.covariates, "hospital"))


def linked(cohort: Cohort, *pairs: tuple[int, int]) -> Cohort:
    """The second patient of each pair is the person of the first."""
    persons = cohort.patients["person_id"].tolist()
    for one, other in pairs:
        persons[other] = persons[one]
    return dataclasses.replace(
        cohort,
        patients=cohort.patients.assign(person_id=persons),
        persons=pd.DataFrame({"person_id": sorted(set(persons))}),
    )


def test_every_fold_is_one_value() -> None:
    cohort = of_hospitals()
    split = hold_out(cohort, "hospital", 0, RULE)
    assert (split.n_folds, split.n_repeats) == (3, 1)
    assert split.sources == ("Abuja", "Bern", "Cork")
    assert split.fold_name(2) == "fold 2 (hospital=Cork)"
    named = cohort.patients["hospital"].map({"Abuja": 0, "Bern": 1, "Cork": 2})
    assert split.fold_of_patients(cohort, 0).tolist() == named.tolist()
    assert split.settings["hold_out"] == "hospital"
    assert split.settings["source"] == "one hospital held out at a time"
    assert len(balance(cohort, split)) > 3
    assert compare(cohort, split) == []  # nothing was to be balanced


def test_numbers_are_values_in_their_order() -> None:
    """However a spreadsheet wrote them; more than nine are not cut at quartiles."""
    spelled = ["1", "2.0", "10", "2", "1.0", "10,0"]
    split = hold_out(of_hospitals([spelled[i % 6] for i in range(90)]), "hospital", 0, RULE)
    assert split.sources == ("1", "2", "10")
    many = of_hospitals([str(i % 15) for i in range(180)], n=180)
    assert len(hold_out(many, "hospital", 0, RULE).sources) == 15


def test_people_of_several_values_are_in_no_fold() -> None:
    """Patients 0 and 1 are of two hospitals, 0 and 3 of one."""
    cohort = linked(of_hospitals(), (0, 1), (2, 5))
    split = hold_out(cohort, "hospital", 0, RULE)
    assert split.in_several == ("p000000",)
    assert split.folds["p000000"] == (TEST,)
    assert split.folds["p000002"] == (0,)
    assert sum(folds == (TEST,) for folds in split.folds.values()) == 1
    assert not split.persons_on_two_sides(cohort)
    by_patient = hold_out(cohort, "hospital", 0, dataclasses.replace(RULE, by="patient"))
    assert by_patient.in_several == ()
    assert by_patient.persons_on_two_sides(cohort) == ["p000000"]


def test_hold_out_test_persons_are_set_aside_first() -> None:
    cohort = of_hospitals([None, *(HOSPITALS[i % 3] for i in range(1, 90))])
    named = dataclasses.replace(RULE, test=("p000000",))
    split = hold_out(cohort, "hospital", 0, named)  # whose hospital need not be known
    assert [who for who, folds in split.folds.items() if folds == (TEST,)] == ["p000000"]
    drawn = hold_out(of_hospitals(), "hospital", 3, dataclasses.replace(RULE, test=0.2))
    assert sum(folds == (TEST,) for folds in drawn.folds.values()) == 18
    assert drawn.in_several == ()


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (["Bern"] * 90, "hospital has one value, Bern, for everybody"),
        ([f"h{i % 21}" for i in range(90)], "hospital has 21 different values, e.g. h0, h1, h10"),
        ([None, "-", *["Bern", "Cork"] * 44], r"missing for 2 patients: p000000, p000001.*test="),
        (
            ["Cork"] * 30 + ["Bern"] * 60,
            r"murmur=Present does not occur in fold 0 \(hospital=Bern\).*Join this hospital",
        ),
    ],
)
def test_columns_that_cannot_be_held_out(values: list[object], words: str) -> None:
    with pytest.raises(SplitError, match=words):
        hold_out(of_hospitals(values), "hospital", 0, RULE)


def test_a_value_that_nobody_has_alone() -> None:
    cohort = of_hospitals(["Delhi", *(HOSPITALS[i % 3] for i in range(1, 90))])
    with pytest.raises(SplitError, match="hospital=Delhi is of nobody alone"):
        hold_out(linked(cohort, (0, 1)), "hospital", 0, RULE)


@pytest.mark.parametrize(
    ("column", "words"),
    [
        ("hospitl", "unknown column in split.hold_out 'hospitl'.*Did you mean 'hospital'"),
        ("site", "belongs to recordings"),
        ("murmur", "unknown column in split.hold_out 'murmur'"),
    ],
)
def test_unknown_columns(column: str, words: str) -> None:
    with pytest.raises(SplitError, match=words):
        hold_out(of_hospitals(), column, 0, RULE)


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["split.n_repeats=3"], "split.n_repeats=3 with split.hold_out=hospital does not fit"),
        (["split.stratify=[age]"], r"split.stratify=\['age'\] with split.hold_out"),
        (["split.file=a.csv"], "split.file=a.csv with split.hold_out"),
    ],
)
def test_settings_without_a_meaning_are_refused(more: list[str], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        compose(["split.hold_out=hospital", *more])


def test_the_number_of_folds_is_that_of_values() -> None:
    cohort, words = of_hospitals(), ["split.hold_out=hospital"]
    split = split_of(compose(words), cohort)
    assert split_of(compose([*words, "split.n_folds=3"]), cohort).digest == split.digest
    with pytest.raises(SplitError, match=r"n_folds=5, but hospital has 3 values \(Abuja, Bern"):
        split_of(compose([*words, "split.n_folds=5"]), cohort)
    with pytest.raises(ConfigError, match="n_folds=null does not fit"):
        compose(["split.n_folds=null"])


def test_digests(tmp_path: Path) -> None:
    """A held-out column is part of them; what it says already, the number of folds, is not."""
    plain, held = compose([]), compose(["split.hold_out=campaign"])
    assert held.digest == compose(["split.hold_out=campaign", "split.n_folds=2"]).digest
    assert len({plain.digest, held.digest, compose(["split.hold_out=sex"]).digest}) == 3
    assert plain.digest == compose(["split.hold_out=null"]).digest
    (tmp_path / "config.yaml").write_text(held.to_yaml())
    assert load_yaml(tmp_path / "config.yaml") == held


def test_the_certificate_and_the_audit_know_what_was_held_out(
    edit_csv: Callable[[Callable[[pd.DataFrame], pd.DataFrame]], Path], tmp_path: Path
) -> None:
    path = edit_csv(lambda table: table.assign(hospital=["Bern"] * 16 + ["Cork"] * 16))
    data = [*TINY[:-1], f"data.path={path}"]
    made = kfold_hs("split", *data, "split.hold_out=hospital", "-o", "split.json", cwd=tmp_path)
    assert made.returncode == 0, made.stderr
    assert "Each fold is one hospital" in made.stdout
    split = Split.read(tmp_path / "split.json")
    assert split.sources == ("Bern", "Cork")
    assert kfold_hs("audit", "split.json", *data, cwd=tmp_path).returncode == 0
    # Afterwards the table says that p4 was in Cork; labels and sounds are the same.
    edit_csv(
        lambda table: table.assign(
            hospital=table["hospital"].where(table["patient_id"] != "p4", "Cork")
        )
    )
    found = kfold_hs("audit", "split.json", *data, "--json", "-q", cwd=tmp_path)
    assert found.returncode == 1
    (leak,) = [each for each in json.loads(found.stdout) if each["is_leak"]]
    assert leak["kind"] == "source on two sides"
    assert leak["items"] == ["hospital=Cork in fold 0, fold 1"]
    cohort = read_cohort(compose(data).data)
    assert not any(each.is_leak for each in audit(cohort, folds_of_recordings(split, cohort)))
    config = compose([*data, f"split.file={tmp_path / 'split.json'}", "split.n_folds=2"])
    with pytest.raises(SplitError, match="hospital=Cork in fold 0, fold 1"):
        check_leaks(config, cohort, split_of(config, cohort), NullProgress())
