"""The summary where a run is odd: too small, unfinished, repeated, or optimistic."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from sklearn import metrics as sk
from support.fake_run import COHORT, PROVENANCE, SPLIT, fake_run, summary_of
from support.fake_run_parts import summary_with, twice, without

from kfold_hs.judge.metrics.challenge2022 import MURMUR, murmur_cost
from kfold_hs.judge.results.run import summarise
from kfold_hs.judge.results.run_record import RunRecord
from kfold_hs.judge.stats.conditional_error import BCA
from kfold_hs.predictions.table import Predictions


@pytest.mark.parametrize(("n_patients", "verdict"), [(12, "cannot tell"), (200, "reached")])
def test_a_few_people_cannot_reach_the_target(n_patients: int, verdict: str) -> None:
    # All are right; with one repeat half of the people count: 3.5 are too few to tell (Wilson:
    # 0.477), 97.5 are enough (0.962).
    summary = summary_of(*fake_run(n_patients=n_patients, skill=40))
    assert summary["headline"]["value"] == 1
    assert summary["headline"]["verdict"] == verdict
    assert {each["verdict"] for each in summary["target"]["tasks"].values()} == {verdict}


def test_the_target_is_not_rounded() -> None:
    summary = summary_of(*fake_run(), target=0.955)
    assert "target of 0.955 is" in summary["headline"]["sentence"]


def test_a_missing_fold_is_said() -> None:
    summary = summary_of(*without(*fake_run(), fold=4))
    assert summary["incomplete"] == [{"repeat": 0, "seed": 0, "fold": 4}]
    assert "Not finished: it rests on 4 of 5 folds." in summary["headline"]["sentence"]
    whole = summary_of(*fake_run())
    assert whole["incomplete"] == []
    assert "Not finished" not in whole["headline"]["sentence"]


def test_folds_may_have_trained_for_different_numbers_of_epochs() -> None:
    predictions, history = without(*fake_run(n_epochs=8), fold=1, from_epoch=4)
    short = history["fold"] == 1
    history.loc[short, "kept"] = history.loc[short, "epoch"] == 3
    history.loc[short, "best"] = history.loc[short, "epoch"] == 0
    summary = summary_of(predictions, history)
    chosen = {e["fold"]: e["epoch"] for e in summary["optimism"]["crossfit"]["epochs"]}
    assert chosen[1] <= 3
    assert summary["tasks"]["murmur"]["n_patients"] == 100


def test_a_repeat_adds_models_not_patients() -> None:
    predictions, history = fake_run()
    one, two = summary_with(predictions, history), summary_with(*twice(predictions, history))
    assert "5 models" in one["headline"]["sentence"]
    assert "10 models" in two["headline"]["sentence"]
    assert two["tasks"]["murmur"]["n_patients"] == 100
    # The same people twice say nothing new of these models: counting rows would narrow it.
    each = [s["tasks"]["murmur"]["metrics"]["accuracy"]["these_models"] for s in (one, two)]
    for end in ("value", "low", "high"):
        assert each[1][end] == pytest.approx(each[0][end], abs=1e-12)
    assert two["headline"]["value"] == pytest.approx(one["headline"]["value"], abs=1e-12)
    assert "One repeat: the interval is a conservative one" in one["headline"]["sentence"]
    assert "conservative" not in two["headline"]["sentence"]


def test_an_optimistic_number_says_so_everywhere() -> None:
    predictions, history = fake_run()
    honest = json.dumps(summary_of(predictions, history)["tasks"])
    assert "optimistic" not in honest
    summary = summary_of(predictions, history.assign(kept=history["best"]), select="best")
    for result in summary["tasks"].values():
        assert all("(optimistic)" in metric["target"] for metric in result["metrics"].values())
    assert "(optimistic)" in summary["target"]["mean"]["target"]
    for rule, each in summary["optimism"].items():
        assert ("(optimistic)" in each["mean_accuracy"]["target"]) == (rule == "best")


def test_confusion_by_fold_adds_up() -> None:
    predictions, history = fake_run()
    for task, result in summary_of(predictions, history)["tasks"].items():
        last = predictions.where(epoch=5)
        for each in result["confusion_folds"]:
            here = last.where(fold=each["fold"])
            classes = range(len(result["classes"]))
            expected = sk.confusion_matrix(
                here.y_true(task), here.y_prob(task).argmax(axis=1), labels=list(classes)
            )
            assert each["counts"] == expected.tolist()
        total = np.sum([each["counts"] for each in result["confusion_folds"]], axis=0)
        assert total.tolist() == result["confusion"]


def test_values_of_a_fold_are_of_its_patients_alone() -> None:
    predictions, history = fake_run()
    result = summary_of(predictions, history)["tasks"]["outcome"]
    for fold in result["metrics"]["auroc"]["folds"]:
        here = predictions.where(epoch=5, fold=fold["fold"])
        expected = sk.roc_auc_score(here.y_true("outcome") == 0, here.y_prob("outcome")[:, 0])
        assert fold["value"] == pytest.approx(expected)


def test_murmurs_are_charged_by_the_outcome() -> None:
    predictions, history = fake_run()
    metric = summary_of(predictions, history)["tasks"]["murmur"]["metrics"]["cost"]
    last = predictions.where(epoch=5)
    reference = murmur_cost(MURMUR, last.y_true("outcome") == 0)
    expected = reference(last.y_true("murmur"), last.y_prob("murmur"), 0)
    assert metric["value"] == pytest.approx(float(expected[0]))
    for fold in metric["folds"]:
        here = last.where(fold=fold["fold"])
        by_hand = murmur_cost(MURMUR, here.y_true("outcome") == 0)
        value = by_hand(here.y_true("murmur"), here.y_prob("murmur"), 0)
        assert fold["value"] == pytest.approx(float(value[0]))


def test_order_of_rows_does_not_matter() -> None:
    predictions, history = fake_run()
    shuffled = predictions.table.sample(frac=1, random_state=3, ignore_index=True)
    mixed = summary_of(Predictions(shuffled, predictions.classes), history.sample(frac=1))
    ordered = summary_of(predictions, history)

    def values(node: Any) -> Any:
        if isinstance(node, dict):
            return {key: values(each) for key, each in node.items()}
        if isinstance(node, list):
            return [values(each) for each in node]
        return pytest.approx(node, rel=1e-9) if isinstance(node, float) else node

    for part in ("headline", "folds", "optimism", "tasks"):
        assert mixed[part] == values(ordered[part])


def test_bca_takes_the_place_of_the_closed_forms() -> None:
    predictions, history = fake_run()
    config = {"select": "last", "target": 0.95, "seed": 0, "judge": {"bca": 1000}}
    found = summarise(RunRecord(predictions, history, COHORT, SPLIT, config, PROVENANCE)).to_json()
    closed = summary_of(predictions, history)
    for task, result in found["tasks"].items():
        for name, metric in result["metrics"].items():
            ours, theirs = metric["these_models"], closed["tasks"][task]["metrics"][name]
            if name == "ece":  # resampled bins look worse than they are
                assert ours == theirs["these_models"]
                continue
            assert ours["method"] == BCA
            assert ours["low"] < ours["value"] < ours["high"]
            width = theirs["these_models"]["high"] - theirs["these_models"]["low"]
            assert ours["high"] - ours["low"] == pytest.approx(width, rel=0.35)
            # The headline is the recipe's, and stays.
            assert (metric["low"], metric["high"]) == (theirs["low"], theirs["high"])
