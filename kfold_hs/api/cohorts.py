"""Cohorts from Python: read from disk, from a data frame, or simulated."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Self, TypedDict, Unpack

import pandas as pd
from markupsafe import Markup

from kfold_hs import cohort as tables
from kfold_hs.api.progress import Shown, watching
from kfold_hs.cohort import Task
from kfold_hs.cohort.readers.registry import read_cohort as read
from kfold_hs.cohort.values import is_missing, number, word
from kfold_hs.config.compose import compose
from kfold_hs.config.words import words_of
from kfold_hs.errors import CohortError, counted, listing, nearest
from kfold_hs.files.cache import cache_folder, keeping
from kfold_hs.files.paths import write_bytes

TaskSpec = Task | Mapping[str, Any] | Sequence[Any] | None
Tasks = str | Sequence[str | Task] | Mapping[str, TaskSpec]

_DEFAULTS = {"patient": "patient_id", "person": "person_id", "recording": "recording",
             "site": "site"}  # fmt: skip
_TASK_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_ -]*")
_RECORDING_ID = "recording_id"
_MOST_CLASSES = 50
"""Of labels whose classes are not given; more are numbers or ids, not classes."""
_NEGATIVE = {"0", "false", "no", "negative", "absent", "normal", "healthy", "control"}


class TableColumns(TypedDict, total=False):
    """Names of columns of a frame, for `Cohort.from_frame`."""

    patient: str
    person: str | None
    recording: str
    site: str | None


@dataclass(frozen=True, repr=False, eq=False)
class Cohort(tables.Cohort):
    """People with recordings and labels, and the settings that read them.

    Made by `read_cohort`, `Cohort.from_frame` or `synthetic_cohort`.

    Attributes
    ----------
    name : str
    tasks : tuple of Task
        What is predicted of a patient: name, classes, positive class.
    persons, patients, recordings : DataFrame
        person_id; patient_id, person_id, a column a task, covariates; recording_id, patient_id,
        path, site, sample_rate_hz, n_samples, duration_s, sha256, ...
    n_persons, n_patients, n_recordings : int
    covariates, annotations : tuple of str
        Columns of `patients`: properties of the patient; what belongs to the label, such as the
        grade of a murmur, which only subgroups use.
    notes : tuple of Note
        What is odd about the data, counted.
    channel : int or None
        Which channel of the files is read, from 0; None: they have one.
    settings : tuple of str
        Words of a command line: `kfold-hs run` with them reads the same cohort.
    """

    settings: tuple[str, ...] = ()

    @classmethod
    def from_frame(
        cls,
        frame: pd.DataFrame,
        tasks: Tasks,
        root: str | Path | None = None,
        channel: int | None = None,
        **columns: Unpack[TableColumns],
    ) -> Self:
        """People from a data frame with one row a recording.

        The frame is kept as a CSV in the cache folder, under a name made of its content, so that
        the runs' configuration names data that exist.

        Parameters
        ----------
        frame : DataFrame
            The index is not used. A column with no meaning below that is constant within every
            patient is a covariate.
        tasks : str, sequence or mapping
            Columns of labels: ``"murmur"``, ``["murmur", "outcome"]``, or by the name of the task
            its classes (``{"murmur": ["Present", "Absent"]}``, the first is the positive one) or
            its settings (``{"murmur": {"column": "label", "positive": "Present"}}``, with keys
            of `data.tasks`). Classes that are not given are those found. The positive one is then
            known where the other one of two is 0, False, no, negative, absent, normal, healthy or
            control; otherwise it must be named.
        root : str or Path, optional
            Folder that the recordings' paths are relative to; by default the current one.
        channel : int, optional
            Channel to take, from 0; without it, a recording with several is an error.
        patient, person, recording, site : str, optional
            Columns of: patient ids, persons, paths, sites. By default `patient_id`, `person_id`,
            `recording` and `site`; without a column of persons every patient is a person.

        Raises
        ------
        CohortError
            A column is missing, labels do not fit their classes, or a recording cannot be used.
        """
        table = _checked(frame)
        names = _column_names(table, dict(columns))
        if names["recording"] == _RECORDING_ID:  # the paths, which are to become absolute
            names["recording"] = f"{_RECORDING_ID} (path)"
            table = table.rename(columns={_RECORDING_ID: names["recording"]})
        folder = Path(root or ".").expanduser().absolute()
        specs = {name: _task(name, spec, table) for name, spec in _specs(tasks).items()}
        settings: dict[str, Any] = {
            "data": "table",
            "data.path": _kept(table, str(names["recording"]), folder),
            "data.recording_column": names["recording"],
            "data.patient_column": names["patient"],
            "data.person_column": names["person"],
            "data.site_column": names["site"],
            "data.channel": channel,
            "data.tasks": specs,
        }
        given = {key: value for key, value in settings.items() if value is not None}
        return cls._read(words_of(given), None)

    def to_frame(self) -> pd.DataFrame:
        """One row a recording, as `from_frame` takes it.

        Labels, person and covariates are those of the patient. Labels of single recordings and
        columns that belong to the label are left out: as covariates they would give it away.

        Returns
        -------
        DataFrame
            recording (its path), recording_id, patient_id, person_id, site, a column a task, and
            the covariates.
        """
        names = [task.name for task in self.tasks]
        mine = self.recordings[["path", "recording_id", "patient_id", "site"]]
        mine = mine.rename(columns={"path": "recording"})
        theirs = self.patients[["patient_id", "person_id", *names, *self.covariates]]
        return mine.merge(theirs, on="patient_id", how="left", validate="many_to_one")

    @classmethod
    def _read(cls, words: Sequence[str], progress: Shown) -> Self:
        """The cohort of these words of a command line."""
        data = compose(tuple(words)).data
        with watching(progress) as watcher:
            watcher.stage("recordings")
            found = read(data, watcher.step)
        parts = {each.name: getattr(found, each.name) for each in fields(found)}
        return cls(**parts, settings=tuple(words))

    def __eq__(self, other: object) -> bool:
        """Whether tasks, people, labels and samples are the same (`fingerprint`)."""
        return isinstance(other, tables.Cohort) and self.fingerprint == other.fingerprint

    def __hash__(self) -> int:
        return hash(self.fingerprint)

    def __repr__(self) -> str:
        lines = [f"Cohort {self.name}: {self._counts()}"]
        for task in self.tasks:
            classes = ", ".join(f"{name} {n}" for name, n in self._classes(task).items())
            lines.append(f"  {task.name}: {classes}; positive: {task.positive}")
        lines += [f"  note: {note.counted}" for note in self.notes]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        row = "<tr><th style='text-align: left'>{}</th><td style='text-align: left'>{}</td></tr>"
        rows = Markup("").join(Markup(row).format(*each) for each in self._rows())
        return Markup("<div><b>Cohort {}</b>: {}<table>{}</table></div>").format(
            self.name, self._counts(), rows
        )

    def _rows(self) -> list[tuple[str, str]]:
        rows = []
        for task in self.tasks:
            classes = ", ".join(f"{name} {n}" for name, n in self._classes(task).items())
            rows.append((task.name, f"{classes}; positive: {task.positive}"))
        return [*rows, *((f"{note.counted}", note.text) for note in self.notes)]

    def _counts(self) -> str:
        hours = float(self.recordings["duration_s"].sum()) / 3600
        return (
            f"{counted(self.n_persons, 'person')}, {counted(self.n_patients, 'patient')}, "
            f"{counted(self.n_recordings, 'recording')}, {hours:.1f} h"
        )

    def _classes(self, task: Task) -> dict[str, int]:
        found = self.patients[task.name].value_counts()
        return {name: int(found.get(name, 0)) for name in task.classes}


def read_cohort(data: str, *, progress: Shown = None, **settings: Any) -> Cohort:
    """Read recordings and labels from disk.

    Parameters
    ----------
    data : str
        Kind of the data, as `data=` of the command line: "circor", "cinc2016", "table",
        "synthetic" (docs/data.md).
    progress : bool or Progress, optional
        By default a bar in a notebook, and nothing elsewhere.
    **settings
        Of the data: `root=` or `path=`, and others of the kind, e.g. `person_column=`, `tasks=`.

    Raises
    ------
    ConfigError
        There is no such kind, or it has no such setting.
    CohortError
        Recordings or labels cannot be used.

    Examples
    --------
    >>> cohort = kf.read_cohort("circor", root="../shared/circor")
    >>> cohort = kf.read_cohort("table", path="my.csv", tasks={"rhythm": {"classes": ["af", "sr"]}})
    """
    given = {f"data.{key}": value for key, value in settings.items()}
    return Cohort._read(words_of({"data": data, **given}), progress)


def synthetic_cohort(n_patients: int = 120, seed: int = 0) -> Cohort:
    """The built-in cohort: simulated hearts, to try things out; it says nothing about medicine.

    Parameters
    ----------
    n_patients : int
        Patient ids, 10 to 100,000.
    seed : int
        0 or more; the same seed gives the same recordings.

    Raises
    ------
    ConfigError
        A number is out of its bounds.
    """
    return read_cohort("synthetic", n_patients=n_patients, seed=seed)


def _checked(frame: pd.DataFrame) -> pd.DataFrame:
    """The frame, with texts as names of its columns."""
    if not isinstance(frame, pd.DataFrame):
        raise CohortError(
            f"the frame is of type {type(frame).__name__}: give a pandas DataFrame. "
            "read_cohort('table', path=...) reads a CSV."
        )
    table = frame.set_axis([str(column) for column in frame.columns], axis=1)
    if repeated := table.columns[table.columns.duplicated()].unique().tolist():
        raise CohortError(
            f"the frame has several columns with the name {listing(map(repr, repeated))}. Rename "
            "or remove one."
        )
    if table.empty:
        raise CohortError("the frame has no rows. Give one row a recording.")
    return table


def _column_names(table: pd.DataFrame, given: Mapping[str, Any]) -> dict[str, str | None]:
    """The columns of patients, persons, recordings and sites; None where there is none."""
    if unknown := set(given) - set(_DEFAULTS):
        raise TypeError(f"from_frame() got an unexpected keyword argument {min(unknown)!r}")
    found: dict[str, str | None] = {}
    for role, default in _DEFAULTS.items():
        column = given.get(role, default)
        is_needed = role in given or role in ("patient", "recording")
        if column is None or column in table:
            found[role] = column
        elif is_needed:
            guess = nearest(str(column), table.columns)
            if column in table.index.names:
                raise CohortError(
                    f"{column!r:.80} is the index of the frame, which is not used: give "
                    "frame.reset_index()."
                )
            hint = f" Did you mean {role}={guess!r:.80}?" if guess else f" Name it by {role}=..."
            raise CohortError(
                f"the frame has no column {column!r:.80} for {role}; it has the columns "
                f"{listing(map(repr, table), 20)}.{hint}"
            )
        else:
            found[role] = None
    return found


def _kept(table: pd.DataFrame, recording: str, root: Path) -> Path:
    """The path of a CSV of the table, in the cache.

    Paths of recordings become absolute. Where nothing else does, they name the recordings as they
    were given: names do not depend on the machine.
    """
    files = [cell if is_missing(cell) else str(root / str(cell)) for cell in table[recording]]
    if _RECORDING_ID not in table:
        table = table.assign(**{_RECORDING_ID: table[recording]})
    content = table.assign(**{recording: files}).to_csv(index=False, lineterminator="\n").encode()
    name = hashlib.sha256(content).hexdigest()[:16]
    path = cache_folder() / "tables" / name / "table.csv"
    if not (path.is_file() and path.read_bytes() == content):
        with keeping():
            write_bytes(path, content)
    return path


def _specs(tasks: Tasks) -> dict[str, TaskSpec]:
    """What is known of every task, by its name."""
    if isinstance(tasks, Mapping):
        return {str(name): spec for name, spec in tasks.items()}
    each = [tasks] if isinstance(tasks, str) else list(tasks)
    return {
        task.name if isinstance(task, Task) else str(task): task if isinstance(task, Task) else None
        for task in each
    }


def _task(name: str, spec: TaskSpec, table: pd.DataFrame) -> dict[str, Any]:
    """Settings of a task (`data.tasks.NAME`), with the classes that the table has."""
    if not _TASK_NAME.fullmatch(name):
        raise CohortError(
            f"a task cannot be called {name!r:.80}: a name has letters of ASCII, digits, blanks, _ "
            f"and -. Name the column beside it: tasks={{'label': {{'column': {name!r:.80}}}}}."
        )
    if isinstance(spec, Task):
        keys = ("classes", "positive", "class_weights", "patient_pool", "uncertain")
        spec = {key: getattr(spec, key) for key in keys}
    elif not isinstance(spec, Mapping):
        spec = {} if spec is None else {"classes": spec}
    found, column = dict(spec), str(spec.get("column") or name)
    if column not in table:
        guess = nearest(column, table.columns)
        hint = f" Did you mean {guess!r:.80}?" if guess else ""
        raise CohortError(
            f"the frame has no column {column!r:.80} of labels; it has the columns "
            f"{listing(map(repr, table), 20)}.{hint}"
        )
    if found.get("classes") is None:
        classes = _classes_in(name, table[column])
        rest = [each for each in classes if each.casefold() not in _NEGATIVE]
        if found.get("positive") is None and len(classes) == 2 and len(rest) == 1:
            found["positive"] = rest[0]
        if found.get("positive") is None:
            raise CohortError(
                f"{name} has the classes {listing(classes, 20)}: say which is positive, e.g. "
                f"tasks={{{name!r}: {{'positive': {classes[0]!r}}}}}."
            )
        found["classes"] = classes
    return found


def _classes_in(name: str, cells: pd.Series) -> list[str]:
    """Labels in a column, sorted; numbers by size."""
    texts = {
        str(int(cell)) if isinstance(cell, float) and cell.is_integer() else word(cell)
        for cell in cells.dropna().tolist()
    }
    known = [text for text in texts if text is not None]
    if not 2 <= len(known) <= _MOST_CLASSES:
        raise CohortError(
            f"{name} has {counted(len(known), 'different label')} ({listing(sorted(known))}), and "
            f"a task takes 2 to {_MOST_CLASSES} classes that are found. Give them: "
            f"tasks={{{name!r}: ['Present', 'Absent']}}."
        )
    sizes = {text: number(text) for text in known}
    if all(size is not None for size in sizes.values()):
        return sorted(known, key=lambda text: sizes[text] or 0.0)
    return sorted(known)
