"""Whether probabilities mean what they say: bins, ECE, Murphy's decomposition, Platt scaling.

For probabilities p of the positive class and outcomes y of 0 and 1. Bins hold equal numbers of
patients, as far as equal probabilities allow, which stay together: N_BINS quantiles of p. With n_k
patients, mean probability p_k and observed share y_k in bin k, and y the share in all,

    ECE          sum n_k / n |y_k - p_k|
    reliability  sum n_k / n (p_k - y_k)^2    0 is best
    resolution   sum n_k / n (y_k - y)^2      what the bins tell apart; more is better
    uncertainty  y (1 - y)                    of the data, whatever is predicted
    within       Brier score - (reliability - resolution + uncertainty): what bins hide, since p
                 varies in them

    Brier score = mean (p - y)^2 = reliability - resolution + uncertainty + within

(Murphy, J. Applied Meteorology 12, 1973; the rest as Stephenson et al., Weather and Forecasting 23,
2008.) The Brier score here is of the positive class alone; for two classes it is half of the metric
of the same name. Few patients a bin push up ECE, reliability and resolution, and resampling pushes
further, so that they have no intervals.

platt   p -> 1 / (1 + exp(-(a + b logit p))), a and b of least log loss with Platt's targets
        (N+ + 1) / (N+ + 2) and 1 / (N- + 2) in place of 1 and 0, which keep it finite (Platt,
        Advances in Large Margin Classifiers, 1999)

Three ways to make probabilities mean what they say, fitted on rows whose labels are known.

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
from scipy.special import expit, softmax
from sklearn.isotonic import IsotonicRegression

from kfold_hs.judge.metrics.counts import SMALLEST
from kfold_hs.judge.metrics.scores import METRICS
from kfold_hs.judge.selection.choices import temperature_of, tempered
from kfold_hs.judge.selection.crossfit import Choice, choose
from kfold_hs.judge.stats.clusters import Layout
from kfold_hs.judge.stats.intervals import wilson
from kfold_hs.judge.stats.recalibration import log_odds
from kfold_hs.predictions.table import Predictions

N_BINS = 10


def bins_of(probability: np.ndarray, n_bins: int = N_BINS) -> np.ndarray:
    """Bin of every patient, counted from 0 without gaps, ascending in the probability, (n,)."""
    edges = np.quantile(probability, np.arange(1, n_bins) / n_bins)
    return np.unique(np.searchsorted(edges, probability, side="left"), return_inverse=True)[1]


def calibration(
    is_positive: np.ndarray, probability: np.ndarray, layout: Layout, n_bins: int = N_BINS
) -> dict[str, Any]:
    """The curve of the bins with intervals, and what it comes to.

    Parameters
    ----------
    is_positive : ndarray of bool, shape (n,)
    probability : ndarray, shape (n,)
    layout : Layout
        Of the rows; every row counts, in every repeat.
    n_bins : int

    Returns
    -------
    dict
        bins (n_patients, n_persons, predicted, observed, low, high: Wilson with the effective
        number of persons), ece, brier, reliability, resolution, uncertainty, within, predicted and
        observed (means of all).
    """
    y, number = is_positive.astype(np.float64), bins_of(probability, n_bins)
    n_rows = np.bincount(number)
    share = n_rows / len(y)
    predicted, observed = (np.bincount(number, each) / n_rows for each in (probability, y))
    of_all, brier = float(y.mean()), float(((probability - y) ** 2).mean())
    reliability = float(share @ (predicted - observed) ** 2)
    resolution = float(share @ (observed - of_all) ** 2)
    uncertainty = of_all * (1 - of_all)
    bins = []
    for k in range(len(n_rows)):
        rows = number == k
        low, high, n_persons = _interval(y[rows], layout.person[rows])
        bins.append(
            {
                "n_patients": int(n_rows[k]), "n_persons": n_persons,
                "predicted": float(predicted[k]), "observed": float(observed[k]),
                "low": low, "high": high,
            }
        )  # fmt: skip
    return {
        "bins": bins,
        "ece": float(share @ np.abs(observed - predicted)),
        "brier": brier,
        "reliability": reliability,
        "resolution": resolution,
        "uncertainty": uncertainty,
        "within": brier - (reliability - resolution + uncertainty),
        "predicted": float(probability.mean()),
        "observed": of_all,
    }


def platt_of(is_positive: np.ndarray, probability: np.ndarray) -> tuple[float, float]:
    """a and b of Platt scaling, from patients whose class is known."""
    x = log_odds(probability)
    n_positive = float(is_positive.sum())
    n_negative = len(x) - n_positive
    target = np.where(is_positive, (n_positive + 1) / (n_positive + 2), 1 / (n_negative + 2))

    def loss(ab: np.ndarray) -> tuple[float, np.ndarray]:
        z = ab[0] + ab[1] * x
        gap = expit(z) - target
        value = float((np.logaddexp(0, z) - target * z).mean())
        return value, np.array([gap.mean(), (gap * x).mean()])

    found = minimize(loss, np.array([0.0, 1.0]), jac=True, method="BFGS")
    return float(found.x[0]), float(found.x[1])


def platt(probability: np.ndarray, ab: tuple[float, float]) -> np.ndarray:
    """Scaled probabilities, (n,)."""
    return np.asarray(expit(ab[0] + ab[1] * log_odds(probability)))


def _interval(y: np.ndarray, person: np.ndarray) -> tuple[float, float, int]:
    """Ends for the share of a bin, and how many persons it holds."""
    share, whose = float(y.mean()), np.unique(person, return_inverse=True)[1]
    n_persons = int(whose.max()) + 1
    variance = float((np.bincount(whose, y - share) ** 2).sum()) / len(y) ** 2
    # All alike, or cancelling within persons: nothing varies, and persons are what there is.
    effective = share * (1 - share) / variance if variance > 0 else n_persons
    low, high = wilson(share, min(effective, len(y)))
    return low, high, n_persons


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
