"""What variants are ranked by: one metric of one task, or its mean over the tasks that have it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from kfold_hs.errors import ConfigError, enumerated, unknown_name
from kfold_hs.judge.metrics.scores import Metric
from kfold_hs.judge.stats.clusters import Layout
from kfold_hs.judge.stats.estimates import metrics_of
from kfold_hs.judge.stats.influence import Influence, mean_of
from kfold_hs.judge.stats.scored import influence
from kfold_hs.predictions.table import COLUMNS, Predictions, label_column, prob_column


@dataclass(frozen=True)
class Objective:
    """A score of out-of-fold predictions.

    Parameters
    ----------
    name : str
        As the user gave it: ``METRIC`` or ``TASK.METRIC``.
    metric : str
    tasks : tuple of str
        Whose values are averaged.
    label : str
    higher_is_better : bool
    """

    name: str
    metric: str
    tasks: tuple[str, ...]
    label: str
    higher_is_better: bool

    @classmethod
    def of(cls, name: str, classes: Mapping[str, Sequence[str]]) -> Objective:
        """The objective of this name for tasks with these classes.

        Raises
        ------
        ConfigError
            There is no such task or metric.
        """
        nobody = _nobody(classes)
        metrics = {task: {m.name: m for m in metrics_of(nobody, task)} for task in classes}
        task, dot, metric = name.rpartition(".")
        known = [*dict.fromkeys(each for found in metrics.values() for each in found)]
        known += [f"{task}.{each}" for task, found in metrics.items() for each in found]
        if name not in known:
            raise ConfigError(unknown_name("objective", name, known))
        tasks = (task,) if dot else tuple(t for t, found in metrics.items() if metric in found)
        found = metrics[tasks[0]][metric]
        whole = f"{task} {found.label}" if dot else f"{found.label}, mean of {enumerated(tasks)}"
        label = found.label if len(classes) == 1 else whole
        return cls(name, metric, tasks, label, found.higher_is_better)

    @property
    def sign(self) -> int:
        """1 where higher is better, -1 where lower is."""
        return 1 if self.higher_is_better else -1

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
        return mean_of(
            [
                influence(
                    self._metric(kept, task), kept.y_true(task), kept.y_prob(task),
                    positives[task], layout,
                )
                for task in self.tasks
            ]
        )  # fmt: skip

    def _metric(self, kept: Predictions, task: str) -> Metric:
        return next(m for m in metrics_of(kept, task) if m.name == self.metric)


def _nobody(classes: Mapping[str, Sequence[str]]) -> Predictions:
    """A table of no rows: which metrics there are depends on the classes alone."""
    columns = {name: np.empty(0, dtype=object) for name in COLUMNS}
    for task, names in classes.items():
        columns[label_column(task)] = np.empty(0, dtype=object)
        columns |= {prob_column(task, name): np.empty(0) for name in names}
    return Predictions(pd.DataFrame(columns), {t: tuple(names) for t, names in classes.items()})
