"""Cohort: people with recordings and labels, as three tables that are checked.

persons      person_id
patients     patient_id, person_id, one column a task (its label), covariates
recordings   recording_id, patient_id, path, site, sample_rate_hz, n_samples,
             duration_s, sha256 (of the samples), clipped_share, is_flat; and where
             the label of single recordings is known, `<task>` (missing: the
             patient's label counts)

A *person* is a human being. A *patient* is an entry in the table of labels: one
person can have two entries, with two patient ids (CirCor: 70 people). The person is
the unit of splitting, resampling and counting.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from kfold_hs.errors import CohortError, counted, listing

PATIENT_COLUMNS = ("patient_id", "person_id")
RECORDING_COLUMNS = (
    "recording_id",
    "patient_id",
    "path",
    "site",
    "sample_rate_hz",
    "n_samples",
    "duration_s",
    "sha256",
    "clipped_share",
    "is_flat",
)
OUR_COLUMNS = frozenset({*PATIENT_COLUMNS, *RECORDING_COLUMNS, "n_recordings"})
"""Names that no task and no covariate may have."""
UNKNOWN_PERSONS = "unknown persons"
"""Name of the note that nobody says which recordings belong to one person."""


@dataclass(frozen=True)
class Task:
    """One label that is predicted for a patient, e.g. murmur: Present, Unknown, Absent.

    Parameters
    ----------
    name : str
        Name of the label's column.
    classes : tuple of str
        Class names; a model's outputs are in this order.
    positive : str
        The class whose probability is the score for AUROC and AUPRC.
    class_weights : tuple of float
        One for each class, above 0; `loss.class_weights=task` uses them.
    patient_pool : str
        How the probabilities of a patient come from those of the recordings
        (`kfold_hs.config.poolings`); `predict.patient_pool=task` uses it.
    uncertain : str, optional
        The class of patients without a clear diagnosis, for `train.uncertain`: one of three or
        more, and not the positive one.

    Attributes
    ----------
    n_classes, positive_index : int
        Number of classes; place of the positive one among them, from 0.
    """

    name: str
    classes: tuple[str, ...]
    positive: str
    class_weights: tuple[float, ...]
    patient_pool: str
    uncertain: str | None = None

    def __post_init__(self) -> None:
        if self.name in OUR_COLUMNS or not self.name or set(self.name) & set(".+"):
            raise CohortError(
                f"a task cannot be called {self.name!r:.80}. A name is not empty, has no dot and "
                "no plus, and is not a column that kfold-hs makes. Choose another name, and give "
                "the column of its labels: data.tasks={label: {column: "
                f"{self.name:.80}, classes: [...]}}}}."
            )
        if len(self.classes) < 2 or len(set(self.classes)) != len(self.classes):
            raise CohortError(
                f"task {self.name!r} has the classes {list(self.classes)}. A task needs two or "
                "more different classes."
            )
        if self.positive not in self.classes:
            raise CohortError(
                f"task {self.name!r}: the positive class {self.positive!r} is not one of "
                f"{list(self.classes)}."
            )
        if len(self.class_weights) != len(self.classes) or min(self.class_weights) <= 0:
            raise CohortError(
                f"task {self.name!r}: class_weights {list(self.class_weights)} must hold one "
                f"number above 0 for each of {list(self.classes)}."
            )
        if self.uncertain is not None and (
            self.uncertain not in self.classes
            or self.uncertain == self.positive
            or self.n_classes < 3
        ):
            raise CohortError(
                f"task {self.name!r}: the uncertain class {self.uncertain!r} must be one of three "
                f"or more classes, and not the positive one. The classes are {list(self.classes)}."
            )

    @property
    def n_classes(self) -> int:
        return len(self.classes)

    @property
    def positive_index(self) -> int:
        return self.classes.index(self.positive)

    def encode(self, labels: pd.Series) -> np.ndarray:
        """Class indices, shape (n,) int64.

        Parameters
        ----------
        labels : Series of str, shape (n,)
            Known to be in `classes`.
        """
        index = {name: i for i, name in enumerate(self.classes)}
        return np.array([index[label] for label in labels], dtype=np.int64)


@dataclass(frozen=True)
class Note:
    """A warning about the data with a name and a count, e.g. 17 clipped recordings."""

    name: str
    count: int
    text: str
    items: tuple[str, ...] = ()

    @property
    def counted(self) -> str:
        """Count and name: `17 clipped recordings`, `1 recording that is not there`."""
        if self.count != 1:
            return f"{self.count:,} {self.name}"
        first, *rest = re.split("(?<=[^s]s)\\b", self.name, maxsplit=1)
        one = first.removesuffix("s") if rest else first
        return f"1 {one}{''.join(rest).replace(' are ', ' is ', 1)}"


@dataclass(frozen=True)
class Cohort:
    """People with recordings and labels; see the module's docstring for the tables.

    Raises
    ------
    CohortError
        An id is not unique, a recording has no patient, a patient has no person or no
        recording, or a label is not one of its task's classes.
    """

    name: str
    tasks: tuple[Task, ...]
    persons: pd.DataFrame
    patients: pd.DataFrame
    recordings: pd.DataFrame
    covariates: tuple[str, ...] = ()
    notes: tuple[Note, ...] = field(default=())
    # Columns of `patients` that belong to the label. Only subgroups use them: a model that read
    # them would read its own answer.
    annotations: tuple[str, ...] = ()
    channel: int | None = None
    """Which channel of the files is read, from 0; None: they have one."""

    def __post_init__(self) -> None:
        _check_columns(self)
        _check_ids(self)
        for task in self.tasks:
            check_labels("patient", self.patients, "patient_id", task)
            if task.name in self.recordings:
                check_labels("recording", self.recordings, "recording_id", task)

    @property
    def n_persons(self) -> int:
        return len(self.persons)

    @property
    def n_patients(self) -> int:
        return len(self.patients)

    @property
    def n_recordings(self) -> int:
        return len(self.recordings)

    @cached_property
    def person_of(self) -> Mapping[str, str]:
        """person_id of every patient_id."""
        return dict(zip(self.patients["patient_id"], self.patients["person_id"], strict=True))

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 (hex) over tasks, people, labels and the samples of every recording.

        It depends neither on the order of the rows nor on the folders of the files. A WAV
        and a FLAC of the same samples give the same fingerprint.
        """
        names = [task.name for task in self.tasks]
        patients = self.patients.sort_values("patient_id")[[*PATIENT_COLUMNS, *names]]
        columns = ["recording_id", "patient_id", "site", "sample_rate_hz", "sha256"]
        columns += [name for name in names if name in self.recordings]
        recordings = self.recordings.sort_values("recording_id")[columns]
        content = {
            "tasks": [[task.name, list(task.classes)] for task in self.tasks],
            "patients": _rows(patients),
            "recordings": _rows(recordings),
        }
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()

    def describe(self) -> dict[str, Any]:
        """The content of `cohort.json`: counts, classes, notes and the fingerprint."""
        return {
            "name": self.name,
            "fingerprint": self.fingerprint,
            "n_persons": self.n_persons,
            "n_patients": self.n_patients,
            "n_recordings": self.n_recordings,
            "hours": float(self.recordings["duration_s"].sum() / 3600),
            "tasks": [
                {
                    "name": task.name,
                    "classes": list(task.classes),
                    "positive": task.positive,
                    "counts": {
                        name: int((self.patients[task.name] == name).sum()) for name in task.classes
                    },
                }
                for task in self.tasks
            ],
            "notes": [
                {"name": n.name, "count": n.count, "text": n.text, "items": list(n.items)}
                for n in self.notes
            ],
        }


