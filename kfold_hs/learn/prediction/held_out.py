"""What a fold found out: probabilities of the held-out people at every epoch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch

from kfold_hs.cohort import Cohort, Task
from kfold_hs.config.schema import Config
from kfold_hs.files.paths import FoldId
from kfold_hs.learn.data.fold import People
from kfold_hs.learn.losses import TaskLosses
from kfold_hs.learn.prediction.crops import Predictor, first_rows
from kfold_hs.predictions.aggregation import pool_groups
from kfold_hs.predictions.table import Predictions, label_column, prob_column

OVERFITTING_RISE = 0.05
"""Share by which the validation loss must have risen above its minimum to be named."""


@dataclass
class EpochProbs:
    """Probabilities of one epoch by task: (n_patients, C), and (n_recordings, C) if kept."""

    patients: dict[str, np.ndarray]
    recordings: dict[str, np.ndarray]

    @classmethod
    def of_recordings(
        cls, config: Config, cohort: Cohort, people: People, probs: dict[str, np.ndarray]
    ) -> EpochProbs:
        """Aggregate recordings into patients, as `predict.patient_pool` says."""
        owner = owners(cohort, people)
        pooled = {}
        for task in cohort.tasks:
            named = config.predict.patient_pool
            rule = task.patient_pool if named == "task" else named
            pooled[task.name] = pool_groups(
                probs[task.name], owner, len(people.patients), rule, task.positive_index
            )
        return cls(pooled, probs)

    def accuracies(self, cohort: Cohort, patients: np.ndarray) -> dict[str, float]:
        """Share of patients whose most probable class is their label, as ``acc.<task>``."""
        labels = cohort.patients.iloc[patients]
        return {
            f"acc.{task.name}": float(
                np.mean(self.patients[task.name].argmax(axis=1) == task.encode(labels[task.name]))
            )
            for task in cohort.tasks
        }

    def forget_recordings(self, unless: bool) -> None:
        """Drop the recordings' probabilities: only the kept epoch's are written."""
        if not unless:
            self.recordings = {}

    def to_state(self) -> dict[str, dict[str, torch.Tensor]]:
        """For a checkpoint: tensors, exactly as they are."""
        return {
            kind: {name: torch.from_numpy(each) for name, each in getattr(self, kind).items()}
            for kind in ("patients", "recordings")
        }

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> EpochProbs:
        parts = {
            kind: {name: each.cpu().numpy() for name, each in state[kind].items()}
            for kind in ("patients", "recordings")
        }
        return cls(**parts)


def owners(cohort: Cohort, people: People) -> np.ndarray:
    """Which of the patients each of the recordings is of, (n_recordings,) int64."""
    ids = cohort.patients["patient_id"].iloc[people.patients].tolist()
    row_of = {patient_id: row for row, patient_id in enumerate(ids)}
    found = cohort.recordings["patient_id"].iloc[people.recordings].map(row_of)
    return np.asarray(found.to_numpy())


def score(
    predictor: Predictor,
    cohort: Cohort,
    people: People,
    targets: dict[str, torch.Tensor],
    losses: TaskLosses,
) -> tuple[EpochProbs, float]:
    """Probabilities of patients and of their recordings, and the training loss over them.

    A model of recordings leaves the patient to the rule of `predict.patient_pool`, and every crop
    counts once in the loss; a model of patients (`train.level=patient`) has learnt its own
    aggregation, and every patient counts once.

    Parameters
    ----------
    targets : dict of Tensor, each (n_recordings of the cohort, C)
    """
    if predictor.config.train.level == "recording":
        probs, logits, crops = predictor.of_recordings(people.recordings, cohort.tasks)
        found = EpochProbs.of_recordings(predictor.config, cohort, people, probs)
        rows = crops.rows
    else:
        owner = owners(cohort, people)
        whole, parts, logits = predictor.of_patients(people.recordings, owner)
        found = EpochProbs(whole, parts)
        rows = torch.from_numpy(people.recordings[first_rows(owner)]).to(predictor.bank.device)
    with torch.inference_mode():
        return found, float(losses(logits, {name: targets[name][rows] for name in logits}))


def fold_predictions(
    cohort: Cohort, people: People, fold: FoldId, epochs: Sequence[EpochProbs], keep: int
) -> Predictions:
    """The fold's table: patients at every epoch, recordings at the kept one."""
    patients = cohort.patients.iloc[people.patients].reset_index(drop=True)
    parts = [
        _table(cohort.tasks, patients, each.patients).assign(epoch=epoch)
        for epoch, each in enumerate(epochs)
    ]
    records = cohort.recordings.iloc[people.recordings][["recording_id", "patient_id"]]
    records = records.merge(cohort.patients, on="patient_id", how="left", suffixes=("", ".patient"))
    parts.append(_table(cohort.tasks, records, epochs[keep].recordings).assign(epoch=keep))
    table = pd.concat(parts, ignore_index=True).assign(**fold._asdict())
    classes = {task.name: task.classes for task in cohort.tasks}
    return Predictions(table, classes)


def _table(tasks: Sequence[Task], rows: pd.DataFrame, probs: dict[str, np.ndarray]) -> pd.DataFrame:
    """Rows of recordings, or of patients; where and when comes later."""
    is_recording = "recording_id" in rows
    table = pd.DataFrame(
        {
            "level": "recording" if is_recording else "patient",
            **dict.fromkeys(("repeat", "seed", "fold", "epoch"), 0),
            "person_id": rows["person_id"],
            "patient_id": rows["patient_id"],
            "recording_id": rows["recording_id"] if is_recording else "",
        }
    )
    for task in tasks:
        table[label_column(task.name)] = rows[task.name]
        for i, name in enumerate(task.classes):
            table[prob_column(task.name, name)] = probs[task.name][:, i]
    return table


def overfitting_since(train_loss: Sequence[float], val_loss: Sequence[float]) -> int | None:
    """The epoch (from 0) after which a fold over-fits, or None.

    Over-fitting is named when the mean validation loss of the last quarter of the epochs
    (at least 2) lies more than 5 % above its minimum while the training loss went on
    falling from there; it counts from the epoch after the minimum.
    """
    if len(val_loss) < 4:
        return None
    lowest = int(np.argmin(val_loss))
    tail = max(2, len(val_loss) // 4)
    if lowest >= len(val_loss) - tail:
        return None
    risen = np.mean(val_loss[-tail:]) > (1 + OVERFITTING_RISE) * val_loss[lowest]
    falling = np.mean(train_loss[-tail:]) < train_loss[lowest]
    return lowest + 1 if risen and falling else None
