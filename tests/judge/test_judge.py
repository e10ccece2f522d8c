"""Metrics against scikit-learn and by hand, intervals by person, the summary and its verdicts."""

from __future__ import annotations

import dataclasses
import json
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk
from support.fake_run import SPLIT, TASKS, fake_run, problem, summary_of

from kfold_hs.judge.metrics.challenge2022 import cost, metrics_for
from kfold_hs.judge.metrics.scores import METRICS, weighted_accuracy
from kfold_hs.judge.results.headline import verdict
from kfold_hs.judge.selection.optimism import optimism
from kfold_hs.judge.selection.stacking import Stacking
from kfold_hs.judge.stats.intervals import Estimate
from kfold_hs.predictions.epoch_rules import chosen_epochs
from kfold_hs.predictions.table import Predictions

BINARY = sorted(metric.name for metric in metrics_for(("no", "yes")))


def reference(name: str, y: np.ndarray, p: np.ndarray, w: np.ndarray) -> float:
    called, positive = p.argmax(axis=1), y == 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        match name:
            case "accuracy":
                return float(sk.accuracy_score(y, called, sample_weight=w))
            case "balanced_accuracy":
                return float(sk.balanced_accuracy_score(y, called, sample_weight=w))
            case "macro_f1":
                return float(sk.f1_score(y, called, average="macro", sample_weight=w))
            case "auroc":
                return float(sk.roc_auc_score(positive, p[:, 0], sample_weight=w))
            case "auprc":
                return float(sk.average_precision_score(positive, p[:, 0], sample_weight=w))
            case "brier":
                error = ((p - np.eye(p.shape[1])[y]) ** 2).sum(axis=1)
                return float(np.average(error, weights=w))
            case "log_loss":
                return float(sk.log_loss(y, p, sample_weight=w, labels=range(p.shape[1])))
            case "sensitivity":
                return float(sk.recall_score(positive, called == 0, sample_weight=w))
            case "specificity":
                return float(sk.recall_score(~positive, called != 0, sample_weight=w))
            case "ece":
                number = np.minimum((p.max(axis=1) * 15).astype(int), 14)
                gaps = [w @ ((number == b) * ((called == y) - p.max(axis=1))) for b in range(15)]
                return float(np.abs(gaps).sum() / w.sum())
    raise AssertionError(name)


@pytest.mark.parametrize("name", BINARY)
@pytest.mark.parametrize("n_classes", [2, 3])
def test_metrics_are_scikit_learns(name: str, n_classes: int) -> None:
    for seed in range(10):
        y, p, w = problem(seed, n_classes=n_classes)
        found = METRICS[name](y, p, 0, w)
        expected = [reference(name, y, p, row) for row in w]
        np.testing.assert_allclose(found, expected, rtol=1e-12)
        np.testing.assert_allclose(
            METRICS[name](y, p, 0), reference(name, y, p, np.ones(len(y))), rtol=1e-12
        )


@pytest.mark.parametrize("name", BINARY)
def test_a_weight_is_a_multiplicity(name: str) -> None:
    y, p, w = problem(1)
    times = w[0].astype(int)
    repeated = METRICS[name](np.repeat(y, times), np.repeat(p, times, axis=0), 0)
    np.testing.assert_allclose(METRICS[name](y, p, 0, w[:1]), repeated, rtol=1e-12)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from(BINARY))
def test_order_of_patients_does_not_matter(seed: int, name: str) -> None:
    y, p, w = problem(seed, n=20)
    order = np.random.default_rng(seed).permutation(20)
    np.testing.assert_allclose(
        METRICS[name](y, p, 0, w), METRICS[name](y[order], p[order], 0, w[:, order]), rtol=1e-12
    )


def test_a_resample_without_a_class_is_undefined() -> None:
    y, p = np.array([0, 1, 1]), np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4]])
    weights = np.array([[0.0, 1, 1]])
    for name in ("auroc", "auprc", "balanced_accuracy"):
        assert np.isnan(METRICS[name](y, p, 0, weights)).all()
    assert METRICS["accuracy"](y, p, 0, weights) == [0.5]


# --- challenge --------------------------------------------------------------------------------


def test_weighted_accuracy_by_hand() -> None:
    # Present: 1 of 2 right, Unknown: 1 of 1, Absent: 2 of 3.
    y = np.array([0, 0, 1, 2, 2, 2])
    p = np.eye(3)[[0, 2, 1, 2, 2, 0]]
    names = [m.name for m in metrics_for(("Present", "Unknown", "Absent"))]
    metric = metrics_for(("Present", "Unknown", "Absent"))[names.index("weighted_accuracy")]
    assert metric(y, p, 0) == [(5 * 1 + 3 * 1 + 2) / (5 * 2 + 3 * 1 + 3)]
    assert weighted_accuracy([1, 1, 1])(y, p, 0, np.ones((1, 6))) == METRICS["accuracy"](y, p, 0)


def test_weights_follow_the_class_names_not_their_order() -> None:
    y, p = np.array([0, 1, 1]), np.eye(2)[[0, 0, 1]]
    one = metrics_for(("Normal", "Abnormal"))[-2](y, p, 1)  # Normal right, 1 of 2 Abnormal
    assert one == [(1 + 5) / (1 + 10)]
    two = metrics_for(("Abnormal", "Normal"))[-2](1 - y, p[:, ::-1], 0)
    assert two == one


