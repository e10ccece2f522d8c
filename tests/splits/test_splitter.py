"""Our splitter inside scikit-learn, by scikit-learn's own tests where they apply."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_array
from sklearn import config_context
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import (
    GridSearchCV,
    check_cv,
    cross_val_predict,
    cross_val_score,
    cross_validate,
)
from sklearn.model_selection.tests import test_split as theirs
from support.people import people

from kfold_hs.errors import KfoldHsError, SplitterInputError
from kfold_hs.splits import stratify
from kfold_hs.splits.splitter import StratifiedPersonKFold
from kfold_hs.splits.stratify import SplitRule

N = 60
PERSONS = np.repeat(np.arange(30), 2)
Y = np.where(PERSONS % 3 == 0, "Present", "Absent")
X = np.random.default_rng(0).normal(size=(N, 3)) + (Y == "Present")[:, None]


class AsTheirs(StratifiedPersonKFold):
    """With the parameters of scikit-learn's group splitters, for their tests."""

    def __init__(self, n_splits: int = 5, shuffle: bool = True, random_state: Any = 0) -> None:
        super().__init__(n_splits, random_state=0 if random_state is None else random_state)
        self.shuffle = shuffle


def pairs(cv: Any, *data: Any) -> list[tuple[list[int], list[int]]]:
    return [(train.tolist(), test.tolist()) for train, test in cv.split(*data)]


@pytest.mark.parametrize("seed", [0, 1, 42])
def test_scikit_learns_test_of_group_splitters(seed: int) -> None:
    theirs.test_group_kfold(AsTheirs, True, seed)


