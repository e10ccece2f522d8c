"""Measured coverage: `python tests/bench/coverage.py [--quick] [--write] [--cell METRIC N]`.

How often nominal 95 % intervals hold the truth of these models and of the recipe, how often paired
tests err and find a difference, what the best of six equal variants claims. `--write` puts
the tables into docs/statistics.md between its markers. Without --quick it takes about six minutes.
"""

from __future__ import annotations

import argparse
import sys
from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from math import sqrt
from pathlib import Path

import former
import numpy as np
from scipy import stats
from scipy.special import softmax

sys.path.insert(0, str(Path(__file__).parent.parent))
from support.simulation import Drawn, Trained, World, draw, train, truth

from kfold_hs.judge.metrics.challenge2022 import cost, metrics_for
from kfold_hs.judge.metrics.scores import METRICS, Metric
from kfold_hs.judge.stats import expected_error, multiplicity
from kfold_hs.judge.stats.clusters import Layout
from kfold_hs.judge.stats.conditional_error import bayle, fixed_estimate
from kfold_hs.judge.stats.influence import Influence
from kfold_hs.judge.stats.intervals import around
from kfold_hs.judge.stats.scored import influence

DOCS = Path(__file__).parent.parent.parent / "docs" / "statistics.md"
BEGIN, END = "<!-- coverage: begin -->", "<!-- coverage: end -->"
SIZES, N_RUNS, N_FOLDS = (150, 400, 942), 3, 5
N_RESAMPLES = 500
# Fold models differ by the people they were trained on, or (noisy) by the draws of a training.
STEADY = World(noise=0.35, n_features=40)
QUIET = World(noise=0.0, n_features=60)


def unstable(n: int) -> World:
    """Both: so much that Bayle's interval covers the recipe as in the tables ours are held against.

    Found by the ratio of the models' variance to that of the people's: .24, .36, .31 for accuracy
    and n = 150, 400, 942. The noise of a training falls with the people.
    """
    return replace(STEADY, offset_noise=4.5 * n ** (-1 / 3))


NOISY = World(noise=0.8, offset_noise=0.6)
THREE = World(shares=(0.2, 0.1, 0.7), distance=2.0, noise=0.5, offset_noise=0.4)
OF_OUTCOME = {m.name: m for m in metrics_for(("Abnormal", "Normal"))}
OF_MURMUR = {m.name: m for m in metrics_for(("Present", "Unknown", "Absent"))}
Cells = dict[str, dict[str, list[tuple[bool, bool]]]]


def layouts(drawn: Drawn, i: int) -> tuple[Layout, Layout]:
    """Of all runs of a data set, and of its first alone."""
    _, n_runs, n = drawn.fold.shape
    person = np.tile(np.arange(n), n_runs)
    every = Layout.of(np.repeat(np.arange(n_runs), n), drawn.fold[i].ravel(), person)
    return every, Layout.of(np.zeros(n), drawn.fold[i, 0], np.arange(n))


def of_set(metric: Metric, drawn: Drawn, trained: Trained, i: int) -> tuple[Influence, Influence]:
    """Influence over all runs of a data set, and over its first alone."""
    n_classes = trained.prob.shape[-1]
    every, first = layouts(drawn, i)
    y = np.tile(drawn.y[i], drawn.fold.shape[1])
    whole = influence(metric, y, trained.prob[i].reshape(-1, n_classes), 0, every)
    return whole, influence(metric, drawn.y[i], trained.prob[i, 0], 0, first)


def bootstrap(metric: Metric, y: np.ndarray, p: np.ndarray, rng: np.random.Generator) -> tuple:
    """Percentiles of the pooled value over resampled patients."""
    weights = rng.multinomial(len(y), np.full(len(y), 1 / len(y)), size=N_RESAMPLES)
    low, high = np.nanquantile(metric(y, p, 0, weights.astype(float)), [0.025, 0.975])
    return float(low), float(high)


