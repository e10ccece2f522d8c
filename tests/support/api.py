"""One tiny run that the tests of the API look at."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import kfold_hs as kf
from support.project import write_table

TASKS = {
    "murmur": {"classes": ["Present", "Unknown", "Absent"]},
    "outcome": {"classes": ["Abnormal", "Normal"]},
}


@pytest.fixture(scope="session")
def tiny() -> dict[str, Any]:
    """Settings of a training that takes a second."""
    return {
        "features": {"n_mels": 16, "n_fft": 256, "hop_s": 0.04},
        "train": {"crop_frames": 32, "epochs": 2, "batch_size": 8},
        "judge": {"gallery": {"patients": 0}, "band_resamples": 0},
        "folds": 2,
    }


@pytest.fixture(scope="session")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the recordings, of `reports/` and `checkpoints/`."""
    folder = tmp_path_factory.mktemp("api")
    write_table(folder)
    return folder


@pytest.fixture(scope="session")
def frame(place: Path) -> pd.DataFrame:
    """One row a recording."""
    return pd.read_csv(place / "table.csv")


@pytest.fixture(scope="session")
def people(frame: pd.DataFrame, place: Path) -> kf.Cohort:
    """The people of the frame."""
    return kf.Cohort.from_frame(frame, TASKS, root=place, person="person")


@pytest.fixture(scope="session")
def report(people: kf.Cohort, place: Path, tiny: dict[str, Any]) -> kf.Report:
    """Their cross-validation; do not change its files."""
    return kf.cross_validate(people, root=place, name="tiny", **tiny)
