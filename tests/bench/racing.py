"""How often racing loses the best variant, and what it saves. Run by name, decides no test.

    python tests/bench/racing.py [--times 200] [--write] [--seeds 3 --scenes equal twins]

Variants are linear discriminant analyses that see different features of Gaussian patients
(tests/support/simulation.py), with draws of their own in every fold model; what each is worth, on
the mean of data sets, splits and draws, is known in closed form. In every data set all variants are
tried in an order of its own, as `kfold-hs tune` does it with one repeat of 5 folds.

clear   one best variant, three a little worse, 26 that see nothing of what there is to see
half    one best, three a little worse, sixteen that see half
equal   twenty of one worth and one recipe, of which none should be lost
twins   twenty of one worth, ten that see one half and ten that see the other
spread  of 24 features, 23, 22 and so on: better while it is noise that is left out, then worse
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from support.simulation import World, draw, train, truth

from kfold_hs.judge.metrics.scores import METRICS, Metric
from kfold_hs.judge.stats.clusters import Layout
from kfold_hs.judge.stats.influence import Influence
from kfold_hs.judge.stats.scored import influence
from kfold_hs.judge.stats.sequential import Race

DOCS = Path(__file__).parents[2] / "docs" / "tune.md"
BEGIN, END = "<!-- racing: begin -->", "<!-- racing: end -->"
# Features 0 and 12 of 24 tell the classes apart, alike well; the others are noise.
WORLD = World(shares=(0.3, 0.7), distance=2.4, n_features=24, noise=0.35)
GOOD = [slice(0, 13), slice(0, 16), slice(0, 19), slice(0, 22)]
STOPS = (2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 12, 11, 10, 9, 8)
SCENES = {
    "clear": GOOD + [slice(1, stop) for stop in (*STOPS, *range(2, 12))],
    "half": GOOD + [slice(0, stop) for stop in STOPS],
    "equal": [slice(0, 24)] * 20,
    "twins": [slice(0, 12)] * 10 + [slice(12, 24)] * 10,
    "spread": [slice(0, 24 - drop) for drop in range(20)],
}


def of_rows(
    metric: Metric, y: np.ndarray, prob: np.ndarray, fold: np.ndarray, n_done: int, n_folds: int
) -> Influence:
    """The metric of one variant on one data set, over its first folds."""
    rows = fold < n_done
    layout = Layout.of(
        np.zeros(rows.sum(), dtype=int), fold[rows], np.flatnonzero(rows), n_folds=n_folds
    )
    return influence(metric, y[rows], prob[rows], 0, layout)


def race(
    metric: Metric,
    y: np.ndarray,
    probs: Sequence[np.ndarray],
    fold: np.ndarray,
    order: Sequence[int],
    n_folds: int,
) -> dict[int, int]:
    """Folds that every variant was trained in; all of them where it was not stopped."""
    finished: dict[str, Influence] = {}
    trained = {}
    for variant in order:
        contest = Race(finished, metric.higher_is_better)
        against, stopped = contest.incumbent, None
        for done in range(1, n_folds) if against is not None else []:
            mine = of_rows(metric, y, probs[variant], fold, done, n_folds)
            its = of_rows(metric, y, probs[int(against)], fold, done, n_folds)
            if contest.look(mine, its).stops:
                stopped = done
                break
        trained[variant] = stopped or n_folds
        if stopped is None:
            whole = of_rows(metric, y, probs[variant], fold, n_folds, n_folds)
            finished[str(variant)] = whole
    return trained


def scene(name: str, n: int, times: int, metrics: Sequence[str], n_seeds: int = 1) -> list[str]:
    """Rows of the table for one set of variants and number of patients.

    With several seeds every fold model is trained as often, and their probabilities averaged.
    """
    n_folds = 5
    rng = np.random.default_rng([n, times, sorted(SCENES).index(name)])
    drawn = draw(WORLD, rng, times, n, n_runs=1, n_folds=n_folds)
    seeds = [
        [train(WORLD, drawn, rng, features) for _ in range(n_seeds)] for features in SCENES[name]
    ]
    fitted = [each[0] for each in seeds]
    said = [np.mean([one.prob for one in each], axis=0) for each in seeds]
    worth = np.array([[v.mean() for v in truth(WORLD, each).values()] for each in fitted])
    orders = [rng.permutation(len(fitted)) for _ in range(times)]
    rows = []
    for metric in metrics:
        # Of log loss there is no closed form; who is best in accuracy is so in it, too.
        values = worth[:, 2 if metric == "auroc" else 0]
        # Where all are of one worth, each is the best one.
        best = range(len(fitted)) if name in {"equal", "twins"} else [int(values.argmax())]
        lost = saved = 0.0
        for number, order in enumerate(orders):
            probs = [each[number, 0] for each in said]
            y, fold = drawn.y[number], drawn.fold[number, 0]
            trained = race(METRICS[metric], y, probs, fold, order.tolist(), n_folds)
            lost += float(np.mean([trained[variant] < n_folds for variant in best]))
            saved += 1 - sum(trained.values()) / (n_folds * len(trained))
        away = np.sort(values.max() - values)
        rows.append(
            f"| {name} | {len(fitted)} | {n} | {metric} | {away[len(away) // 2]:.3f} | "
            f"{100 * lost / times:.1f} | {100 * saved / times:.0f} |"
        )
        print(rows[-1], file=sys.stderr, flush=True)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=200, help="data sets a row")
    parser.add_argument("--write", action="store_true", help="into docs/tune.md")
    parser.add_argument("--seeds", type=int, default=1, help="trainings of every fold")
    parser.add_argument("--scenes", nargs="*", default=list(SCENES), choices=list(SCENES))
    options = parser.parse_args()
    started = time.perf_counter()
    rows = [
        row
        for name in options.scenes
        for n in (400, 942)
        for row in scene(name, n, options.times, ["accuracy", "auroc", "log_loss"], options.seeds)
    ]
    text = "\n".join(
        [
            f"{options.times} data sets a row, 5 folds, one repeat, seeds: {options.seeds}.",
            "",
            "| variants | how many | patients | objective | median gap to the best | "
            "best lost, % | fold-epochs saved, % |",
            "|---|---|---|---|---|---|---|",
            *rows,
        ]
    )
    print(f"{text}\n\n{time.perf_counter() - started:.0f} s")
    if options.write:
        before, _, rest = DOCS.read_text().partition(BEGIN)
        after = rest.partition(END)[2]
        DOCS.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}")


if __name__ == "__main__":
    main()
