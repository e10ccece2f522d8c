"""Coverage of the recipe's interval on real people, by a small learner.

    python tests/bench/coverage_people.py data=circor data.root=DIR --sets 400 --write

The interval of a recipe allows for other people who train other models. To see whether it holds, a
recipe must be trained thousands of times on samples of a population, which is too much for a
network. A small learner can be: mean and spread of every mel band over a patient's recordings, one
hidden layer drawn at random for each training, and a ridge regression on it. The people of the
cohort are the population. Each data set draws a part of them without replacement and has 3 runs of
5 folds; the truth is what all fold models of all data sets are worth on the people who were not
drawn.

Drawing n of N people leaves a value (1 - n / N) of the variance that it would have in an endless
population, and a right interval covers more than it says. Therefore the standard errors are
multiplied by sqrt(1 - n / N) first, the draws of training included, which makes the check strict.
Paired: the recipe against itself with other draws; the true difference is 0 in any population.
"""

from __future__ import annotations

import argparse
import sys
from collections import defaultdict
from dataclasses import dataclass
from math import sqrt
from pathlib import Path

import former
import numpy as np
from coverage import plain_bayle, table
from coverage_tables import write
from scipy import stats
from scipy.special import logit, softmax

from kfold_hs.cohort import Cohort
from kfold_hs.cohort.readers.registry import read_cohort
from kfold_hs.config.compose import compose
from kfold_hs.judge.metrics.challenge2022 import metrics_for
from kfold_hs.judge.metrics.scores import Metric
from kfold_hs.judge.stats import expected_error
from kfold_hs.judge.stats.clusters import Layout
from kfold_hs.judge.stats.conditional_error import bayle
from kfold_hs.judge.stats.influence import Influence
from kfold_hs.judge.stats.intervals import around
from kfold_hs.judge.stats.scored import influence
from kfold_hs.learn.features import bank as banks
from kfold_hs.predictions.table import Predictions

NAMES = ("accuracy", "weighted_accuracy", "auroc", "cost")
N_RUNS, N_FOLDS = 3, 5
N_HIDDEN, PENALTY = 40, 20.0
SHARPNESS = 2.0
"""softmax(2 f) is about on a likelihood's scale; softmax(5 f) makes the same calls and is not."""
USED_ONE, USED = "**one run** (used)", "**3 runs** (used)"
SPREADS = "sd of what the models are worth; of their value; mean error told from 3 runs"
FORMER_ONE, FORMER = "Nadeau-Bengio, one run (former)", "F1, 3 runs (former)"
Z = float(stats.norm.ppf(0.975))


@dataclass(frozen=True, eq=False)
class People:
    """Patients of the population: x (n, d) standardised, y (n,) of one task, person (n,)."""

    x: np.ndarray
    y: np.ndarray
    person: np.ndarray
    n_classes: int

    @classmethod
    def of(cls, cohort: Cohort, x: np.ndarray, task: str) -> People:
        its = next(each for each in cohort.tasks if each.name == task)
        person = np.unique(cohort.patients["person_id"], return_inverse=True)[1]
        return cls(x, its.encode(cohort.patients[task]), person, its.n_classes)


def spectra(cohort: Cohort, bank: banks.Bank) -> np.ndarray:
    """Mean and spread of every band over a patient's recordings, standardised, (n, 2 n_mels)."""
    each = []
    for first, length in zip(bank.first.tolist(), bank.length.tolist(), strict=True):
        frames = bank.frames[first : first + length].float().numpy()
        each.append(np.r_[frames.mean(axis=0), frames.std(axis=0)])
    place = {name: i for i, name in enumerate(cohort.patients["patient_id"])}
    owner = cohort.recordings["patient_id"].map(place).to_numpy()
    found = np.zeros((len(place), len(each[0])))
    np.add.at(found, owner, np.array(each))
    found /= np.bincount(owner, minlength=len(place))[:, None]
    return (found - found.mean(axis=0)) / found.std(axis=0)


