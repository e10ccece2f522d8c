"""How long a report takes to be drawn again: `python tests/bench/redraw.py [--write]`.

The folder of a run of 942 patients, 5 folds and 3 seeds of 20 epochs, with people and predictions
that are made up, judged as `kfold-hs run` judges; then `kfold-hs report RUN` in processes of its
own, each with its start and its imports. One figure, held against a bound of 10 s.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
from measure import PACKAGE, options, publish
from splits import made_up

from kfold_hs.cohort import Cohort
from kfold_hs.config.compose import compose
from kfold_hs.files.paths import RunPaths, write_text
from kfold_hs.judge.selection.stacking import Stacking
from kfold_hs.predictions.table import Predictions
from kfold_hs.splits import Split
from kfold_hs.splits.make import split_of
from kfold_hs.workflows.judgement import judge_run

BOUND_S = 10.0
N_PATIENTS, N_FOLDS, N_SEEDS, N_EPOCHS = 942, 5, 3, 20


def predict(cohort: Cohort, split: Split, n_seeds: int) -> tuple[Predictions, pd.DataFrame]:
    """Predictions and history of models that know a little."""
    rng = np.random.default_rng(0)
    patients = cohort.patients
    fold = split.fold_of_patients(cohort, 0)
    tables, rows = [], []
    for seed in range(n_seeds):
        for epoch in range(N_EPOCHS):
            columns = {
                "level": "patient", "repeat": 0, "seed": seed, "epoch": epoch,
                "fold": fold,
                "person_id": patients["person_id"], "patient_id": patients["patient_id"],
                "recording_id": "",
            }  # fmt: skip
            for task in cohort.tasks:
                y = patients[task.name].map(list(task.classes).index).to_numpy()
                logits = (
                    rng.standard_normal((len(y), len(task.classes))) + np.eye(len(task.classes))[y]
                )
                p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
                columns[f"y.{task.name}"] = patients[task.name]
                columns |= {f"p.{task.name}.{c}": p[:, i] for i, c in enumerate(task.classes)}
            tables.append(pd.DataFrame(columns))
            rows += [
                {
                    "repeat": 0, "seed": seed, "fold": k, "epoch": epoch, "train_loss": 1.0,
                    "val_loss": 1.0, **{f"acc.{task.name}": 0.5 for task in cohort.tasks},
                    "lr": 1e-3, "seconds": 1.0, "kept": epoch == N_EPOCHS - 1,
                    "best": epoch == N_EPOCHS // 2, "overfitting": False,
                }
                for k in range(N_FOLDS)
            ]  # fmt: skip
    classes = {task.name: task.classes for task in cohort.tasks}
    return Predictions(pd.concat(tables, ignore_index=True), classes), pd.DataFrame(rows)


def make_run(paths: RunPaths, n_patients: int, n_seeds: int) -> None:
    """The folder that a run leaves."""
    cohort = made_up(n_patients)
    config = compose([f"split.n_folds={N_FOLDS}", f"n_seeds={n_seeds}"])
    split = split_of(config, cohort)
    predictions, history = predict(cohort, split, n_seeds)
    split.write(paths.split)
    write_text(paths.config, config.to_yaml())
    digests = {"split": split.digest}
    predictions.write(paths.predictions, digests)
    history.to_csv(paths.history, index=False)
    provenance = {
        "run": paths.name, "command": "bench", "digests": digests, "versions": {}, "machine": "",
        "device": "cpu", "started": "2026-01-01T00:00:00Z", "seconds": 0.0,
    }  # fmt: skip
    judge_run(paths, config, cohort, split, Stacking(), [], provenance, [])


def report(*words: object) -> float:
    """Seconds that `kfold-hs report` takes, in a process of its own."""
    path = os.pathsep.join([str(PACKAGE), os.environ.get("PYTHONPATH", "")])
    started = time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "kfold_hs.cli.main", "report", *map(str, words)],
        env={**os.environ, "PYTHONPATH": path}, stdout=subprocess.DEVNULL, check=True,
    )  # fmt: skip
    return time.perf_counter() - started


def main() -> None:
    arguments = options(__doc__, rounds=5).parse_args()
    n_patients, n_seeds = (120, 1) if arguments.quick else (N_PATIENTS, N_SEEDS)
    with tempfile.TemporaryDirectory() as folder:
        paths = RunPaths("r", Path(folder))
        make_run(paths, n_patients, n_seeds)
        alone = [report(paths.report_folder) for _ in range(arguments.rounds)]
        with_tables = report(paths.report_folder, "--tables", Path(folder) / "tables")
        size = paths.report.stat().st_size
        n_tables = len(list((Path(folder) / "tables").glob("*.csv")))
    lines = [
        f"`kfold-hs report` of {n_patients} patients, {N_FOLDS} folds, {n_seeds} seeds: "
        f"**{statistics.median(alone):.1f} s** ({min(alone):.1f} to {max(alone):.1f}; bound "
        f"{BOUND_S:.0f} s), with {n_tables} tables as CSV and LaTeX {with_tables:.1f} s. The page "
        f"has {size / 1e6:.1f} MB (bound 10). Median of {arguments.rounds}.",
    ]
    publish("redraw", lines, arguments.write)


if __name__ == "__main__":
    main()
