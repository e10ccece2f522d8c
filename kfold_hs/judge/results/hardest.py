"""The patients with the highest loss: by the loss of what the headline scores of them.

The loss is -log p of the label's class, in nats, mean over the repeats, with probabilities from
1e-15 up. Tasks take turns: the worst of the first, the worst of the second, and so on; who was
taken already is passed over. Equal losses stand in the order of the patient ids.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from kfold_hs.predictions.table import Predictions

_LOWEST = 1e-15


@dataclass(frozen=True, eq=False)
class _Losses:
    """What is said of every patient in one task; patients ascending by id.

    classes : tuple of str
    label, called : (n,) int64
    loss : (n,) float64
    probs : (n, C), mean over the repeats
    order : (n,) int64, the worst first
    """

    classes: tuple[str, ...]
    label: np.ndarray
    called: np.ndarray
    loss: np.ndarray
    probs: np.ndarray
    order: np.ndarray

    @classmethod
    def of(cls, scored: Predictions, task: str, patient: np.ndarray) -> _Losses:
        y_true, y_prob = scored.y_true(task), scored.y_prob(task)
        each = np.bincount(patient)
        own = np.maximum(y_prob[np.arange(len(y_true)), y_true], _LOWEST)
        loss = np.bincount(patient, -np.log(own)) / each
        probs = np.stack([np.bincount(patient, p) for p in y_prob.T], axis=1) / each[:, None]
        label = np.zeros(len(each), dtype=np.int64)
        label[patient] = y_true
        order = np.argsort(-loss, kind="stable")
        return cls(scored.classes[task], label, probs.argmax(axis=1), loss, probs, order)

    def row(self, patient: int) -> dict[str, Any]:
        return {
            "label": self.classes[self.label[patient]],
            "called": self.classes[self.called[patient]],
            "loss": float(self.loss[patient]),
            "rank": int(np.flatnonzero(self.order == patient)[0]) + 1,
            "probs": dict(zip(self.classes, self.probs[patient].tolist(), strict=True)),
        }


def worst(scored: Predictions, most: int) -> dict[str, Any]:
    """At most so many patients.

    Parameters
    ----------
    scored : Predictions
        Patient rows, one a repeat: what the headline scores.
    most : int
        At least 1.

    Returns
    -------
    dict
        n_patients; tasks: name -> n_wrong (patients who are called something else than their
        label), n_tied (who have the same loss as the last one shown of this task and are not
        shown); patients: patient_id, person_id, chosen_for (task), and tasks: name -> label,
        called, loss, rank (from 1) and probs by class.
    """
    ids, first, patient = np.unique(
        scored.table["patient_id"].astype(str), return_index=True, return_inverse=True
    )
    losses = {task: _Losses.of(scored, task, patient) for task in scored.tasks}
    chosen: dict[int, str] = {}
    queues = {task: iter(each.order.tolist()) for task, each in losses.items()}
    while len(chosen) < min(most, len(ids)):
        for task, queue in queues.items():
            new = next((each for each in queue if each not in chosen), None)
            if new is not None and len(chosen) < most:
                chosen[new] = task
    persons = scored.table["person_id"].astype(str).to_numpy()[first]
    return {
        "n_patients": len(ids),
        "tasks": {
            task: {
                "n_wrong": int(np.count_nonzero(each.called != each.label)),
                "n_tied": _tied(each.loss, [p for p, t in chosen.items() if t == task], chosen),
            }
            for task, each in losses.items()
        },
        "patients": [
            {
                "patient_id": str(ids[row]),
                "person_id": str(persons[row]),
                "chosen_for": task,
                "tasks": {name: each.row(row) for name, each in losses.items()},
            }
            for row, task in chosen.items()
        ],
    }


def _tied(loss: np.ndarray, mine: list[int], shown: dict[int, str]) -> int:
    """Patients who are not shown and have the least loss of those shown of a task."""
    if not mine:
        return 0
    return len(set(np.flatnonzero(loss == loss[mine].min()).tolist()) - set(shown))
