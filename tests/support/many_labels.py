"""Tables of several binary tasks at once, and of tasks with many classes."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import soundfile

RATE = 4000
DISEASES = ("AS", "AR", "MR", "MS", "TR", "TS", "PR", "PS", "MVP")
CLASSES = tuple(f"kind {k}" for k in range(12))


def write_labels(
    folder: Path, n_patients: int = 60, n_recordings: int = 1, n_classes: int = 5
) -> Path:
    """A CSV and its WAV files: `DISEASES` of 1 and 0, a tone for each; `kind`, a higher tone.

    The diseases are independent of one another, each of one patient in three or so; classes take
    turns.
    """
    rng = np.random.default_rng(n_classes)
    time_s = np.arange(round(1.5 * RATE)) / RATE
    has = rng.random((n_patients, len(DISEASES))) < np.linspace(0.5, 0.3, len(DISEASES))
    rows = []
    for i in range(n_patients):
        for k in range(n_recordings):
            hz = [45 * (d + 1) for d in range(len(DISEASES)) if has[i, d]]
            hz.append(450 + 70 * (i % n_classes))
            sound = 0.05 * rng.standard_normal(len(time_s))
            sound += 0.08 * sum(np.sin(2 * np.pi * each * time_s) for each in hz)
            soundfile.write(folder / f"p{i}_{k}.wav", sound, RATE, subtype="PCM_16")
            labels = {name: int(each) for name, each in zip(DISEASES, has[i], strict=True)}
            rows.append(
                {
                    "recording": f"p{i}_{k}.wav", "patient_id": f"p{i}", "person": f"p{i}",
                    "site": "AV", **labels, "kind": CLASSES[i % n_classes],
                    "sex": "FM"[i % 2],
                }
            )  # fmt: skip
    path = folder / "table.csv"
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def diseases(n: int = len(DISEASES)) -> str:
    """`data.tasks` of so many binary tasks."""
    each = ", ".join(f"{name}: {{classes: ['1', '0']}}" for name in DISEASES[:n])
    return f"data.tasks={{{each}}}"


def kinds(n_classes: int) -> str:
    """`data.tasks` of one task with so many classes."""
    return f"data.tasks={{kind: {{classes: [{', '.join(CLASSES[:n_classes])}]}}}}"
