"""Coverage on a real run: `python tests/bench/coverage_real.py RUN [OTHER] [--write]`.

RUN and OTHER are folders under reports/ of runs on one split. The people of RUN, with what its
fold models said of them, are taken as the population, so that the truth is known: the value over
all of them. People are drawn from it with replacement, a fold's from the people of that fold, as
many as the fold has of all; who is drawn twice is two people. The fold models stay as they are, so
the target is *these models*: nothing is learnt here of how models of the recipe differ, and an
interval of the recipe covers more than it says. With OTHER the difference of both runs is drawn,
too. `--write` puts the tables into docs/statistics.md between their markers.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import defaultdict
from dataclasses import dataclass, replace
from functools import cached_property
from math import sqrt
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import stats

from kfold_hs.judge.metrics.challenge2022 import metrics_for
from kfold_hs.judge.metrics.scores import Metric
from kfold_hs.judge.stats import expected_error, paired
from kfold_hs.judge.stats.clusters import Layout
from kfold_hs.judge.stats.conditional_error import fixed_estimate
from kfold_hs.judge.stats.influence import Influence
from kfold_hs.judge.stats.intervals import around
from kfold_hs.judge.stats.scored import influence
from kfold_hs.predictions.epoch_rules import kept_epochs
from kfold_hs.predictions.table import Predictions

DOCS = Path(__file__).parent.parent.parent / "docs" / "statistics.md"
BEGIN, END = "<!-- coverage-real: begin -->", "<!-- coverage-real: end -->"
NAMES = ("accuracy", "weighted_accuracy", "auroc", "cost")
Hits = dict[str, dict[str, list[bool]]]


@dataclass(frozen=True, eq=False)
class Population:
    """Rows of one task, sorted by person; of patients, or of their recordings."""

    y: np.ndarray
    p: np.ndarray
    run: np.ndarray
    fold: np.ndarray
    person: np.ndarray
    positive: int
    n_folds: int

    @classmethod
    def of(cls, kept: Predictions, task: str, positive: int) -> Population:
        by = ["person_id", "repeat", "patient_id", "recording_id"]
        order = kept.table.reset_index(drop=True).sort_values(by).index.to_numpy()
        person = np.unique(kept.table["person_id"], return_inverse=True)[1][order]
        run, fold = (kept.table[name].to_numpy()[order] for name in ("repeat", "fold"))
        y, p = kept.y_true(task)[order], kept.y_prob(task)[order]
        return cls(y, p, run, fold, person, positive, len(np.unique(fold)))

    @cached_property
    def layout(self) -> Layout:
        return Layout.of(self.run, self.fold, self.person, self.n_folds)

    @cached_property
    def starts(self) -> np.ndarray:
        """First row of every person, and the end."""
        return np.r_[np.flatnonzero(np.diff(self.person, prepend=-1)), len(self.person)]

    def draw(self, rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
        """Rows of about `n` persons, and which of the drawn persons each is of."""
        fold = self.fold[self.starts[:-1]]
        drawn = np.concatenate(
            [
                rng.choice(mine, round(n * len(mine) / len(fold)))
                for mine in (np.flatnonzero(fold == k) for k in range(self.n_folds))
            ]
        )
        count = np.diff(self.starts)[drawn]
        who = np.repeat(np.arange(len(drawn)), count)
        within = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
        return self.starts[drawn][who] + within, who

    def some(self, rows: np.ndarray, who: np.ndarray) -> Population:
        parts = (each[rows] for each in (self.y, self.p, self.run, self.fold))
        return Population(*parts, who, self.positive, self.n_folds)

    def influence(self, metric: Metric) -> Influence:
        return influence(metric, self.y, self.p, self.positive, self.layout)


def intervals(sample: Population, metric: Metric, found: Influence) -> dict[str, tuple]:
    """Ends by method; None where there are none."""
    name, layout = metric.name, found.layout
    fixed = fixed_estimate(found, layout.n_persons, is_proportion=name == "accuracy")
    spread, models = expected_error.spread(found), found.models
    assert spread is not None
    se, z = float(models.std(ddof=1)) / sqrt(len(models)), float(stats.norm.ppf(0.975))
    return {
        "mean +- 1.96 s / sqrt(K) over folds": around(float(models.mean()), se, z, False),
        "**these models (Wilson, DeLong, Bayle)** (used)": (fixed.low, fixed.high),
        "the recipe's, which is wider": around(
            found.value, spread.se, spread.quantile(), found.is_share
        ),
    }


def cover(
    whole: Population, metrics: dict[str, Metric], n: int, n_sets: int, seed: int
) -> tuple[Hits, dict[str, int]]:
    """Whether each interval holds the population's value; how many samples lack a class."""
    rng = np.random.default_rng(seed)
    true = {name: whole.influence(metric).value for name, metric in metrics.items()}
    hits: Hits = defaultdict(lambda: defaultdict(list))
    undefined: dict[str, int] = defaultdict(int)
    for _ in range(n_sets):
        sample = whole.some(*whole.draw(rng, n))
        for name, metric in metrics.items():
            found = sample.influence(metric)
            if not np.isfinite(found.value):
                undefined[name] += 1
                continue
            for method, (low, high) in intervals(sample, metric, found).items():
                hits[method][name].append(low <= true[name] <= high)
    return hits, undefined


