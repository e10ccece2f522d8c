"""A share of a fold's training people: nested, stratified, by person; and what is trained on it."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from support.people import people

from kfold_hs.cohort import Cohort
from kfold_hs.config.compose import compose
from kfold_hs.errors import SplitError
from kfold_hs.orchestrator.context import RunInputs
from kfold_hs.splits import stratify
from kfold_hs.splits.fewer_people import fewer_persons
from kfold_hs.splits.strata import strata


@pytest.fixture(scope="module")
def cohort() -> Cohort:
    """66 patients, of whom every tenth is the same person as the one before."""
    made = people(66)
    ids = made.patients["patient_id"].tolist()
    person = [ids[k - 1] if k % 10 == 9 else each for k, each in enumerate(ids)]
    patients = made.patients.assign(person_id=person)
    return dataclasses.replace(
        made, patients=patients, persons=patients[["person_id"]].drop_duplicates()
    )


def test_a_smaller_share_lies_within_a_larger_one(cohort: Cohort) -> None:
    rows = np.arange(cohort.n_recordings)
    before: frozenset[str] = frozenset()
    for share in (0.2, 0.25, 0.5, 0.9, 1.0):
        some = fewer_persons(cohort, rows, share, (0, 0, 0))
        assert before <= some
        assert len(some) == round(share * 60)
        before = some
    assert before == set(cohort.patients["person_id"])


@pytest.mark.parametrize("share", [0.25, 0.5, 0.75])
def test_every_share_has_the_classes_of_all(cohort: Cohort, share: float) -> None:
    table = strata(cohort).table
    for seed in range(5):
        some = fewer_persons(cohort, np.arange(cohort.n_recordings), share, (seed, 0, 0))
        counts = table.loc[sorted(some)].sum()
        assert (abs(counts - share * table.sum()) <= 1.5).all()


def test_another_key_draws_others(cohort: Cohort) -> None:
    rows = np.arange(cohort.n_recordings)
    drawn = {fewer_persons(cohort, rows, 0.5, (0, 0, fold)) for fold in range(5)}
    assert len(drawn) == 5


def test_a_share_without_a_class_is_refused_and_the_least_one_named(cohort: Cohort) -> None:
    rows = np.arange(cohort.n_recordings)
    with pytest.raises(SplitError, match="none of them has") as error:
        fewer_persons(cohort, rows, 0.02, (0, 0, 0))
    least = float(str(error.value).split("at least ")[1].rstrip("."))
    try:
        fewer_persons(cohort, rows, least, (0, 0, 0))
    except SplitError as other:  # another class is rarer still
        least = float(str(other).split("at least ")[1].rstrip("."))
        fewer_persons(cohort, rows, least, (0, 0, 0))


def test_held_out_people_and_those_who_choose_the_epoch(cohort: Cohort) -> None:
    inputs = RunInputs(cohort, stratify(cohort, 3, 0))
    whole = compose(["data=table", "data.path=unused.csv"])
    some = compose(["data=table", "data.path=unused.csv", "train.people_share=0.5"])
    inner = compose(
        ["data=table", "data.path=unused.csv", "train.people_share=0.5", "select=inner"]
    )
    for fold in range(3):
        all_, half = (inputs.fold_data(c, 0, fold) for c in (whole, some))
        assert (all_.held_out == half.held_out).all()
        assert set(half.train) < set(all_.train)
        chosen = inputs.fold_data(inner, 0, fold)
        assert set(chosen.train) | set(chosen.inner) == set(half.train)
    assert whole.digest != some.digest
    assert compose([]).digest == compose(["train.people_share=1"]).digest


def test_a_share_too_small_is_refused_for_all_folds_before_one_is_trained(cohort: Cohort) -> None:
    inputs = RunInputs(cohort, stratify(cohort, 3, 0))
    words = ["data=table", "data.path=unused.csv", "train.people_share=0.02"]
    with pytest.raises(SplitError, match=r"train\.people_share leaves fold"):
        inputs.check_folds(compose(words))
    inputs.check_folds(compose(words[:2]))
