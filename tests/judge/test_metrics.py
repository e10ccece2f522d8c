"""Metrics over the classes, undefined resamples, and intervals of scores that are all alike."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk
from support.fake_run import problem

from kfold_hs.judge.metrics.scores import METRICS
from kfold_hs.judge.stats.clusters import Layout
from kfold_hs.judge.stats.conditional_error import bca, fixed_estimate
from kfold_hs.judge.stats.intervals import Estimate
from kfold_hs.judge.stats.scored import influence


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
        np.testing.assert_allclose(METRICS[name](y, p, 0, w), expected, rtol=1e-12)


def test_log_loss_by_hand_and_of_a_certain_error() -> None:
    y, p = np.array([0, 1]), np.array([[0.5, 0.5], [0.75, 0.25]])
    assert METRICS["log_loss"](y, p, 0) == pytest.approx((np.log(2) + np.log(4)) / 2)
    wrong = METRICS["log_loss"](np.array([0]), np.array([[0.0, 1.0]]), 0)
    assert wrong == pytest.approx(-np.log(np.finfo(float).eps))  # finite, as scikit-learn has it


@pytest.mark.parametrize("name", sorted(METRICS))
def test_many_resamples_are_each_alone(name: str) -> None:
    y, p, w = problem(3)
    together = METRICS[name](y, p, 0, w)
    alone = [METRICS[name](y, p, 0, w[i : i + 1])[0] for i in range(len(w))]
    np.testing.assert_allclose(together, alone, rtol=1e-12)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from(sorted(METRICS)))
def test_patients_of_no_weight_might_as_well_be_gone(seed: int, name: str) -> None:
    y, p, w = problem(seed, n=20)
    row = w[:1]
    there = row[0] > 0
    np.testing.assert_allclose(
        METRICS[name](y, p, 0, row), METRICS[name](y[there], p[there], 0, row[:, there]), rtol=1e-9
    )


def all_alike(right: float, persons: np.ndarray) -> Estimate:
    """Of the accuracy of patients who are all right or all wrong."""
    n = len(persons)
    layout = Layout.of(np.zeros(n), np.arange(n) % 3, persons)
    p = np.full((n, 2), [right, 1 - right])
    found = influence(METRICS["accuracy"], np.zeros(n, int), p, 0, layout)
    return fixed_estimate(found, layout.n_persons, is_proportion=True)


@pytest.mark.parametrize(("n", "low"), [(3, 0.43850), (73, 0.95001), (1000, 0.99617)])
def test_all_right_is_not_certain(n: int, low: float) -> None:
    # n / (n + 1.959964^2), Wilson 1927; statsmodels' proportion_confint(n, n, method="wilson").
    found = all_alike(1, np.arange(n))
    assert (found.value, found.high) == (1, 1)
    assert found.low == pytest.approx(low, abs=1e-5)
    assert "Wilson" in found.method
    none = all_alike(0, np.arange(n))
    assert (none.low, none.high) == (0, pytest.approx(1 - low, abs=1e-5))


def test_all_right_counts_persons_not_patients() -> None:
    found = all_alike(1, np.repeat([0, 1, 2], 50))
    assert found.low == pytest.approx(0.43850, abs=1e-5)


def test_resamples_without_a_class_are_counted() -> None:
    y, p = np.array([0, 1, 1]), np.array([[0.5, 0.5], [0.2, 0.8], [0.6, 0.4]])
    layout = Layout.of(np.zeros(3), np.zeros(3), np.arange(3), 5)
    found = influence(METRICS["auroc"], y, p, 0, layout)
    ends = bca(found, lambda weights: METRICS["auroc"](y, p, 0, weights), 300)
    assert ends is not None
    assert 0 < ends.n_undefined < 300


def test_a_fold_without_negatives_leaves_the_gradients_of_others_alone() -> None:
    y, p = np.array([0, 0, 0, 1, 1]), np.array([0.9, 0.6, 0.4, 0.5, 0.1])
    weights = np.array([[1.0, 1, 0, 0, 0], [0, 0, 1, 1, 1]])
    widened = METRICS["auprc"].unbiased
    assert widened is not None
    found = widened(y, np.c_[p, 1 - p], 0, weights)
    assert np.isfinite(found).all()
    assert not (found[0] * weights[0]).any()  # positives alone: precision is 1 whatever they count
