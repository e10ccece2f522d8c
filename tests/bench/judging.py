"""How long the statistics take: `python tests/bench/judging.py [--persons 100000]`.

942 patients, 5 variants, 3 repeats, two tasks, all metrics, 10,000 resamples: the comparison of
all variants and the intervals of each. Then one variant of 100,000 persons, with its memory.
"""

from __future__ import annotations

import argparse
import resource
import time

import numpy as np
import pandas as pd

from kfold_hs.judge.choices import summary_of_choices
from kfold_hs.judge.comparison import compare_variants
from kfold_hs.judge.results import Basis, task_result
from kfold_hs.judge.subgroups import subgroups
from kfold_hs.predictions import Predictions

TASKS = {"murmur": ("Present", "Unknown", "Absent"), "outcome": ("Abnormal", "Normal")}
SPLIT = {"n_folds": 5, "train_share": 0.8}
POSITIVES = {"murmur": 0, "outcome": 0}


def variant(n: int, n_runs: int, seed: int) -> Predictions:
    """Predictions of `n` patients, one person each, by models that know a little."""
    people, rng = np.random.default_rng(0), np.random.default_rng(seed)
    labels = {task: people.integers(0, len(names), n) for task, names in TASKS.items()}
    ids = np.array([f"p{i:06d}" for i in range(n)])
    tables = []
    for repeat in range(n_runs):
        columns = {
            "level": "patient", "repeat": repeat, "seed": 0, "fold": people.permutation(n) % 5,
            "epoch": 0, "person_id": ids, "patient_id": ids, "recording_id": "",
        }  # fmt: skip
        for task, names in TASKS.items():
            logits = rng.standard_normal((n, len(names))) + np.eye(len(names))[labels[task]]
            p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
            columns[f"y.{task}"] = np.array(names)[labels[task]]
            columns |= {f"p.{task}.{name}": p[:, c] for c, name in enumerate(names)}
        tables.append(pd.DataFrame(columns))
    return Predictions(pd.concat(tables, ignore_index=True), TASKS)


def judge(kept: Predictions) -> None:
    basis = Basis.of(kept, SPLIT, honest=True)
    for task, positive in POSITIVES.items():
        task_result(kept, kept, task, positive, basis)


def choices_and_groups(kept: Predictions) -> None:
    """What a summary holds beside: choices on the other folds, and groups of people."""
    basis = Basis.of(kept, SPLIT, honest=True)
    places = kept.table[["repeat", "seed", "fold"]].drop_duplicates().itertuples(index=False)
    summary_of_choices(kept, {tuple(place): 0 for place in places}, kept, POSITIVES, basis)
    ids, rng = kept.table["patient_id"].unique(), np.random.default_rng(0)
    covariates = {f"c{i}": rng.integers(0, 4, len(ids)).astype(str) for i in range(3)}
    covariates |= {f"x{i}": rng.standard_normal(len(ids)) for i in range(3)}
    subgroups(kept, pd.DataFrame({"patient_id": ids, **covariates}), POSITIVES, basis)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--persons", type=int, default=100_000)
    parser.add_argument("--resamples", type=int, default=10_000)
    arguments = parser.parse_args()
    kept = {f"v{i}": variant(942, 3, i) for i in range(5)}
    start = time.perf_counter()
    for each in kept.values():
        judge(each)
    print(f"942 patients, 5 variants, 3 repeats, intervals: {time.perf_counter() - start:.1f} s")
    start = time.perf_counter()
    choices_and_groups(kept["v0"])
    print(f"choices, and groups by six covariates: {time.perf_counter() - start:.1f} s")
    start = time.perf_counter()
    compare_variants(
        kept, POSITIVES, SPLIT, baseline="v0", n_resamples=arguments.resamples
    )  # fmt: skip
    print(
        f"comparison, {arguments.resamples} resamples: {time.perf_counter() - start:.1f} s; "
        f"peak {_peak():.1f} GiB"
    )
    many = variant(arguments.persons, 3, 0)
    start = time.perf_counter()
    judge(many)
    print(
        f"{arguments.persons} persons, 3 repeats, intervals: {time.perf_counter() - start:.1f} s; "
        f"peak {_peak():.1f} GiB"
    )


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


if __name__ == "__main__":
    main()
