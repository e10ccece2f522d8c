"""What several tables of predictions have in common: rows, tasks, folds.

Tables are paired row by row: a patient in a repeat. Only where all tables put these people into
the same folds are their models paired, too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np
import pandas as pd

from kfold_hs.errors import PredictionsError, counted, listing
from kfold_hs.predictions.imported import Imported
from kfold_hs.predictions.table import Predictions, label_column

_KEY = ["repeat", "patient_id"]
NO_FOLDS = "not all tables say in which fold each person was held out"
OTHER_FOLDS = "the tables put these people into different folds"


@dataclass(frozen=True, eq=False)
class Common:
    """What several tables have in common.

    Parameters
    ----------
    tables : mapping
        Name -> its rows of the same patients in the same repeats, in one order.
    positives : mapping
        Task -> index of its positive class.
    primary : tuple of str
        The tasks that the headline is about.
    n_folds : int, optional
        Where all have the same folds; else None, and `why` says why.
    left_out : mapping
        Name -> ids of the patients that not all have.
    tasks_left_out : tuple of str
        Tasks that not all have, or not in the same way.
    """

    tables: Mapping[str, Predictions]
    positives: Mapping[str, int]
    primary: tuple[str, ...]
    n_folds: int | None
    why: str
    left_out: Mapping[str, tuple[str, ...]]
    tasks_left_out: tuple[str, ...]

    @property
    def first(self) -> pd.DataFrame:
        return next(iter(self.tables.values())).table

    @property
    def train_share(self) -> float | None:
        if self.n_folds is None:
            return None
        tested = self.first.groupby(["repeat", "fold"])["person_id"].nunique()
        return 1 - float(tested.mean()) / int(self.first["person_id"].nunique())


def common_of(read: Mapping[str, Imported]) -> Common:
    """The rows and tasks that all tables have.

    Raises
    ------
    PredictionsError
        No task or patient is in all, or a patient has different labels.
    """
    names = list(read)
    scored = {name: each.predictions().mean_over_seeds() for name, each in read.items()}
    first, baseline = scored[names[0]], read[names[0]]
    tasks, rows = _common_tasks(scored), _common_rows(scored)
    _check_labels(rows, tasks)
    n_folds, why = _folds(rows, read)
    whose = next((n for n in names if "person" in read[n].known), names[0])
    people = rows[whose]["person_id"].to_numpy()
    fold = rows[names[0]]["fold"].to_numpy() if n_folds else 0
    like = first.of_tasks(tasks)
    tables = {
        name: like.with_rows(table.assign(person_id=people, fold=fold, seed=0, epoch=0))
        for name, table in rows.items()
    }
    kept = set(rows[names[0]]["patient_id"])
    left = {
        name: tuple(dict.fromkeys(p for p in each.table["patient_id"] if p not in kept))
        for name, each in scored.items()
    }
    every = dict.fromkeys(task for each in scored.values() for task in each.tasks)
    positives = {task: baseline.positives[task] for task in tasks}
    primary = tuple(task for task in baseline.primary if task in tasks) or tuple(tasks)
    others = tuple(task for task in every if task not in tasks)
    return Common(tables, positives, primary, n_folds, why, left, others)


def _common_tasks(scored: Mapping[str, Predictions]) -> list[str]:
    """Tasks that all tables have, with the same classes and of one kind."""
    first = next(iter(scored.values()))
    tasks = [
        task
        for task in first.tasks
        if all(
            set(each.classes.get(task, ())) == set(first.classes[task])
            and each.kind(task) == first.kind(task)
            for each in scored.values()
        )
    ]
    if not tasks:
        each_has = [
            f"{name}: "
            + ", ".join(f"{t} ({each.kind(t)}: {', '.join(each.classes[t])})" for t in each.tasks)
            for name, each in scored.items()
        ]
        raise PredictionsError(
            "the tables have no task in common, with the same classes and of one kind. "
            f"{'; '.join(each_has)}."
        )
    return tasks


def _common_rows(scored: Mapping[str, Predictions]) -> dict[str, pd.DataFrame]:
    """Rows of the patients that all tables have in a repeat, in one order."""
    by_key = {name: each.table.set_index(_KEY) for name, each in scored.items()}
    indexes = (table.index for table in by_key.values())
    shared = reduce(lambda one, other: one.intersection(other), indexes).sort_values()
    if not len(shared):
        ids = [f"{name}: {listing(each.table['patient_id'], 3)}" for name, each in scored.items()]
        raise PredictionsError(f"no patient is in all tables. {'; '.join(ids)}.")
    return {name: table.loc[shared].reset_index() for name, table in by_key.items()}


def _check_labels(rows: Mapping[str, pd.DataFrame], tasks: Sequence[str]) -> None:
    names = list(rows)
    for task in tasks:
        column = label_column(task)
        for name in names[1:]:
            one, other = rows[names[0]][column].to_numpy(), rows[name][column].to_numpy()
            if (odd := one != other).any():
                ids = rows[name]["patient_id"][odd].unique()
                raise PredictionsError(
                    f"{counted(len(ids), 'patient has', 'patients have')} one label of {task} in "
                    f"{names[0]} and another in {name}: {listing(ids)}. Correct the labels: a "
                    "comparison needs one truth."
                )


def _folds(
    rows: Mapping[str, pd.DataFrame], read: Mapping[str, Imported]
) -> tuple[int | None, str]:
    """Number of the folds that all share; folds are the same if the same people are together."""
    names = list(rows)
    if any("fold" not in each.known for each in read.values()):
        return None, NO_FOLDS
    first = rows[names[0]]
    one = first.groupby(["repeat", "fold"]).ngroup().to_numpy()
    for name in names[1:]:
        other = rows[name].groupby(["repeat", "fold"]).ngroup().to_numpy()
        n_pairs = len(np.unique(one * (int(other.max()) + 1) + other))
        if not len(np.unique(one)) == len(np.unique(other)) == n_pairs:
            return None, OTHER_FOLDS
    n_folds = int(first["fold"].nunique())
    return (n_folds, "") if n_folds > 1 else (None, NO_FOLDS)
