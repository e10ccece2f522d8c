"""What a run leads with and variants are ranked by: one metric of one task, or its mean over tasks.

murmur.auroc               a metric of a task
mean.accuracy, accuracy    its mean over the tasks that have it
outcome.cost_decided       what was decided on the other folds, where the challenge charges for a
                           task: the class weights or the threshold of `judge.selection.decisions`
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from kfold_hs.errors import ConfigError, enumerated, listing, nearest
from kfold_hs.judge.metrics.bounds import Bounds
from kfold_hs.judge.metrics.scores import Metric
from kfold_hs.judge.selection.crossfit import obstacle
from kfold_hs.judge.selection.decisions import decisions
from kfold_hs.judge.stats.clusters import Layout
from kfold_hs.judge.stats.estimates import metrics_of
from kfold_hs.judge.stats.influence import Influence, mean_of
from kfold_hs.judge.stats.scored import influence
from kfold_hs.predictions.table import (
    COLUMNS,
    PROBABILITIES,
    Predictions,
    label_column,
    prob_column,
)

DECIDED = "_decided"
MEAN = "mean"
_BY = {"weighted_accuracy": "class weights", "cost": "referral threshold"}
"""Metrics that are decided for, and what is chosen for them."""


@dataclass(frozen=True)
class Objective:
    """A score of out-of-fold predictions.

    Parameters
    ----------
    name : str
        As the user gave it: ``METRIC``, ``mean.METRIC`` or ``TASK.METRIC``.
    metric : str
        With ``_decided`` at its end, where it is of what the other folds decided.
    tasks : tuple of str
        Whose values are averaged.
    label, title : str
        The metric and the tasks in words, within a sentence and at its beginning.
    first : Metric
        The metric as the first of the tasks has it, which says range, direction and margin.
    """

    name: str
    metric: str
    tasks: tuple[str, ...]
    label: str
    title: str
    first: Metric

    @classmethod
    def of(
        cls, name: str, classes: Mapping[str, Sequence[str]], what: str = "objective"
    ) -> Objective:
        """The objective of this name for tasks with these classes; see `among`."""
        return cls.among(name, _nobody(classes), what=what)

    @classmethod
    def among(
        cls, name: str, kept: Predictions, primary: Iterable[str] = (), what: str = "objective"
    ) -> Objective:
        """The objective of this name for a table's tasks.

        Parameters
        ----------
        name : str
        kept : Predictions
        primary : sequence of str
            The tasks that a mean is over; by default all.
        what : str
            It is called so in messages.

        Raises
        ------
        ConfigError
            There is no such task or metric.
        """
        found = {task: _metrics(kept, task) for task in kept.tasks}
        over = tuple(primary) or tuple(kept.tasks)
        means = list(dict.fromkeys(each for task in over for each in found[task]))
        task, dot, metric = name.rpartition(".")
        is_mean = task == MEAN or not dot
        known = {f"{t}.{each}" for t, metrics in found.items() for each in metrics}
        if (metric not in means) if is_mean else (name not in known):
            typed = metric if is_mean else name  # a metric alone is a mean, and was typed so
            raise ConfigError(_unknown(f"{what} {typed!r}", typed, found, means))
        tasks = tuple(t for t in over if metric in found[t]) if is_mean else (task,)
        first = found[tasks[0]][metric]
        title = first.label[0].upper() + first.label[1:]
        if len(tasks) > 1:
            mean = f", mean of {enumerated(tasks)}"
            return cls(name, metric, tasks, first.label + mean, title + mean, first)
        if len(kept.tasks) == 1:
            return cls(name, metric, tasks, first.label, title, first)
        return cls(name, metric, tasks, f"{tasks[0]} {first.label}", f"{title}, {tasks[0]}", first)

    @property
    def key(self) -> str:
        """The name in full: ``mean.METRIC`` or ``TASK.METRIC``."""
        return self.name if "." in self.name else f"{MEAN}.{self.name}"

    @property
    def higher_is_better(self) -> bool:
        return self.first.higher_is_better

    @property
    def bounds(self) -> Bounds:
        """Lowest and highest value that there can be."""
        return self.first.bounds

    @property
    def plain(self) -> str:
        """The metric, whoever decided."""
        return self.metric.removesuffix(DECIDED) if self.is_decided else self.metric

    @property
    def is_decided(self) -> bool:
        """Whether it is of what was decided on the other folds."""
        return self.metric in {f"{name}{DECIDED}" for name in _BY}

    @property
    def sign(self) -> int:
        """1 where higher is better, -1 where lower is."""
        return 1 if self.higher_is_better else -1

    def check_folds(self, n_folds: int) -> None:
        """Refuse what is decided on other folds where there are none.

        Raises
        ------
        ConfigError
            There is one fold.
        """
        if self.is_decided and n_folds < 2:
            raise ConfigError(
                f"headline={self.key} is decided on the other folds, and there is one fold: give "
                f"headline={self.key.removesuffix(DECIDED)}, or 2 folds or more."
            )

    def influence(
        self, kept: Predictions, positives: Mapping[str, int], layout: Layout
    ) -> Influence:
        """Value, and what each row adds to its error.

        Parameters
        ----------
        kept : Predictions
            Patient rows of one epoch a fold.
        positives : mapping
            Task -> index of its positive class.
        layout : Layout
            Of `kept`, row for row.
        """
        each = []
        for task in self.tasks:
            metric = next(m for m in metrics_of(kept, task) if m.name == self.plain)
            probs = kept.y_prob(task)
            if self.is_decided:
                self.check_folds(1 if obstacle(layout) else 2)
                probs = next(
                    choice.crossfit
                    for choice in decisions(kept, task, layout)
                    if choice.metric.name == self.plain
                )
            each.append(influence(metric, kept.y_true(task), probs, positives[task], layout))
        return mean_of(each)


def _unknown(
    what: str, typed: str, found: Mapping[str, Iterable[str]], means: Sequence[str]
) -> str:
    """The nearest name first, then what can be written."""
    known = {f"{t}.{each}" for t, metrics in found.items() for each in metrics} | {*means}
    folded = {each.casefold(): each for each in sorted(known)}
    guess = nearest(typed.casefold(), folded)
    hint = f" Did you mean {folded[guess]!r}?" if guess else ""
    task = typed.rpartition(".")[0]
    metrics = sorted(found.get(task, means))
    of = f"{task} has" if task in found else f"There is METRIC or TASK.METRIC of {listing(found)}:"
    return f"unknown {what}.{hint} {of} {listing(metrics, 20)}."


def as_decided(metric: Metric) -> Metric:
    """The metric of what the other folds decided, by a name and label of its own."""
    label = f"{metric.label}, {_BY[metric.name]} of the other folds"
    return replace(metric, name=metric.name + DECIDED, label=label)


def _metrics(kept: Predictions, task: str) -> dict[str, Metric]:
    """All that a task can be scored by, by name."""
    found = {metric.name: metric for metric in metrics_of(kept, task)}
    if kept.kind(task) != PROBABILITIES:
        return found
    by = [name for name in _BY if name in found and not found[name].plugin]
    return found | {f"{name}{DECIDED}": as_decided(found[name]) for name in by}


def _nobody(classes: Mapping[str, Sequence[str]]) -> Predictions:
    """A table of no rows: which metrics there are depends on the classes alone."""
    columns = {name: np.empty(0, dtype=object) for name in COLUMNS}
    for task, names in classes.items():
        columns[label_column(task)] = np.empty(0, dtype=object)
        columns |= {prob_column(task, name): np.empty(0) for name in names}
    return Predictions(pd.DataFrame(columns), {t: tuple(names) for t, names in classes.items()})
