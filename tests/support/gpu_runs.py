"""Runs of the command line on a device, and what is looked at in them."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kfold_hs.files.paths import RunPaths
from kfold_hs.predictions.table import Predictions
from support.commands import COMMAND

KILLED = Path(__file__).parent / "killed.py"
QUIET = ["track=[]", "judge.band_resamples=0", "judge.gallery.patients=0"]
"""No trackers, curves or gallery: what is looked at are predictions."""


@dataclass(frozen=True)
class Done:
    """A run that has ended: its predictions, summary and seconds from the command to the end."""

    predictions: Predictions
    summary: dict[str, Any]
    seconds: float

    def auroc(self, task: str) -> float:
        return float(self.summary["tasks"][task]["metrics"]["auroc"]["value"])


def run(root: Path, device: str, *words: str) -> Done:
    """`kfold-hs run --name a` as a process of its own."""
    root.mkdir(parents=True, exist_ok=True)
    command = [*COMMAND, "run", "-q", "--name", "a", "--device", device, *QUIET, *words]
    started = time.perf_counter()
    done = subprocess.run(command, cwd=root, capture_output=True, text=True)
    seconds = time.perf_counter() - started
    assert done.returncode == 0, done.stderr[-2000:]
    paths = RunPaths("a", root)
    summary = json.loads((root / "reports" / "a" / "summary.json").read_text())
    return Done(Predictions.read(paths.predictions), summary, seconds)


def killed_and_resumed(root: Path, device: str, step: int, *words: str) -> Done:
    """A run that ends itself by SIGKILL before a training step, and the same command again."""
    root.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, str(KILLED), "step", str(step), *QUIET, *words]
    place = {"KFOLD_HS_TEST_DEVICE": device}
    done = subprocess.run(
        command, cwd=root, capture_output=True, text=True, env={**os.environ, **place}
    )
    assert done.returncode == -9, f"it was to be killed: {done.returncode} {done.stderr[-2000:]}"
    return run(root, device, *words)


def apart(one: Done, other: Done) -> float:
    """The largest difference of a probability; the same people, recordings and folds.

    Raises
    ------
    AssertionError
        The tables do not hold the same rows.
    """
    tables = one.predictions.table, other.predictions.table
    columns = [name for name in tables[1].columns if not name.startswith("p.")]
    assert tables[0][columns].equals(tables[1][columns])
    numbers = [t.drop(columns=columns).to_numpy(dtype=float) for t in tables]
    assert numbers[0].shape[1] > 0
    return float(np.nanmax(np.abs(numbers[0] - numbers[1])))


def within_noise(one: Sequence[float], other: Sequence[float], margin: float = 0.02) -> float:
    """The mean difference of scores of the same seeds.

    Raises
    ------
    AssertionError
        It is further from 0 than `margin` and two standard errors over the seeds.
    """
    each = [a - b for a, b in zip(one, other, strict=True)]
    mean, error = statistics.mean(each), statistics.stdev(each) / len(each) ** 0.5
    text = f"{mean:+.3f} with a standard error of {error:.3f}: {list(one)} and {list(other)}"
    assert abs(mean) <= margin + 2 * error, text
    return mean
