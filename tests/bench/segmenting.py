"""How long `segment` takes for as many recordings as CirCor's public part has. Decides no test.

    python tests/bench/segmenting.py [--rounds N] [--quick] [--write]

New people (real recordings, each with one bit changed, so that nobody is known) by a bundle of five
frame branches, and by one of them, which is what people of the run are asked of. Files and
segmentation.csv are written. CPU seconds are of all threads: on two free cores, a command takes
half of them at the least.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import soundfile
from measure import PACKAGE, in_turns, options, publish, table

from kfold_hs.bundle.format import CONTENT, write_content
from kfold_hs.config.compose import compose
from kfold_hs.orchestrator.rich_progress import RichProgress
from kfold_hs.workflows import bundles as shipping
from kfold_hs.workflows import cross_validation
from kfold_hs.workflows.options import RunOptions
from kfold_hs.workflows.segmenting import SegmentOptions, segment

DATA = Path(os.environ.get("KFOLD_HS_DATA", PACKAGE.parent / "shared")) / "circor-wav-sample"
N_MODELS, N_PUBLIC, WANTED_S = 5, 3163, 120


def bundles(folder: Path) -> tuple[Path, Path]:
    """A bundle of N_MODELS models that were hardly trained, and the same with the first alone."""
    words = ["data.n_patients=80", f"split.n_folds={N_MODELS}", "train.epochs=1", "frames=cycle"]
    words += ["frames.epochs=1", "judge.gallery.patients=0", "judge.band_resamples=0"]
    whole, one = folder / "whole", folder / "one"
    with RichProgress(quiet=True) as terminal:
        run = RunOptions(root=folder, name="run", device="cpu")
        cross_validation.run(compose(words), terminal, run)
        shipping.export(folder / "reports" / "run", whole, terminal)
    shutil.copytree(whole, one)
    content = json.loads((one / CONTENT).read_text())
    write_content(one, {**content, "models": content["models"][:1]})
    return whole, one


def strangers(folder: Path, times: int) -> tuple[Path, int]:
    """Recordings of nobody that a bundle knows, and how many."""
    folder.mkdir()
    paths = sorted((DATA / "training_data").glob("*.wav"))
    for path in paths:
        samples, rate = soundfile.read(path, dtype="int16")
        for k in range(times):
            samples[k] ^= 1
            soundfile.write(folder / f"new{k}-{path.name}", samples, rate)
    return folder, times * len(paths)


def timed(cpu_s: list[float], job: Callable[[], object]) -> float:
    started, before = time.perf_counter(), time.process_time()
    job()
    cpu_s.append(time.process_time() - before)
    return time.perf_counter() - started


def segmented(bundle: Path, people: Path, output: Path) -> None:
    with RichProgress(quiet=True) as terminal:
        segment(bundle, [people], output, terminal, SegmentOptions("cpu"))


def main() -> None:
    given = options(__doc__, rounds=3).parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        whole, one = bundles(folder)
        people, n = strangers(folder / "people", 1 if given.quick else 10)
        asked = {"1 model": one, f"{N_MODELS} models": whole}
        cpu_s: dict[str, list[float]] = {what: [] for what in asked}
        jobs = {
            what: partial(timed, cpu_s[what], partial(segmented, each, people, folder / f"{k}"))
            for k, (what, each) in enumerate(asked.items())
        }
        found = in_turns(jobs, given.rounds)
    rows = []
    for what, seconds in found.items():
        wall, busy = statistics.median(seconds), statistics.median(cpu_s[what])
        rows.append(
            {
                "asked": what,
                "recordings/s": f"{n / wall:.0f}",
                f"{N_PUBLIC:,} recordings, s": f"**{N_PUBLIC / n * wall:.0f}**",
                "CPU seconds of these": f"{N_PUBLIC / n * busy:.0f}",
                "wanted, s": str(WANTED_S),
            }
        )
    publish("segmenting", [f"{n} recordings.", "", *table(rows)], given.write)


if __name__ == "__main__":
    main()
