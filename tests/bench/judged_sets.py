"""Data sets whose truth is known, judged: which intervals hold it, now and formerly."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path

import former
import numpy as np
from learners import People, Told

from kfold_hs.judge.metrics.challenge2022 import metrics_for
from kfold_hs.judge.metrics.scores import Metric
from kfold_hs.judge.stats.class_shares import WAYS
from kfold_hs.judge.stats.clusters import Layout
from kfold_hs.judge.stats.expected_error import recipe_estimate, spread
from kfold_hs.judge.stats.influence import Influence, mean_of
from kfold_hs.judge.stats.scored import Scored

N_RUNS = 3
CLASSES = {"murmur": ("Present", "Unknown", "Absent"), "outcome": ("Abnormal", "Normal")}
NAMES = ("accuracy", "weighted_accuracy", "auroc", "cost", "auprc", "macro_f1")
METRICS: dict[str, tuple[str, Metric]] = {
    f"{task} {m.name}": (task, m)
    for task, classes in CLASSES.items()
    for m in metrics_for(classes)
    if m.name in NAMES
}
COLUMNS = (*METRICS, "mean accuracy")
FORMULAS = ("former 1", "former 2", "former 3", "now 1", "now 2", "now 3", *WAYS)
"""With the number of runs; the ways are today's, of 3 runs, with class shares by one way alone."""
NULLS = ("other draws", "other features")


@dataclass(frozen=True, eq=False)
class DataSet:
    """What the fold models of one data set said, out of fold and of people who are in none.

    y (N,), p (S, N, C), new_y (R, K, M), new_p (R, K, M, C) by task, of R runs; person (N,),
    fold (S, N)
    """

    y: dict[str, np.ndarray]
    p: dict[str, np.ndarray]
    person: np.ndarray
    fold: np.ndarray
    new_y: dict[str, np.ndarray]
    new_p: dict[str, np.ndarray]

    @classmethod
    def of(cls, people: People, strangers: People, told: Told, fold: np.ndarray, i: int) -> DataSet:
        parts = (people.y, told.oof, strangers.y, told.new)
        y, p, new, new_p = ({task: each[task][i] for task in CLASSES} for each in parts)
        new_y = {
            task: np.broadcast_to(new[task], new_p[task].shape[:2] + new[task].shape)
            for task in CLASSES
        }
        return cls(y, p, people.person, fold[i], new_y, new_p)

    def of_runs(self, n_runs: int) -> list[Found]:
        """Of every column, over the first runs."""
        layout = Layout.of(
            np.repeat(np.arange(n_runs), len(self.person)), self.fold[:n_runs].ravel(),
            np.tile(self.person, n_runs),
        )  # fmt: skip
        rows = {}
        for task, each in self.y.items():
            y = np.tile(each, n_runs)
            rows[task] = Scored(y, self.p[task][:n_runs].reshape(len(y), -1), 0, layout)
        found = {}
        for name, (task, metric) in METRICS.items():
            now = rows[task].influence(metric)
            then = former.without_delong(now, rows[task].y_true == 0) if now.unbiased else now
            found[name] = Found(now, then)
        both = mean_of([found[f"{task} accuracy"].now for task in CLASSES])
        return [*found.values(), Found(both, both)]

    def truths(self) -> np.ndarray:
        """What the fold models are worth on people who are in no set, by column."""
        found = {}
        for name, (task, metric) in METRICS.items():
            y, p = self.new_y[task], self.new_p[task]
            if metric.by_fold:
                each = [metric(y[at], p[at], 0)[0] for at in np.ndindex(y.shape[:2])]
            else:  # of the models of a run together, as the score is
                each = [
                    metric(y[s].ravel(), r.reshape(-1, r.shape[-1]), 0)[0] for s, r in enumerate(p)
                ]
            found[name] = float(np.mean(each))
        both = float(np.mean([found[f"{task} accuracy"] for task in CLASSES]))
        return np.array([*found.values(), both])


@dataclass(frozen=True, eq=False)
class Found:
    """Of a column: as it is judged now, and as it was."""

    now: Influence
    then: Influence

    def by_way(self, way: int) -> Influence:
        """With the class shares by one way alone."""
        return replace(self.now, moved=self.now.by_shares[[way, way]])


def told_ends(found: Influence) -> tuple[float, float]:
    """Of the interval as a report gives it; NaN where it gives none."""
    estimate = recipe_estimate(found, 1 - 1 / found.layout.n_folds, found.layout.n_persons)
    if estimate.low is None or estimate.high is None:
        return np.nan, np.nan
    return estimate.low, estimate.high


