"""Out-of-fold predictions: one table, and the laws that make it trustworthy.

A row says what a fold's model, which never trained on this person, gave for a
patient (`level` = "patient", every epoch) or for one recording (`level` =
"recording", the kept epoch only):

level, repeat, seed, fold, epoch, person_id, patient_id, recording_id,
y.<task>            the patient's label (class name)
p.<task>.<class>    probability, one column a class, summing to 1 a task
cycle.<name>...     numbers of the heart cycle, where there is a frame branch

It is the only thing that training and judging share: no torch here, no metric.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from kfold_hs.errors import DamagedFileError, PredictionsError, listing
from kfold_hs.files import stored
from kfold_hs.files.paths import FoldId, writing
from kfold_hs.predictions import cycle

KEYS = ("repeat", "seed", "fold", "epoch")
_WHAT = "the predictions"
COLUMNS = ("level", *KEYS, "person_id", "patient_id", "recording_id")
PROBABILITIES, SCORES, DECISIONS = "probabilities", "scores", "decisions"
"""What the columns p.<task>.<class> hold; the other two only in imported predictions: shares of the
scores below, whose order alone means something, and 1 for the class that was called."""


def label_column(task: str) -> str:
    return f"y.{task}"


def prob_column(task: str, class_name: str) -> str:
    return f"p.{task}.{class_name}"


@dataclass(frozen=True)
class Predictions:
    """The table above with the classes of every task, in the order of its columns.

    Parameters
    ----------
    table : DataFrame
    classes : mapping
        Task -> its classes.
    kinds : mapping
        Task -> `SCORES` or `DECISIONS`; all others have `PROBABILITIES`.

    Raises
    ------
    PredictionsError
        When a column is missing, a probability is not finite or not in [0, 1], the
        probabilities of a task do not sum to 1, or a patient stands twice in one
        epoch of one repeat and seed.
    """

    table: pd.DataFrame
    classes: Mapping[str, tuple[str, ...]]
    kinds: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        wanted = list(COLUMNS)
        for task, names in self.classes.items():
            wanted += [label_column(task), *(prob_column(task, name) for name in names)]
        missing = [column for column in wanted if column not in self.table]
        if missing:
            raise PredictionsError(f"the table of predictions lacks {listing(missing)}.")
        for task in self.classes:
            _check_probabilities(task, self.y_prob(task))
        who = ["level", "repeat", "seed", "epoch", "patient_id", "recording_id"]
        twice = self.table.duplicated(who)
        if twice.any():
            row = self.table[twice].iloc[0]
            raise PredictionsError(
                f"patient {row['patient_id']} is predicted twice in repeat {row['repeat']}, "
                f"seed {row['seed']}, epoch {row['epoch']} ({int(twice.sum())} such rows): "
                "folds must not overlap."
            )

    @property
    def tasks(self) -> tuple[str, ...]:
        return tuple(self.classes)

    def __len__(self) -> int:
        return len(self.table)

    def kind(self, task: str) -> str:
        """What the columns p.<task>.<class> hold."""
        return self.kinds.get(task, PROBABILITIES)

    def with_rows(self, table: pd.DataFrame) -> Predictions:
        """Other rows of the same tasks."""
        return replace(self, table=table)

    def of_tasks(self, tasks: Iterable[str]) -> Predictions:
        """The same rows, of some of the tasks."""
        return replace(self, classes={task: self.classes[task] for task in tasks})

    def y_prob(self, task: str) -> np.ndarray:
        """Probabilities of a task, shape (n_rows, n_classes), float64."""
        # By column: a frame of the columns takes ten times as long, and everything asks for this.
        columns = (self.table[prob_column(task, name)] for name in self.classes[task])
        return np.array([column.to_numpy(dtype=np.float64) for column in columns]).T

    def y_true(self, task: str) -> np.ndarray:
        """Class indices of the patients' labels, shape (n_rows,), int64."""
        index = {name: i for i, name in enumerate(self.classes[task])}
        labels = self.table[label_column(task)].to_numpy(dtype=object)
        return np.array([index[label] for label in labels], dtype=np.int64)

    def where(self, **values: Any) -> Predictions:
        """Rows whose columns equal `values`, e.g. ``where(level="patient", fold=0)``."""
        keep = np.ones(len(self.table), dtype=bool)
        for column, value in values.items():
            keep &= (self.table[column] == value).to_numpy()
        return self.with_rows(self.table[keep].reset_index(drop=True))

    def at(self, epochs: Mapping[FoldId, int], level: str = "patient") -> Predictions:
        """Rows of a level of one epoch a fold; `epochs` maps (repeat, seed, fold) to it."""
        rows = self.table[self.table["level"] == level]
        places = [rows[name].to_numpy(dtype=np.int64) for name in ("repeat", "seed", "fold")]
        sizes = [int(each.max(initial=0)) + 1 for each in places]
        different, place = np.unique(np.ravel_multi_index(places, sizes), return_inverse=True)
        keys = zip(*(each.tolist() for each in np.unravel_index(different, sizes)), strict=True)
        wanted = np.array([epochs[FoldId(*key)] for key in keys], dtype=np.int64)
        keep = rows["epoch"].to_numpy() == wanted[place]
        return self.with_rows(rows[keep].reset_index(drop=True))

    def mean_over_seeds(self) -> Predictions:
        """The seed ensemble: means of what the seeds' models gave, as if of seed 0.

        For rows of one epoch a fold, as `at` gives them; the epoch is the latest of them.
        """
        if self.table["seed"].nunique() == 1:
            return self
        probs = [c for c in self.table.columns.astype(str) if c.startswith("p.")]
        probs += cycle.columns_of(self.table)
        keys = ["level", "repeat", "fold", "patient_id", "recording_id"]
        rest = [c for c in self.table.columns.astype(str) if c not in {*probs, *keys}]
        how = {**dict.fromkeys(probs, "mean"), **dict.fromkeys(rest, "first"), "epoch": "max"}
        table = self.table.groupby(keys, sort=False, as_index=False).agg(how)
        return self.with_rows(table.assign(seed=0)[list(self.table)])

    def check_partition(self, patient_ids: Iterable[str]) -> None:
        """Refuse unless every patient stands exactly once in every repeat and seed.

        For patient rows of one epoch a fold, as `at` gives them.
        """
        expected = set(patient_ids)
        for (repeat, seed), group in self.table.groupby(["repeat", "seed"]):
            found = list(group["patient_id"])
            if missing := expected - set(found):
                raise PredictionsError(
                    f"repeat {repeat}, seed {seed}: {len(missing)} patients were never "
                    f"predicted out of fold: {listing(sorted(missing))}."
                )
            if len(found) != len(expected):
                raise PredictionsError(
                    f"repeat {repeat}, seed {seed}: {len(found)} predictions for "
                    f"{len(expected)} patients; each must be predicted exactly once."
                )

    def _check_types(self) -> None:
        """Refuse a table that was read and whose columns are not what `write` writes."""
        for column in KEYS:
            if self.table[column].dtype.kind != "i" or (self.table[column] < 0).any():
                raise PredictionsError(f"{column} is no number from 0 on.")
        if not self.classes:
            raise PredictionsError("it does not say which classes there are.")
        for task, names in self.classes.items():
            if odd := set(self.table[label_column(task)]) - set(names):
                raise PredictionsError(f"{task} has no class {listing(sorted(map(str, odd)))}.")

    def write(self, path: Path, digests: Mapping[str, str] | None = None) -> None:
        """Write as Parquet, whole or not at all, stamped with what it stands on."""
        metadata = {f"classes.{task}": "\n".join(names) for task, names in self.classes.items()}
        metadata |= {f"kind.{task}": kind for task, kind in self.kinds.items()}
        metadata |= {f"digest.{name}": digest for name, digest in (digests or {}).items()}
        table = pa.Table.from_pandas(self.table, preserve_index=False)
        table = table.replace_schema_metadata({**(table.schema.metadata or {}), **metadata})
        with writing(path, checksum=True) as temporary:
            pq.write_table(table, temporary, compression="zstd", write_page_checksum=True)

    @classmethod
    def read(cls, path: Path) -> Predictions:
        """Read what `write` wrote; the laws are checked again."""
        try:
            table = stored.read_parquet(path, _WHAT)
            with stored.parsing(path, _WHAT):
                kinds = {task: lines[0] for task, lines in _with_prefix(table, "kind.").items()}
                found = cls(table.to_pandas(), _with_prefix(table, "classes."), kinds)
                found._check_types()
                return found
        except DamagedFileError as error:
            raise PredictionsError(str(error)) from error
        except PredictionsError as error:
            raise PredictionsError(f"cannot read {_WHAT} {path}: {error}") from error

    @staticmethod
    def digests(path: Path) -> dict[str, str]:
        """The digests that a file of predictions was stamped with."""
        try:
            found = _with_prefix(stored.read_parquet(path, _WHAT), "digest.")
        except DamagedFileError as error:
            raise PredictionsError(str(error)) from error
        return {name: "\n".join(lines) for name, lines in found.items()}

    @classmethod
    def concat(cls, parts: Iterable[Predictions]) -> Predictions:
        """All rows of `parts`, which must be of the same tasks and classes."""
        parts = list(parts)
        if not parts:
            raise PredictionsError("there are no predictions to put together.")
        if any(dict(part.classes) != dict(parts[0].classes) for part in parts):
            raise PredictionsError("predictions of different tasks or classes cannot be joined.")
        table = pd.concat([part.table for part in parts], ignore_index=True)
        return parts[0].with_rows(table)


def _with_prefix(table: pa.Table, prefix: str) -> dict[str, tuple[str, ...]]:
    """Lines of the values of a table's metadata whose keys begin so; without the prefix."""
    metadata = table.schema.metadata or {}
    found = {key.decode(): tuple(value.decode().split("\n")) for key, value in metadata.items()}
    return {k.removeprefix(prefix): v for k, v in found.items() if k.startswith(prefix)}


def _check_probabilities(task: str, y_prob: np.ndarray) -> None:
    if not np.isfinite(y_prob).all():
        raise PredictionsError(f"{task}: a probability is not a finite number.")
    if len(y_prob) and (y_prob.min() < 0 or y_prob.max() > 1 + 1e-6):
        raise PredictionsError(f"{task}: a probability lies outside [0, 1].")
    if len(y_prob) and np.abs(y_prob.sum(axis=1) - 1).max() > 1e-4:
        raise PredictionsError(f"{task}: probabilities of a row do not sum to 1.")


def fold_ids(table: pd.DataFrame) -> list[FoldId]:
    """The fold model that each row is of."""
    columns = [table[name].tolist() for name in FoldId._fields]
    return [FoldId(*key) for key in zip(*columns, strict=True)]
