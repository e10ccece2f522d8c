"""Does the recipe's interval hold: five small learners on simulated people, from no signal on.

    python tests/bench/coverage_recipe.py --quick     a minute, in a folder of its own
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
import os
import sys
import tempfile
import time
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from math import sqrt
from pathlib import Path

import numpy as np
from coverage_tables import below, by_cell, by_metric, of_nulls, of_targets, overall, write
from judged_sets import N_RUNS, DataSet, Judged, judge, stacked
from learners import DRAW_NOTHING, LEARNERS, N_NEW, SIGNALS, draw, folds, tell

ROUND, SIZES = 25, (100, 200, 436, 942)


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
    late = {"LDA": 0, "random features": 1, "MLP": 2, "logistic": 2, "1-NN": 3}
    late |= {"none": 0, "weak": 1, "strong": 2, "mid": 4}
    grid.sort(key=lambda c: late[c.learner] + late[c.signal] + SIZES.index(c.n) // 2)
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


def one_round(cell: Cell, number: int) -> dict[str, np.ndarray]:
    """25 data sets of a cell, judged: as `judge`, of sets."""
    rng = np.random.default_rng((zlib.crc32(cell.name.encode()), number))
    people = draw(cell.signal, ROUND, cell.person, rng)
    strangers = draw(cell.signal, ROUND, np.arange(N_NEW), rng)
    fold = folds(people, N_RUNS, cell.n_folds, rng)
    ours = tell(cell.learner, people, strangers, fold, 0, rng)
    again = other = None
    if number % 2 == 0:  # comparisons take most of the time
        again, other = (tell(cell.learner, people, None, fold, block, rng) for block in (0, 1))
    return stacked([
        judge(*(
            None if each is None else DataSet.of(people, strangers, each, fold, i)
            for each in (ours, again, other)
        ))
        for i in range(ROUND)
    ])  # fmt: skip


def work(chosen: Sequence[Cell], folder: Path, n_sets: int) -> None:
    """Rounds that are not there yet, all cells in turn."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, cell in product(range(-(-n_sets // ROUND)), chosen):
        file = folder / f"{cell.name}.{number:03d}.npz"
        if file.is_file():
            continue
        started = time.perf_counter()
        part = folder / f".{os.getpid()}.npz"  # several processes may share a folder
        np.savez(part, **one_round(cell, number))
        part.replace(file)
        print(f"{file.stem}: {time.perf_counter() - started:.0f} s", file=sys.stderr, flush=True)


def report(chosen: Sequence[Cell], folder: Path) -> str:
    """The tables in Markdown; `coverage_recipe.json` and `.md` are written into the folder."""
    judged = [found for cell in chosen if (found := Judged.read(cell.name, folder))]
    rows = [row for each in judged for row in each.rows()]
    errors = [
        row for each in judged for row in each.errors()
        if row["null"] != "other draws" or not row["cell"].startswith(DRAW_NOTHING)
    ]  # fmt: skip
    sets = [each.n_sets for each in judged]
    least = min(sets)
    lines = [
        f"{len(judged)} cells of {least} data sets{'' if least == max(sets) else ' or more'}; a "
        f"column at 95 has a Monte-Carlo error of {100 * sqrt(0.95 * 0.05 / least):.1f} at most. "
        "Coverage of nominal 95 % in %.", "",
        *overall(rows), *by_metric(rows), *by_cell(rows),
        "A target that equals the truth, % told wrongly: mean of the cells, worst cell (2.5 a side "
        "is allowed):", "", *of_targets(rows),
        "Comparisons in which nothing differs, % called different at 5 %:", "", *of_nulls(errors),
    ]  # fmt: skip
    text = "\n".join(lines)
    (folder / "coverage_recipe.json").write_text(json.dumps({"rows": rows, "errors": errors}))
    (folder / "coverage_recipe.md").write_text("\n".join([text, *below(rows)]))
    return text


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="25 sets of eight cells")
    parser.add_argument("--sets", type=int, default=400, help="of a cell")
    parser.add_argument("--first", type=int, help="only so many cells, those of most worth")
    parser.add_argument("--folder", type=Path, help="of the rounds; default: one for this time")
    parser.add_argument("--table", action="store_true", help="of what is there, nothing computed")
    parser.add_argument("--write", action="store_true", help="into docs/statistics.md")
    arguments = parser.parse_args()
    chosen = QUICK if arguments.quick else cells()[: arguments.first]
    with tempfile.TemporaryDirectory() as here:
        folder = arguments.folder or Path(here)
        if not arguments.table:
            work(chosen, folder, ROUND if arguments.quick else arguments.sets)
        text = report(chosen, folder)
    print(text)
    if arguments.write:
        write("coverage-recipe", text)


if __name__ == "__main__":
    main()
