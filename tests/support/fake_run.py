"""Predictions and histories of a run that nobody trained."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from kfold_hs.judge.metrics.scores import METRICS
from kfold_hs.judge.results.run import summarise
from kfold_hs.judge.results.run_record import RunRecord
from kfold_hs.judge.results.summary import Summary
from kfold_hs.judge.selection.stacking import Stacking
from kfold_hs.predictions.table import Predictions
from kfold_hs.report.run_page import render


def problem(
    seed: int, n: int = 60, n_classes: int = 3, ties: bool = True
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels, probabilities with ties, and integer weights with zeros."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, n_classes, n)
    y[:n_classes] = range(n_classes)
    p = rng.dirichlet(np.ones(n_classes), n)
    if ties:
        p = np.round(p * 8) + 0.25
        p /= p.sum(axis=1, keepdims=True)
    w = rng.integers(0, 4, (5, n)).astype(float)
    w[:, :n_classes] = 1
    return y, p, w


TASKS = {"murmur": ("Present", "Unknown", "Absent"), "outcome": ("Abnormal", "Normal")}


def fake_run(
    n_patients: int = 100, n_epochs: int = 6, n_folds: int = 5, skill: float = 1.0, seed: int = 0
) -> tuple[Predictions, pd.DataFrame]:
    """Predictions and history of a run whose model knows the label as well as `skill` says."""
    rng = np.random.default_rng(seed)
    parts = []
    labels = {task: rng.integers(0, len(names), n_patients) for task, names in TASKS.items()}
    fold = np.arange(n_patients) % n_folds
    right: dict[str, list[np.ndarray]] = {task: [] for task in TASKS}
    for epoch in range(n_epochs):
        table = pd.DataFrame(
            {
                "level": "patient", "repeat": 0, "seed": 0, "fold": fold, "epoch": epoch,
                "person_id": [f"q{i // 2 if i < 10 else i}" for i in range(n_patients)],
                "patient_id": [f"p{i}" for i in range(n_patients)], "recording_id": "",
            }
        )  # fmt: skip
        for task, names in TASKS.items():
            logits = rng.standard_normal((n_patients, len(names)))
            logits[np.arange(n_patients), labels[task]] += skill
            p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
            table[f"y.{task}"] = np.array(names)[labels[task]]
            for c, name in enumerate(names):
                table[f"p.{task}.{name}"] = p[:, c]
            right[task].append(p.argmax(axis=1) == labels[task])
        parts.append(table)
    predictions = Predictions(pd.concat(parts, ignore_index=True), TASKS)
    rows = []
    for k in range(n_folds):
        accuracies = [
            {f"acc.{task}": float(right[task][e][fold == k].mean()) for task in TASKS}
            for e in range(n_epochs)
        ]
        best = int(np.argmax([np.mean(list(a.values())) for a in accuracies]))
        for e, accuracy in enumerate(accuracies):
            rows.append(
                {
                    "repeat": 0, "seed": 0, "fold": k, "epoch": e, "train_loss": 1 / (e + 1),
                    "val_loss": 1.0 + 0.1 * e, **accuracy, "lr": 1e-3, "seconds": 2.0,
                    "kept": e == n_epochs - 1, "best": e == best, "overfitting": k == 1 and e > 2,
                }
            )  # fmt: skip
    return predictions, pd.DataFrame(rows)


COHORT = {
    "name": "fake", "fingerprint": "f" * 64, "n_persons": 95, "n_patients": 100,
    "n_recordings": 300, "hours": 1.5,
    "tasks": [
        {"name": task, "classes": list(names), "positive": names[0],
         "counts": dict.fromkeys(names, 1)}
        for task, names in TASKS.items()
    ],
    "notes": [{"name": "clipped recordings", "count": 1, "text": "kept", "items": ["<b>x</b>"]}],
}  # fmt: skip


SPLIT = {
    "n_folds": 5, "n_repeats": 1, "seed": 0, "digest": "d" * 64, "fingerprint": "f" * 64,
    "balance": [{"task": "murmur", "class": "Present", "kind": "label", "counts": [1, 2, 3, 4, 5],
                 "deviation": 0.5, "limit": 0.0}],
    "comparison": [], "findings": [], "n_test_persons": 0, "train_share": 0.8,
    "persons_on_two_sides": [],
    "settings": {"by": "person", "stratify": [], "test": 0.0, "source": "drawn"},
}  # fmt: skip


PROVENANCE = {
    "run": "fake-run", "command": "kfold-hs run", "digests": {"split": "d" * 64},
    "versions": {"python": "3.11"}, "machine": "Linux", "device": "cpu",
    "started": "2026-01-01T00:00:00Z", "seconds": 60.0,
}  # fmt: skip


_JUDGED: dict[str, dict[str, Any]] = {}


def summary_of(
    predictions: Predictions,
    history: pd.DataFrame,
    select: str = "last",
    target: float = 0.95,
    stacking: Stacking | None = None,
    patients: pd.DataFrame | None = None,
) -> dict:  # type: ignore[type-arg]
    """The content of summary.json; what was judged before is copied."""
    config = {"select": select, "target": target, "seed": 0, "data": {"kind": "circor"}}
    stacking = stacking or Stacking()
    tables = [predictions.table, history, stacking.patients]
    tables += [] if patients is None else [patients]
    said = hashlib.sha256(repr([config, stacking.sources, METRICS, *map(list, tables)]).encode())
    for table in tables:
        said.update(pd.util.hash_pandas_object(table).to_numpy().tobytes())
    if (key := said.hexdigest()) not in _JUDGED:
        record = RunRecord(
            predictions, history, COHORT, SPLIT, config, PROVENANCE,
            stacking=stacking, patients=patients,
        )  # fmt: skip
        _JUDGED[key] = summarise(record).to_json()
    return copy.deepcopy(_JUDGED[key])


def page_of(content: Mapping[str, Any], *rest: Any, **named: Any) -> str:
    """The page of a run, from the content of its summary.json."""
    return render(Summary.from_json(content), *rest, **named)
