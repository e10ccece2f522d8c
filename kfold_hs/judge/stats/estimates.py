"""What a task's predictions are worth: metrics over all folds and by fold, confusion matrices.

`value` with its interval is the recipe's (see `expected_error`), whose parts are in `variance`;
`these_models` is that of the models as they are (see `conditional_error`). Metrics that rank
patients are means over the fold models; `pooled` is the value of all out-of-fold predictions at
once, which for these also compares the scores of different models with each other and is biased
low by it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from kfold_hs.errors import PredictionsError
from kfold_hs.judge.metrics.challenge2022 import MURMUR, OUTCOME, metrics_for, murmur_cost
from kfold_hs.judge.metrics.scores import Metric
from kfold_hs.judge.stats.clusters import Layout
from kfold_hs.judge.stats.conditional_error import bca, fixed_estimate
from kfold_hs.judge.stats.expected_error import ONE_MODEL, recipe_estimate, spread
from kfold_hs.judge.stats.influence import Influence
from kfold_hs.judge.stats.intervals import OPTIMISTIC, TARGET, Estimate
from kfold_hs.judge.stats.scored import Scored, of_persons
from kfold_hs.judge.stats.variance_components import budget
from kfold_hs.predictions.epoch_rules import by_place
from kfold_hs.predictions.table import DECISIONS, PROBABILITIES, SCORES, Predictions

_NEEDS = {SCORES: "ranks", DECISIONS: "decisions"}


@dataclass(frozen=True, eq=False)
class Basis:
    """What the intervals of a run stand on.

    layout : of the rows of `kept`
    train_share : of the people that every model trained on
    honest : False where the epoch was chosen on the people who are scored
    n_bca : resamples of the BCa intervals of these models; 0 for the closed forms
    """

    layout: Layout
    train_share: float
    honest: bool = True
    n_bca: int = 0

    @classmethod
    def of(cls, kept: Predictions, split: Mapping[str, Any], honest: bool, n_bca: int = 0) -> Basis:
        """Of the rows that are scored.

        Raises
        ------
        PredictionsError
            They are of a single person, from whom nothing can be said about others.
        """
        layout = Layout.of_predictions(kept, int(split["n_folds"]))
        if layout.n_persons < 2:
            raise PredictionsError("1 person has no interval: at least 2 must be scored.")
        return cls(layout, float(split["train_share"]), honest, n_bca)

    def estimates(
        self,
        found: Influence,
        n_smallest: int,
        is_proportion: bool = False,
    ) -> tuple[Estimate, Estimate]:
        """Of the recipe and of these models; with a single fold model both are the latter.

        The recipe's is never the narrower one.
        """
        claim = TARGET if self.honest else OPTIMISTIC
        fixed = fixed_estimate(found, n_smallest, is_proportion, claim)
        says = "" if self.honest else "(optimistic)"
        recipe = recipe_estimate(found, self.train_share, n_smallest, says)
        if recipe.method == ONE_MODEL:
            return fixed, fixed
        return widened(recipe, fixed), fixed


def task_result(
    kept: Predictions, single: Predictions, task: str, positive: int, basis: Basis
) -> dict[str, Any]:
    """Metrics of one task with intervals and by fold, and its confusion matrices.

    Parameters
    ----------
    kept : Predictions
        Patient rows of the epoch that counts, one epoch a fold, the seeds averaged.
    single : Predictions
        The same with every seed's own rows.
    task : str
    positive : int
        Index of the positive class.
    basis : Basis
        Of `kept`, row for row.

    Returns
    -------
    dict
        classes, positive, n_patients, metrics (by name; with folds, repeats and, where there are
        several, seeds apart), confusion (counts, a row a label),
        confusion_folds.
    """
    y_true, y_prob, classes = kept.y_true(task), kept.y_prob(task), kept.classes[task]
    places = places_of(kept)
    # A fold is a weighting that counts its patients once and nobody else.
    in_fold = np.zeros((len(places), len(y_true)))
    for row, (_, rows) in zip(in_fold, places, strict=True):
        row[rows] = 1
    smallest = persons_of_rarest(y_true, basis.layout.person)
    of_seeds = _of_seeds(single, task, positive, basis.layout)
    repeats = np.unique(kept.table["repeat"])
    seeds = np.unique(single.table["seed"]) if of_seeds else np.empty(0, dtype=int)
    metrics: dict[str, Any] = {}
    all_rows = Scored(y_true, y_prob, positive, basis.layout, names=classes)
    for metric in metrics_of(kept, task):
        statistic = partial(metric, y_true, y_prob, positive)
        found = all_rows.influence(metric)
        n_smallest = basis.layout.n_persons if metric.is_proportion else smallest
        estimate, fixed = basis.estimates(found, n_smallest, metric.is_proportion)
        if basis.n_bca and fixed.se:
            resampled = of_persons(metric, y_true, y_prob, positive, basis.layout)
            again = bca(found, resampled, basis.n_bca, target=fixed.target) or fixed
            estimate, fixed = again if estimate is fixed else widened(estimate, again), again
        folds = [
            {**place, "value": float(value) if np.isfinite(value) else None}
            for (place, _), value in zip(places, statistic(in_fold), strict=True)
        ]
        defined = [fold["value"] for fold in folds if fold["value"] is not None]
        pooled = float(statistic(np.ones((1, len(y_true))))[0])
        metrics[metric.name] = {
            "label": metric.label,
            "higher_is_better": metric.higher_is_better,
            "by_fold": metric.by_fold,
            "is_share": metric.is_share,
            **dataclasses.asdict(estimate),
            "these_models": dataclasses.asdict(fixed),
            "folds": folds,
            "repeats": _numbered("repeat", repeats, found.runs),
            "seeds": _numbered("seed", seeds, of_seeds.get(metric.name, np.empty((0, 1))).mean(1)),
            "fold_mean": float(np.mean(defined)) if defined else None,
            "pooled": pooled if np.isfinite(pooled) else None,
            "variance": variance_of(found),
            "budget": budget(found, of_seeds.get(metric.name)),
        }
    confusions = np.zeros((len(places), len(classes), len(classes)), dtype=int)
    for confusion, (_, rows) in zip(confusions, places, strict=True):
        np.add.at(confusion, (y_true[rows], y_prob[rows].argmax(axis=1)), 1)
    return {
        "classes": list(classes),
        "positive": classes[positive],
        "n_patients": int(kept.table["patient_id"].nunique()),
        "metrics": metrics,
        "confusion": confusions.sum(axis=0).tolist(),
        "confusion_folds": [
            {**place, "counts": confusion.tolist()}
            for (place, _), confusion in zip(places, confusions, strict=True)
        ],
    }


def variance_of(found: Influence) -> dict[str, float] | None:
    """Parts of the variance of the recipe by name, and their sum; None where nothing is known."""
    its = spread(found) if np.isfinite(found.value) and not found.no_interval else None
    return None if its is None else its.parts.to_json()


def widened(recipe: Estimate, fixed: Estimate) -> Estimate:
    """The recipe's estimate, its interval holding that of these models, where both have one."""
    if recipe.low is None or recipe.high is None or fixed.low is None or fixed.high is None:
        return recipe
    low, high = min(recipe.low, fixed.low), max(recipe.high, fixed.high)
    if (low, high) == (recipe.low, recipe.high):
        return recipe
    method = f"{recipe.method}; widened to the interval of these models"
    return dataclasses.replace(recipe, low=low, high=high, method=method)


