"""What a fold trains on: with which targets, and drawn how often."""

from __future__ import annotations

import numpy as np
import torch

from kfold_hs.cohort import Cohort, Task
from kfold_hs.config.schema import TrainConfig
from kfold_hs.errors import ConfigError, unknown_name


def make_targets(
    cohort: Cohort, config: TrainConfig, device: torch.device
) -> dict[str, torch.Tensor]:
    """Targets of every recording, (n_recordings, C) a task: one-hot, but for uncertain labels.

    Training on recordings, a recording's own label stands before the patient's when
    `train.site_labels` is set: at a site where the murmur is not heard, there is nothing to
    learn from its patient's label. Training on patients, the patient's label stands.

    The class that a task names as uncertain is, as `train.uncertain` says,

    class   a class like the others
    drop    all zeros: the example has no part in the loss of this task (see `losses`)
    soft    1 / (C - 1) for each of the other classes: it may be any of them
    """
    site_labels = config.site_labels and config.level == "recording"
    patients = cohort.patients.set_index("patient_id")
    targets = {}
    for task in cohort.tasks:
        labels = cohort.recordings["patient_id"].map(patients[task.name])
        if site_labels and task.name in cohort.recordings:
            own = cohort.recordings[task.name]
            labels = own.where(own.notna(), labels)
        classes = torch.from_numpy(task.encode(labels)).to(device)
        row_of_class = _row_of_class(task, config.uncertain).to(device)
        targets[task.name] = row_of_class[classes]
    return targets


def _row_of_class(task: Task, uncertain: str) -> torch.Tensor:
    """Target of an example of every class, (C, C)."""
    rows = torch.eye(task.n_classes)
    if task.uncertain is None or uncertain == "class":
        return rows
    row = task.classes.index(task.uncertain)
    rows[row] = 0 if uncertain == "drop" else (1 - rows[row]) / (task.n_classes - 1)
    return rows


def sampling_weights(sampling: str, cohort: Cohort, train: np.ndarray) -> np.ndarray | None:
    """Probability of drawing each training recording, or None for a plain shuffle.

    By a task, or by the joint class of all tasks: every class is drawn equally often; by
    patient: every patient is, so that many recordings of one do not dominate.

    Raises
    ------
    ConfigError
        `sampling` is neither shuffle, joint, patient nor the name of a task.
    """
    names = [task.name for task in cohort.tasks]
    if sampling == "shuffle":
        return None
    if sampling == "patient":
        owners = cohort.recordings["patient_id"].iloc[train]
        share = 1 / owners.map(owners.value_counts()).to_numpy(dtype=np.float64)
        return np.asarray(share / share.sum())
    if sampling not in {"joint", *names}:
        known = ["shuffle", "joint", "patient", *names]
        raise ConfigError(unknown_name("train.sampling", sampling, known))
    columns = names if sampling == "joint" else [sampling]
    joint = cohort.patients.set_index("patient_id")[columns].agg("/".join, axis=1)
    classes = cohort.recordings["patient_id"].iloc[train].map(joint)
    inverse = 1 / classes.map(classes.value_counts()).to_numpy(dtype=np.float64)
    weights: np.ndarray = inverse / inverse.sum()
    return weights
