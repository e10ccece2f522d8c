"""Seconds and memory of `evaluate` and of `compare` for tables of very many people.

    python tests/bench/evaluate_large.py [people] [folds]

Three classes of murmur and two of outcome, two groups, one row a person, from a CSV file.
"""

from __future__ import annotations

import resource
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

from kfold_hs.workflows.evaluation import evaluate
from kfold_hs.workflows.table_comparison import TableOptions, compare_tables

TASKS = {"murmur": ("Present", "Unknown", "Absent"), "outcome": ("Abnormal", "Normal")}


def table(n: int, n_folds: int, seed: int = 0) -> pd.DataFrame:
    """People with labels, probabilities that know something of them, an age and a sex."""
    rng = np.random.default_rng(0)
    found = pd.DataFrame({"person": [f"p{i:06}" for i in range(n)], "fold": np.arange(n) % n_folds})
    found["age"], found["sex"] = rng.integers(0, 90, n), rng.choice(["f", "m"], n)
    noise = np.random.default_rng(seed + 1)
    for task, names in TASKS.items():
        label = rng.integers(0, len(names), n)
        logits = noise.standard_normal((n, len(names)))
        logits[np.arange(n), label] += 1
        probs = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        found[f"label.{task}"] = np.array(names)[label]
        for name, values in zip(names, probs.T, strict=True):
            found[f"p.{task}.{name}"] = values
    return found


def main() -> None:
    n = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    n_folds = int(sys.argv[2]) if len(sys.argv) > 2 else 5
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        for i, file in enumerate(("a.csv", "b.csv")):
            table(n, n_folds, i).to_csv(root / file, index=False)
        for what, work in (
            ("evaluate", lambda: evaluate(root / "a.csv", group=["age", "sex"], root=root)),
            (
                "compare",
                lambda: compare_tables([root / "a.csv", root / "b.csv"], TableOptions(root=root)),
            ),
        ):
            started, cpu = time.perf_counter(), time.process_time()
            work()
            seconds, cpu = time.perf_counter() - started, time.process_time() - cpu
            memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
            print(
                f"{what} {n:,} people, {n_folds} folds: {seconds:.1f} s "
                f"({cpu:.1f} s of processor), {memory:.2f} GiB"
            )


if __name__ == "__main__":
    main()