def trained(people: People, rows: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Probabilities of everybody by a model of its own draws, trained on `rows`; (n, C)."""
    w = rng.standard_normal((people.x.shape[1], N_HIDDEN)) / sqrt(people.x.shape[1])
    hidden = np.maximum(people.x @ w + rng.standard_normal(N_HIDDEN) / 2, 0)
    hidden = np.c_[hidden, np.ones(len(hidden))]
    hot = np.eye(people.n_classes)[people.y]
    penalty = PENALTY * np.eye(N_HIDDEN + 1)
    penalty[-1, -1] = 0
    h = hidden[rows]
    return softmax(SHARPNESS * hidden @ np.linalg.solve(h.T @ h + penalty, h.T @ hot[rows]), axis=1)


def folds(people: People, drawn: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Fold of every person (-1: not drawn): dealt in turn, in the order of their labels."""
    label = np.zeros(people.person.max() + 1, int)
    label[people.person] = people.y
    order = drawn[np.argsort(label[drawn] + rng.random(len(drawn)))]
    found = np.full(len(label), -1)
    found[order] = np.arange(len(order)) % N_FOLDS
    return found


@dataclass(frozen=True, eq=False)
class DataSet:
    """Out-of-fold rows of all runs, and every model's values on the people who were not drawn."""

    y: np.ndarray
    p: np.ndarray
    layout: Layout
    outside: dict[str, float]

    def influence(self, metric: Metric, n_runs: int) -> Influence:
        some = self.layout.run < n_runs
        part = Layout.of(
            self.layout.run[some], self.layout.model[some] % N_FOLDS, self.layout.person[some],
            N_FOLDS,
        )  # fmt: skip
        return influence(metric, self.y[some], self.p[some], 0, part)


def data_set(
    people: People, metrics: dict[str, Metric], drawn: np.ndarray, fold: np.ndarray,
    rng: np.random.Generator,
) -> DataSet:  # fmt: skip
    """Runs of the folds (S, persons) on the persons drawn."""
    rows, runs, models, probs = [], [], [], []
    outside: dict[str, list[float]] = defaultdict(list)
    out = ~np.isin(people.person, drawn)
    for s in range(len(fold)):
        of_row = fold[s][people.person]
        for k in range(N_FOLDS):
            p = trained(people, np.flatnonzero((of_row >= 0) & (of_row != k)), rng)
            test = np.flatnonzero(of_row == k)
            rows.append(test)
            probs.append(p[test])
            runs.append(np.full(len(test), s))
            models.append(np.full(len(test), k))
            for name, metric in metrics.items():
                outside[name].append(float(metric(people.y[out], p[out], 0)[0]))
    at = np.concatenate(rows)
    layout = Layout.of(np.concatenate(runs), np.concatenate(models), people.person[at], N_FOLDS)
    return DataSet(people.y[at], np.concatenate(probs), layout,
                   {name: float(np.mean(each)) for name, each in outside.items()})  # fmt: skip


def parts(found: dict[int, Influence]) -> dict[str, tuple[float, float, float, bool]]:
    """value, standard error, quantile, and whether on the logit scale; by method.

    `found` is of the first run, of two and of all three.
    """
    one, x, of_folds = found[1], found[3].models, found[1].models
    t = float(stats.t.ppf(0.975, len(x) - 1))
    naive = float(of_folds.std(ddof=1)) / sqrt(len(of_folds))
    ends = {
        "mean +- 1.96 s / sqrt(K) over folds": (float(of_folds.mean()), naive, Z, False),
        "naive t, 15 folds": (float(x.mean()), float(x.std(ddof=1)) / sqrt(len(x)), t, False),
        "Bayle CLT, one run": (one.value, sqrt(plain_bayle(one)), Z, one.is_share),
    }
    for n_runs, name in ((1, FORMER_ONE), (3, FORMER)):
        each = found[n_runs]
        quantile = float(stats.t.ppf(0.975, each.layout.n_models - 1))
        ends[name] = (each.value, former.standard_error(each), quantile, one.is_share)
    for n_runs, name in {1: USED_ONE, 2: "**2 runs** (used)", 3: USED}.items():
        spread = expected_error.spread(found[n_runs])
        assert spread is not None
        ends[name] = (found[n_runs].value, spread.se, spread.quantile(), one.is_share)
    return ends


def not_at_zero(ends: tuple[float, float]) -> bool:
    return not ends[0] <= 0 <= ends[1]


def tests(a: dict[int, Influence], b: dict[int, Influence]) -> dict[str, bool]:
    """Whether two trainings of one recipe are called different, by test."""
    one, whole = b[1].minus(a[1]), b[3].minus(a[3])
    of_one, of_whole = expected_error.spread(one), expected_error.spread(whole)
    assert of_one is not None
    assert of_whole is not None
    x = whole.models
    naive = float(stats.ttest_1samp(x, 0).pvalue) if x.std() else 1.0
    return {
        "naive t, 15 folds": naive <= 0.05,
        "Bayle CLT, one run": abs(one.value) > Z * sqrt(bayle(one)),
        FORMER_ONE: not_at_zero(former.ends(one)),
        FORMER: not_at_zero(former.ends(whole)),
        USED_ONE: of_one.p_value(one.value) <= 0.05,
        USED: of_whole.p_value(whole.value) <= 0.05,
    }


def cover(
    people: People, metrics: dict[str, Metric], n: int, n_sets: int, seed: int
) -> tuple[dict[str, dict[str, str]], dict[str, float]]:
    """Cells "coverage, errors of the paired test" by method and metric, and the truth."""
    rng, n_people = np.random.default_rng(seed), int(people.person.max()) + 1
    factor = sqrt(1 - n / n_people)
    told: dict[str, dict[str, list[tuple[float, float, float, bool]]]] = defaultdict(
        lambda: defaultdict(list)
    )
    errs: dict[str, dict[str, list[bool]]] = defaultdict(lambda: defaultdict(list))
    outside: dict[str, list[float]] = defaultdict(list)
    for _ in range(n_sets):
        drawn = rng.choice(n_people, n, replace=False)
        fold = np.stack([folds(people, drawn, rng) for _ in range(N_RUNS)])
        both = [data_set(people, metrics, drawn, fold, rng) for _ in range(2)]
        for name, metric in metrics.items():
            a, b = ({s: each.influence(metric, s) for s in (1, 2, 3)} for each in both)
            if not all(np.isfinite(each.value) for each in (*a.values(), *b.values())):
                continue
            outside[name].append(both[0].outside[name])
            for method, each in parts(a).items():
                told[method][name].append(each)
            for method, hit in tests(a, b).items():
                errs[method][name].append(hit)
    true = {name: float(np.mean(each)) for name, each in outside.items()}
    cells: dict[str, dict[str, str]] = defaultdict(dict)
    for name, each in outside.items():
        sds = np.std(each), np.std([one[0] for one in told[USED][name]])
        se = factor * np.mean([one[1] for one in told[USED][name]])
        cells[SPREADS][name] = "; ".join(f"{sd:.3g}" for sd in (*sds, se))
    for method, by_metric in told.items():
        for name, each in by_metric.items():
            held = []
            for value, se, quantile, share in each:
                low, high = around(value, factor * se, quantile, share)
                held.append(low <= true[name] <= high)
            text = f"{100 * np.mean(held):.1f}"
            if method in errs:
                text += f"; {100 * np.mean(errs[method][name]):.1f}"
            cells[method][name] = text
    return cells, true


def told_by(run: Path, cohort: Cohort) -> np.ndarray:
    """Log odds that a run's models gave every patient out of fold, standardised."""
    kept = Predictions.read(run / "scored.parquet")
    rows = {name: i for i, name in enumerate(kept.table["patient_id"])}
    at = [rows[name] for name in cohort.patients["patient_id"]]
    odds = [logit(np.clip(kept.y_prob(t)[at, :-1], 1e-4, 1 - 1e-4)) for t in kept.tasks]
    found = np.concatenate(odds, axis=1)
    return (found - found.mean(axis=0)) / found.std(axis=0)


def report(overrides: list[str], people: list[int], n_sets: int, run: Path | None) -> list[str]:
    config = compose(overrides)
    cohort = read_cohort(config.data)
    channel = getattr(config.data, "channel", None)
    x = spectra(cohort, banks.build(cohort, config.features, channel))
    if run is not None:
        # As loud as all the bands together.
        odds = told_by(run, cohort)
        x = np.c_[x, odds * sqrt(x.shape[1] / odds.shape[1])]
    error = 100 * sqrt(0.95 * 0.05 / n_sets)
    lines = [
        f"{n_sets} data sets a cell from {cohort.n_persons} people ({cohort.n_patients} patients); "
        f"a cell at 95 has a Monte-Carlo error of {error:.1f}. Coverage of the recipe in %; after "
        "the semicolon how often it is called different from itself, trained with other draws.",
        "",
    ]
    for n in people:
        rows: dict[str, dict[str, str]] = defaultdict(dict)
        truths = []
        for task in cohort.tasks:
            metrics = {m.name: m for m in metrics_for(task.classes)}
            chosen = {name: metrics[name] for name in NAMES if name in metrics}
            found, true = cover(People.of(cohort, x, task.name), chosen, n, n_sets, seed=n)
            for method, by_metric in found.items():
                for name, cell in by_metric.items():
                    rows[method][f"{task.name}, {name}"] = cell
            truths += [f"{task.name} {name} {value:.3f}" for name, value in true.items()]
            print(f"{n} people, {task.name} done", file=sys.stderr, flush=True)
        lines += [f"{n} people; the truth is {', '.join(truths)}:", "", *table(rows, "method")]
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("overrides", nargs="+", help="of the cohort and its features, as of a run")
    parser.add_argument("--sets", type=int, default=1000)
    parser.add_argument("--people", type=int, nargs="*", default=[100, 200])
    parser.add_argument("--write", action="store_true", help="into docs/statistics.md")
    parser.add_argument("--run", type=Path, help="reports/RUN, whose answers are features, too")
    arguments = parser.parse_args()
    lines = report(arguments.overrides, arguments.people, arguments.sets, arguments.run)
    print("\n".join(lines))
    if arguments.write:
        write("coverage-people", "\n".join(lines))


if __name__ == "__main__":
    main()
