"""The columns of an imported table that say what was predicted, by their names."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from kfold_hs.cohort.values import is_missing, number
from kfold_hs.config.names import clean_name
from kfold_hs.errors import PredictionsError, listing

TRAINED_WORDS = ("train", "training", "tr", "imagestr")
"""Names of the people whom every model was trained on, in place of a fold."""
_MINUS_ONE = re.compile(r"-1(\.0+)?")


def is_trained_on(fold: str) -> bool:
    """Whether a fold's name says that nobody of it was held out, as -1 does to scikit-learn."""
    name = clean_name(fold).lower()
    return name in TRAINED_WORDS or _MINUS_ONE.fullmatch(name) is not None


_USUAL = {
    "label": ("label", "y_true", "y", "true", "target", "true_label", "ground_truth"),
    "probability": ("probability", "p", "prob", "proba", "y_prob", "y_proba", "y_pred_proba"),
    "score": ("score", "y_score", "decision_function", "logit"),
    "called": ("called", "prediction", "predicted", "pred", "y_pred", "predicted_label"),
}
_KNOWN_TASKS = ("murmur", "outcome")
_OF_CLASS = re.compile(
    r"(?:p|prob|proba|probability|y_prob|y_proba|y_pred_proba|pred_proba)[._: -]+(?P<prefixed>.+)"
    r"|(?P<suffixed>.+)[._: -]+(?:p|prob|proba|probability)",
    re.IGNORECASE,
)


@dataclass(frozen=True, eq=False)
class Given:
    """A table, and the columns that the user named.

    Parameters
    ----------
    frame : DataFrame
        The columns that say nothing else; numbered rows.
    columns : mapping
        label, score, called, probability -> None, a Series, or a mapping from tasks (of
        probabilities: from CLASS or TASK.CLASS).
    label_name : str
        The column of the label, which names the only task.
    positive, classes, normalise
        See `import_columns.Columns`.
    """

    frame: pd.DataFrame
    columns: Mapping[str, Any]
    label_name: str
    positive: Any
    classes: Sequence[Any] | None
    normalise: bool

    @property
    def names(self) -> list[str]:
        return list(map(str, self.frame))

    def of_task(self, what: str, task: str, alone: bool) -> pd.Series | None:
        """The column of a task: as named by the user, else by its usual names."""
        named = self.columns[what]
        if named is not None:
            if isinstance(named, Mapping):
                return named.get(task)
            return named if alone else None
        if (name := self.usual(what, task, alone)) is None:
            return None
        return self.frame[name]

    def usual(self, what: str, task: str, alone: bool) -> str | None:
        """e.g. ``score.murmur``, or for the only task ``score``."""
        by_name = {clean_name(name).lower(): name for name in self.names}
        for word in _USUAL[what]:
            names = [f"{word}.{task}".lower(), f"{word}_{task}".lower(), *([word] * alone)]
            if found := next((by_name[name] for name in names if name in by_name), None):
                return str(found)
        return None

    def labels(self) -> dict[str, pd.Series]:
        """The labels of every task, as they are; without tasks that nothing predicts.

        Raises
        ------
        PredictionsError
            No column of labels is there.
        """
        named = self.columns["label"]
        if isinstance(named, Mapping):
            return dict(named)
        if named is not None:
            is_usual = clean_name(self.label_name).lower() in _USUAL["label"]
            return {"label" if is_usual else self.label_name: named}
        by_task = {}
        for name in self.names:
            if found := re.fullmatch(r"(?:label|y|y_true|true|target)[.:](.+)", name, re.I):
                by_task[found[1]] = self.frame[name]
        if not by_task and (usual := self.usual("label", "", alone=True)):
            return {"label": self.frame[usual]}
        if not by_task:
            by_task = {n: self.frame[n] for n in self.names if n.lower() in _KNOWN_TASKS}
        if not by_task:
            raise PredictionsError(
                f"no column says what is true of the people: none of {listing(self.names, 12)} is "
                "called label. Name it with --label COLUMN, or give a table or folder of labels "
                "with --labels."
            )
        predicted = {task: v for task, v in by_task.items() if self._is_predicted(task, seen(v))}
        return predicted or by_task

    def _is_predicted(self, task: str, labels: Sequence[str]) -> bool:
        """Whether any column predicts a task; a table of labels may have more tasks."""
        named = [
            each for what, each in self.columns.items() if what != "label" and each is not None
        ]
        if any(task in each if isinstance(each, Mapping) else True for each in named):
            return True
        usual = (self.usual(what, task, alone=True) for what in ("score", "called", "probability"))
        return any(usual) or bool(self.classes_of(task, labels, alone=False))

    def classes_of(self, task: str, seen: Sequence[str], alone: bool) -> dict[str, str]:
        """Class -> column of its probability, of the columns that have usual names."""
        found: dict[str, str] = {}
        for name in self.names:
            match = None if spelled(name, seen) in seen else _OF_CLASS.fullmatch(name)
            rest = name if match is None else match["prefixed"] or match["suffixed"]
            for start in (f"{task}.", f"{task}_", f"{task}:"):
                if match is not None and rest.lower().startswith(start.lower()):
                    found[spelled(rest[len(start) :], seen)] = name
                    break
            else:
                of_class = spelled(rest, seen)
                is_new = match is not None and alone and name[: -len(rest)].endswith(".")
                if of_class in seen or is_new:
                    found.setdefault(of_class, name)
        return found


def task_columns(given: Given) -> set[str]:
    """The columns of the table that `tasks_of` reads."""
    used: set[str] = set()
    named = [each for each in given.columns.values() if each is not None]
    for each in named:
        series = each.values() if isinstance(each, Mapping) else [each]
        used |= {str(one.name) for one in series if one.name in given.frame}
    labels = given.labels()
    used |= {str(each.name) for each in labels.values()}
    for task, values in labels.items():
        alone = len(labels) == 1
        for what in ("score", "called", "probability"):
            if given.columns[what] is None and (name := given.usual(what, task, alone)):
                used.add(name)
        if given.columns["probability"] is None:
            used |= set(given.classes_of(task, seen(values), alone).values())
    return used


def seen(values: pd.Series) -> list[str]:
    """The classes that labels name, numbers by their size."""
    names = {text(cell) for cell in values.unique()}
    names = {name for name in names if not is_missing(name)}
    return sorted(names, key=lambda name: (number(name) is None, number(name) or 0.0, name))


def spelled(name: str, seen: Sequence[str]) -> str:
    """A class as the labels spell it, where they have it."""
    cleaned = clean_name(name)
    return next((each for each in seen if each.lower() == cleaned.lower()), cleaned)


def text(cell: object) -> str:
    """A cell as text: 1, 1.0 and "1.0" are one class."""
    known = number(cell) if not isinstance(cell, bool | np.bool_) else None
    if known is not None and known.is_integer():
        return str(int(known))
    return clean_name(cell)
