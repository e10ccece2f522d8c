"""Calibration in the large and in the small: how a logistic model would correct probabilities.

With x = logit p of the positive class and y of 0 and 1 (Cox, Biometrika 45, 1958; Van Calster et
al., J. Clinical Epidemiology 74, 2016, and BMC Medicine 17, 2019; Steyerberg, Clinical Prediction
Models, 2019, ch. 15)

    intercept   a of logit P(y) = a + x (x is an offset): 0 is best; above 0, too few are expected
    slope       b of logit P(y) = a + b x: 1 is best; below 1, probabilities are too extreme
    O:E         sum y / sum p: 1 is best; on the log scale

Variances are sandwiches over persons: with A the Hessian of the log likelihood and s_i the score
of row i, psi_i = A^-1 s_i, and V = sum over persons of (sum of their psi)^2 (Huber 1967; Liang &
Zeger, Biometrika 73, 1986). Of log O:E, psi_i = y_i / O - p_i / E (delta method). For several
classes they are of the positive class against all others.
"""

from __future__ import annotations

from dataclasses import asdict, replace
from math import exp, inf, log, sqrt
from typing import Any

import numpy as np
from scipy import stats
from scipy.special import expit, logit

from kfold_hs.judge.stats.clusters import Layout
from kfold_hs.judge.stats.intervals import LEVEL, TARGET, Estimate, possible_ends

CLIP = 1e-6
"""Probabilities nearer to 0 or 1 count as that near: their logits would decide everything."""
SANDWICH = "sandwich variance over persons"
ONE_CLASS = "undefined: all have one class"
SEPARATED = (
    "undefined: a threshold separates the classes, or nothing varies, so that no slope is finite; "
    "more people would tell"
)
_Z = float(stats.norm.ppf((1 + LEVEL) / 2))
_STEPS, _ENOUGH = 200, 1e-10


def log_odds(probability: np.ndarray) -> np.ndarray:
    """Logit of probabilities, drawn in to [`CLIP`, 1 - `CLIP`]."""
    return np.asarray(logit(np.clip(probability, CLIP, 1 - CLIP)))


def calibration_model(
    is_positive: np.ndarray, probability: np.ndarray, layout: Layout
) -> dict[str, Estimate]:
    """Calibration intercept, slope and O:E of the positive class, each with its interval.

    Parameters
    ----------
    is_positive : ndarray of bool, shape (n,)
    probability : ndarray, shape (n,)
    layout : Layout
        Of the rows.

    Returns
    -------
    dict
        intercept, slope, o_e.
    """
    y, x = is_positive.astype(np.float64), log_odds(probability)
    ones = np.ones((len(y), 1))
    unknown = Estimate(None, None, None, method=ONE_CLASS)
    intercept = slope = unknown
    if 0 < y.sum() < len(y):
        intercept = _estimate(y, ones, x, layout)
        slope = replace(unknown, method=SEPARATED)
        if not _is_separated(y, x):
            slope = _estimate(y, np.column_stack([ones, x]), np.zeros(len(y)), layout)
    return {"intercept": intercept, "slope": slope, "o_e": _o_e(y, probability, layout)}


def calibrated(
    is_positive: np.ndarray, probability: np.ndarray, layout: Layout
) -> dict[str, dict[str, Any]]:
    """`calibration_model`, in the form of JSON."""
    found = calibration_model(is_positive, probability, layout)
    return {name: asdict(each) for name, each in found.items()}


def intercept_of(is_positive: np.ndarray, probability: np.ndarray) -> float:
    """The calibration intercept alone, of rows of both classes."""
    y = is_positive.astype(np.float64)
    return float(_fit(y, np.ones((len(y), 1)), log_odds(probability))[0][0])


def _estimate(y: np.ndarray, x: np.ndarray, offset: np.ndarray, layout: Layout) -> Estimate:
    """The last coefficient of a logistic regression."""
    found, hessian = _fit(y, x, offset)
    scores = x * (y - expit(offset + x @ found))[:, None]
    se = _se(scores @ np.linalg.inv(hessian)[:, -1], layout)
    value = float(found[-1])
    return possible_ends(
        Estimate(value, value - _Z * se, value + _Z * se, method=SANDWICH, target=TARGET, se=se),
        (-inf, inf),
    )


def _o_e(y: np.ndarray, probability: np.ndarray, layout: Layout) -> Estimate:
    observed, expected = float(y.sum()), float(probability.sum())
    if not observed or not expected:
        why = "no interval: nobody of the positive class"
        return Estimate(0.0 if expected else None, None, None, method=why)
    se, ratio = _se(y / observed - probability / expected, layout), observed / expected
    low, high = (exp(log(ratio) + sign * _Z * se) for sign in (-1, 1))
    method = f"{SANDWICH}, on the log scale"
    found = Estimate(ratio, low, high, method=method, target=TARGET, se=ratio * se)
    return possible_ends(found, (0.0, inf))


def _se(psi: np.ndarray, layout: Layout) -> float:
    return sqrt(float((layout.by_person(psi) ** 2).sum()))


def _is_separated(y: np.ndarray, x: np.ndarray) -> bool:
    """Whether the maximum likelihood of the slope is not finite."""
    yes, no = x[y == 1], x[y == 0]
    return bool(yes.min() >= no.max() or no.min() >= yes.max())


def _fit(y: np.ndarray, x: np.ndarray, offset: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Coefficients of most likelihood, (k,), and the Hessian there, (k, k); Newton's steps, halved
    where a whole one would go too far."""

    def loss(beta: np.ndarray) -> float:
        z = offset + x @ beta
        return float((np.logaddexp(0, z) - y * z).sum())

    found = np.zeros(x.shape[1])
    for _ in range(_STEPS):
        p = expit(offset + x @ found)
        hessian = (x * (p * (1 - p))[:, None]).T @ x
        step = np.linalg.solve(hessian, x.T @ (y - p))
        while loss(found + step) > loss(found) + _ENOUGH and np.abs(step).max() > _ENOUGH:
            step = step / 2
        found = found + step
        if np.abs(step).max() <= _ENOUGH:
            break
    p = expit(offset + x @ found)
    return found, (x * (p * (1 - p))[:, None]).T @ x
