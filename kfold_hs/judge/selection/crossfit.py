"""Choices made three ways: not at all, on the other folds, and on the people who are scored.

A threshold, a temperature or a pooling rule is a choice like an epoch is. Made on the people whom
it is then scored on, it claims too much; made on the out-of-fold rows of the *other* folds of the
same repeat and applied to the fold, it does not (van der Laan, Polley & Hubbard 2007).

What remains: the models of the other folds were trained on the people of the fold, so that their
rows are not quite independent of it. Only nested cross-validation is free of that.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from kfold_hs.judge.metrics.scores import Metric
from kfold_hs.judge.stats.clusters import Layout

T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class Choice:
    """What follows from a choice, for every row.

    name, text : what is chosen, and how in words
    task : str
    metric : what it is chosen by and scored with
    y_true : (N,)
    plain, crossfit, scored : (N, C) probabilities without a choice, with the one made on the other
        folds, and with the one made on the scored fold itself
    chosen : of every fold model, what the other folds chose (plain numbers and words)
    """

    name: str
    text: str
    task: str
    metric: Metric
    y_true: np.ndarray
    plain: np.ndarray
    crossfit: np.ndarray
    scored: np.ndarray
    chosen: list[Any]


def choose(
    layout: Layout,
    fit: Callable[[np.ndarray], T],
    apply: Callable[[T, np.ndarray], np.ndarray],
) -> tuple[np.ndarray, np.ndarray, list[T]]:
    """Fit a choice for every fold model and apply it to the model's rows.

    Parameters
    ----------
    layout : Layout
        Every run has 2 fold models or more: see `obstacle`.
    fit : callable
        Row numbers -> what is chosen on them.
    apply : callable
        (choice, row numbers) -> (n_rows, C) probabilities.

    Returns
    -------
    crossfit, scored : ndarray, each (N, C)
        Chosen on the other folds of the run, and on the rows themselves.
    chosen : list
        What the other folds chose, by fold model.
    """
    crossfit, scored, chosen = [], [], []
    for model, run in enumerate(layout.run_of_model):
        own = np.flatnonzero(layout.model == model)
        others = np.flatnonzero((layout.run == run) & (layout.model != model))
        chosen.append(fit(others))
        crossfit.append((own, apply(chosen[-1], own)))
        scored.append((own, apply(fit(own), own)))
    return _gathered(crossfit, len(layout.run)), _gathered(scored, len(layout.run)), chosen


def obstacle(layout: Layout) -> str | None:
    """Why nothing can be chosen on other folds, if so."""
    models = np.bincount(layout.run_of_model)
    if models.min() < 2:
        return f"repeat {int(models.argmin())} has one fold, and none to choose on"
    return None


def _gathered(parts: list[tuple[np.ndarray, np.ndarray]], n_rows: int) -> np.ndarray:
    found = np.empty((n_rows, parts[0][1].shape[1]))
    for rows, values in parts:
        found[rows] = values
    return found