def intervals(whole: Influence, first: Influence, name: str, y: np.ndarray) -> dict[str, tuple]:
    """Ends of every method's interval; y (n,) are the labels."""
    z, n = float(stats.norm.ppf(0.975)), first.layout.n_persons
    folds, x = first.models, whole.models
    of_run, of_all = expected_error.spread(first), expected_error.spread(whole)
    assert of_run is not None
    assert of_all is not None
    fixed = fixed_estimate(first, n, is_proportion=name == "accuracy")
    share, t = whole.is_share, float(stats.t.ppf(0.975, len(x) - 1))
    se = float(folds.std(ddof=1)) / sqrt(len(folds))
    naive = float(x.std(ddof=1)) / sqrt(len(x))
    return {
        "mean +- 1.96 s / sqrt(K) over folds": around(folds.mean(), se, z, False),
        "naive t, 15 folds": around(x.mean(), naive, t, False),
        "Bayle CLT, one run": around(first.value, sqrt(plain_bayle(first)), z, share),
        "these models (Wilson, DeLong, Bayle), one run": (fixed.low, fixed.high),
        "Nadeau-Bengio, one run (former)": former.ends(as_it_was(first, y)),
        "F1, 3 runs (former)": former.ends(as_it_was(whole, y)),
        "**one run** (used)": around(first.value, of_run.se, of_run.quantile(), share),
        "**3 runs** (used)": around(whole.value, of_all.se, of_all.quantile(), share),
    }


def as_it_was(found: Influence, y: np.ndarray) -> Influence:
    if not found.unbiased:
        return found
    return former.without_delong(found, np.tile(y, found.layout.n_runs) == 0)


def plain_bayle(influence: Influence) -> float:
    """`fixed.bayle` without DeLong's n / (n - 1), which Bayle's interval does not have."""
    if not influence.unbiased:
        return bayle(influence)
    psi, model = influence.psi, influence.layout.model
    within = psi - (influence.layout.by_model(psi) / np.bincount(model))[model]
    return float((influence.layout.by_person(within) ** 2).sum())


def cover(
    drawn: Drawn, trained: Trained, metrics: dict[str, Metric], true: dict[str, np.ndarray]
) -> Cells:
    """Whether each interval holds the truth of its models and of the recipe."""
    found: Cells = defaultdict(lambda: defaultdict(list))
    rng = np.random.default_rng(len(drawn.y[0]))
    for i in range(len(drawn.y)):
        for name, metric in metrics.items():
            whole, first = of_set(metric, drawn, trained, i)
            anew = float(true[name].mean())
            ends = intervals(whole, first, name, drawn.y[i])
            ends["patient bootstrap, pooled, one run"] = bootstrap(
                metric, drawn.y[i], trained.prob[i, 0], rng
            )
            for method, (low, high) in ends.items():
                mine = true[name][i] if "3 runs" in method or "15" in method else true[name][i, 0]
                found[method][name].append((low <= mine.mean() <= high, low <= anew <= high))
            if drawn.fold.shape[1] > 2:
                two = _first_runs(drawn, trained, metric, i, 2)
                spread = expected_error.spread(two)
                assert spread is not None
                low, high = around(two.value, spread.se, spread.quantile(), two.is_share)
                mine = true[name][i, :2].mean()
                found["**2 runs** (used)"][name].append((low <= mine <= high, low <= anew <= high))
    return found


def _first_runs(drawn: Drawn, trained: Trained, metric: Metric, i: int, n_runs: int) -> Influence:
    some = Drawn(drawn.y, drawn.x, drawn.fold[:, :n_runs], drawn.n_folds)
    return of_set(metric, some, replace(trained, prob=trained.prob[:, :n_runs]), i)[0]