def _rows(table: pd.DataFrame) -> list[list[str | None]]:
    return [
        [None if pd.isna(value) else str(value) for value in row]
        for row in table.itertuples(index=False, name=None)
    ]


def _check_columns(cohort: Cohort) -> None:
    wanted = {
        "persons": ("person_id",),
        "patients": (
            *PATIENT_COLUMNS,
            *(t.name for t in cohort.tasks),
            *cohort.covariates,
            *cohort.annotations,
        ),
        "recordings": RECORDING_COLUMNS,
    }
    names = [task.name for task in cohort.tasks]
    if clash := {*names, *OUR_COLUMNS} & {*cohort.covariates, *cohort.annotations}:
        raise CohortError(
            f"covariates have the names of other columns: {listing(sorted(clash))}. Rename them."
        )
    for table, columns in wanted.items():
        missing = [c for c in columns if c not in getattr(cohort, table)]
        if missing:
            raise CohortError(f"the table of {table} lacks the columns {listing(missing)}.")
    if not cohort.tasks:
        raise CohortError("a cohort needs at least one task.")


def _check_ids(cohort: Cohort) -> None:
    for table, column in (
        (cohort.persons, "person_id"),
        (cohort.patients, "patient_id"),
        (cohort.recordings, "recording_id"),
    ):
        repeated = table[column][table[column].duplicated()].unique()
        if len(repeated):
            raise CohortError(
                f"{column} must be unique, but {listing(repeated)} occurs more than once. Remove "
                "the repeated rows, or give them other ids."
            )
    orphans = set(cohort.patients["person_id"]) - set(cohort.persons["person_id"])
    if orphans:
        raise CohortError(f"patients refer to unknown persons: {listing(sorted(orphans))}.")
    orphans = set(cohort.recordings["patient_id"]) - set(cohort.patients["patient_id"])
    if orphans:
        raise CohortError(f"recordings refer to unknown patients: {listing(sorted(orphans))}.")
    silent = set(cohort.patients["patient_id"]) - set(cohort.recordings["patient_id"])
    if silent:
        raise CohortError(
            f"{counted(len(silent), 'patient has', 'patients have')} no recording: "
            f"{listing(sorted(silent))}. Add their recordings or remove them from the table of "
            "labels."
        )
    idle = set(cohort.persons["person_id"]) - set(cohort.patients["person_id"])
    if idle:
        raise CohortError(f"persons without a patient: {listing(sorted(idle))}.")


def check_labels(kind: str, table: pd.DataFrame, id_column: str, task: Task) -> None:
    """Refuse labels that are no class of a task; a recording may have none.

    Raises
    ------
    CohortError
        With the first one, and what to do.
    """
    labels = table[task.name]
    wrong = ~labels.isin(task.classes)
    if kind == "recording":
        wrong &= labels.notna()  # without a label, the patient's counts
    if wrong.any():
        first = table[wrong].iloc[0]
        value = first[task.name]
        shown, way_out = f"{value!r}", "Correct the label, remove the row, or add the class to"
        if pd.isna(value):
            shown = "missing"
            way_out = "Add the label, remove the row, or write Unknown and add it to the classes in"
        raise CohortError(
            f"{task.name} of {kind} {first[id_column]} is {shown}, but the classes are "
            f"{list(task.classes)} ({counted(int(wrong.sum()), kind)} in all). {way_out} the data "
            "configuration."
        )
