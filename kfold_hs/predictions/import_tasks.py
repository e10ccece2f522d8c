"""What an imported table says of each task: labels, and probabilities, scores or decisions.

probabilities   of a row they sum to 1, but for rounding (0.02), which is taken out
scores          anything else: only the order of the patients means something, and only that of the
                positive class against the rest is kept, as shares of the different scores below
decisions       the class that was called, where nothing else is known, or where it is not the most
                probable one: then it is a task of its own, ``TASK (as called)``
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from kfold_hs.cohort.cohort import Note
from kfold_hs.cohort.values import label_of, number
from kfold_hs.errors import PredictionsError, counted, listing, shown
from kfold_hs.predictions.import_names import Given, seen, spelled, text
from kfold_hs.predictions.table import DECISIONS, SCORES, label_column, prob_column

AS_CALLED = "{} (as called)"
_OF_DECISIONS = (
    "{} has decisions without probabilities. Where a model is hardly better than chance its "
    "intervals are too narrow: probabilities alone show how the mix of classes that it was trained "
    "on moves decisions"
)
ROUNDING = 0.02
"""Most by which the probabilities of a row may miss 1: three of them with two decimals."""
POSITIVE = (
    "present", "abnormal", "positive", "pos", "yes", "true", "case", "disease", "diseased", "ill",
    "sick", "murmur", "pathological",
)  # fmt: skip
"""Classes that are the positive one, in lower case, where none is named."""


@dataclass(frozen=True, eq=False)
class Tasks:
    """The tasks of a table.

    Parameters
    ----------
    table : DataFrame
        Columns y.<task> (None where there is no label) and p.<task>.<class>.
    classes, kinds, positives : mapping
        Of each task; see `Predictions`.
    primary : tuple of str
        What the headline is about: who was called what, where that is known.
    """

    table: pd.DataFrame
    classes: dict[str, tuple[str, ...]]
    kinds: dict[str, str]
    positives: dict[str, int]
    primary: tuple[str, ...]

    @property
    def labels(self) -> list[str]:
        return [label_column(task) for task in self.classes]


def tasks_of(given: Given, source: str) -> tuple[Tasks, list[Note]]:
    """Every task of a table, and what was noticed.

    Raises
    ------
    PredictionsError
        A task has no label, no prediction, one class, or a value that is no number.
    """
    notes: list[Note] = []
    columns: dict[str, Any] = {}
    found = Tasks(pd.DataFrame(index=given.frame.index), {}, {}, {}, ())
    labels, primary = given.labels(), list[str]()
    for task, values in labels.items():
        each = _Task(given, source, task, values, alone=len(labels) == 1)
        classes, probs = each.read()
        y = each.labels(classes)
        positive = _positive(given.positive, task, classes, notes)
        called = given.of_task("called", task, each.alone)
        name = task
        if probs is not None:
            made = _Made(y, classes, probs, "", positive)
            name = _add(found, columns, task, each.as_kind(made, notes))
        if called is not None:
            at = each.called(called, classes)
            if probs is None or not _is_same(found, columns, task, classes, at):
                name = task if probs is None else AS_CALLED.format(task)
                made = _Made(y, classes, np.eye(len(classes))[at], DECISIONS, positive)
                _add(found, columns, name, made)
                notes.append(Note("decisions alone", len(at), _OF_DECISIONS.format(name)))
        primary.append(name)
    return Tasks(
        pd.DataFrame(columns, index=given.frame.index), found.classes, found.kinds,
        found.positives, tuple(primary),
    ), notes  # fmt: skip


@dataclass(frozen=True, eq=False)
class _Made:
    """A task as it goes into the table."""

    label: pd.Series
    classes: tuple[str, ...]
    probs: np.ndarray
    kind: str
    positive: int


@dataclass(frozen=True, eq=False)
class _Task:
    """One task that is being read."""

    given: Given
    source: str
    task: str
    values: pd.Series
    alone: bool

    def read(self) -> tuple[tuple[str, ...], np.ndarray | None]:
        """Classes, and a number for each of them or for the positive one (n, 1)."""
        labels, given = seen(self.values), self.given
        wanted = [text(each) for each in given.classes or labels]
        by_class = self._by_class(wanted)
        if by_class is not None and len(by_class) > 1:
            classes = tuple(by_class)
            self._check(classes, labels)
            return classes, self._numbers(by_class)
        one = given.of_task("probability", self.task, self.alone)
        if by_class:
            one = next(iter(by_class.values()))
        score = given.of_task("score", self.task, self.alone)
        if one is None and score is None:
            if given.of_task("called", self.task, self.alone) is None:
                raise PredictionsError(
                    f"{self.source}: no column has predictions of {self.task}, whose labels are "
                    f"{listing(labels)}. Name them: --probability CLASS=COLUMN for each class, "
                    "--score COLUMN, or --called COLUMN."
                )
            classes = tuple(wanted)
            self._check(classes, labels)
            return classes, None
        classes = tuple(wanted)
        self._check(classes, labels)
        return classes, self._of_two(classes, by_class, one, score)

    def _of_two(
        self,
        classes: tuple[str, ...],
        by_class: Mapping[str, pd.Series] | None,
        one: pd.Series | None,
        score: pd.Series | None,
    ) -> np.ndarray:
        """Both probabilities from one of them, (n, 2), or the score, (n, 1)."""
        if len(classes) != 2:
            raise PredictionsError(
                f"{self.source}: {self.task} has one column of predictions and "
                f"{len(classes)} classes: {listing(classes)}. One number ranks the people of two "
                "classes; name a column for each: --probability CLASS=COLUMN."
            )
        if by_class:  # the probability of one class says that of the other
            values = self._numbers(by_class)[:, 0]
            of_first = next(iter(by_class)) == classes[0]
            return np.stack([values, 1 - values][:: 1 if of_first else -1], axis=1)
        if one is not None:
            values = self._numbers({"": one})
            if values.min() < 0 or values.max() > 1:
                raise PredictionsError(
                    f"{self.source}: probabilities of {self.task} lie between {values.min():g} and "
                    f"{values.max():g}, and must lie in [0, 1]. If they are scores, name the "
                    "column with --score."
                )
            pair = np.hstack([values, 1 - values])
            is_first = _positive(self.given.positive, self.task, classes, []) == 0
            return pair if is_first else pair[:, ::-1]
        assert score is not None
        return self._numbers({"": score})

    def labels(self, classes: tuple[str, ...]) -> pd.Series:
        """Labels by the names of the classes, None where there is none."""
        return _mapped(self.values, lambda cell: label_of(text(cell), classes))

    def called(self, values: pd.Series, classes: tuple[str, ...]) -> np.ndarray:
        """Index of the class that was called, (n,)."""
        which = _mapped(values, lambda cell: label_of(text(cell), classes))
        if odd := sorted({text(cell) for cell in values[~which.isin(classes)]}):
            raise PredictionsError(
                f"{self.source}: {self.task} was called {listing(map(repr, odd))}, and the classes "
                f"are {', '.join(classes)}."
            )
        return which.map({name: i for i, name in enumerate(classes)}).to_numpy(dtype=np.int64)

    def as_kind(self, made: _Made, notes: list[Note]) -> _Made:
        """Probabilities where these are some, else the scores of the positive class."""
        probs, classes, positive = made.probs, made.classes, made.positive
        why = f"{self.task} has one score a row"
        if probs.shape[1] > 1:
            if self.given.normalise:
                probs = self._normalised(probs)
            total = probs.sum(axis=1)
            off = np.abs(total - 1)
            if probs.min() >= -1e-6 and probs.max() <= 1 + 1e-6 and off.max() <= ROUNDING:
                if (n := int((off > 1e-6).sum())) and not self.given.normalise:
                    words = f"{self.task}: probabilities of a row missed 1 by up to {off.max():.2g}"
                    notes.append(Note("rounded rows", n, f"{words}, and were divided by their sum"))
                probs = np.clip(probs, 0, 1)
                # Rows that sum to 1 stay as they are, to the last bit.
                divisor = np.where(off > 1e-6, probs.sum(axis=1), 1.0)
                return replace(made, probs=probs / divisor[:, None])
            why = (
                f"{self.task}: values of a row sum to {total.min():.4g} up to {total.max():.4g}, "
                "which probabilities do not; --normalise divides by the sum"
            )
            probs = probs[:, positive : positive + 1]
        words = (
            f"{why}. They are taken as scores of {classes[positive]} against the rest: metrics "
            "that rank people are reported, and none that needs probabilities or a threshold"
        )
        notes.append(Note("scores, not probabilities", len(probs), words))
        place = np.unique(probs[:, 0], return_inverse=True)[1]
        share, label = (place + 1) / (place.max() + 2), made.label
        if len(classes) > 2:
            rest = f"not {classes[positive]}"
            label = label.map(lambda name: name if name in (None, classes[positive]) else rest)
            classes, positive = (classes[positive], rest), 0
        pair = np.stack([share, 1 - share][:: 1 if positive == 0 else -1], axis=1)
        return _Made(label, classes, pair, SCORES, positive)

    def _by_class(self, labels: Sequence[str]) -> dict[str, pd.Series] | None:
        named = self.given.columns["probability"]
        if named is None:
            found = self.given.classes_of(self.task, labels, self.alone)
            if len(found) < 2 and self.given.usual("probability", self.task, self.alone):
                return None
            return {name: self.given.frame[column] for name, column in found.items()}
        if not isinstance(named, Mapping):
            return None
        start = f"{self.task}."
        mine = {k[len(start) :]: v for k, v in named.items() if k.startswith(start)}
        mine = mine or (dict(named) if self.alone else {})
        return {spelled(name, labels): column for name, column in mine.items()}

    def _check(self, classes: tuple[str, ...], labels: Sequence[str]) -> None:
        odd = [name for name in labels if label_of(name, classes) not in classes]
        if odd:
            raise PredictionsError(
                f"{self.source}: {self.task} has the label {listing(map(repr, odd))}, and there "
                f"are probabilities of {listing(classes)} only. Name the column of each class: "
                "--probability CLASS=COLUMN."
            )
        if len(classes) < 2:
            raise PredictionsError(
                f"{self.source}: {self.task} has one class, {listing(classes) or 'none'}: there is "
                "nothing to tell apart. Labels of two classes or more are needed."
            )

    def _numbers(self, columns: Mapping[str, pd.Series]) -> np.ndarray:
        found = []
        for name, values in columns.items():
            each = pd.to_numeric(values, errors="coerce").to_numpy(dtype=np.float64, copy=True)
            for row in np.flatnonzero(
                np.isnan(each)
            ).tolist():  # decimal commas, and what is no number
                known = number(values.iloc[row])
                each[row] = np.nan if known is None else known
            if (odd := ~np.isfinite(each)).any():
                row = int(np.flatnonzero(odd)[0])
                raise PredictionsError(
                    f"{self.source}: {self.task}{f', {name}' if name else ''}: "
                    f"{counted(int(odd.sum()), 'row has', 'rows have')} no finite number, such as "
                    f"{shown(str(values.iloc[row]))} in row {row + 1} below the header. Fill them "
                    "in, or remove the rows."
                )
            found.append(each)
        return np.stack(found, axis=1)

    def _normalised(self, probs: np.ndarray) -> np.ndarray:
        total = probs.sum(axis=1)
        if probs.min() < 0 or total.min() <= 0:
            raise PredictionsError(
                f"{self.source}: {self.task}: --normalise divides the values of a row by their "
                f"sum, and one value is {probs.min():g}, one sum {total.min():g}. Leave it out: "
                "then they are taken as scores."
            )
        return np.asarray(probs / total[:, None])


def _add(found: Tasks, columns: dict[str, Any], task: str, made: _Made) -> str:
    columns[label_column(task)] = made.label
    for name, values in zip(made.classes, made.probs.T, strict=True):
        columns[prob_column(task, name)] = values
    found.classes[task], found.positives[task] = made.classes, made.positive
    if made.kind:
        found.kinds[task] = made.kind
    return task


def _is_same(
    found: Tasks, columns: Mapping[str, Any], task: str, classes: tuple[str, ...], at: np.ndarray
) -> bool:
    """Whether the most probable class was called, so that it says nothing new."""
    if task in found.kinds:
        return False
    probs = np.stack([columns[prob_column(task, name)] for name in classes], axis=1)
    return bool((probs.argmax(axis=1) == at).all())


def _positive(asked: Any, task: str, classes: tuple[str, ...], notes: list[Note]) -> int:
    """Index of the positive class: as named, as usual words say, or as scikit-learn's."""
    named = asked.get(task) if isinstance(asked, Mapping) else asked
    if named is not None:
        name = label_of(text(named), classes)
        if name not in classes:
            raise PredictionsError(
                f"the positive class {shown(named)} is not a class of {task}: {', '.join(classes)}."
            )
        return classes.index(name)
    lower = [name.lower() for name in classes]
    if known := [lower.index(word) for word in POSITIVE if word in lower]:
        return known[0]
    if len(classes) == 2:
        # The larger number or the later word, as scikit-learn orders classes.
        last = max(classes, key=lambda name: (number(name) or 0.0, name))
        notes.append(Note("positive class", 1, f"{task}: {last} is taken as the positive class"))
        return classes.index(last)
    raise PredictionsError(
        f"{task} has the classes {listing(classes)}: name the positive one, against which the rest "
        "are ranked: --positive CLASS."
    )


def _mapped(values: pd.Series, function: Any) -> pd.Series:
    """A function of every different value."""
    known = {each: function(each) for each in values.unique()}
    return values.map(lambda cell: known.get(cell)).astype(object)