def persons_of_rarest(y_true: np.ndarray, person: np.ndarray) -> int:
    """Persons of the class that the fewest have: what a share of exactly 0 or 1 rests on."""
    return min(len(np.unique(person[y_true == c])) for c in np.unique(y_true))


def _numbered(what: str, numbers: np.ndarray, values: np.ndarray) -> list[dict[str, Any]]:
    """Values of repeats or seeds, apart."""
    return [
        {what: int(number), "value": float(value) if np.isfinite(value) else None}
        for number, value in zip(numbers, values, strict=True)
    ]


def _of_seeds(
    single: Predictions, task: str, positive: int, layout: Layout
) -> dict[str, np.ndarray]:
    """Value of every seed's model in every fold, (n_seeds, J) by metric; empty with one seed."""
    seeds = sorted(set(single.table["seed"]))
    found: dict[str, list[np.ndarray]] = {}
    for seed in seeds if len(seeds) > 1 else []:
        mine = single.where(seed=seed)
        its = Layout.of_predictions(mine, layout.n_folds)
        if its.n_models != layout.n_models:  # unfinished: there is nothing to set side by side
            return {}
        rows = Scored(mine.y_true(task), mine.y_prob(task), positive, its)
        for metric in metrics_of(mine, task):
            found.setdefault(metric.name, []).append(rows.influence(metric).models)
    return {name: np.array(values) for name, values in found.items()}


def metrics_of(kept: Predictions, task: str) -> tuple[Metric, ...]:
    """Those of the task, and the cost of a murmur task where the outcomes are known.

    Of scores those that rank patients, of decisions those of who is called what.
    """
    found = metrics_for(kept.classes[task])
    if set(kept.classes[task]) == set(MURMUR):
        outcomes = [name for name in kept.tasks if set(kept.classes[name]) == set(OUTCOME)]
        for outcome in outcomes[:1]:
            abnormal = kept.y_true(outcome) == kept.classes[outcome].index("Abnormal")
            found += (murmur_cost(kept.classes[task], abnormal),)
    kind = kept.kind(task)
    return found if kind == PROBABILITIES else tuple(m for m in found if m.needs == _NEEDS[kind])


def places_of(kept: Predictions) -> list[tuple[dict[str, int], np.ndarray]]:
    """Every fold, ascending, and the numbers of its rows."""
    found = []
    for (repeat, seed, fold), rows in by_place(kept.table):
        place = {"repeat": repeat, "seed": seed, "fold": fold}
        found.append((place, rows.index.to_numpy()))
    return found
