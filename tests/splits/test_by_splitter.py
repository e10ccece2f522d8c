"""Splitters of scikit-learn, drawn on a cohort, become certified splits or are refused."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.model_selection import (
    GroupKFold,
    KFold,
    LeaveOneGroupOut,
    LeaveOneOut,
    LeavePGroupsOut,
    PredefinedSplit,
    RepeatedStratifiedKFold,
    ShuffleSplit,
    StratifiedGroupKFold,
    StratifiedKFold,
    TimeSeriesSplit,
)
from support.people import people

from kfold_hs.cohort import Cohort
from kfold_hs.config.compose import compose
from kfold_hs.errors import SplitError
from kfold_hs.splits import Split, stratify
from kfold_hs.splits.by_splitter import make_split
from kfold_hs.splits.make import split_of
from kfold_hs.splits.split import TRAIN
from kfold_hs.splits.splitter import StratifiedPersonKFold


@pytest.fixture(scope="module")
def many() -> Cohort:
    """90 persons without audio; every third has two recordings, and there are three hospitals."""
    made = people(90)
    twice = made.recordings[::3].assign(
        recording_id=lambda rows: rows["recording_id"] + "_2",
        sha256=lambda rows: rows["sha256"] + "_2",
    )
    murmur = np.random.default_rng(0).permutation(["Present", "Unknown", "Absent"] * 30)
    patients = made.patients.assign(
        murmur=murmur, hospital=[f"hospital {i % 3}" for i in range(90)]
    )
    return dataclasses.replace(
        made,
        patients=patients,
        recordings=pd.concat([made.recordings, twice], ignore_index=True),
        covariates=(*made.covariates, "hospital"),
    )


@pytest.mark.parametrize("rows", ["person", "patient", "recording"])
@pytest.mark.parametrize(
    ("cv", "n_folds", "n_repeats"),
    [
        (GroupKFold(3), 3, 1),
        (GroupKFold(3, shuffle=True, random_state=4), 3, 1),
        (StratifiedGroupKFold(4, shuffle=True, random_state=4), 4, 1),
        (StratifiedPersonKFold(4, 2), 4, 2),
    ],
    ids=str,
)
def test_splitters_that_keep_groups_together(
    many: Cohort, cv: Any, n_folds: int, n_repeats: int, rows: Any
) -> None:
    split = make_split(many, cv, rows=rows, audit=False)
    assert (split.n_folds, split.n_repeats) == (n_folds, n_repeats)
    assert set(split.folds) == set(many.persons["person_id"])
    assert not split.persons_on_two_sides(many)
    assert split.seed == (getattr(cv, "random_state", None) or 0)


def test_folds_are_those_of_the_splitter(many: Cohort) -> None:
    ids = sorted(many.persons["person_id"])
    joint = many.patients.set_index("person_id").loc[ids]
    labels = (joint["murmur"] + " + " + joint["outcome"]).to_numpy()
    cv = StratifiedKFold(3, shuffle=True, random_state=1)
    split = make_split(many, cv, audit=False)
    for fold, (_, test) in enumerate(cv.split(np.zeros(90), labels)):
        assert {split.folds[ids[i]] for i in test} == {(fold,)}


def test_ours_by_recording_is_what_a_run_draws(many: Cohort) -> None:
    cv = StratifiedPersonKFold(4, 2, random_state=3)
    split = make_split(many, cv, rows="recording", audit=False)
    assert split.assignment == stratify(many, 4, 3, 2).assignment


def test_repeats_of_a_splitter_are_repeats(many: Cohort) -> None:
    cv = RepeatedStratifiedKFold(n_splits=3, n_repeats=4, random_state=0)
    split = make_split(many, cv, audit=False)
    assert (split.n_folds, split.n_repeats) == (3, 4)
    assert split.settings["splitter"] == {
        "class": "sklearn.model_selection._split.RepeatedStratifiedKFold",
        "parameters": {"n_splits": 3, "n_repeats": 4, "random_state": 0},
        "rows": "person",
        "groups": "person_id",
    }


def test_one_part_and_people_who_are_always_trained_on(many: Cohort) -> None:
    split = make_split(many, ShuffleSplit(1, test_size=0.4, random_state=0), audit=False)
    assert (split.n_folds, split.n_repeats) == (1, 1)
    folds = [each[0] for each in split.folds.values()]
    assert folds.count(0) == 36
    assert folds.count(TRAIN) == 54
    where = np.arange(90) % 4 - 1
    split = make_split(many, PredefinedSplit(where), audit=False)
    assert [split.folds[each][0] for each in sorted(split.folds)] == [
        TRAIN if fold == -1 else fold for fold in where
    ]


def test_a_covariate_as_groups(many: Cohort) -> None:
    split = make_split(many, LeaveOneGroupOut(), groups="hospital", audit=False)
    hospital = many.patients.set_index("person_id")["hospital"]
    assert {(hospital[who], folds) for who, folds in split.folds.items()} == {
        (f"hospital {i}", (i,)) for i in range(3)
    }


def test_numbers_and_pairs_are_splitters_too(many: Cohort) -> None:
    assert make_split(many, 3, audit=False).n_folds == 3
    pairs = [(np.arange(0, 90, 2), np.arange(1, 90, 2)), (np.arange(1, 90, 2), np.arange(0, 90, 2))]
    split = make_split(many, pairs, audit=False)
    assert split.folds[min(split.folds)] == (1,)


def test_a_leak_is_refused_by_name(cohort: Cohort) -> None:
    """Recordings split as they come put the two of most persons on two sides."""
    with pytest.raises(SplitError, match=r"KFold puts \d+ persons on two sides: .*p\d+") as error:
        make_split(cohort, KFold(2, shuffle=True, random_state=0), rows="recording")
    assert "rows='person'" in str(error.value)
    # p0 and p1 are one person, whose name is q.
    apart = PredefinedSplit([0, 1] + [i // 4 % 2 for i in range(14)])
    with pytest.raises(SplitError, match="puts 1 person on two sides: q"):
        make_split(cohort, apart, rows="patient")
    assert "q" in make_split(cohort, KFold(2, shuffle=True, random_state=0)).folds


def test_the_audit_listens_to_the_recordings(cohort: Cohort) -> None:
    """The same samples under the ids of two people, whom the splitter put on two sides."""
    rows = cohort.recordings.copy()
    rows.loc[rows["recording_id"] == "p5_0.wav", ["sha256", "path"]] = rows.loc[
        rows["recording_id"] == "p4_0.wav", ["sha256", "path"]
    ].to_numpy()
    copied = dataclasses.replace(cohort, recordings=rows)
    # Persons are q, p10 ... p15, p2 ... p9 by their ids; classes repeat every four patients.
    ids = sorted(cohort.persons["person_id"])
    where = {f"p{i}": i // 4 % 2 for i in range(16)} | {"q": 0, "p5": 0, "p4": 1}
    cv = PredefinedSplit([where[each] for each in ids])
    with pytest.raises(SplitError, match="same samples under ids of different people"):
        make_split(copied, cv)
    assert make_split(copied, cv, audit=False).n_folds == 2


def test_it_goes_through_a_file_into_a_run(cohort: Cohort, tmp_path: Path) -> None:
    split = make_split(cohort, StratifiedGroupKFold(2, shuffle=True, random_state=1))
    split.write(tmp_path / "split.json")
    assert Split.read(tmp_path / "split.json").settings == split.settings
    words = ["data=table", "data.path=x.csv", f"split.file={tmp_path / 'split.json'}"]
    assert split_of(compose([*words, "split.n_folds=2"]), cohort).digest == split.digest


@pytest.mark.parametrize(
    ("cv", "words"),
    [
        (ShuffleSplit(5, random_state=0), "a second time before everybody was held out once"),
        (LeavePGroupsOut(2), "a second time"),
        (TimeSeriesSplit(3), r"pair 0 leaves \d+ rows out: p0000"),
        (LeaveOneOut(), "does not occur in fold"),
        (PredefinedSplit(np.full(90, -1)), "holds nobody out"),
        ([([0, 1], [1, 2])], "pair 0 trains on 1 row that it holds out: p000001"),
        ([(range(1, 90), [0]), (range(90), [])], "p000000. Folds must hold everybody out equally"),
        ([([0], [90])], "rows that are not there"),
        (KFold(91), "does not split 90 persons: Cannot have number of splits"),
        ("kfold", "'kfold' does not split"),
    ],
    ids=str,
)
def test_what_is_no_partition_is_refused(many: Cohort, cv: Any, words: str) -> None:
    with pytest.raises(SplitError, match=words):
        make_split(many, cv, audit=False)


def test_wrong_names(many: Cohort) -> None:
    with pytest.raises(SplitError, match=r"unknown kind of rows 'people'.*person"):
        make_split(many, KFold(3), rows="people")  # type: ignore[arg-type]
    with pytest.raises(SplitError, match=r"unknown column of groups 'hospitals'.*'hospital'"):
        make_split(many, GroupKFold(3), groups="hospitals")
    with pytest.raises(SplitError, match=r"age is missing for \d+ persons: p0000"):
        make_split(many, LeaveOneGroupOut(), groups="age")
    moved = many.patients.assign(person_id=["p000000", "p000000", *many.patients["person_id"][2:]])
    torn = dataclasses.replace(
        many, patients=moved, persons=many.persons.drop(1).reset_index(drop=True)
    )
    with pytest.raises(SplitError, match="1 person with several values of hospital: p000000"):
        make_split(torn, LeaveOneGroupOut(), groups="hospital")


@pytest.mark.slow
def test_the_code_of_the_docs_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every Python block of docs/splits.md, in one namespace."""
    text = (Path(__file__).parents[2] / "docs" / "splits.md").read_text()
    blocks = re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)
    assert len(blocks) == 2
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    for block in blocks:
        exec(compile(block, "docs/splits.md", "exec"), names)
    shown = "the splitter KFold puts 48 persons on two sides: person-000000, "
    assert shown in capsys.readouterr().out
    assert shown in text
    assert Split.read(Path("split.json")).n_repeats == 2
