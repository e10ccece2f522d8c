"""Calibrators: what they are fitted to, what they keep, and that they help where they should."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import softmax

from kfold_hs.judge.selection.calibration import (
    CALIBRATORS,
    apply_isotonic,
    apply_vector,
    fit_isotonic,
    fit_vector,
)


def sample(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Labels drawn from true probabilities, and these three times too sure and shifted."""
    rng = np.random.default_rng(seed)
    logits = rng.standard_normal((n, 3))
    y_true = (softmax(logits, axis=1).cumsum(axis=1) < rng.random((n, 1))).sum(axis=1)
    return y_true, softmax(3 * logits + [0, 1, -1], axis=1)


def log_loss(y_true: np.ndarray, y_prob: np.ndarray) -> float:
    return float(-np.log(y_prob[np.arange(len(y_true)), y_true]).mean())


def test_vector_scaling_finds_what_was_done() -> None:
    y_true, y_prob = sample(50_000, 0)
    fitted = fit_vector(y_true, y_prob)
    np.testing.assert_allclose(fitted["w"], 1 / 3, atol=0.03)
    # Only differences of b count; (3 z + b) / 3 has lost b / 3.
    shift = np.array(fitted["b"]) - fitted["b"][0]
    np.testing.assert_allclose(shift, [0, -1 / 3, 1 / 3], atol=0.06)


def test_vector_scaling_by_hand() -> None:
    probs = np.array([[0.5, 0.25, 0.25]])
    same = {"w": [1.0, 1.0, 1.0], "b": [0.0, 0.0, 0.0]}
    np.testing.assert_allclose(apply_vector(probs, same), probs)
    twice = {"w": [1.0, 1.0, 1.0], "b": [0.0, np.log(2), 0.0]}
    np.testing.assert_allclose(apply_vector(probs, twice), [[0.4, 0.4, 0.2]])
    squared = {"w": [2.0, 2.0, 2.0], "b": [0.0, 0.0, 0.0]}
    np.testing.assert_allclose(apply_vector(probs, squared), [[4 / 6, 1 / 6, 1 / 6]])


def test_isotonic_by_hand() -> None:
    # Of class 0, labels 0, 1, 0, 1 by rising probability: pooled to 0, 1/2, 1/2, 1, within
    # 1/6 and 5/6.
    y_prob = np.array([[0.1, 0.9], [0.3, 0.7], [0.5, 0.5], [0.9, 0.1]])
    fitted = fit_isotonic(np.array([1, 0, 1, 0]), y_prob)
    assert fitted[0]["x"] == [0.1, 0.3, 0.5, 0.9]
    np.testing.assert_allclose(fitted[0]["y"], [1 / 6, 1 / 2, 1 / 2, 5 / 6])
    np.testing.assert_allclose(apply_isotonic(np.array([[0.2, 0.8]]), fitted), [[1 / 3, 2 / 3]])
    assert apply_isotonic(np.array([[0.0, 1.0]]), fitted)[0, 0] == pytest.approx(1 / 6)


@pytest.mark.parametrize("name", CALIBRATORS)
def test_each_helps_new_rows_of_a_model_that_is_too_sure(name: str) -> None:
    calibrator = CALIBRATORS[name]
    fitted = calibrator.fit(*sample(2000, 1))
    y_true, y_prob = sample(2000, 2)
    after = calibrator.apply(y_prob, fitted)
    np.testing.assert_allclose(after.sum(axis=1), 1)
    assert (after > 0).all()
    assert log_loss(y_true, after) < log_loss(y_true, y_prob) - 0.2


def test_a_class_without_rows_leaves_numbers_finite() -> None:
    y_prob = sample(30, 3)[1]
    for calibrator in CALIBRATORS.values():
        after = calibrator.apply(y_prob, calibrator.fit(np.zeros(30, dtype=int), y_prob))
        assert np.isfinite(after).all()
        assert (after > 0).all()
