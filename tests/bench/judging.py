"""How long the statistics take: `python tests/bench/judging.py [--write]`.

942 patients, 5 variants, 3 repeats of 5 folds, two tasks, every metric: all that `kfold-hs run`
judges of each variant (`judge.results.run.summarise`: intervals, epochs, choices, groups by six
covariates, the budget) and all that `kfold-hs compare` judges of the five, with 10,000 resamples.
One figure, held against a bound of 10 s on two cores; numpy's own threads are all that uses more
than one. Then 100,000 persons in a process of their own, with their memory.
"""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Callable

import numpy as np
import pandas as pd
from measure import fresh, options, publish

from kfold_hs.judge.results.comparison import Terms, Variants, compare_variants
from kfold_hs.judge.results.run import summarise
from kfold_hs.judge.results.run_record import RunRecord
from kfold_hs.predictions.epoch_rules import kept_epochs
from kfold_hs.predictions.table import Predictions

BOUND_S = 10.0
N_PEOPLE, N_VARIANTS, N_RUNS, N_FOLDS, N_EPOCHS, N_RESAMPLES = 942, 5, 3, 5, 20, 10_000
N_MANY, N_RECORDINGS = 100_000, 3
TASKS = {"murmur": ("Present", "Unknown", "Absent"), "outcome": ("Abnormal", "Normal")}
COHORT = {
    "name": "bench", "n_persons": N_PEOPLE, "n_patients": N_PEOPLE,
    "tasks": [
        {"name": task, "classes": list(names), "positive": names[0]}
        for task, names in TASKS.items()
    ],
}  # fmt: skip
SPLIT = {
    "n_folds": N_FOLDS, "n_repeats": N_RUNS, "train_share": 0.8, "digest": "d", "settings": {},
}  # fmt: skip
PROVENANCE = {"run": "bench", "digests": {}, "versions": {}, "started": ""}
CONFIG = {"select": "last", "target": 0.95, "seed": 0}
POSITIVES = dict.fromkeys(TASKS, 0)


def variant(
    n: int, seed: int, n_epochs: int = N_EPOCHS, n_recordings: int = N_RECORDINGS
) -> tuple[Predictions, pd.DataFrame]:
    """Predictions and history of models that know a little, of `n` patients, one person each.

    Patient rows of every epoch, and of the last one the recordings', as a run keeps them.
    """
    people, rng = np.random.default_rng(0), np.random.default_rng(seed)
    labels = {task: people.integers(0, len(names), n) for task, names in TASKS.items()}
    ids = np.array([f"p{i:06d}" for i in range(n)])
    tables, rows = [], []
    for repeat in range(N_RUNS):
        fold = people.permutation(n) % N_FOLDS
        places = [("patient", epoch, "") for epoch in range(n_epochs)]
        places += [("recording", n_epochs - 1, f"r{i}") for i in range(n_recordings)]
        for level, epoch, recording in places:
            columns = {
                "level": level, "repeat": repeat, "seed": 0, "fold": fold, "epoch": epoch,
                "person_id": ids, "patient_id": ids, "recording_id": recording,
            }  # fmt: skip
            for task, names in TASKS.items():
                logits = rng.standard_normal((n, len(names))) + np.eye(len(names))[labels[task]]
                p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
                columns[f"y.{task}"] = np.array(names)[labels[task]]
                columns |= {f"p.{task}.{name}": p[:, c] for c, name in enumerate(names)}
            tables.append(pd.DataFrame(columns))
        rows += [
            {
                "repeat": repeat, "seed": 0, "fold": fold_, "epoch": epoch, "train_loss": 1.0,
                "val_loss": 1.0, "acc.murmur": 0.5, "acc.outcome": 0.5, "lr": 1e-3, "seconds": 1.0,
                "kept": epoch == n_epochs - 1, "best": epoch == n_epochs // 2,
                "overfitting": False,
            }
            for fold_ in range(N_FOLDS)
            for epoch in range(n_epochs)
        ]  # fmt: skip
    return Predictions(pd.concat(tables, ignore_index=True), TASKS), pd.DataFrame(rows)


def covariates(n: int) -> pd.DataFrame:
    """Three of words and three of numbers."""
    rng = np.random.default_rng(0)
    found = {f"c{i}": rng.integers(0, 4, n).astype(str) for i in range(3)}
    found |= {f"x{i}": rng.standard_normal(n) for i in range(3)}
    return pd.DataFrame({"patient_id": [f"p{i:06d}" for i in range(n)], **found})


def judge(predictions: Predictions, history: pd.DataFrame, patients: pd.DataFrame) -> None:
    """What `kfold-hs run` judges."""
    summarise(RunRecord(predictions, history, COHORT, SPLIT, CONFIG, PROVENANCE, patients=patients))


def compare(variants: dict[str, tuple[Predictions, pd.DataFrame]], n_resamples: int) -> None:
    """What `kfold-hs compare` judges."""
    kept = {
        name: predictions.at(kept_epochs(history)).mean_over_seeds()
        for name, (predictions, history) in variants.items()
    }
    compare_variants(Variants.of(kept, POSITIVES, SPLIT), Terms("v0", n_resamples=n_resamples))


def taken(job: Callable[[], None]) -> tuple[float, float]:
    """Seconds that passed, and seconds of all cores."""
    wall, cores = time.perf_counter(), time.process_time()
    job()
    return time.perf_counter() - wall, time.process_time() - cores


def many(n: int) -> None:
    """Prints seconds and GiB that one variant of `n` persons takes."""
    predictions, history = variant(n, 0, n_epochs=2, n_recordings=0)
    before = _peak()
    wall, _ = taken(lambda: judge(predictions, history, covariates(n)))
    print(f"{wall:.0f} {before:.1f} {_peak():.1f}")


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def main() -> None:
    parser = options(__doc__, rounds=3)
    parser.add_argument("--many", type=int, help="only this number of persons, in this process")
    arguments = parser.parse_args()
    if arguments.many:
        return many(arguments.many)
    n, n_many, n_resamples = N_PEOPLE, N_MANY, N_RESAMPLES
    if arguments.quick:
        n, n_many, n_resamples = 120, 1000, 100
    variants = {f"v{i}": variant(n, i) for i in range(N_VARIANTS)}
    patients = covariates(n)
    found = []
    for number in range(arguments.rounds):
        runs = [taken(lambda v=v: judge(*v, patients)) for v in variants.values()]  # type: ignore[misc]
        both = taken(lambda: compare(variants, n_resamples))
        found.append((sum(run[0] for run in runs) + both[0], sum(r[1] for r in runs) + both[1],
                      sum(run[0] for run in runs), both[0]))  # fmt: skip
        print(f"round {number + 1}: {found[-1][0]:.2f} s", file=sys.stderr, flush=True)
    wall, cores, of_runs, of_both = sorted(found)[len(found) // 2]
    seconds, before, peak = fresh(__file__, "--many", str(n_many)).split()
    lines = [
        f"Judging {n} patients, {N_VARIANTS} variants, {N_RUNS} repeats, two tasks, every metric, "
        f"{n_resamples:,} resamples: **{wall:.1f} s** ({cores:.1f} s of processor time; bound "
        f"{BOUND_S:.0f} s); of it the runs' own {of_runs:.1f} s, the comparison {of_both:.1f} s. "
        f"Median of {arguments.rounds} rounds.",
        "",
        f"One variant of {n_many:,} persons: {seconds} s, at most {peak} GiB, of which {before} "
        "GiB are the predictions and what made them.",
    ]
    publish("judging", lines, arguments.write)
    return None


if __name__ == "__main__":
    main()
