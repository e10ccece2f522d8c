"""What the tests share: real data where it lies, small cohorts, a cache of their own."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pandas as pd
import pytest
import soundfile

ROOT = Path(__file__).parent.parent

if workers := os.environ.get("PYTEST_XDIST_WORKER_COUNT"):
    # Before torch is loaded: workers share the cores, and threads beyond them wait for each other.
    threads = max(1, (os.cpu_count() or 1) // int(workers))
    os.environ.setdefault("OMP_NUM_THREADS", str(threads))

LONGEST = (
    "test_cluster",
    "test_jobs",
    "test_pages",
    "test_compare",
    "test_run",
    "test_fit",
    "test_tune",
    "test_patients",
    "test_ship_real",
    "test_audit",
    "test_resume",
    "test_held_out",
    "test_statements",
    "test_ship",
    "test_nested",
)
"""Files that take longest, longest first."""


def pytest_configure(config: pytest.Config) -> None:
    """With --dist loadfile, files go to workers in our order, not by how many tests they have."""
    if hasattr(config.option, "loadscopereorder"):
        config.option.loadscopereorder = False


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest files come first, so that workers end together."""
    place = {name: number for number, name in enumerate(LONGEST)}
    items.sort(key=lambda item: place.get(item.path.stem, len(LONGEST)))


_DATA = Path(os.environ.get("KFOLD_HS_DATA", ROOT.parent / "shared"))


def _data(name: str) -> Path:
    folder = _DATA / name
    if not folder.is_dir():
        pytest.skip(f"real recordings are not here: {folder} (set KFOLD_HS_DATA)")
    return folder


@pytest.fixture(scope="session")
def circor() -> Path:
    return _data("circor")


@pytest.fixture(scope="session")
def circor_wav() -> Path:
    return _data("circor-wav-sample")


@pytest.fixture(scope="session")
def cinc2016() -> Path:
    return _data("cinc2016-sample")


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Features and the built-in cohort of the tests do not touch the user's cache."""
    before = os.environ.get("KFOLD_HS_CACHE")
    os.environ["KFOLD_HS_CACHE"] = str(tmp_path_factory.mktemp("cache"))
    yield
    if before is None:
        del os.environ["KFOLD_HS_CACHE"]
    else:
        os.environ["KFOLD_HS_CACHE"] = before


def write_table(
    folder: Path, n_patients: int = 16, n_recordings: int = 2, seconds: float = 2.0
) -> Path:
    """A CSV and its WAV files: two tasks, the murmur is a tone that can be heard.

    Persons `p0` and `p1` are one person `q`. Murmur and outcome repeat every four patients,
    so that joint classes are even.
    """
    rng = np.random.default_rng(0)
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


@pytest.fixture
def table_csv(tmp_path: Path) -> Path:
    return write_table(tmp_path)


@pytest.fixture(scope="session")
def shared_table_csv(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same, made once; do not change its files."""
    return write_table(tmp_path_factory.mktemp("table"))


@pytest.fixture
def edit_csv(table_csv: Path) -> Callable[[Callable[[pd.DataFrame], pd.DataFrame]], Path]:
    """Change the table of `table_csv` and write it back."""

    def edit(change: Callable[[pd.DataFrame], pd.DataFrame]) -> Path:
        table = pd.read_csv(table_csv, dtype=object, keep_default_na=False)
        change(table).to_csv(table_csv, index=False)
        return table_csv

    return edit


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
    "train.batch_size=8",
    "split.n_folds=2",
]
"""A training that takes a second; add data.path=CSV."""
