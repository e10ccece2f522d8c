"""Persons are never on two sides, and a split belongs to one cohort."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
from conftest import TINY
from hypothesis import given, settings
from hypothesis import strategies as st

from kfold_hs import cohort as cohorts
from kfold_hs.cohort import Cohort
from kfold_hs.config import compose
from kfold_hs.errors import SplitError
from kfold_hs.splits import Split, balance, stratify
from kfold_hs.splits.stratify import person_labels


@pytest.fixture(scope="module")
def cohort(shared_table_csv: Path) -> Cohort:
    return cohorts.load(compose([*TINY, f"data.path={shared_table_csv}"]).data)


def test_circor_no_person_on_both_sides(circor: Path) -> None:
    cohort = cohorts.load(compose(["data=circor", f"data.root={circor}"]).data)
    split = stratify(cohort, n_folds=5, seed=0)
    folds = split.fold_of_patients(cohort, 0)
    sides = cohort.patients.assign(fold=folds).groupby("person_id")["fold"].nunique()
    assert (sides == 1).all()
    assert (cohort.patients["person_id"].value_counts() == 2).sum() == 35
    for row in balance(cohort, split):
        counts = row["counts"]
        if row["task"] in {"murmur", "outcome"}:
            mean = sum(counts) / 5
            assert max(abs(count - mean) for count in counts) <= max(3, 0.1 * mean)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1000), st.integers(2, 3), st.integers(1, 3))
def test_laws_of_a_drawn_split(cohort: Cohort, seed: int, n_folds: int, n_repeats: int) -> None:
    split = stratify(cohort, n_folds, seed, n_repeats)
    assert set(split.folds) == set(cohort.persons["person_id"])
    for repeat in range(n_repeats):
        folds = split.fold_of_patients(cohort, repeat)
        assert folds[0] == folds[1]  # p0 and p1 are one person
        assert set(folds) == set(range(n_folds))
    assert stratify(cohort, n_folds, seed, n_repeats).digest == split.digest


@settings(max_examples=10, deadline=None)
@given(st.randoms(use_true_random=False))
def test_the_order_of_rows_does_not_matter(cohort: Cohort, random: object) -> None:
    state = random.randrange(1000)  # type: ignore[attr-defined]
    shuffled = dataclasses.replace(
        cohort,
        persons=cohort.persons.sample(frac=1, random_state=state),
        patients=cohort.patients.sample(frac=1, random_state=state),
        recordings=cohort.recordings.sample(frac=1, random_state=state),
    )
    assert stratify(shuffled, 3, 0).digest == stratify(cohort, 3, 0).digest


def test_seeds_and_repeats_differ(cohort: Cohort) -> None:
    assert stratify(cohort, 3, 0).digest != stratify(cohort, 3, 1).digest
    both = stratify(cohort, 3, 0, n_repeats=2)
    assert len({tuple(f[r] for f in both.folds.values()) for r in range(2)}) == 2


def test_a_person_whose_patients_disagree_has_both_labels(cohort: Cohort) -> None:
    labels = person_labels(cohort)
    assert labels.loc["q", ["murmur=Present", "murmur=Absent"]].tolist() == [True, True]
    assert labels.loc["p2", ["murmur=Present", "murmur=Unknown"]].tolist() == [False, True]


def test_more_folds_than_persons_of_a_class(cohort: Cohort) -> None:
    with pytest.raises(SplitError, match=r"murmur=Present occurs in 4 persons, .*--folds 4"):
        stratify(cohort, 5, 0)


def test_round_trip(cohort: Cohort, tmp_path: Path) -> None:
    split = stratify(cohort, 3, 0)
    split.write(tmp_path / "split.json")
    assert Split.read(tmp_path / "split.json") == split


def test_an_altered_file_is_refused(cohort: Cohort, tmp_path: Path) -> None:
    path = tmp_path / "split.json"
    stratify(cohort, 3, 0).write(path)
    values = json.loads(path.read_text())
    values["folds"]["p5"] = [(values["folds"]["p5"][0] + 1) % 3]
    path.write_text(json.dumps(values))
    with pytest.raises(SplitError, match="was changed after it was written"):
        Split.read(path)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"folds": 3}'])
def test_not_a_split(tmp_path: Path, text: str) -> None:
    (tmp_path / "split.json").write_text(text)
    with pytest.raises(SplitError, match="cannot read the split"):
        Split.read(tmp_path / "split.json")


def test_another_cohort_is_refused_with_both_fingerprints(cohort: Cohort) -> None:
    split = stratify(cohort, 3, 0)
    patients = cohort.patients.copy()
    patients.loc[5, "outcome"] = (
        "Normal" if patients.loc[5, "outcome"] == "Abnormal" else "Abnormal"
    )
    other = dataclasses.replace(cohort, patients=patients)
    with pytest.raises(SplitError) as caught:
        split.check(other)
    assert split.fingerprint[:16] in str(caught.value)
    assert other.fingerprint[:16] in str(caught.value)


def test_a_fold_without_a_class_is_refused(cohort: Cohort) -> None:
    split = stratify(cohort, 2, 0)
    with_murmur = set(cohort.patients["person_id"][cohort.patients["murmur"] == "Present"])
    folds = {
        person: (0 if person in with_murmur else fold[0],) for person, fold in split.folds.items()
    }
    with pytest.raises(SplitError, match=r"murmur=Present does not occur in fold 1"):
        dataclasses.replace(split, folds=folds).check(cohort)


@pytest.mark.parametrize(
    ("folds", "match"),
    [
        ({"a": (0,), "b": (2,)}, "person b has the folds"),
        ({"a": (0,), "b": (0, 1)}, "person b has the folds"),
        ({"a": (0,), "b": (0,)}, "fold 1 holds nobody"),
    ],
)
def test_laws_of_any_split(folds: dict[str, tuple[int, ...]], match: str) -> None:
    with pytest.raises(SplitError, match=match):
        Split(folds=folds, n_folds=2, n_repeats=1, seed=0, fingerprint="x")


def test_balance_counts_everything(cohort: Cohort) -> None:
    rows = balance(cohort, stratify(cohort, 3, 0))
    totals = {(row["task"], row["class"]): sum(row["counts"]) for row in rows}
    assert totals[("size", "persons")] == 15
    assert totals[("size", "patients")] == 16
    assert totals[("size", "recordings")] == 32
    assert totals[("murmur", "Absent")] == 8
    assert totals[("murmur+outcome", "Present + Abnormal")] == 4
