"""Three ways to make probabilities mean what they say, fitted on rows whose labels are known.

temperature   p^(1/T), normalised (Guo et al., ICML 2017): one number; keeps who is most probable
vector        p_c^w_c exp(b_c), normalised (vector scaling, ibid.): two numbers a class
isotonic      of each class against the rest, a rising step function of its probability
              (Zadrozny & Elkan, KDD 2002), straightened between the steps, then normalised

Each has a fit, (N,) labels and (N, C) probabilities -> numbers that JSON can hold, and an apply.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import minimize
from scipy.special import softmax
from sklearn.isotonic import IsotonicRegression

from kfold_hs.judge.metrics.counts import SMALLEST
from kfold_hs.judge.metrics.scores import METRICS
from kfold_hs.judge.selection.choices import temperature_of, tempered
from kfold_hs.judge.selection.crossfit import Choice, choose
from kfold_hs.judge.stats.clusters import Layout
from kfold_hs.predictions.table import Predictions

PULL = 1e-3
"""How strongly vector scaling is drawn to changing nothing, so that few rows of a class give finite
numbers: added to its mean log loss, times the squares of w - 1 and of b."""
SCORES = ("log_loss", "brier")


@dataclass(frozen=True)
class Calibrator:
    """A way to calibrate: what it does in words, how it is fitted and applied."""

    text: str
    fit: Callable[[np.ndarray, np.ndarray], Any]
    apply: Callable[[np.ndarray, Any], np.ndarray]


def fit_vector(y_true: np.ndarray, y_prob: np.ndarray) -> dict[str, list[float]]:
    """w and b, a number a class, of least log loss."""
    logs = np.log(np.maximum(y_prob, SMALLEST))
    n, c = logs.shape
    hit = np.eye(c)[y_true]

    def loss(flat: np.ndarray) -> tuple[float, np.ndarray]:
        w, b = flat[:c], flat[c:]
        p = softmax(logs * w + b, axis=1)
        value = -np.log(np.maximum(p[np.arange(n), y_true], SMALLEST)).mean()
        off = (p - hit) / n
        slope = np.concatenate([(off * logs).sum(axis=0), off.sum(axis=0)])
        apart = np.concatenate([w - 1, b])
        return float(value + PULL * apart @ apart), slope + 2 * PULL * apart

    found = minimize(loss, np.repeat([1.0, 0.0], c), jac=True, method="L-BFGS-B").x
    return {"w": found[:c].tolist(), "b": found[c:].tolist()}


def apply_vector(y_prob: np.ndarray, fitted: Any) -> np.ndarray:
    """(N, C) probabilities, scaled."""
    logs = np.log(np.maximum(y_prob, SMALLEST))
    return np.asarray(softmax(logs * np.array(fitted["w"]) + np.array(fitted["b"]), axis=1))


def fit_isotonic(y_true: np.ndarray, y_prob: np.ndarray) -> list[dict[str, list[float]]]:
    """Of each class, the corners of its function: x and y, both ascending.

    No corner is below 1 / (n + 2) or above 1 - 1 / (n + 2), with n rows: what never happened among
    them can still happen.
    """
    least = 1 / (len(y_true) + 2)
    found = []
    for c in range(y_prob.shape[1]):
        rising = IsotonicRegression(y_min=least, y_max=1 - least, out_of_bounds="clip")
        rising.fit(y_prob[:, c], (y_true == c).astype(float))
        x, y = rising.X_thresholds_, rising.y_thresholds_
        found.append({"x": np.asarray(x).tolist(), "y": np.asarray(y).tolist()})
    return found


def apply_isotonic(y_prob: np.ndarray, fitted: Any) -> np.ndarray:
    """(N, C) probabilities by the functions of their classes, normalised."""
    each = [np.interp(y_prob[:, c], one["x"], one["y"]) for c, one in enumerate(fitted)]
    raised = np.stack(each, axis=1)
    return np.asarray(raised / raised.sum(axis=1, keepdims=True))


CALIBRATORS = {
    "temperature": Calibrator("p^(1/T), normalised", temperature_of, tempered),
    "vector": Calibrator("p^w exp(b) by class, normalised", fit_vector, apply_vector),
    "isotonic": Calibrator("a rising function a class, normalised", fit_isotonic, apply_isotonic),
}


def calibrations(kept: Predictions, task: str, layout: Layout) -> list[Choice]:
    """Every calibrator by every score, fitted on the other folds and on the scored one.

    Parameters
    ----------
    kept : Predictions
        Patient rows that are scored, seeds averaged.
    layout : Layout
        Of `kept`, of two fold models a run or more.
    """
    y_true, y_prob = kept.y_true(task), kept.y_prob(task)
    found = []
    for name, calibrator in CALIBRATORS.items():

        def fit(rows: np.ndarray, calibrator: Calibrator = calibrator) -> Any:
            return calibrator.fit(y_true[rows], y_prob[rows])

        def apply(fitted: Any, rows: np.ndarray, calibrator: Calibrator = calibrator) -> np.ndarray:
            return calibrator.apply(y_prob[rows], fitted)

        crossfit, scored, chosen = choose(layout, fit, apply)
        found += [
            Choice(
                name, calibrator.text, task, METRICS[score], y_true, y_prob, crossfit, scored,
                chosen,
            )
            for score in SCORES
        ]  # fmt: skip
    return found
