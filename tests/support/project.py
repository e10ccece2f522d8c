"""Small cohorts, settings of a training that takes seconds, the command as a process."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import subprocess
import sys
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pandas as pd
import pytest
import soundfile


def write_table(
    folder: Path, n_patients: int = 16, n_recordings: int = 2, seconds: float = 2.0, seed: int = 0
) -> Path:
    """A CSV and its WAV files: two tasks, the murmur is a tone that can be heard.

    Persons `p0` and `p1` are one person `q`. Murmur and outcome repeat every four patients,
    so that joint classes are even.
    """
    rng = np.random.default_rng(seed)
    rate = 4000
    time_s = np.arange(round(seconds * rate)) / rate
    rows = []
    for i in range(n_patients):
        murmur = ("Present", "Absent", "Unknown", "Absent")[i % 4]
        outcome = ("Abnormal", "Normal")[i // 2 % 2]
        for k in range(n_recordings):
            sound = 0.1 * rng.standard_normal(len(time_s))
            if murmur == "Present":
                sound += 0.1 * np.sin(2 * np.pi * 200 * time_s)
            soundfile.write(folder / f"p{i}_{k}.wav", sound, rate, subtype="PCM_16")
            rows.append(
                {
                    "recording": f"p{i}_{k}.wav",
                    "patient_id": f"p{i}",
                    "person": "q" if i < 2 else f"p{i}",
                    "site": ("AV", "MV")[k % 2],
                    "murmur": murmur,
                    "outcome": outcome,
                    "age": "Child" if i % 3 else "",
                    "tone_hz": 200 + k,
                }
            )
    path = folder / "table.csv"
    pd.DataFrame(rows).to_csv(path, index=False)
    return path


def two_numberings(cohort: Any) -> Any:
    """A cohort of `write_table` whose patients and persons are numbered separately, 0 to 15."""
    number = {f"p{i}": str(i) for i in range(16)}
    patients = cohort.patients.assign(
        patient_id=cohort.patients["patient_id"].map(number),
        person_id=[str((i + 5) % 16) for i in range(16)],
    )
    return dataclasses.replace(
        cohort,
        patients=patients,
        persons=pd.DataFrame({"person_id": sorted(patients["person_id"])}),
        recordings=cohort.recordings.assign(patient_id=cohort.recordings["patient_id"].map(number)),
    )


def kfold_hs(*words: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    """The command line, by the door that `kfold-hs` goes through, in this process.

    A process of its own loads torch for seconds; `test_run.COMMAND` is for what needs one.
    """
    from kfold_hs.cli.main import main

    typed = [str(word) for word in words]
    out, err = io.StringIO(), io.StringIO()
    with (
        contextlib.chdir(cwd),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
        mock.patch.object(sys, "argv", ["kfold-hs", *typed]),
        pytest.raises(SystemExit) as end,
    ):
        main(typed)
    status = end.value.code
    assert isinstance(status, int)
    return subprocess.CompletedProcess(typed, status, out.getvalue(), err.getvalue())


class Silent:
    """A listener that remembers what it was told."""

    def __init__(self) -> None:
        self.rows: list[tuple[int, int]] = []
        self.states: list[str] = []
        self.notes: list[str] = []

    def stage(self, name: str) -> None: ...

    def step(self, done: int, total: int) -> None: ...

    def training(self, n_folds: int, n_epochs: int) -> None: ...

    def fold(self, place: object, state: str, note: str = "") -> None:
        self.states.append(state)

    def epoch(self, place: object, row: object) -> None:
        self.rows.append((place.fold, int(row["epoch"])))  # type: ignore[attr-defined,index]

    def note(self, text: str) -> None:
        self.notes.append(text)


TINY = [
    "data=table",
    "data.person_column=person",
    "data.site_column=site",
    "features.n_mels=16",
    "features.n_fft=256",
    "features.hop_s=0.04",
    "train.crop_frames=32",
    "train.epochs=3",
    "train.threads=null",
    "train.batch_size=8",
    "judge.gallery.patients=0",
    "judge.band_resamples=200",
    "split.n_folds=2",
]
"""A training that takes a second; add data.path=CSV, and a gallery where it is looked at."""