@pytest.mark.parametrize(
    ("referred", "abnormal", "expected"),
    [
        ([1, 0, 0, 0], [1, 0, 0, 0], 35 + 397 / 4 - 1718 / 16 + 11296 / 256 + 2500),
        ([0, 0, 0, 0], [1, 0, 0, 0], 35 + 12500),
        ([1, 1, 1, 1], [1, 1, 0, 0], 35 + 397 - 1718 + 11296 + 5000),
        ([0, 0], [0, 0], 35),
    ],
)
def test_cost_by_hand(referred: list[int], abnormal: list[int], expected: float) -> None:
    found = cost(np.array(referred, bool), np.array(abnormal, bool), np.ones((1, len(referred))))
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_other_tasks_have_no_challenge_scores() -> None:
    assert {metric.name for metric in metrics_for(("af", "sinus"))} <= set(METRICS)


# --- intervals --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0.95, 0.99, "reached"),
        (0.90, 0.949, "not reached"),
        (0.90, 0.95, "cannot tell"),
        (0.94, 0.99, "cannot tell"),
        (None, None, "cannot tell"),
    ],
)
def test_verdict(low: float | None, high: float | None, expected: str) -> None:
    assert verdict(Estimate(0.9, low, high), 0.95) == expected


# --- summary ----------------------------------------------------------------------------------


def test_summary_holds_the_pooled_numbers() -> None:
    predictions, history = fake_run()
    summary = summary_of(predictions, history)
    json.dumps(summary, allow_nan=False)
    last = predictions.where(epoch=5)
    for task in TASKS:
        y, p = last.y_true(task), last.y_prob(task)
        result = summary["tasks"][task]
        for name in BINARY:
            metric = result["metrics"][name]
            everyone = pytest.approx(reference(name, y, p, np.ones(len(y))))
            assert metric["pooled"] == everyone
            assert metric["value"] == (
                pytest.approx(metric["fold_mean"]) if metric["by_fold"] else everyone
            )
            if name == "ece":
                assert metric["low"] is None
                continue
            assert metric["low"] <= metric["value"] <= metric["high"]
            assert [fold["fold"] for fold in metric["folds"]] == [0, 1, 2, 3, 4]
        assert result["confusion"] == sk.confusion_matrix(y, p.argmax(1)).tolist()
    each = [summary["tasks"][task]["metrics"]["accuracy"]["value"] for task in TASKS]
    assert summary["headline"]["value"] == pytest.approx(np.mean(each))
    assert summary["folds"][1]["overfitting_since"] == 3
    assert summary["folds"][0]["overfitting_since"] is None


def test_verdicts_of_a_sure_and_of_a_hopeless_model() -> None:
    sure = summary_of(*fake_run(skill=12, n_patients=200))
    assert sure["headline"]["verdict"] == "reached"
    assert "is reached" in sure["headline"]["sentence"]
    hopeless = summary_of(*fake_run(skill=0))
    assert hopeless["headline"]["verdict"] == "not reached"
    near = summary_of(
        *fake_run(skill=1), target=summary_of(*fake_run(skill=1))["headline"]["value"]
    )
    assert near["headline"]["verdict"] == "cannot tell"
    assert "is unknown" in near["headline"]["sentence"]


def test_optimism_of_the_best_epoch_on_noise() -> None:
    # Labels are noise: 1/3 and 1/2 are all there is, whatever the epoch.
    chance = (1 / 3 + 1 / 2) / 2
    best, crossfit = [], []
    for seed in range(12):
        found = optimism(*fake_run(n_epochs=20, skill=0, seed=seed), Stacking(), SPLIT)
        best.append(found["best"]["mean_accuracy"]["value"])
        crossfit.append(found["crossfit"]["mean_accuracy"]["value"])
        assert found["best"]["above_last"]["value"] > 0.03
    assert np.mean(best) > chance + 0.08
    assert abs(np.mean(crossfit) - chance) < 0.03


def test_crossfit_does_not_look_at_the_scored_fold() -> None:
    predictions, history = fake_run()
    before = chosen_epochs(predictions, history)["crossfit"]
    table = predictions.table.copy()
    mine = (table["fold"] == 2).to_numpy()
    for names in (["p.outcome.Abnormal", "p.outcome.Normal"],):
        table.loc[mine, names] = table.loc[mine, names[::-1]].to_numpy()
    after = chosen_epochs(Predictions(table, TASKS), history)["crossfit"]
    assert before[0, 0, 2] == after[0, 0, 2]


def test_select_best_is_called_optimistic() -> None:
    predictions, history = fake_run()
    history["kept"] = history["best"]
    summary = summary_of(predictions, history, select="best")
    assert summary["select"]["honest"] is False
    assert "(optimistic)" in summary["headline"]["sentence"]
    claimed = summary["optimism"]["best"]["mean_accuracy"]["value"]
    assert summary["headline"]["value"] == pytest.approx(claimed)


def test_estimates_are_plain_data() -> None:
    assert set(dataclasses.asdict(Estimate(1, 0, 1))) == {
        "value", "low", "high", "n_undefined", "level", "method", "target", "se", "df",
    }  # fmt: skip