def three_classes(trained: Trained, n_test: int = 20_000) -> dict[str, np.ndarray]:
    """Truth of 3-class metrics on many test patients, the classes in their exact shares."""
    rng = np.random.default_rng(99)
    shares = np.array(THREE.shares)
    y = np.repeat(np.arange(3), np.round(shares * n_test).astype(int))
    x = THREE.means()[y] + rng.standard_normal((len(y), THREE.n_features))
    shape = trained.weights.shape[:3]
    confusion = np.zeros((*shape, 3, 3))
    auroc = np.zeros(shape)
    ones = np.ones((1, len(y)))
    for place in np.ndindex(shape):
        p = softmax(x @ trained.weights[place] + trained.offsets[place], axis=1)
        np.add.at(confusion[place], (y, p.argmax(axis=1)), 1 / len(y))
        auroc[place] = METRICS["macro_auroc"](y, p, 0, ones)[0]
    hits = np.diagonal(confusion, axis1=3, axis2=4)
    weights = np.array([5.0, 3.0, 1.0])
    # Of a run at once, as the score is: from the rates of all its fold models together.
    of_run = confusion.mean(axis=2)
    diagonal = np.diagonal(of_run, axis1=2, axis2=3)
    f1 = (2 * diagonal / (of_run.sum(axis=2) + of_run.sum(axis=3))).mean(axis=2)
    return {
        "weighted_accuracy": (hits * weights).sum(axis=3) / (shares * weights).sum(),
        "macro_auroc": auroc,
        "macro_f1": f1[:, :, None],
    }


def cost_truth(trained: Trained) -> np.ndarray:
    """True challenge cost of every run of a two-class problem, (D, S, 1)."""
    w = trained.weights[..., 0] - trained.weights[..., 1]
    b = trained.offsets[..., 0] - trained.offsets[..., 1]
    spread, means = np.sqrt((w**2).sum(axis=-1)), STEADY.means()
    hit = stats.norm.cdf((w @ means[0] + b) / spread).mean(axis=2)
    false = stats.norm.cdf((w @ means[1] + b) / spread).mean(axis=2)
    share = STEADY.shares[0]
    # Four kinds of patient, weighted by how many there are.
    each = np.stack([share * hit, share * (1 - hit), (1 - share) * false,
                     (1 - share) * (1 - false)], axis=-1)  # fmt: skip
    referred, abnormal = np.array([1, 0, 1, 0], bool), np.array([1, 1, 0, 0], bool)
    return cost(referred, abnormal, each.reshape(-1, 4)).reshape(*hit.shape, 1)


def comparisons(n_sets: int, rng: np.random.Generator) -> dict[str, dict[str, float]]:
    """How often paired tests of accuracy find a difference: where there is none, and of .04."""
    halves = (slice(0, 30), slice(30, 60))
    # The better variant is trained with less noise: its gain is what that makes it, about .04.
    less, more = replace(NOISY, noise=0.5), replace(NOISY, noise=1.1)
    cases: dict[str, tuple[World, World, slice | None, slice | None, tuple[int, ...]]] = {
        "re-seeded, no difference": (NOISY, NOISY, None, None, SIZES[1:]),
        "other features of equal worth": (QUIET, QUIET, *halves, SIZES),
        "a real difference": (more, less, None, None, SIZES[1:]),
    }
    found: dict[str, dict[str, float]] = defaultdict(dict)
    for case, (one, two, f1, f2, sizes) in cases.items():
        for n in sizes:
            drawn = draw(one, rng, n_sets, n, N_RUNS, N_FOLDS)
            a, b = train(one, drawn, rng, f1), train(two, drawn, rng, f2)
            gap = truth(two, b)["accuracy"].mean() - truth(one, a)["accuracy"].mean()
            column = f"{case} ({gap:+.3f}), n={n}"
            for method, rate in _found(drawn, a, b).items():
                found[method][column] = rate
    return found


def mid_p(only_first: int, only_second: int) -> float:
    """Of McNemar's test (Fagerland, Lydersen & Laake, BMC Med. Res. Methodology 13:91, 2013)."""
    fewer, coin = min(only_first, only_second), stats.binom(only_first + only_second, 0.5)
    return min(1.0, float(2 * coin.cdf(fewer) - coin.pmf(fewer)))


