"""Persons are never on two sides, and a split belongs to one cohort."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.people import people
from support.project import TINY, kfold_hs, two_numberings, write_table

from kfold_hs.cohort import Cohort
from kfold_hs.cohort.readers.registry import read_cohort
from kfold_hs.config.compose import compose
from kfold_hs.errors import SplitError
from kfold_hs.learn.data.fold import FoldData
from kfold_hs.splits import Split, balance, stratify
from kfold_hs.splits.balance import compare
from kfold_hs.splits.hold_out import hold_out
from kfold_hs.splits.local_search import limits
from kfold_hs.splits.split import TEST
from kfold_hs.splits.strata import levels_of, strata
from kfold_hs.splits.stratify import SplitRule, draw_some


@pytest.mark.slow
def test_circor_no_person_on_both_sides(circor: Path) -> None:
    cohort = read_cohort(compose(["data=circor", f"data.root={circor}"]).data)
    split = stratify(cohort, n_folds=5, seed=0)
    folds = split.fold_of_patients(cohort, 0)
    sides = cohort.patients.assign(fold=folds).groupby("person_id")["fold"].nunique()
    assert (sides == 1).all()
    assert (cohort.patients["person_id"].value_counts() == 2).sum() == 35
    # They came to both campaigns, so that either held out leaves them in no fold.
    held = hold_out(cohort, "campaign", 0, SplitRule())
    assert held.sources == ("CC2014", "CC2015")
    assert len(held.in_several) == 35
    folds = held.fold_of_patients(cohort, 0)
    assert [int((folds == fold).sum()) for fold in (0, 1, TEST)] == [157, 244, 70]


@pytest.mark.slow
def test_circor_is_stratified_to_the_integer_limit(circor: Path) -> None:
    cohort = read_cohort(compose(["data=circor", f"data.root={circor}"]).data)
    split = stratify(cohort, 5, 0, n_repeats=3, rule=SplitRule(covariates="auto"))
    for repeat in range(3):
        for row in balance(cohort, split, repeat):
            assert row["deviation"] <= row["limit"] + (0.05 if row["kind"] == "label" else 0.10)
        ours, *others, limit = compare(cohort, split, repeat)
        assert all(other["label"]["above_limit"] > 0.02 for other in others)
        assert ours["label"]["above_limit"] < 0.02
        assert limit["label"]["above_limit"] == 0


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
    labels = strata(cohort).table
    assert labels.loc["q", ["murmur=Present", "murmur=Absent"]].tolist() == [True, True]
    assert labels.loc["p2", ["murmur=Present", "murmur=Unknown"]].tolist() == [False, True]


def test_more_folds_than_persons_of_a_class(cohort: Cohort) -> None:
    with pytest.raises(SplitError, match=r"murmur=Present occurs in 4 persons, .*--folds 4"):
        stratify(cohort, 5, 0)


def test_round_trip(cohort: Cohort, tmp_path: Path) -> None:
    split = stratify(
        cohort, 3, 0, n_repeats=2, rule=SplitRule(covariates="auto", test=["p5", "p7"])
    )
    split.write(tmp_path / "split.json")
    again = Split.read(tmp_path / "split.json")
    assert (again.digest, again.assignment) == (split.digest, split.assignment)
    assert again.folds == split.folds
    assert again.folds["p5"] == (TEST, TEST)


def test_the_certificate_holds_people_labels_and_samples(cohort: Cohort) -> None:
    values = stratify(cohort, 3, 0).to_dict()
    (q,) = [person for person in values["people"] if person["person_id"] == "q"]
    assert [patient["patient_id"] for patient in q["patients"]] == ["p0", "p1"]
    assert q["patients"][0]["labels"] == {"murmur": "Present", "outcome": "Abnormal"}
    shas = cohort.recordings.set_index("recording_id")["sha256"]
    for patient in q["patients"]:
        for recording in patient["recordings"]:
            assert recording["sha256"] == shas[recording["recording_id"]]
    assert values["settings"] == {"by": "person", "stratify": [], "test": 0.0, "source": "drawn"}
    assert "iterative-stratification" in values["versions"]


def test_other_versions_change_the_digest_and_not_the_assignment(cohort: Cohort) -> None:
    split = stratify(cohort, 3, 0)
    other = dataclasses.replace(split, versions={**split.versions, "numpy": "0.0"})
    assert other.digest != split.digest
    assert other.assignment == split.assignment


def test_an_altered_file_is_refused(cohort: Cohort, tmp_path: Path) -> None:
    path = tmp_path / "split.json"
    stratify(cohort, 3, 0).write(path)
    values = json.loads(path.read_text())
    for change in (
        lambda v: v["folds"].update(p5=[(v["folds"]["p5"][0] + 1) % 3]),
        lambda v: v["people"][0]["patients"][0]["labels"].update(murmur="Changed"),
        lambda v: v["versions"].update(numpy="0.0"),
    ):
        altered = json.loads(json.dumps(values))
        change(altered)
        path.write_text(json.dumps(altered))
        with pytest.raises(SplitError, match="was changed after it was written"):
            Split.read(path)
    path.write_text(json.dumps({**values, "schema": 1}))
    with pytest.raises(SplitError, match="has schema 1"):
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
        ({"a": (0,), "b": (0,)}, "fold 1 is empty"),
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


def test_joint_classes_that_are_all_rarer_than_folds(cohort: Cohort) -> None:
    # 12 patients, 4 of each murmur and 6 of each outcome, but 2 of each of both.
    patients = cohort.patients.iloc[:12].assign(
        person_id=[f"x{i}" for i in range(12)],
        murmur=["Present", "Absent", "Unknown"] * 4,
        outcome=(["Abnormal"] * 3 + ["Normal"] * 3) * 2,
    )
    few = dataclasses.replace(
        cohort,
        persons=pd.DataFrame({"person_id": patients["person_id"]}),
        patients=patients,
        recordings=cohort.recordings[
            cohort.recordings["patient_id"].isin(patients["patient_id"])
        ].reset_index(drop=True),
    )
    names = [row["name"] for row in compare(few, stratify(few, 4, 0))]
    assert names == [
        "this split",
        "StratifiedGroupKFold on murmur",
        "StratifiedGroupKFold on outcome",
        "integer limit",
    ]


def test_limits_by_hand() -> None:
    # 14 in 5 folds: 3 3 3 3 2, mean 2.8, worst (2.8 - 2) / 2.8; 20: none; 3: one fold has 1 of 0.6
    found = limits(np.array([14, 20, 3, 0]), 5)
    assert found == pytest.approx([0.8 / 2.8, 0.0, 1.0, 0.0])


def test_test_persons_are_in_no_fold(cohort: Cohort) -> None:
    split = stratify(
        cohort, 2, 0, n_repeats=2, rule=SplitRule(test=["p0", "p2"])
    )  # p0 is a patient of q
    assert split.train_share == pytest.approx(13 / 2 / 15)
    held = {person for person, folds in split.folds.items() if TEST in folds}
    assert held == {"q", "p2"}
    folds = split.fold_of_patients(cohort, 0)
    for fold in (0, 1):
        data = FoldData.of(cohort, folds, fold)
        used = cohort.recordings["patient_id"].iloc[[*data.train, *data.held_out]]
        assert not set(used) & {"p0", "p1", "p2"}
    assert set(split.scored_patients(cohort)) == set(cohort.patients["patient_id"]) - {
        "p0", "p1", "p2",
    }  # fmt: skip


def test_a_share_of_test_persons_is_stratified() -> None:
    cohort = people(200)
    split = stratify(cohort, 5, 0, rule=SplitRule(test=0.2))
    held = [person for person, folds in split.folds.items() if TEST in folds]
    labels = cohort.patients.set_index("person_id").loc[held, "murmur"].value_counts()
    assert len(held) == 40
    assert labels["Present"] == pytest.approx(0.2 * 40, abs=1)


@settings(max_examples=15, deadline=None)
@given(st.integers(20, 300), st.floats(0.01, 0.7), st.integers(0, 1000))
def test_a_share_is_met_to_the_person(n: int, share: float, seed: int) -> None:
    cohort = people(n, seed)
    whole = strata(cohort)
    if not 0 < round(share * n) < n:
        return
    held = draw_some(whole, np.arange(n), round(share * n), (seed, 2**31))
    assert len(set(held)) == round(share * n)
    rates = whole.table.to_numpy()[held].mean(axis=0) - whole.table.to_numpy().mean(axis=0)
    assert np.abs(rates * len(held)).max() <= 0.05 * n + 3  # stratified: not by the luck of a draw


@pytest.mark.parametrize("share", [0.03, 0.12, 0.17, 0.33, 0.5, 0.61])
def test_the_test_part_is_what_was_asked(share: float) -> None:
    """Not in steps of 5 %: off by half a person at most."""
    split = stratify(people(130), 2, 0, rule=SplitRule(test=share))
    assert sum(TEST in folds for folds in split.folds.values()) == round(share * 130)


def test_a_patient_and_another_person_of_one_number(cohort: Cohort) -> None:
    numbered = two_numberings(cohort)  # patient 2 is person 7, person 2 has patient 13

    def held(*names: str) -> set[str]:
        split = stratify(numbered, 2, 0, rule=SplitRule(test=names))
        return {person for person, folds in split.folds.items() if TEST in folds}

    with pytest.raises(SplitError, match=r"'2' .*Write patient:2 or person:2"):
        held("2")
    assert held("patient:2") == {"7"}
    assert held("person: 2") == {"2"}
    assert held("patient:2", "person:7") == {"7"}
    with pytest.raises(SplitError, match=r"split\.test names 'person:99'"):
        held("person:99")
    assert TEST in stratify(cohort, 2, 0, rule=SplitRule(test=["person:q"])).folds["q"]


def test_unknown_names_in_test_and_stratify(cohort: Cohort) -> None:
    with pytest.raises(SplitError, match=r"split\.test names 'p99'"):
        stratify(cohort, 2, 0, rule=SplitRule(test=["p99"]))
    with pytest.raises(SplitError, match=r"'aeg'; .*Did you mean 'age'"):
        stratify(cohort, 2, 0, rule=SplitRule(covariates=["aeg"]))


def test_by_patient_tears_persons_apart_and_says_so(cohort: Cohort) -> None:
    torn = set()
    for seed in range(6):
        split = stratify(cohort, 3, seed, rule=SplitRule(by="patient"))
        torn |= set(split.persons_on_two_sides(cohort))
    assert torn == {"q"}
    assert stratify(cohort, 3, 0).persons_on_two_sides(cohort) == []


def test_levels_of_words_numbers_and_missing() -> None:
    assert levels_of(pd.Series(["a", None, "", "b"])).tolist() == ["a", "missing", "missing", "b"]
    numbers = levels_of(pd.Series([*map(str, range(1, 13)), None]))
    assert numbers.value_counts().to_dict() == {
        "1 to 3.75": 3, "3.75 to 6.5": 3, "6.5 to 9.25": 3, "9.25 to 12": 3, "missing": 1,
    }  # fmt: skip
    with pytest.raises(SplitError, match="name has 30 different values"):
        levels_of(pd.Series([f"x{i}" for i in range(30)], name="name"))


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 5), st.integers(100, 200))
def test_the_search_reaches_the_limit_of_classes(seed: int, n_folds: int, n: int) -> None:
    cohort = people(n, seed)
    split = stratify(cohort, n_folds, seed, rule=SplitRule(covariates="auto"))
    for row in balance(cohort, split):
        counts = row["counts"]
        assert sum(counts) > 0
        if row["class"] in {"Present", "Absent", "Abnormal", "Normal", "persons"}:
            # A person more or less than rounding costs, at most.
            assert max(counts) - min(counts) <= 2


def test_a_class_of_one_person_is_not_told_to_use_one_fold(tmp_path: Path) -> None:
    path = write_table(tmp_path, n_patients=8, n_recordings=1)
    table = pd.read_csv(path)
    table["murmur"] = ["Present", "Unknown", *["Absent", "Present"] * 3]
    table.to_csv(path, index=False)
    done = kfold_hs("split", "data=table", f"data.path={path}", "--folds", "2", cwd=tmp_path)
    assert "murmur=Unknown occurs in 1 person, but 2 folds need" in done.stderr
    assert "--folds 1" not in done.stderr


def test_a_split_is_not_written_over_the_data(table_csv: Path) -> None:
    before, words = table_csv.read_bytes(), [*TINY, f"data.path={table_csv}"]
    for name in ("table.csv", "link.csv"):
        if name == "link.csv":
            (table_csv.parent / name).symlink_to(table_csv)
        refused = kfold_hs("split", *words, "-o", name, cwd=table_csv.parent)
        assert refused.returncode == 2
        assert "would overwrite a file" in refused.stderr
        fixed = kfold_hs("audit", *words, "--fix", "-o", name, cwd=table_csv.parent)
        assert fixed.returncode != 0 or table_csv.read_bytes() == before
    assert table_csv.read_bytes() == before
