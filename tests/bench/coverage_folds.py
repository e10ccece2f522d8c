"""Differences of variants on different folds: how often their intervals hold.

    python tests/bench/coverage_folds.py [--sets 200] [--write]

One recipe on two splits by person, of which the true difference is 0; two recipes that look at
features of equal worth and are on two splits; and one recipe split by person and by patient id, 50
of 150 people having two, of which the true difference is the mean over all sets: all of it, and
among the 50.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator

import numpy as np
from coverage_tables import table, write
from learners import People, draw, folds, tell

from kfold_hs.judge.metrics.challenge2022 import metrics_for
from kfold_hs.judge.metrics.scores import Metric
from kfold_hs.judge.results.subgroups import among
from kfold_hs.judge.stats.clusters import Layout
from kfold_hs.judge.stats.expected_error import spread
from kfold_hs.judge.stats.influence import Influence
from kfold_hs.judge.stats.scored import Scored

N_PERSONS, N_LINKED, N_FOLDS = 150, 50, 5
PERSON = np.concatenate([np.arange(N_PERSONS), np.arange(N_LINKED)])
CASES = ("folds", "folds and features", "by patient id", "by patient id, the 50 alone")
CELLS = (("LDA", "weak"), ("LDA", "mid"), ("random features", "mid"), ("1-NN", "mid"))
METRICS = {
    m.name: m
    for m in metrics_for(("Abnormal", "Normal"))
    if m.name in {"accuracy", "weighted_accuracy", "auroc"}
}


def by_patient(people: People, n_runs: int, rng: np.random.Generator) -> np.ndarray:
    """Fold of every patient, (D, S, N), as if each were a person."""
    everybody = People(people.y, people.x, np.arange(len(people.person)))
    return folds(everybody, n_runs, N_FOLDS, rng)


def values(
    people: People, fold: np.ndarray, prob: np.ndarray, metric: Metric
) -> Iterator[tuple[Influence, Influence]]:
    """Of every set: the metric of all rows, and of the rows of linked people."""
    n_sets, n_runs, n = fold.shape
    person = np.tile(people.person, n_runs)
    is_linked = person < N_LINKED
    for i in range(n_sets):
        layout = Layout.of(np.repeat(np.arange(n_runs), n), fold[i].ravel(), person, N_FOLDS)
        rows = Scored(np.tile(people.y["outcome"][i], n_runs), prob[i].reshape(-1, 2), 0, layout)
        part = rows.among(is_linked).influence(metric)
        yield rows.influence(metric), among(part, is_linked, layout, metric.by_fold)


def covered(case: str, learner: str, signal: str, sizes: tuple[int, int]) -> dict[str, list[float]]:
    """Of every metric: true difference, sd of its estimate, error that is told, coverage in %."""
    n_sets, n_runs = sizes
    rng = np.random.default_rng(0)
    people = draw(signal, n_sets, PERSON, rng)
    first = folds(people, n_runs, N_FOLDS, rng)
    is_leak = case.startswith("by patient")
    second = by_patient(people, n_runs, rng) if is_leak else folds(people, n_runs, N_FOLDS, rng)
    one = tell(learner, people, None, first, 0, rng).oof["outcome"]
    two = tell(learner, people, None, second, int(case == "folds and features"), rng).oof["outcome"]
    told = {}
    for name, metric in METRICS.items():
        both = zip(
            values(people, first, one, metric), values(people, second, two, metric), strict=True
        )
        which = int(case.endswith("alone"))
        apart = [b[which].minus_on_other_folds(a[which]) for a, b in both]
        found = [(each, spread(each)) for each in apart if np.isfinite(each.value)]
        value = np.array([each.value for each, _ in found])
        half = np.array([s.quantile() * s.se for _, s in found if s is not None])
        true = value.mean() if is_leak else 0.0
        error = np.sqrt(np.mean([s.variance for _, s in found if s is not None]))
        told[name] = [true, value.std(), error, 100 * np.mean(abs(value - true) <= half)]
    return told


def row(case: str, learner: str, signal: str, n_sets: int) -> list[str]:
    """A line of the table, of three repeats and of one."""
    three, once = (covered(case, learner, signal, (n_sets, n_runs)) for n_runs in (3, 1))
    line = [case, f"{learner}, {signal}", f"{three['accuracy'][0]:+.3f}"]
    for name, (_, sd, error, held) in three.items():
        line.append(f"{held:.1f}, {once[name][3]:.1f} ({error / sd:.2f})")
    return line


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sets", type=int, default=200)
    parser.add_argument("--write", action="store_true")
    given = parser.parse_args()
    lines = []
    for case in CASES:
        for learner, signal in CELLS:
            lines.append(row(case, learner, signal, given.sets))
            print(" | ".join(lines[-1]), flush=True)
    head = ("variants differ in", "learner, signal", "true difference of accuracy",
            *(f"outcome {name}" for name in METRICS))  # fmt: skip
    if given.write:
        write("coverage folds", "\n".join(table(head, lines)).rstrip())


if __name__ == "__main__":
    main()
