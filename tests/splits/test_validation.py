"""The inner split: training people who choose the epoch, and nobody who is scored does."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from support.people import people
from support.project import TINY, Silent
from support.training import check_resumed

from kfold_hs.cohort import Cohort
from kfold_hs.cohort.synthetic.people import draw_patients
from kfold_hs.config.compose import compose
from kfold_hs.errors import ConfigError, SplitError
from kfold_hs.files.paths import FoldId
from kfold_hs.learn.data.fold import FoldData
from kfold_hs.learn.training.history import is_over
from kfold_hs.splits import stratify
from kfold_hs.splits.validation import inner_persons
from kfold_hs.workflows import cross_validation
from kfold_hs.workflows.options import RunOptions

INNER = ["select=inner", "train.inner_share=0.3"]


def test_who_is_set_aside(cohort: Cohort) -> None:
    folds = stratify(cohort, 2, 0).fold_of_patients(cohort, 0)
    person = cohort.recordings["patient_id"].map(cohort.person_of).to_numpy()
    for fold in range(2):
        whole = FoldData.of(cohort, folds, fold)
        aside = inner_persons(cohort, whole.train, 0.3, (0, 0, fold))
        assert aside == inner_persons(cohort, whole.train, 0.3, (0, 0, fold))
        data = whole.without(cohort, aside)
        assert sorted([*data.train, *data.inner]) == whole.train.tolist()
        assert set(person[data.inner]) == aside
        assert not set(person[data.inner]) & (set(person[data.train]) | set(person[data.held_out]))
        n_persons = len(set(person[whole.train]))
        assert len(aside) == pytest.approx(0.3 * n_persons, abs=1)
        assert set(person[data.inner]) == set(
            cohort.patients["person_id"].iloc[data.inner_patients]
        )
    drawn = {inner_persons(cohort, np.arange(32), 0.3, (seed, 0, 0)) for seed in range(4)}
    assert len(drawn) > 1
    with pytest.raises(SplitError, match=r"1 training person.*Use select=last"):
        inner_persons(cohort, np.arange(2), 0.3, (0, 0, 0))


def test_the_classes_are_spread_evenly() -> None:
    drawn = draw_patients(240, seed=0)  # the built-in cohort, without its sound
    patients = pd.DataFrame(
        [(p.patient_id, p.person_id, p.murmur, p.outcome, None, None) for p in drawn],
        columns=["patient_id", "person_id", "murmur", "outcome", "age", "sex"],
    )
    persons = patients[["person_id"]].drop_duplicates()
    assert len(persons) < len(patients)
    owners = [p.patient_id for p in drawn for _ in p.recordings]
    recordings = people(len(owners)).recordings.assign(patient_id=owners)
    cohort = dataclasses.replace(
        people(1), persons=persons, patients=patients, recordings=recordings
    )
    everybody = np.arange(cohort.n_recordings)
    aside = inner_persons(cohort, everybody, 0.2, (0, 0, 0))
    inner = cohort.patients["person_id"].isin(aside)
    for task in cohort.tasks:
        for name in task.classes:
            has = cohort.patients[task.name] == name
            assert (has & inner).sum() == pytest.approx(0.2 * has.sum(), abs=1.5)


RECIPES = {
    "inner": [*INNER, "train.epochs=4"],
    "patient": [
        *INNER,
        "train.patience=1",
        "train.epochs=8",
        "train.average=ema",
        "train.average_decay=0.5",
    ],
    "whole": [*INNER, "train.level=patient", "model.covariates=[age]", "train.patience=2"],
}


@pytest.mark.parametrize(
    "name", [pytest.param("inner", marks=pytest.mark.slow), "patient", "whole"]
)
def test_the_inner_people_choose_and_it_resumes(cohort: Cohort, tmp_path: Path, name: str) -> None:
    words = RECIPES[name]
    paths, whole = check_resumed(cohort, tmp_path, *words)
    settings = compose([*TINY, "data.path=unused.csv", *words])
    for fold in range(2):
        files = paths.fold(FoldId(0, 0, fold))
        history = pd.read_csv(files.history)
        mean = history[["inner.acc.murmur", "inner.acc.outcome"]].mean(axis=1)
        ranked = history.assign(mean=mean).sort_values(
            ["mean", "inner.val_loss"], ascending=[False, True]
        )
        epoch = int(ranked["epoch"].iloc[0])
        assert history["kept"].tolist() == history["inner"].tolist()
        assert history.loc[history["kept"], "epoch"].tolist() == [epoch]
        patience = settings.train.patience
        expected = settings.train.epochs
        if patience is not None:
            expected = min(expected, epoch + patience + 1)
        assert len(history) == expected
        content = torch.load(files.inner_model, weights_only=True)
        assert content["epoch"] == epoch
        assert torch.load(files.last_model, weights_only=True)["epoch"] == len(history) - 1
        recordings = whole.where(level="recording", fold=fold)
        assert set(recordings.table["epoch"]) == {epoch}


def test_patience_by_hand(cohort: Cohort) -> None:
    def rows(*accuracies: float) -> list[dict[str, float]]:
        return [
            {"epoch": i, "inner.val_loss": 1.0, "inner.acc.murmur": a, "inner.acc.outcome": a}
            for i, a in enumerate(accuracies)
        ]

    assert not is_over([], cohort, 9, 2)
    assert not is_over(rows(0.5, 0.6, 0.6), cohort, 9, 2)
    assert is_over(rows(0.5, 0.6, 0.6, 0.4), cohort, 9, 2)
    assert not is_over(rows(0.5, 0.6, 0.6, 0.4), cohort, 9, None)
    assert is_over(rows(0.5, 0.6), cohort, 2, None)


def test_patience_needs_people_who_lose_it() -> None:
    with pytest.raises(ConfigError, match=r"train\.patience=3 .*set select=inner"):
        compose(["train.patience=3"])


def test_the_report_names_the_rule(tmp_path: Path, shared_table_csv: Path) -> None:
    config = compose([*TINY, f"data.path={shared_table_csv}", *INNER, "train.patience=1"])
    summary = cross_validation.run(
        config, Silent(), RunOptions(root=tmp_path, device="cpu")
    ).summary.to_json()
    assert summary["select"]["honest"]
    assert set(summary["optimism"]) == {"last", "inner", "crossfit", "best"}
    assert "trained on 35 % of the people" in summary["headline"]["sentence"]
    kept = {fold["fold"]: fold["kept_epoch"] for fold in summary["folds"]}
    assert {e["fold"]: e["epoch"] for e in summary["optimism"]["inner"]["epochs"]} == kept
