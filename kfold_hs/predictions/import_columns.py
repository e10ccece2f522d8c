"""Which column of an imported table says what: as the user names it, else by the usual names."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from kfold_hs.cohort.cohort import Note
from kfold_hs.cohort.ids import Spelling
from kfold_hs.cohort.values import are_missing
from kfold_hs.config.names import clean_name
from kfold_hs.errors import PredictionsError, counted, listing, unknown_name
from kfold_hs.predictions.import_names import Given, is_trained_on, task_columns

SPELLINGS: Mapping[str, tuple[str, ...]] = {
    "person": ("person", "person_id", "subject", "subject_id", "participant", "participant_id"),
    "patient": ("patient", "patient_id", "patientid", "case", "case_id", "id", "identifier"),
    "recording": ("recording", "recording_id"),
    "fold": ("fold", "fold_id", "kfold", "cv_fold"),
    "repeat": ("repeat", "repetition", "cv_repeat"),
    "seed": ("seed", "random_state"),
    "task": ("task",),
    "class": ("class", "class_name"),
}
"""The usual names of columns that are not about one task, in lower case with underscores."""
MODELS = ("fold", "repeat", "seed")
_LONG = ("p", "prob", "proba", "probability", "score")
"""The predictions of a long table."""


@dataclass(frozen=True)
class Columns:
    """The columns of a table, where their names are not the usual ones.

    Each is the name of a column, or in Python the values themselves (a list, an array or a Series).

    Parameters
    ----------
    person, patient, recording, fold, repeat, seed : optional
    label, score, called : optional
        Of the only task; or a mapping from tasks.
    probability : mapping, or one column
        Class, or TASK.CLASS -> column. One column alone is the probability of the positive class.
    positive : str or mapping, optional
        The positive class, or task -> positive class.
    classes : sequence of str, optional
        Of the only task, in the order of the columns of an array.
    group : sequence of str
        Columns by which groups of people are compared.
    normalise : bool
        Divide the probabilities of a row by their sum.
    """

    person: Any = None
    patient: Any = None
    recording: Any = None
    fold: Any = None
    repeat: Any = None
    seed: Any = None
    label: Any = None
    score: Any = None
    called: Any = None
    probability: Any = None
    positive: Any = None
    classes: Sequence[Any] | None = None
    group: Sequence[str] = ()
    normalise: bool = False


@dataclass(frozen=True, eq=False)
class Reader:
    """A table whose columns are looked up by what they say."""

    frame: pd.DataFrame
    columns: Columns
    source: str

    def values(self, role: str, given: Any = None) -> pd.Series | None:
        """The column of a role: as given, else by its usual names; None where there is none."""
        given = getattr(self.columns, role, None) if given is None else given
        if given is None:
            name = self.usual(role)
            return None if name is None else self.frame[name]
        return self.column(role, given)

    def column(self, role: str, given: Any) -> pd.Series:
        """A column by its name, or values that the user gives.

        Raises
        ------
        PredictionsError
            There is no such column, or not as many values as rows.
        """
        if isinstance(given, str):
            if given not in self.frame:
                raise PredictionsError(
                    f"{self.source}: {role}: {unknown_name('column', given, self.frame.columns)}"
                )
            return self.frame[given]
        index = self.frame.index
        if isinstance(given, pd.Series) and not given.index.equals(index):
            # The same rows in another order, or more of them, are put into the table's order.
            if not (given.index.is_unique and index.isin(given.index).all()):
                raise PredictionsError(
                    f"{role} is a Series whose index is not that of {self.source}, so that its "
                    "values belong to unknown rows. Give it the index of the table, or its values "
                    "(.to_numpy()) in the table's order."
                )
            return given.reindex(index)
        values = np.asarray(given)
        if values.shape != (len(self.frame),):
            raise PredictionsError(
                f"{role} has the shape {values.shape}, and {self.source} has {len(self.frame)} "
                "rows: give one value a row."
            )
        return pd.Series(values, index=self.frame.index)

    def usual(self, role: str) -> str | None:
        """The column that has one of the role's usual names."""
        return usual_column(role, self.frame.columns, self.source)

    def wide(self) -> pd.DataFrame:
        """The table with a row for each patient, where it has one for each class."""
        class_column, task = self.usual("class"), self.usual("task")
        probability = next((c for c in self.frame if _plain(c) in _LONG), None)
        if class_column is None or probability is None:
            return self.frame
        label = next((c for c in self.frame if _plain(c) in ("label", "y_true", "target")), None)
        long = {class_column, probability, task, label}
        ids = [column for column in self.frame if column not in long]
        whose = [self.usual(role) for role in ("person", "patient", "recording", *MODELS)]
        keys = [column for column in whose if column is not None]
        if not keys:
            return self.frame  # the error about ids names the columns
        number = self.frame.groupby(keys, sort=False, dropna=False).ngroup().to_numpy()
        names = self.frame[class_column].map(class_name)
        of_task = "" if task is None else self.frame[task].map(clean_name) + "."
        columns = "p." + of_task + names
        if (twice := pd.DataFrame({"row": number, "class": columns}).duplicated()).any():
            row = self.frame[twice.to_numpy()].iloc[0]
            raise PredictionsError(
                f"{self.source} has {counted(int(twice.sum()), 'row')} too many: "
                f"{', '.join(f'{key} {row[key]}' for key in keys)} has class {row[class_column]} "
                "twice. A long table has one row for each patient, task, class and model."
            )
        found = self.frame[ids].iloc[np.unique(number, return_index=True)[1]].reset_index(drop=True)
        values = pd.Series(self.frame[probability].to_numpy(), index=[number, columns.to_numpy()])
        found = found.join(values.unstack())
        if label is not None:
            tasks = "label" if task is None else "label." + self.frame[task].map(clean_name)
            labels = pd.DataFrame(
                {"row": number, "task": tasks, "is": self.frame[label].to_numpy()}
            )
            found = found.join(labels.drop_duplicates(["row", "task"]).pivot(
                index="row", columns="task", values="is"))  # fmt: skip
        return found

    def ids(self, spelling: Spelling) -> pd.DataFrame:
        """Who was predicted by which model; folds, repeats and seeds are numbered from 0."""
        person, patient = self.values("person"), self.values("patient")
        if person is None and patient is None:
            raise PredictionsError(
                f"{self.source} does not say whose the rows are: none of its columns "
                f"({listing(self.frame.columns, 12)}) is called person, patient or id. Name the "
                "column: --person COLUMN or --patient COLUMN."
            )
        found = pd.DataFrame(index=self.frame.index)
        found["level"] = "patient"
        for role in ("repeat", "seed", "fold"):
            found[role] = self._numbered(role)
        found["epoch"] = 0
        for name, one, other in (("person", person, patient), ("patient", patient, person)):
            values = one if one is not None else other
            assert values is not None
            if (empty := are_missing(values.astype(object))).any():
                raise PredictionsError(
                    f"{self.source}: {counted(int(empty.sum()), 'row has', 'rows have')} no "
                    f"{name}. Fill the ids in, or remove these rows."
                )
            found[f"{name}_id"] = _mapped(values, lambda cell: spelling(class_name(cell)))
        recording = self.values("recording")
        found["recording_id"] = "" if recording is None else _mapped(recording, class_name)
        return found.reset_index(drop=True)

    def _numbered(self, role: str) -> Any:
        values = self.values(role)
        if values is None:
            return 0
        if (empty := are_missing(values.astype(object))).any():
            raise PredictionsError(
                f"{self.source}: {counted(int(empty.sum()), 'row has', 'rows have')} no {role}. "
                f"Fill it in, or leave the column out: then nothing is said about {role}s."
            )
        names = _mapped(values, class_name)
        if role == "fold" and (trained := sorted({n for n in names.unique() if is_trained_on(n)})):
            n = int(names.isin(trained).sum())
            raise PredictionsError(
                f"{self.source}: {counted(n, 'row is', 'rows are')} of the fold "
                f"{listing(map(repr, trained))}, which is not held out: the models were trained on "
                "these people. Remove the rows, or rename the fold if it is one that was held out."
            )
        order = {name: i for i, name in enumerate(sorted(names.unique(), key=_natural))}
        return names.map(order).astype(np.int64)

    def given(self) -> Given:
        """What the tasks are read from."""
        columns = self.columns

        def resolved(what: str, value: Any) -> Any:
            if isinstance(value, Mapping):
                return {
                    str(k): self.column(what, v).reset_index(drop=True) for k, v in value.items()
                }
            return None if value is None else self.column(what, value).reset_index(drop=True)

        roles = ("label", "score", "called", "probability")
        return Given(
            self.frame.reset_index(drop=True).drop(columns=[*self._taken()], errors="ignore"),
            {what: resolved(what, getattr(columns, what)) for what in roles},
            columns.label if isinstance(columns.label, str) else "label",
            columns.positive, columns.classes, columns.normalise,
        )  # fmt: skip

    def _taken(self) -> set[str]:
        """Columns that say something else than what was predicted."""
        roles = ("person", "patient", "recording", *MODELS)
        given = [self._name(role) for role in roles]
        return {name for name in [*given, *self.columns.group] if isinstance(name, str)}

    def _name(self, role: str) -> Any:
        given = getattr(self.columns, role)
        return self.usual(role) if given is None else given

    def groups(self) -> pd.DataFrame:
        """The columns by which groups of people are compared."""
        found = {name: self.column("group", name) for name in self.columns.group}
        clash = set(found) & {"patient_id", "person_id", "recording_id", "level", "epoch", *MODELS}
        if clash:
            raise PredictionsError(
                f"{self.source}: --group {listing(sorted(clash))} is a column that says who was "
                "predicted by what; groups are of people, such as age or sex."
            )
        return pd.DataFrame(found, index=self.frame.index).reset_index(drop=True)

    @property
    def known(self) -> frozenset[str]:
        given = {role for role in ("person", *MODELS) if self.values(role) is not None}
        return frozenset(given)

    def notes(self) -> list[Note]:
        """What the table does not say, and what was not read of it."""
        found = []
        if "person" not in self.known:
            text = (
                "rows have no person of their own column: every patient id counts as a person; if "
                "some are the same person, intervals are too narrow, and leaks cannot be seen"
            )
            found.append(Note("persons are not named", len(self.frame), text))
        used = self._taken() | task_columns(self.given())
        if rest := [column for column in self.frame if column not in used]:
            text = "columns that were not read; name a column of groups with --group"
            found.append(Note("columns not read", len(rest), text, tuple(map(str, rest))))
        return found


