"""Tables of coverage in Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from math import sqrt
from pathlib import Path

import numpy as np
from judged_sets import COLUMNS, FORMULAS, N_RUNS, NULLS

LEAST = 93.0
OTHERS = ("murmur auprc", "outcome auprc", "murmur macro_f1", "outcome macro_f1")
"""Columns in which something else than the interval can be off: see docs/statistics.md."""


DOCS = Path(__file__).parents[2] / "docs" / "statistics.md"


def write(name: str, text: str) -> None:
    """Into docs/statistics.md, between the markers of that name."""
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    before, rest = DOCS.read_text().split(begin)
    DOCS.write_text(f"{before}{begin}\n{text}\n{end}{rest.split(end)[1]}")


def marked(row: dict) -> bool:
    """Whether coverage is below 93 % by more than its Monte-Carlo error (one standard error)."""
    return bool(row["covered"] < LEAST - 100 * sqrt(LEAST * (100 - LEAST) / 1e4 / row["sets"]))


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    return [*lines, *(f"| {' | '.join(row)} |" for row in rows), ""]


def overall(rows: list[dict]) -> list[str]:
    """Of every formula: how many cells hold, the least, misses of a side, widths."""
    lines = []
    for formula in FORMULAS:
        mine = [row for row in rows if row["formula"] == formula]
        least = min(mine, key=lambda row: row["covered"])
        covered = [row["covered"] for row in mine]
        runs = formula[-1] if formula[-1].isdigit() else N_RUNS
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
            "target wrongly reached / not: worst",
            "width / former, where that held 94")  # fmt: skip
    return table(head, lines)


def by_cell(rows: list[dict]) -> list[str]:
    """A line a cell: the plain columns' least coverage formerly and now, bold beyond the error."""
    lines = []
    for name in dict.fromkeys(row["cell"] for row in rows):
        line = [name]
        for formula in ("former 3", "now 3", "now 2", "former 1", "now 1"):
            mine = [r for r in rows if r["cell"] == name and r["formula"] == formula]
            plain = [r for r in mine if r["metric"] not in OTHERS]
            least = min(plain, key=lambda row: row["covered"])
            mark = "**" if formula.startswith("now") and marked(least) else ""
            line.append(f"{mark}{least['covered']:.1f}{mark} ({least['metric']})")
            if formula in ("now 3", "now 1"):
                wide = [r["of_former"] for r in plain if r["of_former"]]
                line.append(f"{np.median(wide):.2f}, {min(wide):.2f}-{max(wide):.2f}")
        lines.append([*line, str(mine[0]["sets"] + mine[0]["untold"])])
    head = ("cell", "former, 3 runs", "now, 3 runs", "width / former", "now, 2 runs",
            "former, 1 run", "now, 1 run", "width / former", "sets")  # fmt: skip
    return table(head, lines)


def by_metric(rows: list[dict]) -> list[str]:
    """A line a column: coverage over all cells, how many are below, and in which it is least."""
    lines = []
    for metric in COLUMNS:
        line = [metric]
        for formula in ("former 3", "now 3", "now 1"):
            mine = [r for r in rows if r["metric"] == metric and r["formula"] == formula]
            least = min(mine, key=lambda row: row["covered"])
            line += [
                f"{np.median([r['covered'] for r in mine]):.1f}",
                f"{sum(r['covered'] < LEAST for r in mine)}, {sum(map(marked, mine))}",
                f"{least['covered']:.1f} ({least['cell']})",
            ]
            if formula == "now 3":
                line.append(f"{sum(r['covered_mean'] < LEAST for r in mine)}")
        lines.append(line)
    head = ["metric"]
    for name in ("former, 3 runs", "now, 3 runs", "now, 1 run"):
        head += [f"{name}: median", "below 93, beyond the error", "least"]
        if name == "now, 3 runs":
            head.append("below 93 about the mean estimate")
    return table(head, lines)


def below(rows: list[dict]) -> list[str]:
    """Every cell and column that today's interval covers too rarely, and by how much it is off."""
    low = [row for row in rows if row["formula"].startswith("now") and row["covered"] < LEAST]
    head = ("cell", "metric", "interval", "covers", "about the mean estimate", "bias / sd",
            "width / former")  # fmt: skip
    lines = [
        [r["cell"], r["metric"], r["formula"],
         f"**{r['covered']:.1f}**" if marked(r) else f"{r['covered']:.1f}",
         f"{r['covered_mean']:.1f}", f"{(r['mean'] - r['true']) / r['sd']:+.2f}",
         f"{r['of_former']:.2f}"]
        for r in low
    ]  # fmt: skip
    return [f"Below {LEAST:g} ({len(low)}; beyond the error bold):", "", *table(head, lines)]


def of_targets(rows: list[dict]) -> list[str]:
    """A line a column: how often a target that equals the truth is wrongly reached, or missed."""
    lines = []
    for metric in COLUMNS:
        line = [metric]
        for formula in ("former 3", "now 3", "former 1", "now 1"):
            mine = [r for r in rows if r["metric"] == metric and r["formula"] == formula]
            line += [
                f"{np.mean([r[side] for r in mine]):.1f}, {max(r[side] for r in mine):.1f}"
                for side in ("reached", "not_reached")
            ]
        lines.append(line)
    head = ["metric"]
    for name in ("former, 3 runs", "now, 3 runs", "former, 1 run", "now, 1 run"):
        head += [f"{name}: reached", "not reached"]
    return table(head, lines)


def of_nulls(errors: list[dict]) -> list[str]:
    """A line a column: errors of comparisons, over all data sets and in the worst cell."""
    lines = []
    for metric in COLUMNS:
        line = [metric]
        for null, runs in product(NULLS, (1, N_RUNS)):
            mine = [
                r for r in errors
                if r["null"] == null and r["runs"] == runs and r["metric"] == metric
            ]  # fmt: skip
            sets = [r["sets"] for r in mine]
            before, now = (
                np.average([r[x] for r in mine], weights=sets) for x in ("former", "now")
            )
            line.append(f"{before:.1f}, {now:.1f} ({max(r['now'] for r in mine):.1f})")
        lines.append(line)
    head = ["metric", *(f"{null}, {runs} run{'s' * (runs > 1)}: former, now (worst)"
                        for null, runs in product(NULLS, (1, N_RUNS)))]  # fmt: skip
    return table(head, lines)


def of_one(rows: list[dict]) -> list[str]:
    """A line a column of one cell: every interval's coverage, widths, what the truth is."""
    lines = []
    for metric in COLUMNS:
        mine = {row["formula"]: row for row in rows if row["metric"] == metric}
        now = mine["now 3"]
        lines.append([
            metric, f"{now['true']:.3f}", f"{now['mean']:.3f}",
            *(f"{mine[f]['covered']:.1f}" for f in FORMULAS),
            f"{now['of_former']:.2f}", f"{mine['now 1']['of_former']:.2f}",
            f"{now['reached']:.1f} / {now['not_reached']:.1f}",
        ])  # fmt: skip
    head = ("metric", "true", "mean estimate", *FORMULAS, "width / former, 3 runs", "1 run",
            "target wrongly reached / not, 3 runs")  # fmt: skip
    return table(head, lines)
