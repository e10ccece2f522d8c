"""Metrics over the classes, undefined resamples, and intervals of scores that are all alike."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk
from test_judge import problem

from kfold_hs.judge.intervals import TARGET, Bootstrap
from kfold_hs.judge.metrics import MACRO, METRICS

BY_NAME = {metric.name: metric for metric in (*METRICS, *MACRO)}


@pytest.mark.parametrize(
    ("name", "reference"),
    [("macro_auroc", sk.roc_auc_score), ("macro_auprc", sk.average_precision_score)],
)
@pytest.mark.parametrize("n_classes", [2, 3, 4])
def test_macro_is_scikit_learns_mean_over_one_hot(
    name: str, reference: Callable[..., float], n_classes: int
) -> None:
    for seed in range(5):
        y, p, w = problem(seed, n_classes=n_classes)
        one_hot = np.eye(n_classes)[y].astype(int)
        expected = [reference(one_hot, p, average="macro", sample_weight=row) for row in w]
        np.testing.assert_allclose(BY_NAME[name](y, p, 0, w), expected, rtol=1e-12)


def test_log_loss_by_hand_and_of_a_certain_error() -> None:
    y, p = np.array([0, 1]), np.array([[0.5, 0.5], [0.75, 0.25]])
    assert BY_NAME["log_loss"](y, p, 0) == pytest.approx((np.log(2) + np.log(4)) / 2)
    wrong = BY_NAME["log_loss"](np.array([0]), np.array([[0.0, 1.0]]), 0)
    assert wrong == pytest.approx(-np.log(np.finfo(float).eps))  # finite, as scikit-learn has it


@pytest.mark.parametrize("name", sorted(BY_NAME))
def test_many_resamples_are_each_alone(name: str) -> None:
    y, p, w = problem(3)
    together = BY_NAME[name](y, p, 0, w)
    alone = [BY_NAME[name](y, p, 0, w[i : i + 1])[0] for i in range(len(w))]
    np.testing.assert_allclose(together, alone, rtol=1e-12)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from(sorted(BY_NAME)))
def test_patients_of_no_weight_might_as_well_be_gone(seed: int, name: str) -> None:
    y, p, w = problem(seed, n=20)
    row = w[:1]
    there = row[0] > 0
    np.testing.assert_allclose(
        BY_NAME[name](y, p, 0, row), BY_NAME[name](y[there], p[there], 0, row[:, there]), rtol=1e-9
    )


def share_right(right: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    return lambda weights: np.asarray(weights @ right / weights.sum(axis=1))


@pytest.mark.parametrize(("n", "low"), [(3, 0.43850), (73, 0.95001), (1000, 0.99617)])
def test_all_right_is_not_certain(n: int, low: float) -> None:
    # n / (n + 1.959964^2), Wilson 1927; statsmodels' proportion_confint(n, n, method="wilson").
    persons = np.array([f"p{i}" for i in range(n)])
    found = Bootstrap(persons, 200).estimate(share_right(np.ones(n)), is_share=True)
    assert (found.value, found.high) == (1, 1)
    assert found.low == pytest.approx(low, abs=1e-5)
    assert "Wilson" in found.method
    none = Bootstrap(persons, 200).estimate(share_right(np.zeros(n)), is_share=True)
    assert (none.low, none.high) == (0, pytest.approx(1 - low, abs=1e-5))


def test_all_right_counts_persons_not_patients() -> None:
    persons = np.repeat(["a", "b", "c"], 50)
    found = Bootstrap(persons, 200).estimate(share_right(np.ones(150)), is_share=True)
    assert found.low == pytest.approx(0.43850, abs=1e-5)


def test_all_but_one_right_is_resampled() -> None:
    right = np.r_[np.zeros(1), np.ones(49)]
    found = Bootstrap(np.arange(50).astype(str), 500).estimate(share_right(right), is_share=True)
    assert "bootstrap" in found.method
    assert found.target == TARGET


def test_one_seed_one_interval_whatever_the_chunk(monkeypatch: pytest.MonkeyPatch) -> None:
    right = np.sqrt(np.arange(40) / 40)  # so fine that two seeds cannot agree by chance
    persons = np.arange(40).astype(str)
    whole = Bootstrap(persons, 300, seed=5).estimate(share_right(right))
    monkeypatch.setattr("kfold_hs.judge.intervals._CELLS", 40 * 7)
    parts = Bootstrap(persons, 300, seed=5).estimate(share_right(right))
    assert (parts.low, parts.high) == pytest.approx((whole.low, whole.high), rel=1e-12)
    other = Bootstrap(persons, 300, seed=6).estimate(share_right(right))
    assert (other.low, other.high) != pytest.approx((whole.low, whole.high), rel=1e-6)