def cover_difference(
    one: Population, two: Population, metrics: dict[str, Metric], n: int, n_sets: int, seed: int
) -> dict[str, list[bool]]:
    """The same for the difference of two runs, by the CLT over persons; of AUROC by DeLong's."""
    rng = np.random.default_rng(seed)
    true = {
        name: two.influence(metric).value - one.influence(metric).value
        for name, metric in metrics.items()
    }
    hits: dict[str, list[bool]] = defaultdict(list)
    for _ in range(n_sets):
        rows, who = one.draw(rng, n)
        for name, metric in metrics.items():
            a, b = (each.some(rows, who).influence(metric) for each in (one, two))
            apart = b.minus(a)
            if np.isfinite(apart.value):
                ends = paired.these_models(apart)
                hits[name].append(ends["low"] <= true[name] <= ends["high"])
    return hits


def scored(folder: Path) -> Predictions:
    """Patient rows that the run's headline scores."""
    path = folder / "scored.parquet"
    if path.exists():
        return Predictions.read(path)
    epochs = kept_epochs(pd.read_csv(folder / "history.csv"))
    return Predictions.read(folder / "predictions.parquet").at(epochs).mean_over_seeds()


def recordings(folder: Path) -> Predictions:
    """Rows of recordings of the run's first seed, with the patients' labels."""
    return Predictions.read(folder / "predictions.parquet").where(level="recording", seed=0)


def chosen(kept: Predictions, task: str) -> dict[str, Metric]:
    metrics = {metric.name: metric for metric in metrics_for(kept.classes[task])}
    return {name: metrics[name] for name in NAMES if name in metrics}


def of_recordings(whole: Population, n: int, n_sets: int) -> dict[str, dict[str, float]]:
    """Coverage for recordings, counted one by one and by person: accuracy and AUROC."""
    metrics = {m.name: m for m in metrics_for(("a", "b")) if m.name in {"accuracy", "auroc"}}
    true = {name: whole.influence(metric).value for name, metric in metrics.items()}
    rng = np.random.default_rng(1)
    hits: Hits = defaultdict(lambda: defaultdict(list))
    for _ in range(n_sets):
        sample = whole.some(*whole.draw(rng, n))
        alone = replace(sample, person=np.arange(len(sample.y)))
        counted = {"one by one": alone, "by person": sample}
        for how, rows in counted.items():
            for name, metric in metrics.items():
                found = rows.influence(metric)
                if np.isfinite(found.value):
                    ends = fixed_estimate(found, len(sample.y), is_proportion=name == "accuracy")
                    hits[name][how].append(ends.low <= true[name] <= ends.high)
    return {
        name: {how: 100 * float(np.mean(each)) for how, each in by_way.items()}
        for name, by_way in hits.items()
    }


