"""Does the recipe's interval hold: five small learners on simulated people, from no signal on.

    python tests/bench/coverage_recipe.py --quick                     a minute, in a folder of its own
    python tests/bench/coverage_recipe.py --sets 400 --folder DIR     hours; resumable
    python tests/bench/coverage_recipe.py --table --folder DIR --write

A cell is a learner, a signal, a number of people, a number of folds and whether people have one
patient or one to three. Each of its data sets has 3 runs, of which also the first and the first two
are judged. The truth is what all fold models of all sets are worth on people who are in no set. All
cells get 25 sets, then all get the next 25, so that a folder holds a table whenever it is stopped:
a file a cell and round, and on --table a JSON and a Markdown file.

Two comparisons in which nothing differs: the recipe with itself, trained with other draws, and with
the recipe on other features of equal worth. `former` is the interval that was used before.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from math import sqrt
from pathlib import Path

import former
import numpy as np
from learners import LEARNERS, N_NEW, SIGNALS, People, Told, draw, folds, tell

from kfold_hs.judge.metrics.challenge2022 import metrics_for
from kfold_hs.judge.metrics.scores import Metric
from kfold_hs.judge.stats.class_shares import ClassShares
from kfold_hs.judge.stats.clusters import Layout
from kfold_hs.judge.stats.expected_error import recipe_estimate, spread
from kfold_hs.judge.stats.influence import Influence, influence, mean_of

DOCS = Path(__file__).parents[2] / "docs" / "statistics.md"
BEGIN, END = "<!-- coverage-recipe: begin -->", "<!-- coverage-recipe: end -->"
N_RUNS, ROUND, LEAST = 3, 25, 93.0
SIZES = (100, 200, 436, 942)
CLASSES = {"murmur": ("Present", "Unknown", "Absent"), "outcome": ("Abnormal", "Normal")}
NAMES = ("accuracy", "weighted_accuracy", "auroc", "cost", "auprc", "macro_f1")
METRICS: dict[str, tuple[str, Metric]] = {
    f"{task} {m.name}": (task, m)
    for task, classes in CLASSES.items()
    for m in metrics_for(classes)
    if m.name in NAMES
}
HEADLINE = "mean accuracy"
COLUMNS = (*METRICS, HEADLINE)
FORMULAS = ("former 1", "former 2", "former 3", "now 1", "now 2", "now 3")
NULLS = ("other draws", "other features")


@dataclass(frozen=True)
class Cell:
    learner: str
    signal: str
    n: int
    n_folds: int = 5
    visits: bool = False

    @property
    def name(self) -> str:
        visits = " visits" if self.visits else ""
        return f"{self.learner} {self.signal} {self.n} K{self.n_folds}{visits}"

    @property
    def person(self) -> np.ndarray:
        """Of every patient; with visits one person has one, the next two, the next three."""
        each = 1 + np.arange(self.n) % 3 if self.visits else np.ones(self.n, int)
        return np.repeat(np.arange(self.n), each)


def cells() -> list[Cell]:
    """All of them, those first where the former interval held least."""
    grid = [Cell(*each) for each in product(LEARNERS, SIGNALS, SIZES)]
    worth = {"LDA": 0, "random features": 1, "MLP": 2, "logistic": 3, "1-NN": 4}
    grid.sort(key=lambda c: worth[c.learner] + 2 * list(SIGNALS).index(c.signal) + (c.n == 942))
    few = [
        Cell(learner, signal, 200, n_folds, visits)
        for learner, signal in (("LDA", "none"), ("random features", "weak"), ("MLP", "mid"))
        for n_folds, visits in ((3, False), (10, False), (5, True))
    ]
    return grid[:12] + few + grid[12:]


QUICK = (
    Cell("LDA", "none", 100), Cell("LDA", "none", 200), Cell("random features", "weak", 200),
    Cell("LDA", "strong", 200), Cell("MLP", "none", 200), Cell("LDA", "none", 100, 3),
    Cell("LDA", "none", 100, 10), Cell("LDA", "none", 100, 5, True),
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Found:
    """Of a column: as it is judged now, and as it was."""

    now: Influence
    then: Influence


def of_runs(people: People, told: Told, fold: np.ndarray, i: int, n_runs: int) -> list[Found]:
    """Of every column, over the first runs of data set i."""
    n = len(people.person)
    layout = Layout.of(
        np.repeat(np.arange(n_runs), n), fold[i, :n_runs].ravel(), np.tile(people.person, n_runs)
    )
    y, p, shares = {}, {}, {}
    for task in CLASSES:
        y[task] = np.tile(people.y[task][i], n_runs)
        p[task] = told.oof[task][i, :n_runs].reshape(len(y[task]), -1)
        shares[task] = ClassShares.of(y[task], p[task], layout)
    found = {}
    for name, (task, metric) in METRICS.items():
        now = influence(metric, y[task], p[task], 0, layout, shares[task])
        then = former.without_delong(now, y[task] == 0) if now.unbiased else now
        found[name] = Found(now, then)
    both = mean_of([found["murmur accuracy"].now, found["outcome accuracy"].now])
    return [*found.values(), Found(both, both)]


def truths(strangers: People, told: Told, i: int) -> np.ndarray:
    """What the fold models of data set i are worth on people who are in none, by column."""
    found = []
    for task, metric in METRICS.values():
        y, p = strangers.y[task][i], told.new[task][i]
        n_folds, n_classes = p.shape[1], p.shape[-1]
        if metric.by_fold:
            each = [metric(y, model, 0)[0] for run in p for model in run]
        else:  # of the models of a run together, as the score is
            each = [metric(np.tile(y, n_folds), r.reshape(-1, n_classes), 0)[0] for r in p]
        found.append(float(np.mean(each)))
    at = {name: k for k, name in enumerate(METRICS)}
    headline = (found[at["murmur accuracy"]] + found[at["outcome accuracy"]]) / 2
    return np.array([*found, headline])


def told_ends(found: Influence, cell: Cell) -> tuple[float, float]:
    """Of the interval as a report gives it; NaN where it gives none."""
    estimate = recipe_estimate(found, 1 - 1 / cell.n_folds, cell.n)
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


def one_round(cell: Cell, number: int) -> dict[str, np.ndarray]:
    """25 data sets of a cell.

    Returns
    -------
    dict
        value (sets, 3, columns), ends (sets, formulas, columns, 2), true (sets, columns),
        differ (sets, nulls, 1 or 3 runs, former or now, columns); NaN where a fold lacks a class.
    """
    rng = np.random.default_rng((zlib.crc32(cell.name.encode()), number))
    people = draw(cell.signal, ROUND, cell.person, rng)
    strangers = draw(cell.signal, ROUND, np.arange(N_NEW), rng)
    fold = folds(people, N_RUNS, cell.n_folds, rng)
    ours, again, other = (
        tell(cell.learner, people, strangers, fold, block, rng) for block in (0, 0, 1)
    )
    kept: dict[str, list] = {"value": [], "ends": [], "true": [], "differ": []}
    for i in range(ROUND):
        by_runs = [of_runs(people, ours, fold, i, s + 1) for s in range(N_RUNS)]
        kept["value"].append([[each.now.value for each in found] for found in by_runs])
        old = [[former.ends(each.then) for each in found] for found in by_runs]
        new = [[told_ends(each.now, cell) for each in found] for found in by_runs]
        kept["ends"].append([*old, *new])
        kept["true"].append(truths(strangers, ours, i))
        nulls = []
        for told in (again, other):
            pairs = [(by_runs[s - 1], of_runs(people, told, fold, i, s)) for s in (1, N_RUNS)]
            nulls.append(
                [np.array([differ(a, b) for a, b in zip(*pair, strict=True)]).T for pair in pairs]
            )
        kept["differ"].append(nulls)
    return {name: np.array(each, dtype=np.float64) for name, each in kept.items()}


@dataclass(frozen=True, eq=False)
class Judged:
    """All rounds of a cell; arrays as in `one_round`."""

    cell: Cell
    value: np.ndarray
    ends: np.ndarray
    true: np.ndarray
    differ: np.ndarray

    @classmethod
    def read(cls, cell: Cell, folder: Path) -> Judged | None:
        files = sorted(folder.glob(f"{cell.name}.*.npz"))
        parts = [dict(np.load(file)) for file in files]
        if not parts:
            return None
        return cls(cell, **{k: np.concatenate([each[k] for each in parts]) for k in parts[0]})

    @property
    def n_sets(self) -> int:
        return len(self.value)

    def rows(self) -> Iterator[dict]:
        """Of every column and formula: coverage and misses in %, width beside the former's."""
        true = np.nanmean(self.true, axis=0)
        for f, c in product(range(len(FORMULAS)), range(len(COLUMNS))):
            runs = f % N_RUNS
            low, high = self.ends[:, f, c].T
            told = np.isfinite(low)
            middle = np.nanmean(self.value[:, runs, c])
            if not told.any():
                continue
            wide, once = high - low, np.diff(self.ends[:, runs, c])[:, 0]
            both = told & np.isfinite(once) & (once > 0)
            yield {
                "cell": self.cell.name, "formula": FORMULAS[f], "metric": COLUMNS[c],
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
            old, new = 100 * np.nanmean(self.differ[:, k, s, :, c], axis=0)
            yield {"cell": self.cell.name, "null": null, "runs": n_runs, "metric": COLUMNS[c],
                   "sets": self.n_sets, "former": float(old), "now": float(new)}  # fmt: skip


def _percent(hits: np.ndarray, told: np.ndarray) -> float:
    return float(100 * hits[told].mean())


def work(chosen: Sequence[Cell], folder: Path, n_sets: int) -> None:
    """Rounds that are not there yet, all cells in turn."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, cell in product(range(-(-n_sets // ROUND)), chosen):
        file = folder / f"{cell.name}.{number:03d}.npz"
        if file.is_file():
            continue
        started = time.perf_counter()
        np.savez(folder / ".part.npz", **one_round(cell, number))
        (folder / ".part.npz").replace(file)
        print(f"{file.stem}: {time.perf_counter() - started:.0f} s", file=sys.stderr, flush=True)


def marked(row: dict) -> bool:
    """Whether coverage is below 93 % by more than its Monte-Carlo error (one standard error)."""
    return bool(row["covered"] < LEAST - 100 * sqrt(LEAST * (100 - LEAST) / 1e4 / row["sets"]))


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    return [*lines, *(f"| {' | '.join(row)} |" for row in rows), ""]


def overall(rows: list[dict]) -> list[str]:
    """Of every formula: how many cells hold, the least, misses of a side, widths."""
    lines = []
    for formula in FORMULAS:
        mine = [row for row in rows if row["formula"] == formula]
        least = min(mine, key=lambda row: row["covered"])
        covered = [row["covered"] for row in mine]
        runs = int(formula[-1])
        once = {(r["cell"], r["metric"]): r for r in rows if r["formula"] == f"former {runs}"}
        right = [r for r in mine if once[r["cell"], r["metric"]]["covered"] >= 94]
        lines.append([
            formula, str(len(mine)), str(sum(each < LEAST for each in covered)),
            str(sum(map(marked, mine))),
            f"{least['covered']:.1f} ({least['cell']}, {least['metric']})",
            f"{np.median(covered):.1f}",
            f"{max(r['reached'] for r in mine):.1f} / {max(r['not_reached'] for r in mine):.1f}",
            f"{np.median([r['of_former'] for r in right if r['of_former']]):.2f}",
        ])  # fmt: skip
    head = ("interval, runs", "cells", "below 93", "beyond the error", "least", "median",
            "worst: target wrongly reached / not", "width / former, where that held 94")  # fmt: skip
    return _table(head, lines)


def by_cell(rows: list[dict]) -> list[str]:
    """A line a cell: the least covered column of the former interval and of today's."""
    lines = []
    for name in dict.fromkeys(row["cell"] for row in rows):
        line = [name]
        for formula in ("former 3", "now 3", "now 2", "former 1", "now 1"):
            mine = [r for r in rows if r["cell"] == name and r["formula"] == formula]
            least = min(mine, key=lambda row: row["covered"])
            mark = "**" if formula.startswith("now") and marked(least) else ""
            line.append(f"{mark}{least['covered']:.1f}{mark} ({least['metric']})")
            if formula in ("now 3", "now 1"):
                wide = [r["of_former"] for r in mine if r["of_former"]]
                line.append(f"{np.median(wide):.2f}, {min(wide):.2f}-{max(wide):.2f}")
        lines.append([*line, str(mine[0]["sets"] + mine[0]["untold"])])
    head = ("cell", "former, 3 runs", "now, 3 runs", "width / former", "now, 2 runs",
            "former, 1 run", "now, 1 run", "width / former", "sets")  # fmt: skip
    return _table(head, lines)


def by_metric(rows: list[dict]) -> list[str]:
    """A line a column: coverage over all cells, and where it is least."""
    lines = []
    for metric in COLUMNS:
        line = [metric]
        for formula in ("former 3", "now 3", "now 1"):
            mine = [r for r in rows if r["metric"] == metric and r["formula"] == formula]
            least = min(mine, key=lambda row: row["covered"])
            line.append(f"{np.median([r['covered'] for r in mine]):.1f}, {least['covered']:.1f}")
        lines.append([*line, least["cell"]])
    return _table(("metric", "former, 3 runs: median, least", "now, 3 runs", "now, 1 run",
                   "least now, 1 run, in"), lines)  # fmt: skip


def of_nulls(errors: list[dict]) -> list[str]:
    """Of every null: errors of comparisons, mean and worst over cells and columns."""
    lines = []
    for null, runs in product(NULLS, (1, N_RUNS)):
        mine = [r for r in errors if r["null"] == null and r["runs"] == runs]
        worst = max(mine, key=lambda row: row["now"])
        lines.append([
            null, str(runs), str(len(mine)),
            f"{np.mean([r['former'] for r in mine]):.1f}, {max(r['former'] for r in mine):.1f}",
            f"{np.mean([r['now'] for r in mine]):.1f}, {worst['now']:.1f}",
            str(sum(r["now"] > 5 + 100 * sqrt(0.05 * 0.95 / r["sets"]) for r in mine)),
            f"{worst['cell']}, {worst['metric']}",
        ])  # fmt: skip
    head = ("nothing differs but", "runs", "cells", "former: mean, worst", "now: mean, worst",
            "above 5 by more than the error", "worst in")  # fmt: skip
    return _table(head, lines)


def report(chosen: Sequence[Cell], folder: Path) -> str:
    """The tables in Markdown; `coverage_recipe.json` and `.md` are written into the folder."""
    judged = [found for cell in chosen if (found := Judged.read(cell, folder))]
    rows = [row for each in judged for row in each.rows()]
    errors = [row for each in judged for row in each.errors()]
    low = [row for row in rows if row["formula"].startswith("now") and row["covered"] < LEAST]
    sets = [each.n_sets for each in judged]
    lines = [
        f"{len(judged)} cells of {min(sets)} to {max(sets)} data sets; a column at 95 has a "
        f"Monte-Carlo error of {100 * sqrt(0.95 * 0.05 / max(sets)):.1f} to "
        f"{100 * sqrt(0.95 * 0.05 / min(sets)):.1f}. Coverage of nominal 95 % in %.", "",
        *overall(rows), *by_metric(rows), *by_cell(rows),
        "Comparisons in which nothing differs, % called different at 5 %:", "", *of_nulls(errors),
        f"Below {LEAST:g} ({len(low)}; beyond the error bold):", "",
        *_table(
            ("cell", "metric", "interval", "covers", "about the mean estimate", "width / former"),
            [[r["cell"], r["metric"], r["formula"],
              f"**{r['covered']:.1f}**" if marked(r) else f"{r['covered']:.1f}",
              f"{r['covered_mean']:.1f}", f"{r['of_former']:.2f}"] for r in low],
        ),
    ]  # fmt: skip
    text = "\n".join(lines)
    (folder / "coverage_recipe.json").write_text(json.dumps({"rows": rows, "errors": errors}))
    (folder / "coverage_recipe.md").write_text(text)
    return text


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="25 sets of eight cells")
    parser.add_argument("--sets", type=int, default=400, help="of a cell")
    parser.add_argument("--folder", type=Path, help="of the rounds; default: one for this time")
    parser.add_argument("--table", action="store_true", help="of what is there, nothing computed")
    parser.add_argument("--write", action="store_true", help="into docs/statistics.md")
    arguments = parser.parse_args()
    chosen = QUICK if arguments.quick else cells()
    with tempfile.TemporaryDirectory() as here:
        folder = arguments.folder or Path(here)
        if not arguments.table:
            work(chosen, folder, ROUND if arguments.quick else arguments.sets)
        text = report(chosen, folder)
    print(text)
    if arguments.write:
        before, rest = DOCS.read_text().split(BEGIN)
        DOCS.write_text(f"{before}{BEGIN}\n{text}\n{END}{rest.split(END)[1]}")


if __name__ == "__main__":
    main()
