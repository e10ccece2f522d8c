"""Rows that metrics score, and how a metric gets its influence values from them.

In closed form where a metric has a gradient (`judge.metrics.gradients`), else by leaving out every
row in turn. What several metrics of the same rows share is made once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property, partial

import numpy as np

from kfold_hs.judge.metrics.scores import Metric
from kfold_hs.judge.stats import rare_classes
from kfold_hs.judge.stats.class_shares import ClassShares
from kfold_hs.judge.stats.clusters import Layout
from kfold_hs.judge.stats.influence import Influence
from kfold_hs.judge.stats.intervals import is_all_or_none

_CELLS = 4_000_000


@dataclass(frozen=True, eq=False)
class Scored:
    """Rows whose metrics are taken: what they say, and what they are held against.

    Parameters
    ----------
    y_true : ndarray of int, shape (N,)
    y_prob : ndarray, shape (N, C)
    positive : int
    layout : Layout
        Of these rows.
    sample : ClassShares, optional
        Of these rows, where they are some of a sample's; by default they are all of it.
    names : tuple of str
        Of the classes, for words.
    """

    y_true: np.ndarray
    y_prob: np.ndarray
    positive: int
    layout: Layout
    sample: ClassShares | None = None
    names: tuple[str, ...] = ()

    @cached_property
    def shares(self) -> ClassShares:
        """The class shares of the sample; made once for all metrics."""
        return self.sample or ClassShares.of(self.y_true, self.y_prob, self.layout)

    def among(self, rows: np.ndarray) -> Scored:
        """Some of the rows, by a mask; the models stay those of the whole sample."""
        layout = self.layout
        part = Layout.of(layout.run[rows], layout.model[rows], layout.person[rows], layout.n_folds)
        return Scored(
            self.y_true[rows],
            self.y_prob[rows],
            self.positive,
            part,
            self.shares.among(rows),
            self.names,
        )

    def influence(self, metric: Metric) -> Influence:
        """Value and influence of a metric, in closed form where it has a gradient.

        Without one every row is left out in turn: e = (n - 1)(value - value without the row), in
        a time that grows with the square of the rows of a run.
        """
        y_true, y_prob, positive, layout = self.y_true, self.y_prob, self.positive, self.layout
        gradient = metric.unbiased or metric.gradient or partial(_left_out, metric)
        group = layout.model if metric.by_fold else layout.run
        run_of_group = layout.run_of_model if metric.by_fold else np.arange(layout.n_runs)
        n_groups = len(run_of_group)
        values, slopes = np.empty(n_groups), np.zeros(len(group))
        for part, weights in _weightings(group, n_groups):
            values[part] = metric(y_true, y_prob, positive, weights)
            slopes += (gradient(y_true, y_prob, positive, weights) * weights).sum(axis=0)
        # Every run counts alike, and in a run every group.
        part_of_run = 1 / np.bincount(run_of_group)
        runs = np.bincount(run_of_group, values) * part_of_run
        share = part_of_run[run_of_group] / layout.n_runs
        of_group = share * (values - runs[run_of_group]) / np.bincount(group)
        within = share[group] * slopes
        psi = within + of_group[group]
        found = Influence(
            float(runs.mean()), psi, within, runs, layout, metric.bounds,
            metric.unbiased is not None, no_interval=metric.no_interval,
        )  # fmt: skip
        if metric.no_interval:
            return found
        if not np.isfinite(found.value):
            return replace(found, no_interval=self._undefined(metric, group, n_groups))
        found = self._with_sides(metric, found)
        if metric.needs == "ranks":
            return found
        return replace(found, moved=self._moved(metric, found))

    def _with_sides(self, metric: Metric, found: Influence) -> Influence:
        """With what classes of few people add, or without interval where one has one person."""
        n_classes = self.y_prob.shape[1]
        rows = rare_classes.rows_of_sides(metric.sides, self.y_true, n_classes, self.positive)
        if not len(rows):
            return found
        if metric.needs == "ranks":
            weight = 1.0 if metric.sides == "both" else 1 / n_classes
            sides = rare_classes.of_ranks(found.value, rows, self.layout, weight)
        else:
            sides = rare_classes.of_calls(partial(self._runs, metric), self.y_prob, rows,
                                          self.layout)  # fmt: skip
        if metric.by_fold:
            found = replace(found, within=_held_against_other_folds(found, rows))
        alone = rows[sides.whose.sum(axis=1) < rare_classes.FEWEST]
        has_wilson = metric.sides == "weighted" or (
            metric.needs == "decisions" and is_all_or_none(found.value)
        )
        why = "" if has_wilson or not len(alone) else self._one_person(alone[0])
        return replace(found, sides=sides, no_interval=why)

    def _one_person(self, rows: np.ndarray) -> str:
        return rare_classes.ONE_PERSON.format(named=self._named(rows))

    def _named(self, rows: np.ndarray) -> str:
        """The class of the rows in words."""
        of = {int(c) for c in np.unique(self.y_true[rows])}
        return "a class" if len(of) != 1 or not self.names else f"class {self.names[of.pop()]}"

    def _undefined(self, metric: Metric, group: np.ndarray, n_groups: int) -> str:
        """Which class how many folds or runs lack; "" where it is something else."""
        n_classes = self.y_prob.shape[1]
        for mine in rare_classes.rows_of_sides(metric.sides, self.y_true, n_classes, self.positive):
            lacking = n_groups - len(np.unique(group[mine]))
            if lacking and metric.by_fold:
                return rare_classes.FOLD_LACKS.format(
                    lacking=lacking, n=n_groups, named=self._named(mine)
                )
        return ""

    def _runs(self, metric: Metric, probs: np.ndarray) -> np.ndarray:
        """The metric in every run, (S,), were the probabilities these."""
        each = [
            metric(self.y_true, probs, self.positive, weights)
            for _, weights in _weightings(self.layout.run, self.layout.n_runs)
        ]
        return np.concatenate(each)

    def _moved(self, metric: Metric, found: Influence) -> np.ndarray:
        """What every person adds by the class shares, (2, n_persons)."""

        def value_of(probs: np.ndarray) -> float:
            return float(self._runs(metric, probs).mean())

        is_of_calls = metric.needs == "decisions"
        if metric.plugin:  # what a plug-in's metric needs is seen from what it gives
            n_classes = self.y_prob.shape[1]
            calls = 0.9 * np.eye(n_classes)[self.y_prob.argmax(axis=1)] + 0.1 / n_classes
            is_of_calls = value_of(calls) == found.value
        return self.shares.moved(value_of, found.psi if is_of_calls else None)


def _held_against_other_folds(found: Influence, rows: np.ndarray) -> np.ndarray:
    """`within`, with what folds differ by where a fold has one person of a class.

    One person has no variance in the fold, and is held against those of the other folds (collapsed
    strata; Cochran, Sampling Techniques, 1977, 5A.12).

    Parameters
    ----------
    found : Influence
    rows : ndarray of bool, shape (C, N)
        Of every class.
    """
    layout, within = found.layout, found.within.copy()
    n_models = np.bincount(layout.run_of_model)[layout.run_of_model]
    moved = layout.by_model(found.psi - found.within)
    moved *= np.sqrt(n_models / np.maximum(n_models - 1, 1))
    is_held = np.zeros(layout.n_models, dtype=bool)
    for mine in rows:
        pairs = np.unique(layout.person[mine] * layout.n_models + layout.model[mine])
        n_persons = np.bincount(pairs % layout.n_models, minlength=layout.n_models)
        n_rows = np.bincount(layout.model[mine], minlength=layout.n_models)
        alone = (n_persons == 1) & ~is_held
        here = mine & alone[layout.model]
        within[here] += (moved / np.maximum(n_rows, 1))[layout.model[here]]
        is_held |= alone
    return within


def influence(
    metric: Metric, y_true: np.ndarray, y_prob: np.ndarray, positive: int, layout: Layout
) -> Influence:
    """Value and influence of one metric: see `Scored`, which shares work among several."""
    return Scored(y_true, y_prob, positive, layout).influence(metric)


def _weightings(group: np.ndarray, n_groups: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Numbers of some groups, and 1 where a row is of one, (B, N): a bounded matrix at a time."""
    at_once = max(1, _CELLS // len(group))
    for start in range(0, n_groups, at_once):
        part = np.arange(start, min(start + at_once, n_groups))
        yield part, (group == part[:, None]).astype(np.float64)


def of_persons(
    metric: Metric, y_true: np.ndarray, y_prob: np.ndarray, positive: int, layout: Layout
) -> Callable[[np.ndarray], np.ndarray]:
    """The value as a function of how often every person counts, (B, n_persons) -> (B,).

    NaN where a run or, for metrics taken by fold, a fold lacks a class.
    """

    def function(of_person: np.ndarray) -> np.ndarray:
        if not metric.by_fold:
            whose = of_person[:, layout.person]
            runs = (layout.run == run for run in range(layout.n_runs))
            each = [metric(y_true, y_prob, positive, whose * mine) for mine in runs]
            return np.asarray(np.mean(each, axis=0))
        of_run = np.zeros((layout.n_runs, len(of_person)))
        for model, run in enumerate(layout.run_of_model):
            rows = np.flatnonzero(layout.model == model)
            weights = of_person[:, layout.person[rows]]
            of_run[run] += metric(y_true[rows], y_prob[rows], positive, weights)
        return np.asarray((of_run / np.bincount(layout.run_of_model)[:, None]).mean(axis=0))

    return function


def _left_out(
    metric: Metric, y_true: np.ndarray, y_prob: np.ndarray, positive: int, weights: np.ndarray
) -> np.ndarray:
    """e / n of every row of weight 1, shape of `weights`; each row of weights holds 0 and 1."""
    found = np.zeros_like(weights)
    for i, row in enumerate(weights):
        rows = np.flatnonzero(row)
        at_once = max(1, _CELLS // len(row))
        without = np.empty(len(rows))
        for start in range(0, len(rows), at_once):
            part = rows[start : start + at_once]
            fewer = np.repeat(row[None], len(part), axis=0)
            fewer[np.arange(len(part)), part] = 0
            without[start : start + at_once] = metric(y_true, y_prob, positive, fewer)
        whole = metric(y_true, y_prob, positive, row[None])[0]
        # Centred, since only the mean of a linear metric's is exactly 0.
        change = whole - without
        found[i, rows] = (len(rows) - 1) * (change - change.mean()) / len(rows)
    return found