def _found(drawn: Drawn, a: Trained, b: Trained) -> dict[str, float]:
    hits: dict[str, list[bool]] = defaultdict(list)
    metric = OF_OUTCOME["accuracy"]
    for i in range(len(drawn.y)):
        (a3, a1), (b3, b1) = (of_set(metric, drawn, each, i) for each in (a, b))
        whole, first = b3.minus(a3), b1.minus(a1)
        spread, one = expected_error.spread(whole), expected_error.spread(first)
        assert spread is not None
        assert one is not None
        x = whole.models
        naive = float(stats.ttest_1samp(x, 0).pvalue) if x.std() else 1.0
        right = [each.prob[i, 0].argmax(axis=1) == drawn.y[i] for each in (a, b)]
        counts = int((right[0] & ~right[1]).sum()), int((~right[0] & right[1]).sum())
        hits["naive t over 15 folds"].append(naive <= 0.05)
        hits["McNemar mid-p, one run (these models)"].append(mid_p(*counts) <= 0.05)
        for name, apart in (("Nadeau-Bengio, one run", first), ("F1, 3 runs", whole)):
            low, high = former.ends(apart)
            hits[f"{name} (former)"].append(not low <= 0 <= high)
        hits["**one run**"].append(one.p_value(first.value) <= 0.05)
        hits["**3 runs**"].append(spread.p_value(whole.value) <= 0.05)
    return {method: 100 * float(np.mean(each)) for method, each in hits.items()}


def selection(n_sets: int, rng: np.random.Generator) -> list[str]:
    """What the best of six re-seeded variants claims, and what BBC-CV and Holm make of it."""
    drawn = draw(STEADY, rng, n_sets, 400, N_RUNS, N_FOLDS)
    trained = [train(STEADY, drawn, rng) for _ in range(6)]
    true = float(np.mean([truth(STEADY, each)["accuracy"].mean() for each in trained]))
    claimed, corrected, family, inside = [], [], [], []
    for i in range(n_sets):
        pairs = [of_set(OF_OUTCOME["accuracy"], drawn, each, i) for each in trained]
        one = {f"v{v}": first for v, (_, first) in enumerate(pairs)}
        drawn_again = multiplicity.Resamples(one["v0"].layout, 300, i)
        again = drawn_again.corrected({"accuracy": list(one.values())}, {"accuracy": 1})
        claimed.append(max(each.value for each in one.values()) - true)
        corrected.append(float(again["accuracy"].mean()) - true)
        three = {f"v{v}": whole for v, (whole, _) in enumerate(pairs)}
        against = multiplicity.against_baseline(three, "v0", margin=0.0)
        family.append(any(each["p_holm"] <= 0.05 for each in against.values()))
        best = multiplicity.best(three, 0.8)["estimate"]
        inside.append(best["low"] <= true <= best["high"])
    return [
        f"Best of six equal variants, accuracy, n=400, one run: {np.mean(claimed):+.3f} too good; "
        f"BBC-CV {np.mean(corrected):+.3f}. Three runs, five comparisons with a baseline: "
        f"the interval and Holm call one better in {100 * np.mean(family):.1f} % of the data sets. "
        f"The best one's Bonferroni interval covers in {100 * np.mean(inside):.1f} %.",
    ]


def table(cells: dict[str, dict[str, str]], head: str) -> list[str]:
    columns = list(dict.fromkeys(name for row in cells.values() for name in row))
    lines = [f"| {head} | {' | '.join(columns)} |", "|---" * (len(columns) + 1) + "|"]
    for name, row in cells.items():
        lines.append(f"| {name} | {' | '.join(row.get(c, '') for c in columns)} |")
    return [*lines, ""]


def _put(cells: dict[str, dict[str, str]], found: Cells, column: Callable[[str], str]) -> None:
    for method, by_metric in found.items():
        for name, each in by_metric.items():
            mine, anew = 100 * np.mean(each, axis=0)
            cells.setdefault(method, {})[column(name)] = f"{mine:.0f}/{anew:.0f}"


