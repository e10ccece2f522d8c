"""Scores of the 2022 challenge against its scorer's own form, written out in loops."""

from __future__ import annotations

import numpy as np
import pytest
from support.fake_run import problem

from kfold_hs.judge.metrics.challenge2022 import MURMUR, OUTCOME, cost, metrics_for, murmur_cost
from kfold_hs.judge.metrics.scores import Metric


def named(metrics: tuple[Metric, ...], name: str) -> Metric:
    return next(metric for metric in metrics if metric.name == name)


def official_cost(abnormal: np.ndarray, referred: np.ndarray) -> float:
    """The total over the patients, term by term, then a patient's share of it."""
    n, m = len(abnormal), int(referred.sum())
    treated = sum(bool(a and r) for a, r in zip(abnormal, referred, strict=True))
    late = sum(bool(a and not r) for a, r in zip(abnormal, referred, strict=True))
    algorithm = 10 * n
    expert = (25 + 397 * (m / n) - 1718 * (m / n) ** 2 + 11296 * (m / n) ** 4) * n
    return (algorithm + expert + 10000 * treated + 50000 * late) / n


def test_cost_of_outcomes_and_of_murmurs() -> None:
    for seed in range(10):
        y, p, _ = problem(seed, n_classes=2)
        expected = official_cost(y == 0, p.argmax(axis=1) == 0)
        np.testing.assert_allclose(
            named(metrics_for(OUTCOME), "cost")(y, p, 0), expected, rtol=1e-12
        )
        murmur, q, w = problem(seed + 100)
        # Present and Unknown are referred, whatever the murmur's label says.
        expected = official_cost(y == 0, q.argmax(axis=1) <= 1)
        metric = murmur_cost(MURMUR, y == 0)
        np.testing.assert_allclose(metric(murmur, q, 0), expected, rtol=1e-12)
        times = w[0].astype(int)
        repeated = official_cost(np.repeat(y == 0, times), np.repeat(q.argmax(axis=1) <= 1, times))
        np.testing.assert_allclose(metric(murmur, q, 0, w[:1]), repeated, rtol=1e-12)


def test_murmur_cost_follows_the_names() -> None:
    abnormal = np.array([True, False, True])
    one = murmur_cost(MURMUR, abnormal)(np.zeros(3, int), np.eye(3)[[0, 1, 2]], 0)
    turned = ("Absent", "Present", "Unknown")
    two = murmur_cost(turned, abnormal)(np.zeros(3, int), np.eye(3)[[1, 2, 0]], 1)
    assert one == two


def test_cost_of_nobody_is_not_a_number() -> None:
    nobody = np.zeros((1, 2))
    assert np.isnan(cost(np.array([True, False]), np.array([True, False]), nobody)).all()


@pytest.mark.parametrize(
    ("classes", "extra"),
    [
        (MURMUR, {"macro_auroc", "macro_auprc", "weighted_accuracy"}),
        (OUTCOME, {"weighted_accuracy", "cost"}),
        (("a", "b"), set()),
        (("a", "b", "c"), {"macro_auroc", "macro_auprc"}),
    ],
)
def test_which_task_has_which(classes: tuple[str, ...], extra: set[str]) -> None:
    names = [metric.name for metric in metrics_for(classes)]
    general = {"accuracy", "balanced_accuracy", "macro_f1", "auroc", "auprc", "brier", "log_loss"}
    general |= {"sensitivity", "specificity", "ece"}
    assert set(names) == general | extra
    assert len(names) == len(set(names))