def report(folder: Path, other: Path | None, n_sets: int, sizes: list[int]) -> list[str]:
    kept = scored(folder)
    summary = json.loads((folder / "summary.json").read_text())
    positive = {t: r["classes"].index(r["positive"]) for t, r in summary["tasks"].items()}
    every = int(kept.table["person_id"].nunique())
    sizes = sizes or [150, every]
    error = 100 * sqrt(0.95 * 0.05 / n_sets)
    n_rows = kept.table["patient_id"].nunique()
    lines = [
        f"{n_sets} samples a cell from {every} people ({n_rows} patients); a cell at 95 has a "
        f"Monte-Carlo error of {error:.1f}.", "",
    ]  # fmt: skip
    them = None if other is None else scored(other)
    cells: dict[str, dict[str, str]] = {}
    notes: list[str] = []
    for task in kept.tasks:
        metrics = chosen(kept, task)
        whole = Population.of(kept, task, positive[task])
        rival = None if them is None else Population.of(them, task, positive[task])
        if rival is not None and not whole.layout.same_as(rival.layout):
            raise SystemExit(f"{other} and {folder} are not of one split.")
        for n in sizes:
            hits, undefined = cover(whole, metrics, n, n_sets, seed=n)
            if rival is not None:
                hits["difference of two runs, these models"] = cover_difference(
                    whole, rival, metrics, n, n_sets, seed=n
                )
            for method, by_metric in hits.items():
                for name, each in by_metric.items():
                    row = cells.setdefault(f"{task}, {metrics[name].label}, {n} people", {})
                    row[method] = f"{100 * np.mean(each):.1f}"
            notes += [
                f"{count} of {n_sets} samples of {n} people have a fold without a class of {task}, "
                f"and no {name}."
                for name, count in undefined.items()
            ]
        print(f"{task} done", file=sys.stderr, flush=True)
    lines += table(cells, "")
    heard = recordings(folder)
    by = {
        task: of_recordings(Population.of(heard, task, positive[task]), every, n_sets)
        for task in kept.tasks
    }
    said = {
        name: ", ".join(
            f"{task} {each[name]['one by one']:.1f} % and {each[name]['by person']:.1f} %"
            for task, each in by.items()
        )
        for name in ("accuracy", "auroc")
    }
    lines += [
        f"Metrics of recordings, {every} people drawn, counting recordings and counting people: "
        f"Wilson's intervals of accuracy cover {said['accuracy']}; DeLong's of AUROC "
        f"{said['auroc']}.", *notes,
    ]  # fmt: skip
    return lines


def table(cells: dict[str, dict[str, str]], head: str) -> list[str]:
    columns = list(dict.fromkeys(name for row in cells.values() for name in row))
    lines = [f"| {head} | {' | '.join(columns)} |", "|---" * (len(columns) + 1) + "|"]
    for name, row in cells.items():
        lines.append(f"| {name} | {' | '.join(row.get(c, '') for c in columns)} |")
    return [*lines, ""]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("other", type=Path, nargs="?")
    parser.add_argument("--sets", type=int, default=2000)
    parser.add_argument("--people", type=int, nargs="*", default=[])
    parser.add_argument("--write", action="store_true", help="into docs/statistics.md")
    arguments = parser.parse_args()
    lines = report(arguments.run, arguments.other, arguments.sets, arguments.people)
    print("\n".join(lines))
    if arguments.write:
        before, rest = DOCS.read_text().split(BEGIN)
        text = "\n".join(lines)
        DOCS.write_text(f"{before}{BEGIN}\n{text}\n{END}{rest.split(END)[1]}")


if __name__ == "__main__":
    main()
