"""Probabilities of frozen models, corrected on the people who are validated.

Recalibration is cross-fitted over persons: each tenth of them (fewer where a class is rare) is
corrected by what the others gave. `intercept` moves the log odds of the positive class by a
constant; `intercept and slope` is Platt's a + b logit p. The other classes share the rest as they
did.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.special import expit
from sklearn.model_selection import StratifiedGroupKFold

from kfold_hs.judge.selection.calibration import platt, platt_of
from kfold_hs.judge.selection.crossfit import choose
from kfold_hs.judge.stats.clusters import Layout
from kfold_hs.judge.stats.recalibration import intercept_of, log_odds

INTERCEPT, BOTH = "intercept, fitted here", "intercept and slope, fitted here"
MOST_FOLDS = 10


def recalibrated(
    y_true: np.ndarray, y_prob: np.ndarray, positive: int, layout: Layout, seed: int = 0
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Probabilities corrected by what the other persons gave, and what all persons give.

    Parameters
    ----------
    y_true : ndarray of int, shape (n,)
    y_prob : ndarray, shape (n, C)
    positive : int
    layout : Layout
        Of the rows; persons are never on two sides.
    seed : int
        Of the draw of the folds.

    Returns
    -------
    dict
        By kind, (n, C) probabilities; empty where there are too few people.
    dict
        n_folds, obstacle (None, or why nothing was fitted), intercept (a), intercept_and_slope (a
        and b), fitted on all rows.
    """
    is_positive, p = y_true == positive, y_prob[:, positive]
    fewest = min(len(np.unique(layout.person[is_positive == side])) for side in (True, False))
    n_folds = min(MOST_FOLDS, fewest)
    if n_folds < 2:
        why = "one person of a class is all there is: nothing can be fitted on the others"
        return {}, {"n_folds": 0, "obstacle": why}
    folds = np.empty(len(y_true), dtype=int)
    split = StratifiedGroupKFold(n_folds, shuffle=True, random_state=seed)
    parts = split.split(y_prob, is_positive, layout.person)
    for fold, (_, held_out) in enumerate(parts):
        folds[held_out] = fold
    used = Layout.of(np.zeros(len(folds), dtype=int), folds, layout.person)
    others = [np.unique(is_positive[used.model != model]) for model in range(used.n_models)]
    if used.n_models < 2 or min(map(len, others)) < 2:
        why = "the persons of a class lie in one fold: nothing can be fitted on the others"
        return {}, {"n_folds": 0, "obstacle": why}

    def moved(a: float, chosen: np.ndarray) -> np.ndarray:
        return _with_positive(y_prob[chosen], positive, expit(a + log_odds(p[chosen])))

    def scaled(ab: tuple[float, float], chosen: np.ndarray) -> np.ndarray:
        return _with_positive(y_prob[chosen], positive, platt(p[chosen], ab))

    of_intercept, _, _ = choose(used, lambda some: intercept_of(is_positive[some], p[some]), moved)
    of_both, _, _ = choose(used, lambda some: platt_of(is_positive[some], p[some]), scaled)
    a, b = platt_of(is_positive, p)
    fitted = {
        "n_folds": used.n_models,
        "obstacle": None,
        "intercept": {"a": intercept_of(is_positive, p)},
        "intercept_and_slope": {"a": a, "b": b},
    }
    return {INTERCEPT: of_intercept, BOTH: of_both}, fitted


def _with_positive(y_prob: np.ndarray, positive: int, p: np.ndarray) -> np.ndarray:
    """The rows with other probabilities of the positive class; the others share what is left as
    they did, or evenly where they had nothing."""
    found = y_prob.copy()
    found[:, positive] = 0
    rest = found.sum(axis=1, keepdims=True)
    even = (np.arange(found.shape[1]) != positive) / (found.shape[1] - 1)
    found = np.where(rest > 0, found / np.where(rest > 0, rest, 1), even) * (1 - p)[:, None]
    found[:, positive] = p
    return np.asarray(found)
