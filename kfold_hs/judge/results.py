"""What a task's predictions are worth: metrics over all folds and by fold, confusion matrices.

The value over all folds is of the pooled out-of-fold predictions; `fold_mean` is the mean of
the folds' own values. For AUROC and AUPRC the two can differ, since pooling also compares the
scores of different models with each other.
"""

from __future__ import annotations

import dataclasses
from functools import partial
from typing import Any

import numpy as np

from kfold_hs.judge.challenge import MURMUR, OUTCOME, metrics_for, murmur_cost
from kfold_hs.judge.epochs import by_place
from kfold_hs.judge.intervals import Bootstrap
from kfold_hs.judge.metrics import Metric
from kfold_hs.predictions import Predictions


def task_result(
    kept: Predictions, task: str, positive: int, bootstrap: Bootstrap
) -> dict[str, Any]:
    """Metrics of one task with intervals and by fold, and its confusion matrices.

    Parameters
    ----------
    kept : Predictions
        Patient rows of the epoch that counts, one epoch a fold.
    task : str
    positive : int
        Index of the positive class.
    bootstrap : Bootstrap
        Resamples of the persons of `kept`, row for row.

    Returns
    -------
    dict
        classes, positive, n_patients, metrics (by name), confusion (counts, a row a label),
        confusion_folds.
    """
    y_true, y_prob, classes = kept.y_true(task), kept.y_prob(task), kept.classes[task]
    places = places_of(kept)
    # A fold is a weighting that counts its patients once and nobody else.
    in_fold = np.zeros((len(places), len(y_true)))
    for row, (_, rows) in zip(in_fold, places, strict=True):
        row[rows] = 1
    metrics = {}
    for metric in _metrics(kept, task):
        statistic = partial(metric, y_true, y_prob, positive)
        estimate = bootstrap.estimate(statistic, is_share=metric.name == "accuracy")
        folds = [
            {**place, "value": float(value) if np.isfinite(value) else None}
            for (place, _), value in zip(places, statistic(in_fold), strict=True)
        ]
        defined = [fold["value"] for fold in folds if fold["value"] is not None]
        metrics[metric.name] = {
            "label": metric.label,
            "higher_is_better": metric.higher_is_better,
            **dataclasses.asdict(estimate),
            "folds": folds,
            "fold_mean": float(np.mean(defined)) if defined else None,
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


def _metrics(kept: Predictions, task: str) -> tuple[Metric, ...]:
    """Those of the task, and the cost of a murmur task where the outcomes are known."""
    found = metrics_for(kept.classes[task])
    if set(kept.classes[task]) == set(MURMUR):
        outcomes = [name for name in kept.tasks if set(kept.classes[name]) == set(OUTCOME)]
        for outcome in outcomes[:1]:
            abnormal = kept.y_true(outcome) == kept.classes[outcome].index("Abnormal")
            found += (murmur_cost(kept.classes[task], abnormal),)
    return found


def places_of(kept: Predictions) -> list[tuple[dict[str, int], np.ndarray]]:
    """Every fold, ascending, and the numbers of its rows."""
    found = []
    for (repeat, seed, fold), rows in by_place(kept.table):
        place = {"repeat": repeat, "seed": seed, "fold": fold}
        found.append((place, rows.index.to_numpy()))
    return found