def report(n_sets: int) -> list[str]:
    rng = np.random.default_rng(0)
    cells: dict[str, dict[str, str]] = {}
    names = ("accuracy", "weighted_accuracy", "auroc", "cost")
    for n in SIZES:
        world = unstable(n)
        drawn = draw(world, rng, n_sets, n, N_RUNS, N_FOLDS)
        trained = train(world, drawn, rng)
        true = {**truth(world, trained), "cost": cost_truth(trained)}
        found = cover(drawn, trained, {name: OF_OUTCOME[name] for name in names}, true)
        _put(cells, found, partial("{} {}".format, n))
        print(f"n={n} done", file=sys.stderr)
    error = 100 * sqrt(0.95 * 0.05 / n_sets)
    lines = [
        f"{n_sets} data sets a cell; a cell at 95 has a Monte-Carlo error of {error:.1f}.", "",
        "Coverage of nominal 95 % intervals, these models / the recipe, two classes:", "",
        *table(cells, "interval"),
    ]  # fmt: skip
    few = max(50, n_sets // 5)
    drawn = draw(THREE, rng, few, 400, N_RUNS, N_FOLDS)
    trained = train(THREE, drawn, rng)
    chosen = {name: OF_MURMUR[name] for name in ("weighted_accuracy", "macro_auroc", "macro_f1")}
    cells = {}
    found = cover(drawn, trained, chosen, three_classes(trained))
    _put(cells, found, partial("{} {}".format, "400"))
    print("three classes done", file=sys.stderr)
    lines += [f"Three classes, weights 5, 3, 1; {few} data sets:", "", *table(cells, "interval")]
    tested = comparisons(n_sets // 2, rng)
    shown = {m: {c: f"{v:.1f}" for c, v in row.items()} for m, row in tested.items()}
    lines += [
        f"Paired comparison of accuracy, % called different at 5 %; {n_sets // 2} data sets:", "",
        *table(shown, "test"), *selection(max(50, n_sets // 5), rng),
    ]  # fmt: skip
    return lines


def one_cell(name: str, n: int, n_sets: int) -> list[str]:
    """Coverage of one run's simplest intervals, in the tables' world and with offsets alike.

    In draws of their own, of at most 1500 data sets each: what a cell of the tables is but for
    the draw that it happened to get.
    """
    metric, z = OF_OUTCOME[name], float(stats.norm.ppf(0.975))
    lines = []
    for world, said in ((unstable(n), "as in the tables"), (STEADY, "offsets alike")):
        hits: dict[str, list[tuple[bool, bool]]] = defaultdict(list)
        for seed, start in enumerate(range(0, n_sets, 1500), start=1):
            rng = np.random.default_rng(seed)
            drawn = draw(world, rng, min(1500, n_sets - start), n, 1, N_FOLDS)
            trained = train(world, drawn, rng)
            true = truth(world, trained)[name]
            for i in range(len(drawn.y)):
                _, first = of_set(metric, drawn, trained, i)
                half = sqrt(plain_bayle(first))
                ends = {"Bayle CLT": around(first.value, half, z, first.is_share)}
                ends["patient bootstrap, pooled"] = bootstrap(
                    metric, drawn.y[i], trained.prob[i, 0], rng
                )
                for method, (low, high) in ends.items():
                    mine = low <= true[i, 0].mean() <= high
                    hits[method].append((bool(mine), bool(low <= true.mean() <= high)))
        told = (
            f"{method} {mine:.1f}/{anew:.1f}"
            for method, (mine, anew) in ((m, 100 * np.mean(h, axis=0)) for m, h in hits.items())
        )
        lines.append(f"{name}, n={n}, {n_sets} data sets, {said}: {', '.join(told)}")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="60 data sets a cell")
    parser.add_argument("--sets", type=int, default=1500)
    parser.add_argument("--write", action="store_true", help="into docs/statistics.md")
    parser.add_argument(
        "--cell", nargs=2, metavar=("METRIC", "N"), help="only this one, by Bayle and bootstrap"
    )
    arguments = parser.parse_args()
    if arguments.cell:
        print("\n".join(one_cell(arguments.cell[0], int(arguments.cell[1]), arguments.sets)))
        return
    lines = report(60 if arguments.quick else arguments.sets)
    print("\n".join(lines))
    if arguments.write:
        before, rest = DOCS.read_text().split(BEGIN)
        text = "\n".join(lines)
        DOCS.write_text(f"{before}{BEGIN}\n{text}\n{END}{rest.split(END)[1]}")


if __name__ == "__main__":
    main()