def usual_column(role: str, columns: Iterable[object], source: str = "the table") -> str | None:
    """The column that has one of a role's usual names, the first of them that is there.

    Raises
    ------
    PredictionsError
        Several columns have it.
    """
    by_name: dict[str, list[str]] = {}
    for column in columns:
        by_name.setdefault(_plain(column), []).append(str(column))
    for spelling in SPELLINGS[role]:
        found = by_name.get(spelling, [])
        if len(found) > 1:
            raise PredictionsError(
                f"{source} has the columns {listing(found)}, which both look like the {role}. Name "
                f"one: --{role} COLUMN."
            )
        if found:
            return found[0]
    return None


def _plain(name: object) -> str:
    """A column's name as it is looked up: lower case, other signs as one underscore."""
    return re.sub(r"[^0-9a-z]+", "_", clean_name(name).lower()).strip("_")


def class_name(cell: object) -> str:
    """A class or id as text: 1 and 1.0 are one."""
    if isinstance(cell, float | np.floating) and float(cell).is_integer():
        return str(int(cell))
    return clean_name(cell)


def _mapped(values: pd.Series, function: Any) -> pd.Series:
    """A function of every different value."""
    known = {each: function(each) for each in values.unique()}
    return values.map(known).astype(object)


def _natural(name: str) -> tuple[int, float, str]:
    """Numbers by their size, then words."""
    digits = re.fullmatch(r"\D*(\d+)", name)
    return (0, float(digits[1]), name) if digits else (1, 0.0, name)
