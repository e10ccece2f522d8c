"""Several labels of one patient at once, and each class of a task with many.

Of the tasks with two classes (labels, of which a patient can have any number):

    exact match   share of the patients all of whose labels are right (subset accuracy)
    accuracy      mean over the labels: 1 - Hamming loss
    AUROC, AUPRC  mean over the labels ("macro")

(Zhang & Zhou, "A Review on Multi-Label Learning Algorithms", IEEE TKDE 26(8), 2014.) Intervals
stand on influence values like all others: those of a mean are the mean of the labels', row for row,
so that what the labels of a patient have in common is counted.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from kfold_hs.judge.metrics import gradients
from kfold_hs.judge.metrics.scores import ACCURACY, METRICS, Metric, precision
from kfold_hs.judge.selection.selected import Selected
from kfold_hs.judge.stats.class_shares import ClassShares
from kfold_hs.judge.stats.estimates import Basis, persons_of_rarest
from kfold_hs.judge.stats.influence import Influence, mean_of
from kfold_hs.judge.stats.scored import Scored, influence
from kfold_hs.predictions.table import DECISIONS, Predictions

PRECISION = Metric("precision", "precision", precision, 0.01, gradient=gradients.precision)
_OF_A_CLASS = (
    dataclasses.replace(METRICS["sensitivity"], label="recall"),
    PRECISION,
    METRICS["auroc"],
    METRICS["auprc"],
)


def all_labels(selected: Selected, basis: Basis) -> dict[str, Any] | None:
    """All labels of a patient taken together; None with fewer than two tasks of two classes.

    Parameters
    ----------
    selected : Selected
    basis : Basis
        Of the rows that are scored.

    Returns
    -------
    dict
        tasks (their names), metrics (name -> label and an estimate), n_right (patients by the
        number of their labels that are right, 0 to all; in every repeat they count again),
        commonest (the combination of labels that most patients have, task -> class, and the share
        of them: what calling everybody so would have as exact match).
    """
    kept = selected.scored
    tasks = [task for task, classes in kept.classes.items() if len(classes) == 2]
    if len(tasks) < 2:
        return None
    is_right = np.stack([kept.y_prob(t).argmax(axis=1) == kept.y_true(t) for t in tasks], axis=1)
    whole = np.asarray(is_right.all(axis=1))
    smallest = min(persons_of_rarest(kept.y_true(t), basis.layout.person) for t in tasks)
    mean = partial(_mean, selected, tasks, basis)
    n_persons = basis.layout.n_persons
    found = {
        "exact_match": (
            "exact match",
            _exact_match(kept, tasks, whole, basis),
            n_persons,
            True,
        ),
        "accuracy": ("accuracy, mean of labels", mean(ACCURACY), n_persons, False),
        "auroc": ("AUROC, mean of labels", mean(METRICS["auroc"]), smallest, False),
        "auprc": ("AUPRC, mean of labels", mean(METRICS["auprc"]), smallest, False),
    }
    return {
        "tasks": tasks,
        "metrics": {
            name: {"label": label, **_estimates(each, basis, n_smallest, is_proportion)}
            for name, (label, each, n_smallest, is_proportion) in found.items()
        },
        "n_right": np.bincount(is_right.sum(axis=1), minlength=len(tasks) + 1).tolist(),
        "commonest": _commonest(kept, tasks),
    }


def each_class(kept: Predictions, task: str, basis: Basis) -> list[dict[str, Any]]:
    """Each class of a task against all others; empty with two classes, which mirror each other.

    Returns
    -------
    list of dict
        class, n_patients (that have it), n_called, and by name (sensitivity, which is the recall,
        precision, and unless there are decisions alone auroc, auprc) a label and an estimate; in
        the order of the classes.
    """
    y_true, y_prob, classes = kept.y_true(task), kept.y_prob(task), kept.classes[task]
    if len(classes) == 2:
        return []
    patient, person = kept.table["patient_id"].to_numpy(), basis.layout.person
    ranked = kept.kind(task) != DECISIONS
    metrics = [metric for metric in _OF_A_CLASS if ranked or metric.needs != "ranks"]
    rows = []
    for c, name in enumerate(classes):
        has, called = y_true == c, y_prob.argmax(axis=1) == c
        n_smallest = max(1, min(len(np.unique(person[part])) for part in (has, ~has)))
        of_class = Scored(y_true, y_prob, c, basis.layout, names=classes)
        rows.append(
            {
                "class": name,
                "n_patients": len(set(patient[has])),
                "n_called": len(set(patient[called])),
                "metrics": {
                    metric.name: {
                        "label": metric.label,
                        **_estimates(of_class.influence(metric), basis, n_smallest),
                    }
                    for metric in metrics
                },
            }
        )
    return rows


def _exact_match(
    kept: Predictions, tasks: Sequence[str], is_right: np.ndarray, basis: Basis
) -> Influence:
    """Of a plain share of the rows, which the class shares of every task move."""
    probs = np.column_stack([is_right, ~is_right]).astype(np.float64)
    layout = basis.layout
    # The accuracy of a task whose label is right or wrong.
    found = influence(ACCURACY, np.zeros(len(probs), dtype=np.int64), probs, 0, layout)
    moved = found.by_shares
    for task in tasks:
        y_true, y_prob = kept.y_true(task), kept.y_prob(task)
        others = np.all(
            [kept.y_prob(t).argmax(axis=1) == kept.y_true(t) for t in tasks if t != task], axis=0
        )

        def value_of(p: np.ndarray, y: np.ndarray = y_true, o: np.ndarray = others) -> float:
            both = o & (p.argmax(axis=1) == y)
            return float((layout.by_run(both) / layout.by_run(np.ones(len(both)))).mean())

        moved = moved + ClassShares.of(y_true, y_prob, layout).moved(value_of, found.psi)
    return dataclasses.replace(found, moved=moved)


def _mean(selected: Selected, tasks: Sequence[str], basis: Basis, metric: Metric) -> Influence:
    kept, positives = selected.scored, selected.positives
    each = [
        influence(metric, kept.y_true(t), kept.y_prob(t), positives[t], basis.layout) for t in tasks
    ]
    return mean_of(each)


def _estimates(
    found: Influence, basis: Basis, n_smallest: int, is_proportion: bool = False
) -> dict[str, Any]:
    recipe, fixed = basis.estimates(found, n_smallest, is_proportion)
    return {**dataclasses.asdict(recipe), "these_models": dataclasses.asdict(fixed)}


def _commonest(kept: Predictions, tasks: Sequence[str]) -> dict[str, Any]:
    labels = zip(*(kept.table[f"y.{task}"] for task in tasks), strict=True)
    combination, n = max(Counter(labels).items(), key=lambda each: (each[1], each[0]))
    return {"labels": dict(zip(tasks, combination, strict=True)), "share": n / len(kept)}
