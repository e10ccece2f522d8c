"""How the whole job grows with recordings, folds and seeds.

    python tests/bench/growth.py [--rounds N] [--quick] [--write]

`kfold-hs run` in one process, features and all, on 1, 2 and 4 times as many recordings, with 2, 5
and 10 folds, and with 1 and 3 seeds. The network is small and the crops are short, so that what
surrounds the network is not hidden by it. A straight line is laid through all of them: seconds
over the frames that go through the network, those that are trained on counting three times
(forward, and twice as much backward).
"""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import numpy as np
from measure import in_turns, options, publish, table

from kfold_hs.cohort.synthetic.dataset import ensure_cohort
from kfold_hs.config.compose import compose
from kfold_hs.workflows.cross_validation import run
from kfold_hs.workflows.options import RunOptions

CROP = 64
FRAMES = 500  # of a recording of the built-in cohort, in the mean


class Silent:
    """A listener that counts the recordings and says nothing."""

    n_recordings = 0

    def stage(self, name: str) -> None: ...

    def step(self, done: int, total: int) -> None:
        self.n_recordings = max(self.n_recordings, total)

    def training(self, n_folds: int, n_epochs: int) -> None: ...

    def fold(self, place: object, state: str, note: str = "") -> None: ...

    def epoch(self, place: object, row: Mapping[str, float]) -> None: ...

    def note(self, text: str) -> None: ...


class Job:
    """A run of so many patients, folds and seeds; calling it gives seconds."""

    def __init__(
        self, n_patients: int, n_folds: int = 5, n_seeds: int = 1, epochs: int = 2
    ) -> None:
        path = ensure_cohort(n_patients, 0)
        self.config = compose(
            [
                "data=table", f"data.path={path}", "data.person_column=person_id",
                "data.site_column=site", f"split.n_folds={n_folds}", f"n_seeds={n_seeds}",
                f"train.epochs={epochs}", f"train.crop_frames={CROP}", "track=[]",
            ]
        )  # fmt: skip
        self.n_folds, self.n_seeds, self.epochs = n_folds, n_seeds, epochs
        self.listener = Silent()

    def __call__(self) -> float:
        with tempfile.TemporaryDirectory() as folder:
            os.environ["KFOLD_HS_CACHE"] = str(Path(folder) / "cache")
            started = time.perf_counter()
            run(self.config, self.listener, RunOptions(root=Path(folder), device="cpu"))
            return time.perf_counter() - started

    @property
    def work(self) -> float:
        """Millions of frames through the network, trained ones three times."""
        trained, heard = 3 * CROP * (self.n_folds - 1), FRAMES
        n = self.listener.n_recordings * self.epochs * self.n_seeds
        return n * (trained + heard) / 1e6


def main() -> None:
    given = options(__doc__, rounds=3).parse_args()
    n = 60 if given.quick else 180
    job = partial(Job, epochs=1 if given.quick else 3)
    jobs = {
        "1 x recordings, 5 folds, 1 seed": job(n),
        "2 x recordings": job(2 * n),
        "4 x recordings": job(4 * n),
        "2 folds": job(n, n_folds=2),
        "10 folds": job(n, n_folds=2 if given.quick else 10),
        "3 seeds": job(n, n_seeds=3),
    }
    first = next(iter(jobs.values()))
    first()  # warm
    found = in_turns(jobs, given.rounds)
    seconds = {name: statistics.median(each) for name, each in found.items()}
    work = {name: each.work for name, each in jobs.items()}
    slope, fixed = np.polyfit(list(work.values()), list(seconds.values()), 1)
    base = next(iter(found.values()))
    rows = [
        {
            "run": name,
            "recordings": str(jobs[name].listener.n_recordings),
            "million frames": f"{work[name]:.2f}",
            "seconds": f"{seconds[name]:.1f}",
            "over the first row": f"{statistics.median(np.divide(found[name], base)):.2f}",
            "over the line": f"**{seconds[name] / (fixed + slope * work[name]):.2f}**",
        }
        for name in jobs
    ]
    lines = [
        f"Line: {fixed:.1f} s a run + {slope:.2f} s a million frames through the network.", "",
        *table(rows),
    ]  # fmt: skip
    publish("growth", lines, given.write)


if __name__ == "__main__":
    main()
