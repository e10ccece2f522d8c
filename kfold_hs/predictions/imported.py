"""Out-of-fold predictions that another program made: any table of them, as rows of ours.

A row is a patient (or a recording) that was predicted by a model that did not train on the person.
Columns have one of the usual names, or one that the user gives:

person, patient, recording   ids; one of the first two is enough
label, label.TASK            the true class
p.CLASS, p.TASK.CLASS        probability, a column a class; also CLASS, CLASS_prob, prob_CLASS
probability                  of the positive class of two
score                        any real number, higher for the positive class
called                       the class that was decided on
fold, repeat, seed           which model predicted it, where that is known
level, epoch                 of our own predictions.parquet: patients, the last epoch of each fold
task, class                  of a long table, with a row for each class

What a table does not say stays unknown: `Imported.known` has what it does say. Where there is no
fold, the column is 0 throughout, and nothing is concluded from it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from kfold_hs.cohort.cohort import Note
from kfold_hs.cohort.csv_file import read_csv
from kfold_hs.cohort.ids import Spelling
from kfold_hs.errors import DamagedFileError, PredictionsError, counted, listing
from kfold_hs.files import stored
from kfold_hs.predictions.import_columns import Columns, Reader, class_name
from kfold_hs.predictions.import_tasks import tasks_of
from kfold_hs.predictions.table import DECISIONS, Predictions

_ROWS = ("repeat", "seed", "fold", "person_id", "patient_id")


@dataclass(frozen=True, eq=False)
class Imported:
    """Predictions of another program, as they were read.

    Parameters
    ----------
    rows : DataFrame
        The columns of `Predictions`, a row a patient; not yet checked: one may be there twice.
    classes, kinds : mapping
        As `Predictions` has them.
    positives : mapping
        Task -> index of its positive class.
    patients : DataFrame
        patient_id, and a column for each group.
    known : set of str
        Which of person, fold, repeat and seed the table says.
    source : str
        The name of the file, folder or table.
    notes : tuple of Note
        What was noticed, left out or assumed.
    primary : tuple of str
        The tasks that the headline is about.
    simulated : bool
        Whether the folder that they come from says that its people are simulated.
    headline : str
        What that folder leads with; empty where it does not say it.
    """

    rows: pd.DataFrame
    classes: Mapping[str, tuple[str, ...]]
    kinds: Mapping[str, str]
    positives: Mapping[str, int]
    patients: pd.DataFrame
    known: frozenset[str]
    source: str
    notes: tuple[Note, ...] = ()
    primary: tuple[str, ...] = field(default=())
    simulated: bool = False
    headline: str = ""

    def predictions(self) -> Predictions:
        """The rows, checked.

        Raises
        ------
        PredictionsError
            A patient is there twice in a repeat.
        """
        return Predictions(self.rows, self.classes, self.kinds)

    def with_ids_apart(self) -> Imported:
        """With a patient who is there several times in a repeat as several patients of a person.

        For a report in spite of the leak. The second one gets the id ``ID (2)``.
        """
        number = self.rows.groupby(["repeat", "seed", "patient_id"], sort=False).cumcount() + 1
        ids = self.rows["patient_id"]
        renamed = ids.where(number == 1, ids + " (" + number.astype(str) + ")")
        first = self.patients.set_index("patient_id").reindex(ids)
        patients = first.reset_index(drop=True).assign(patient_id=renamed.to_numpy())
        return replace(
            self,
            rows=self.rows.assign(patient_id=renamed),
            patients=patients.drop_duplicates("patient_id"),
        )


def read_table(path: Path) -> pd.DataFrame:
    """A user's CSV or Parquet file; cells of a CSV stay text.

    Raises
    ------
    PredictionsError
        The file does not exist, cannot be read, or has another suffix.
    """
    kind = path.suffix.lower()
    if kind in {".parquet", ".pq"}:
        try:
            table = stored.read_parquet(path, "the predictions")
        except DamagedFileError as error:
            raise PredictionsError(f"cannot read {path}: {error.fault}.") from error
        found: pd.DataFrame = table.to_pandas()
        return found
    if kind in {".csv", ".tsv", ".txt"}:
        return read_csv(path, PredictionsError).table.reset_index(drop=True)
    raise PredictionsError(
        f"{path} is not a table that can be read: give a .csv, .tsv or .parquet file, or a folder."
    )


def from_arrays(
    y_true: Any, y_proba: Any, classes: Sequence[Any] | None = None
) -> tuple[pd.DataFrame, Columns]:
    """What scikit-learn's `cross_val_predict` works with, as a table.

    Parameters
    ----------
    y_true : array-like, shape (n,)
        Labels.
    y_proba : array-like, shape (n, C) or (n,)
        Probabilities (method="predict_proba"); or (n,) scores, or probabilities of the positive
        class, of two classes.
    classes : sequence, optional
        Of the columns of `y_proba`; by default the sorted labels, as scikit-learn orders them.

    Raises
    ------
    PredictionsError
        The shapes do not fit each other.
    """
    labels, values = np.asarray(y_true), np.asarray(y_proba)
    if labels.ndim != 1 or values.ndim not in (1, 2) or len(values) != len(labels):
        raise PredictionsError(
            f"y_true has the shape {labels.shape} and y_proba {values.shape}. Give (n,) labels, "
            "and (n, C) probabilities or (n,) scores of the same rows."
        )
    names = [class_name(each) for each in (np.unique(labels) if classes is None else classes)]
    if values.ndim == 1 and len(names) != 2:
        raise PredictionsError(
            f"y_proba is one number a row, and there are {len(names)} classes: {listing(names)}. "
            "One number ranks the people of two classes. Give a column for each class."
        )
    table = pd.DataFrame({"label": labels})
    if values.ndim == 1:
        table["value"] = values
        columns = Columns(label="label", classes=names, positive=names[1])
        is_share = len(values) and values.min() >= 0 and values.max() <= 1
        one, other = (replace(columns, probability="value"), replace(columns, score="value"))
        return table, one if is_share else other
    if values.shape[1] != len(names):
        raise PredictionsError(
            f"y_proba has {values.shape[1]} columns, and there are {len(names)} classes: "
            f"{listing(names)}. Name the class of each column in `classes`."
        )
    each = {name: f"p.{name}" for name in names}
    table = table.assign(**{column: values[:, i] for i, column in enumerate(each.values())})
    return table, Columns(label="label", classes=names, probability=each)


def read_frame(
    frame: pd.DataFrame,
    columns: Columns = Columns(),  # noqa: B008 - frozen
    source: str = "table",
) -> Imported:
    """The predictions of a table.

    Parameters
    ----------
    frame : DataFrame
        A row a patient, recording or (long) class.
    columns : Columns
    source : str
        What the table is called in errors and in the report.

    Raises
    ------
    PredictionsError
        A column is missing or holds what it cannot hold; the message names it.
    """
    if not len(frame):
        raise PredictionsError(f"{source} has no row: there is nothing to evaluate.")
    frame = frame.rename(columns=str)
    if frame.index.name is not None and str(frame.index.name) not in frame:
        # Ids as pandas keeps them; the index stays, for values that are given by it.
        frame = frame.assign(**{str(frame.index.name): frame.index}).rename_axis(None)
    if twice := frame.columns[frame.columns.duplicated()].tolist():
        raise PredictionsError(
            f"{source} has several columns with the name {listing(twice)}. Rename or remove one."
        )
    frame, notes = _ours(frame)
    reader = Reader(frame, columns, source)
    reader = replace(reader, frame=reader.wide())
    rows = reader.ids(spelling := Spelling())
    given = reader.given()
    tasks, of_tasks = tasks_of(given, source)
    groups = reader.groups()
    names = [str(name) for name in groups]
    table = pd.concat([rows, tasks.table, groups], axis=1)
    table, of_rows = _rows_of(table, tasks.labels, names)
    table, pooled = _patients_of(table, list(map(str, tasks.table)))
    patients = table[["patient_id", *names]].drop_duplicates("patient_id")
    table, of_runs = _runs_of(table.drop(columns=names), tasks.kinds)
    return Imported(
        table, tasks.classes, tasks.kinds, tasks.positives, patients.reset_index(drop=True),
        reader.known, source,
        (*notes, *spelling.notes(), *of_tasks, *of_rows, *pooled, *of_runs, *reader.notes()),
        tasks.primary,
    )  # fmt: skip


def _ours(frame: pd.DataFrame) -> tuple[pd.DataFrame, list[Note]]:
    """Of a predictions.parquet of ours the patients, at the last epoch of each fold."""
    if not {"level", "epoch", "repeat", "seed", "fold"} <= set(frame.columns):
        return frame, []
    frame = frame[frame["level"] == "patient"].drop(
        columns=["level", "recording_id"], errors="ignore"
    )
    last = frame.groupby(["repeat", "seed", "fold"])["epoch"].transform("max")
    kept = frame[frame["epoch"] == last].drop(columns="epoch")
    rest = len(frame) - len(kept)
    text = "rows of earlier epochs, which are not scored: the last epoch of each fold is"
    return kept, [Note("earlier epochs", rest, text)] if rest else []


def _rows_of(
    table: pd.DataFrame, labels: Sequence[str], groups: Sequence[str]
) -> tuple[pd.DataFrame, list[Note]]:
    """Without rows that have no label, and without exact copies of others."""
    notes = []
    empty = table[list(labels)].isna().any(axis=1).to_numpy()
    if empty.any():
        ids = tuple(dict.fromkeys(table.loc[empty, "patient_id"]))
        text = "rows without a label of every task are left out: nobody can say if they are right"
        notes.append(Note("rows without a label", int(empty.sum()), text, ids))
        table = table[~empty]
    if not len(table):
        raise PredictionsError("no row has a label of every task: there is nothing to score.")
    copies = table.astype(dict.fromkeys(groups, str)).duplicated()
    if copies.any():
        ids = tuple(dict.fromkeys(table.loc[copies, "patient_id"]))
        text = "rows that are exact copies of other rows are left out; each row counts once"
        notes.append(Note("copied rows", int(copies.sum()), text, ids))
    return table[~copies.to_numpy()], notes


def _runs_of(table: pd.DataFrame, kinds: Mapping[str, str]) -> tuple[pd.DataFrame, list[Note]]:
    """Without repeats and seeds that are copies of others, which would narrow every interval.

    Equal numbers say nothing that the first ones did not, whoever was in which fold. Equal
    decisions do where the folds differ, since models that are all right are alike: they stay.
    """
    probs = [str(name) for name in table if str(name).startswith("p.")]
    coarse = set(kinds.values()) == {DECISIONS}
    first: dict[str, str] = {}
    groups: dict[bool, list[str]] = {True: [], False: []}  # by whether the folds differ
    seen: set[tuple[str, str]] = set()
    copied = np.zeros(len(table), dtype=bool)
    runs: Mapping[Any, Any] = table.groupby(["repeat", "seed"]).indices
    for (repeat, seed), rows in runs.items():
        mine = table.iloc[rows].sort_values(["patient_id", *probs])
        numbers = "".join(map(repr, mine["patient_id"])).encode() + mine[probs].to_numpy().tobytes()
        key = hashlib.sha256(numbers).hexdigest()
        place = (key, pd.factorize(mine["fold"])[0].tobytes().hex())
        name = f"repeat {repeat}, seed {seed}"
        is_apart = coarse and key in first and place not in seen
        if key in first:
            groups[is_apart].append(f"{name} as {first[key]}")
            copied[rows] = not is_apart
        first.setdefault(key, name)
        seen.add(place)
    text = {
        False: "repeats or seeds with the predictions of another one, number for number, are left "
        "out: copies would narrow the intervals. If a file was joined twice, remove it; a repeat "
        "splits and trains anew",
        True: "repeats or seeds with the decisions of another one, in other folds, count: right if "
        "they were trained anew",
    }
    notes = [
        Note("alike repeats" if apart else "copied repeats", len(items), text[apart], tuple(items))
        for apart, items in groups.items()
        if items
    ]
    return table[~copied].reset_index(drop=True), notes


def _patients_of(table: pd.DataFrame, of_tasks: Sequence[str]) -> tuple[pd.DataFrame, list[Note]]:
    """A row for each patient: the mean of the recordings, where rows are of recordings."""
    keys = [*_ROWS]
    if not (table["recording_id"] != "").any() or not table.duplicated(keys).any():
        return table.assign(recording_id=""), []
    probs = [name for name in of_tasks if name.startswith("p.")]
    labels = [name for name in of_tasks if name.startswith("y.")]
    torn = table.groupby(keys, sort=False)[labels].nunique().gt(1).any(axis=1)
    if torn.any():
        ids = [str(key[-1]) for key in torn.index[torn]]
        raise PredictionsError(
            f"recordings of {counted(len(ids), 'patient')} have different labels: {listing(ids)}. "
            "A patient has one label a task. Give the recordings as patients (--patient), and who "
            "they are of as --person."
        )
    rest = [name for name in table if name not in {*probs, *keys}]
    how: dict[Any, str] = {**dict.fromkeys(probs, "mean"), **dict.fromkeys(rest, "first")}
    pooled = table.groupby(keys, sort=False, as_index=False).agg(how)[list(table)]
    text = f"recordings; a patient's probability is the mean of theirs ({len(pooled)} rows)"
    return pooled.assign(recording_id=""), [Note("rows of recordings", len(table), text)]
