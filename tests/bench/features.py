"""From recordings to the bank, from WAV and from FLAC, and what a second run pays.

    python tests/bench/features.py [--patients N] [--rounds N] [--quick] [--write]

The built-in cohort, packed as FLAC for the other half. Files have been read before, so that the
disk is not what is measured. Reading is what every run does to know its recordings: each is
decoded and its digest taken.
"""

from __future__ import annotations

import os
import shutil
import statistics
import tempfile
import time
from functools import partial
from pathlib import Path

import pandas as pd
import soundfile
from measure import in_turns, options, publish, table

from kfold_hs.cohort.readers.registry import read_cohort
from kfold_hs.cohort.synthetic.dataset import ensure_cohort
from kfold_hs.config.compose import compose
from kfold_hs.learn.features import bank as banks

DATA = ["data=table", "data.person_column=person_id", "data.site_column=site"]


def pack(source: Path, folder: Path) -> Path:
    """The same cohort with its recordings as FLAC."""
    rows = pd.read_csv(source, dtype=str, keep_default_na=False)
    (folder / "recordings").mkdir(parents=True)
    for name in rows["recording"]:
        samples, rate = soundfile.read(source.parent / name, dtype="int16")
        soundfile.write((folder / name).with_suffix(".flac"), samples, rate, subtype="PCM_16")
    rows["recording"] = rows["recording"].str.replace(".wav", ".flac")
    rows.to_csv(folder / "table.csv", index=False)
    return folder / "table.csv"


class Passage:
    """Recordings to the bank, twice; calling it gives the seconds of the first time."""

    def __init__(self, path: Path) -> None:
        self.config = compose([*DATA, f"data.path={path}"])
        self.reading: list[float] = []
        self.again: list[float] = []
        self.audio_s = 0.0

    def __call__(self) -> float:
        with tempfile.TemporaryDirectory() as folder:
            before, os.environ["KFOLD_HS_CACHE"] = os.environ.get("KFOLD_HS_CACHE"), folder
            started = time.perf_counter()
            cohort = read_cohort(self.config.data)
            self.reading.append(time.perf_counter() - started)
            build = partial(banks.build, cohort, self.config.features)
            first, second = (self._seconds(build) for _ in range(2))
            if before is None:
                del os.environ["KFOLD_HS_CACHE"]
            else:
                os.environ["KFOLD_HS_CACHE"] = before
        self.audio_s = float(cohort.recordings["duration_s"].sum())
        self.again.append(second)
        return first

    @staticmethod
    def _seconds(build: partial[banks.Bank]) -> float:
        started = time.perf_counter()
        build()
        return time.perf_counter() - started


def main() -> None:
    parser = options(__doc__, rounds=5)
    parser.add_argument("--patients", type=int, default=240)
    given = parser.parse_args()
    wav = ensure_cohort(60 if given.quick else given.patients, 0)
    folder = Path(tempfile.mkdtemp())
    try:
        jobs = {"WAV": Passage(wav), "FLAC": Passage(pack(wav, folder))}
        for job in jobs.values():  # warm
            job()
        found = in_turns(jobs, given.rounds)
    finally:
        shutil.rmtree(folder)
    rows = []
    for name, job in jobs.items():
        first, again = statistics.median(found[name]), statistics.median(job.again[1:])
        reading = statistics.median(job.reading[1:])
        rows.append(
            {
                "from": name,
                "audio": f"{job.audio_s / 60:.0f} min",
                "reading, audio s / s": f"{job.audio_s / reading:,.0f}",
                "features, audio s / s": f"{job.audio_s / first:,.0f}",
                "features of a second run / of the first": f"**{again / first:.4f}**",
            }
        )
    publish("features", table(rows), given.write)


if __name__ == "__main__":
    main()