def test_scikit_learns_tests_of_its_stratified_group_splitter(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(theirs, "StratifiedGroupKFold", AsTheirs)
    theirs.test_stratified_group_kfold_trivial()
    for mark in theirs.test_stratified_group_kfold_homogeneous_groups.pytestmark:
        for y, groups, expected in mark.args[1]:
            theirs.test_stratified_group_kfold_homogeneous_groups(y, groups, expected)
    theirs.test_stratified_group_kfold_shuffle_preserves_stratification()
    # Not `test_stratified_group_kfold_against_group_kfold`: it balances rows of people who have
    # every class at once, and a person counts once with each class here.


def test_scikit_learns_checks_of_every_splitter() -> None:
    cv = StratifiedPersonKFold(3)
    theirs.check_cv_coverage(cv, X, Y, PERSONS, 3)
    assert cv.get_metadata_routing().split.requests["groups"] is True
    theirs.assert_request_is_empty(cv.get_metadata_routing(), exclude=["split"])
    assert hasattr(cv, "set_split_request")
    assert theirs._yields_constant_splits(cv)
    assert not theirs._yields_constant_splits(StratifiedPersonKFold(random_state=None))
    assert repr(cv) == "StratifiedPersonKFold(n_repeats=1, n_splits=3, random_state=0)"
    assert check_cv(cv) is cv
    assert repr(clone(cv, safe=False)) == repr(cv)
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'y'"):
        cv.split(X)  # type: ignore[call-arg]


@pytest.mark.parametrize("n_repeats", [1, 3])
def test_every_repeat_is_a_partition_of_whole_persons(n_repeats: int) -> None:
    cv = StratifiedPersonKFold(4, n_repeats, random_state=7)
    found = list(cv.split(X, Y, PERSONS))
    assert len(found) == cv.get_n_splits() == cv.get_n_splits(X, Y, PERSONS) == 4 * n_repeats
    for train, test in found:
        assert train.dtype.kind == test.dtype.kind == "i"
        assert sorted([*train, *test]) == list(range(N))
        assert not set(PERSONS[train]) & set(PERSONS[test])
        # 10 of 30 persons are Present: 2 or 3 in each of 4 folds.
        assert len(set(PERSONS[test][Y[test] == "Present"])) in (2, 3)
    for repeat in range(n_repeats):
        held = np.concatenate([test for _, test in found[4 * repeat : 4 * repeat + 4]])
        assert sorted(held) == list(range(N))
    assert n_repeats == 1 or pairs_of(found[:4]) != pairs_of(found[4:8])


def pairs_of(found: Any) -> set[tuple[int, ...]]:
    return {tuple(test) for _, test in found}


def test_random_state() -> None:
    """An integer repeats itself, at every call and in every copy; all else goes on drawing."""
    data = (X, Y, PERSONS)
    cv = StratifiedPersonKFold(3, random_state=5)
    assert pairs(cv, *data) == pairs(cv, *data) == pairs(clone(cv, safe=False), *data)
    assert pairs(cv, *data) != pairs(StratifiedPersonKFold(3, random_state=6), *data)
    assert pairs(cv, *data) == pairs(StratifiedPersonKFold(3, random_state=np.int64(5)), *data)
    drawing = StratifiedPersonKFold(3, random_state=np.random.RandomState(0))
    first, second = pairs(drawing, *data), pairs(drawing, *data)
    assert first != second
    same = StratifiedPersonKFold(3, random_state=np.random.RandomState(0))
    assert pairs(same, *data) == first
    np.random.seed(0)  # noqa: NPY002 - what random_state=None stands for
    unseeded = StratifiedPersonKFold(3, random_state=None)
    first = pairs(unseeded, *data)
    assert first != pairs(unseeded, *data)
    np.random.seed(0)  # noqa: NPY002
    assert pairs(unseeded, *data) == first


def test_no_side_effects() -> None:
    np.random.seed(3)  # noqa: NPY002
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    x, y, groups = X.copy(), Y.copy(), PERSONS.copy()
    pairs(StratifiedPersonKFold(3), x, y, groups)
    assert np.array_equal(before, np.random.get_state()[1])  # noqa: NPY002
    assert np.array_equal(x, X)
    assert np.array_equal(y, Y)
    assert np.array_equal(groups, PERSONS)


def test_any_kind_of_data_gives_the_same_folds() -> None:
    cv = StratifiedPersonKFold(3)
    expected = pairs(cv, X, Y, PERSONS)
    frame = pd.DataFrame(X, index=[f"row {i}" for i in range(N)])
    codes = np.unique(Y, return_inverse=True)[1]
    for x, y, groups in [
        (X.tolist(), Y.tolist(), PERSONS.tolist()),
        (frame, pd.Series(Y, frame.index), pd.Series(PERSONS, frame.index)),
        (csr_array(X), Y.astype(object), PERSONS.astype(str)),
        (X[:, 0], pd.Series(Y, dtype="category"), PERSONS),
        (X, Y[:, None], PERSONS[:, None].ravel()),
        (X, codes, PERSONS),
        (X, codes.astype(float), PERSONS),
        (X, codes.astype(bool), PERSONS),
    ]:
        assert pairs(cv, x, y, groups) == expected
    order = np.random.default_rng(1).permutation(N)
    moved = [
        {tuple(PERSONS[order][side]) for side in each}
        for each in cv.split(X[order], Y[order], PERSONS[order])
    ]
    whole = [{tuple(PERSONS[side]) for side in each} for each in cv.split(X, Y, PERSONS)]
    assert [{frozenset(s) for s in each} for each in moved] == [
        {frozenset(s) for s in each} for each in whole
    ]  # the people of a fold do not depend on the order of the rows


def test_several_labels_are_stratified_together() -> None:
    rng = np.random.default_rng(0)
    y = rng.random((400, 3)) < (0.1, 0.3, 0.5)
    for labels in (
        y.astype(int),
        csr_array(y.astype(int)),
        pd.DataFrame(np.where(y, "yes", "no"), columns=["as", "mr", "ms"]),
        np.where(y, "yes", "no").astype(object),
    ):
        found = [test for _, test in StratifiedPersonKFold(5).split(y, labels, range(400))]
        counts = np.array([y[test].sum(axis=0) for test in found])
        mean = y.sum(axis=0) / 5
        assert (np.abs(counts - mean) < 1).all(), "rounding alone"


def test_the_folds_are_those_of_a_run() -> None:
    """Of people with several recordings, two tasks and classes in an order of their own."""
    made = people(60, seed=2)
    twice = made.recordings[::3].assign(
        recording_id=lambda rows: rows["recording_id"] + "_2",
        sha256=lambda rows: rows["sha256"] + "_2",
    )
    cohort = dataclasses.replace(made, recordings=pd.concat([made.recordings, twice]))
    drawn = stratify(cohort, 4, seed=11, n_repeats=2, rule=SplitRule(covariates=()))
    rows = cohort.recordings.merge(cohort.patients, on="patient_id").sample(frac=1, random_state=0)
    y = pd.DataFrame(
        {task.name: pd.Categorical(rows[task.name], task.classes) for task in cohort.tasks}
    )
    cv = StratifiedPersonKFold(4, 2, random_state=11)
    for number, (_, test) in enumerate(cv.split(rows, y, rows["person_id"])):
        repeat, fold = divmod(number, 4)
        expected = {who for who, folds in drawn.folds.items() if folds[repeat] == fold}
        assert set(rows["person_id"].iloc[test]) == expected


def test_inside_scikit_learn() -> None:
    cv, model = StratifiedPersonKFold(3), LogisticRegression()
    scores = cross_validate(model, X, Y, groups=PERSONS, cv=cv, return_indices=True)
    assert len(scores["test_score"]) == 3
    assert scores["test_score"].min() > 0.5
    held = np.concatenate(scores["indices"]["test"])
    assert sorted(held) == list(range(N))
    assert len(cross_val_predict(model, X, Y, groups=PERSONS, cv=cv)) == N
    with pytest.raises(ValueError, match="only works for partitions"):
        cross_val_predict(model, X, Y, groups=PERSONS, cv=StratifiedPersonKFold(3, 2))
    repeated = cross_val_score(model, X, Y, groups=PERSONS, cv=StratifiedPersonKFold(3, 2))
    assert len(repeated) == 6
    search = GridSearchCV(model, {"C": [0.1, 1.0]}, cv=cv).fit(X, Y, groups=PERSONS)
    assert search.n_splits_ == 3
    # Nested: the persons are handed on to the inner splitter.
    nested = cross_val_score(
        GridSearchCV(model, {"C": [0.1, 1.0]}, cv=StratifiedPersonKFold(2), error_score="raise"),
        X, Y, groups=PERSONS, cv=cv, params={"groups": PERSONS},
    )  # fmt: skip
    assert len(nested) == 3


def test_metadata_routing_hands_the_persons_on() -> None:
    with config_context(enable_metadata_routing=True):
        search = GridSearchCV(LogisticRegression(), {"C": [1.0]}, cv=StratifiedPersonKFold(2))
        scores = cross_validate(
            search, X, Y, cv=StratifiedPersonKFold(3), params={"groups": PERSONS}
        )
        assert len(scores["test_score"]) == 3
        cv = StratifiedPersonKFold().set_split_request(groups=False)
        assert cv.get_metadata_routing().split.requests["groups"] is False


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"n_splits": 1}, "n_splits=1 does not fit.*at least 2"),
        ({"n_splits": 2.5}, "n_splits=2.5"),
        ({"n_splits": True}, "n_splits=True"),
        ({"n_repeats": 0}, "n_repeats=0 does not fit.*at least 1"),
        ({"random_state": -1}, "random_state=-1"),
        ({"random_state": "x"}, "'x' cannot be used to seed"),
    ],
)
def test_wrong_parameters(values: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        StratifiedPersonKFold(**values)


@pytest.mark.parametrize(
    ("y", "groups", "words"),
    [
        (Y, None, r"groups=range\(len\(X\)\)"),
        (None, PERSONS, "'y' parameter"),
        (X[:, 0], PERSONS, "Got 'continuous' instead.*pandas.cut"),
        (X, PERSONS, "Got 'continuous' instead"),
        (np.where(PERSONS == 4, None, Y), PERSONS, "y is missing in 2 rows"),
        (Y, np.where(PERSONS == 4, np.nan, PERSONS), "groups is missing in 2 rows"),
        (Y, PERSONS % 2, "n_splits=5 greater than the number of groups: 2"),
        (np.where(PERSONS < 2, "Rare", Y), PERSONS, "y=Rare occurs in 2 persons.*Use n_splits=2"),
        (np.where(PERSONS < 1, "Rare", Y), PERSONS, "in 1 person.*Merge the class"),
        (Y[:-1], PERSONS, "inconsistent numbers of samples"),
        (Y, PERSONS[:-1], "inconsistent numbers of samples"),
        (np.zeros((N, 2, 2)), PERSONS, r"shape \(60, 2, 2\)"),
    ],
)
def test_wrong_data(y: Any, groups: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        list(StratifiedPersonKFold(5).split(X, y, groups))


def test_its_errors_are_of_both_worlds() -> None:
    assert issubclass(SplitterInputError, KfoldHsError)
    assert issubclass(SplitterInputError, ValueError)
