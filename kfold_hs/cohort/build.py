"""From the rows that a reader found to a checked `Cohort` with its notes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from kfold_hs.cohort.audio import CLIPPED_SHARE, Progress, inspect_all
from kfold_hs.cohort.cohort import UNKNOWN_PERSONS, Cohort, Note, Task, check_labels
from kfold_hs.cohort.covariates import tidy
from kfold_hs.cohort.values import label_of
from kfold_hs.cohort.wfdb import Header
from kfold_hs.config.schema import TaskConfig
from kfold_hs.errors import CohortError, unknown_name


def tasks_of(configs: Mapping[str, TaskConfig]) -> tuple[Task, ...]:
    """Tasks with their defaults filled in: positive is the first class, weights are 1."""
    return tuple(
        Task(
            name=name,
            classes=config.classes,
            positive=config.positive or config.classes[0],
            class_weights=config.class_weights or (1.0,) * len(config.classes),
            patient_pool=config.patient_pool,
            uncertain=config.uncertain,
        )
        for name, config in configs.items()
    )


def label_columns(
    configs: Mapping[str, TaskConfig], known: Sequence[str], where: str
) -> dict[str, str]:
    """The column of labels of every task: its `column`, or its name; one of the `known`.

    Raises
    ------
    CohortError
        A task has no such column.
    """
    columns = {task: spec.column or task for task, spec in configs.items()}
    for task, column in columns.items():
        if column not in known:
            raise CohortError(
                f"data.tasks.{task}: {unknown_name(f'column of labels of {where}', column, known)}"
            )
    return columns


def noted(name: str, items: Sequence[str], text: str) -> list[Note]:
    """A note of the items, if there are any."""
    return [Note(name, len(items), text, tuple(items))] if items else []


def unknown_persons(n: int) -> Note:
    """Of so many recordings of whom nobody says which belong to one person."""
    text = (
        "the data do not say which recordings belong to one person; each counts as its own "
        "person, so that scores may be too good"
    )
    return Note(UNKNOWN_PERSONS, n, text)


@dataclass(frozen=True)
class Listing:
    """What a reader found in tables and headers, before any recording is read.

    Parameters
    ----------
    patients, recordings : sequences of mappings
        Rows as in `kfold_hs.cohort.cohort`, the recordings without the facts of the audio, labels
        and covariates as the files hold them.
    covariates, annotations : sequence of str
        Columns of the patients.
    announced : mapping
        Header files by recording_id; for some recordings, or all.
    channel : int, optional
        Which channel of the files is read, from 0; without it, files have one.
    """

    name: str
    tasks: tuple[Task, ...]
    patients: Sequence[Mapping[str, Any]]
    recordings: Sequence[Mapping[str, Any]]
    covariates: Sequence[str]
    annotations: Sequence[str] = ()
    announced: Mapping[str, Header] = field(default_factory=dict)
    notes: Sequence[Note] = ()
    channel: int | None = None


_before_sound: ContextVar[Callable[[Listing, pd.DataFrame], None] | None] = ContextVar(
    "before_sound", default=None
)


@contextmanager
def looking_first(look: Callable[[Listing, pd.DataFrame], None]) -> Iterator[None]:
    """In here readers show what they listed, and the patients with their labels, before they read
    any sound, which can take minutes; `look` may raise."""
    token = _before_sound.set(look)
    try:
        yield
    finally:
        _before_sound.reset(token)


def assemble(found: Listing, on_progress: Progress | None = None) -> Cohort:
    """Read every recording, compare it with its header, and check the rules of `Cohort`.

    Raises
    ------
    CohortError
        Audio cannot be used or differs from its header, or a rule of `Cohort` is broken.
    """
    tasks, recordings, channel = found.tasks, found.recordings, found.channel
    if not recordings:
        raise CohortError(f"the cohort {found.name} has no recordings.")
    patient_table, table = pd.DataFrame(list(found.patients)), pd.DataFrame(list(recordings))
    for task in tasks:
        for each in (patient_table, table):
            if task.name in each:
                labels = [label_of(cell, task.classes) for cell in each[task.name]]
                each[task.name] = pd.Series(labels, dtype=object)
        check_labels("patient", patient_table, "patient_id", task)
    if (look := _before_sound.get()) is not None:
        look(found, patient_table)
    facts = inspect_all([Path(row["path"]) for row in recordings], channel, on_progress)
    for fact in (
        "sample_rate_hz",
        "n_samples",
        "duration_s",
        "sha256",
        "clipped_share",
        "is_flat",
    ):
        table[fact] = [getattr(each, fact) for each in facts]
    if found.announced:
        _compare_with_headers(table, found.announced)
    names = {task.name for task in tasks}
    kept, left_out = tidy(patient_table, [each for each in found.covariates if each not in names])
    persons = pd.DataFrame({"person_id": sorted(patient_table["person_id"].unique())})
    return Cohort(
        name=found.name,
        tasks=tasks,
        persons=persons,
        patients=patient_table,
        recordings=table,
        covariates=tuple(kept),
        notes=(*found.notes, *left_out, *_audio_notes(table)),
        annotations=tuple(each for each in found.annotations if each not in names),
        channel=channel,
    )


def _compare_with_headers(table: pd.DataFrame, announced: Mapping[str, Header]) -> None:
    faults = []
    for row in table.itertuples():
        header = announced.get(str(row.recording_id))
        if header is None:
            continue
        rate, n_samples = header.rate_hz, header.n_samples
        if rate is not None and row.sample_rate_hz != rate:
            faults.append(f"{row.path} has {row.sample_rate_hz} Hz, but its header says {rate} Hz")
        elif n_samples is not None and row.n_samples != n_samples:
            faults.append(
                f"{row.path} has {row.n_samples} samples, but its header says {n_samples}"
            )
    if faults:
        more = f"; and {len(faults) - 5} more" if len(faults) > 5 else ""
        raise CohortError(
            "; ".join(faults[:5])
            + more
            + ". A file that differs from its header was cut or replaced. Copy it again."
        )


def _audio_notes(table: pd.DataFrame) -> list[Note]:
    notes = []
    flat = table[table["is_flat"]]
    if len(flat):
        notes.append(
            Note(
                "flat recordings",
                len(flat),
                "silent or constant; kept, and scored like any other recording of the patient",
                tuple(flat["recording_id"]),
            )
        )
    clipped = table[table["clipped_share"] > CLIPPED_SHARE]
    if len(clipped):
        notes.append(
            Note(
                "clipped recordings",
                len(clipped),
                f"more than {CLIPPED_SHARE:.0%} of the samples at full scale; kept",
                tuple(clipped["recording_id"]),
            )
        )
    copies = table[table["sha256"].duplicated(keep=False) & ~table["is_flat"]]
    if len(copies):
        same = copies.groupby("sha256", sort=False)["recording_id"].agg(" = ".join)
        notes.append(
            Note(
                "identical recordings",
                len(same),
                "the same samples under several ids; all are kept. Within a person they count "
                "twice and are no leak; between persons the audit finds them",
                tuple(same),
            )
        )
    return notes