def differ(a: Found, b: Found) -> tuple[float, float]:
    """Whether two recipes are called different at 5 %: formerly, and now."""
    apart = b.now.minus(a.now)
    if not np.isfinite(apart.value):
        return np.nan, np.nan
    low, high = former.ends(b.then.minus(a.then))
    now = spread(apart)
    assert now is not None
    return float(not low <= 0 <= high), float(now.p_value(apart.value) <= 0.05)


def judge(ours: DataSet, *others: DataSet | None) -> dict[str, list]:
    """One data set; others are what recipes of equal worth said of the same people, if there.

    Returns
    -------
    dict
        value (3 numbers of runs, columns), ends (formulas, columns, 2), true (columns,), differ
        (others, 1 or 3 runs, former or now, columns); NaN where a fold lacks a class.
    """
    by_runs = [ours.of_runs(s + 1) for s in range(N_RUNS)]
    kept: dict[str, list] = {"true": list(ours.truths())}
    kept["value"] = [[each.now.value for each in found] for found in by_runs]
    kept["ends"] = [
        *([former.ends(each.then) for each in found] for found in by_runs),
        *([told_ends(each.now) for each in found] for found in by_runs),
        *([told_ends(each.by_way(way)) for each in by_runs[-1]] for way in range(len(WAYS))),
    ]
    none = np.full((2, len(COLUMNS)), np.nan)
    kept["differ"] = [
        [
            none if told is None else np.array(list(map(differ, by_runs[s - 1], told.of_runs(s)))).T
            for s in (1, N_RUNS)
        ]
        for told in others
    ]
    return kept


def stacked(found: list[dict[str, list]]) -> dict[str, np.ndarray]:
    """The same of many data sets, one more axis in front."""
    return {name: np.array([each[name] for each in found], np.float64) for name in found[0]}


@dataclass(frozen=True, eq=False)
class Judged:
    """Many data sets of a cell; arrays as of `judge`."""

    name: str
    value: np.ndarray
    ends: np.ndarray
    true: np.ndarray
    differ: np.ndarray

    @classmethod
    def read(cls, name: str, folder: Path) -> Judged | None:
        files = sorted(folder.glob(f"{name}.*.npz"))
        parts = [dict(np.load(file)) for file in files]
        if not parts:
            return None
        return cls(name, **{k: np.concatenate([each[k] for each in parts]) for k in parts[0]})

    @property
    def n_sets(self) -> int:
        return len(self.value)

    def rows(self) -> Iterator[dict]:
        """Of every column and formula: coverage and misses in %, width beside the former's."""
        true = np.nanmean(self.true, axis=0)
        for f, c in product(range(len(FORMULAS)), range(len(COLUMNS))):
            runs = f % N_RUNS if f < 2 * N_RUNS else N_RUNS - 1
            low, high = self.ends[:, f, c].T
            told = np.isfinite(low)
            middle = np.nanmean(self.value[:, runs, c])
            if not told.any():
                continue
            wide, once = high - low, np.diff(self.ends[:, runs, c])[:, 0]
            both = told & np.isfinite(once) & (once > 0)
            yield {
                "cell": self.name, "formula": FORMULAS[f], "metric": COLUMNS[c],
                "sets": int(told.sum()), "untold": int((~told).sum()), "true": float(true[c]),
                "mean": float(middle), "sd": float(np.nanstd(self.value[:, runs, c])),
                "covered": _percent((low <= true[c]) & (true[c] <= high), told),
                "covered_mean": _percent((low <= middle) & (middle <= high), told),
                "reached": _percent(low >= true[c], told),
                "not_reached": _percent(high < true[c], told),
                "width": float(np.median(wide[told])),
                "of_former": float(np.median(wide[both] / once[both])) if both.any() else None,
            }  # fmt: skip

    def errors(self) -> Iterator[dict]:
        """How often recipes of equal worth are called different, in %."""
        runs = (1, N_RUNS)
        for (k, null), (s, n_runs), c in product(
            enumerate(NULLS), enumerate(runs), range(len(COLUMNS))
        ):
            hits = self.differ[:, k, s, :, c]
            hits = hits[np.isfinite(hits).all(axis=1)]
            if len(hits):
                old, new = 100 * hits.mean(axis=0)
                yield {"cell": self.name, "null": null, "runs": n_runs, "metric": COLUMNS[c],
                       "sets": len(hits), "former": float(old), "now": float(new)}  # fmt: skip


def _percent(hits: np.ndarray, told: np.ndarray) -> float:
    return float(100 * hits[told].mean())
