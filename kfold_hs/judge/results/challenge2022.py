"""The scores that the official script of the 2022 challenge reports, from folders of files.

auroc               area under TPR over TNR at distinct scores, by trapezoids: of each class
                    against the rest, and the mean over the classes where it is defined
auprc               the same for precision over recall, by steps
f_measure           2 TP / (2 TP + FP + FN), likewise
accuracy            share called by their label; of classes: of the patients of each
weighted_accuracy   see `challenge`
cost                see `challenge`; of murmurs, too, scored against the outcome

Probabilities are only ranked; who is called what is said by the labels of the output.

Reyna et al., "Heart murmur detection from phonocardiogram recordings: The George B.
Moody PhysioNet Challenge 2022", PLOS Digital Health 2(9), 2023.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from kfold_hs.judge.metrics.challenge2022 import class_costs, cost
from kfold_hs.judge.metrics.counts import ratio
from kfold_hs.judge.metrics.scores import accuracy, auprc, auroc, weighted_accuracy
from kfold_hs.judge.results.challenge_files import CLASSES, Entries, read_entries

_TABLE = {
    "auroc": "AUROC",
    "auprc": "AUPRC",
    "f_measure": "F-measure",
    "accuracy": "Accuracy",
    "weighted_accuracy": "Weighted Accuracy",
    "cost": "Cost",
}
_BY_CLASS = ("auroc", "auprc", "f_measure", "accuracy")


def score_folders(labels: Path, outputs: Path) -> dict[str, Any]:
    """Scores of a folder of outputs; raises as `challenge_files.read_entries`.

    Returns
    -------
    dict
        murmur and outcome, each with auroc, auprc, auroc_classes, auprc_classes, f_measure,
        f_measure_classes, accuracy, accuracy_classes, weighted_accuracy and cost. Classes are in
        the order of `challenge_files.CLASSES`; None where a score is not defined.
    """
    entries = read_entries(labels, outputs)
    abnormal = entries["outcome"].y_true == 0
    return {task: _scores(task, each, abnormal) for task, each in entries.items()}


def as_text(scores: Mapping[str, Mapping[str, Any]]) -> str:
    """The scores laid out as the official script prints them, with three decimals."""
    blocks = []
    for task, found in scores.items():
        head = f"#{task.capitalize()} scores"
        blocks.append([head, ",".join(_TABLE.values()), _row([found[name] for name in _TABLE])])
    for task, found in scores.items():
        head = f"#{task.capitalize()} scores (per class)"
        rows = [f"{_TABLE[name]},{_row(found[f'{name}_classes'])}" for name in _BY_CLASS]
        blocks.append([head, ",".join(["Classes", *CLASSES[task]]), *rows])
    return "\n".join("".join(f"{line}\n" for line in block) for block in blocks)


def _scores(task: str, found: Entries, abnormal: np.ndarray) -> dict[str, Any]:
    n_classes, once = len(CLASSES[task]), np.ones((1, len(found.y_true)))
    costs = class_costs(CLASSES[task])
    assert costs is not None
    called = np.eye(n_classes)[found.y_called]
    label = np.eye(n_classes)[found.y_true]
    hits = (label * called).sum(axis=0)
    # Present and Unknown are referred, Absent is not: the last class is never.
    referred = found.y_called < n_classes - 1
    by_class = {
        "auroc": [float(auroc(found.y_true, found.y_prob, c, once)[0]) for c in range(n_classes)],
        "auprc": [float(auprc(found.y_true, found.y_prob, c, once)[0]) for c in range(n_classes)],
        "f_measure": ratio(2 * hits, label.sum(axis=0) + called.sum(axis=0)).tolist(),
        "accuracy": ratio(hits, label.sum(axis=0)).tolist(),
    }
    of_all = {name: _mean(values) for name, values in by_class.items()}
    of_all["accuracy"] = float(accuracy(found.y_true, called, 0, once)[0])
    of_all["weighted_accuracy"] = float(weighted_accuracy(costs)(found.y_true, called, 0, once)[0])
    of_all["cost"] = float(cost(referred, abnormal, once)[0])
    return {name: _defined(value) for name, value in of_all.items()} | {
        f"{name}_classes": [_defined(value) for value in values]
        for name, values in by_class.items()
    }


def _mean(values: Sequence[float]) -> float:
    """Over the classes where it is defined."""
    defined = [value for value in values if np.isfinite(value)]
    return float(np.mean(defined)) if defined else float("nan")


def _defined(value: float) -> float | None:
    return value if np.isfinite(value) else None


def _row(values: Sequence[float | None]) -> str:
    return ",".join("nan" if value is None else f"{value:.3f}" for value in values)
