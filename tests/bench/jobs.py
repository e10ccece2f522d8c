"""Several folds at once against one after another. Run by name, decides no test.

    python tests/bench/jobs.py [small tiny b0 ...] [--jobs N] [--rounds N] [--quick] [--write]

Runs of the command line on the built-in cohort, with features in the cache. What is measured is
training: seconds from the epoch that the last of the first N folds ends first to the end of the
last fold, over the epochs that end in between. Loading torch, in the command and in each of its
processes, and judging come on top once a run, however long it trains; the whole run stands beside.

Four ways take turns: one fold after another and N at once, with as many threads as there are cores
each, and with one thread each. With equally many threads the predictions must be the same to the
bit, or the bench stops.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from functools import partial
from pathlib import Path
from statistics import median

from measure import in_turns, options, publish, ratio, table
from throughput import MODELS

from kfold_hs.files.paths import RunPaths
from kfold_hs.predictions.table import Predictions

N_FOLDS = 4
# Steps of a few milliseconds, of which Python and the starting of threads take their share.
SMALL = ["model=timm", "model.backbone=test_byobnet", "model.weights=none", "train.batch_size=8"]
NETWORKS = {
    "small": [*SMALL, "train.crop_frames=128"],
    **{name: [*words, "train.crop_frames=256"] for name, words in MODELS.items()},
}
EPOCHS = {"b0": 2, "lite0": 2, "tiny": 8, "small": 12}
N_PATIENTS = 100
TARGETS = {"b0": "1.00", "lite0": "1.00", "tiny": "1.25", "small": "1.25"}


def run(words: list[str], root: Path, jobs: int, device: str = "cpu") -> tuple[float, float]:
    """Seconds of a run, and seconds an epoch of training; `root` holds what it left."""
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir(parents=True)
    started = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "kfold_hs.cli.main", "run", "--name", "bench", "--device", device,
         "--root", str(root), "--jobs", str(jobs), *words],
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stderr is not None
    told: list[float] = []  # when epochs ended
    begun: dict[str, int] = {}  # fold -> epochs that had ended with its first one
    lines = []
    for line in process.stderr:
        lines.append(line)
        if found := re.search(r"fold (\d+) epoch \d+/", line):
            told.append(time.perf_counter())
            begun.setdefault(found[1], len(told))
    if process.wait():
        raise SystemExit("".join(lines))
    seconds = time.perf_counter() - started
    first = sorted(begun.values())[min(jobs, len(begun)) - 1]
    return seconds, (told[-1] - told[first - 1]) / (len(told) - first)


def check_same_bits(one: Path, other: Path) -> None:
    tables = [Predictions.read(RunPaths("bench", root).predictions).table for root in (one, other)]
    if not tables[0].equals(tables[1]):
        raise SystemExit(f"the predictions in {one} and {other} differ")


def row(model: str, jobs: int, rounds: int, quick: bool, root: Path) -> dict[str, str]:
    """A row of the table."""
    epochs, patients = (2, 60) if quick else (EPOCHS[model], N_PATIENTS)
    words = [*NETWORKS[model], f"train.epochs={epochs}", f"data.n_patients={patients}"]
    words += [f"split.n_folds={N_FOLDS}", "track=[]"]
    ways = {
        f"{n} at once, {text}" if n > 1 else f"one after another, {text}": (n, more)
        for text, more in (("all threads", []), ("1 thread", ["train.threads=1"]))
        for n in (1, jobs)
    }
    roots = {name: root / model / str(number) for number, name in enumerate(ways)}
    runs: dict[str, list[float]] = defaultdict(list)

    def epoch_of(name: str) -> float:
        n, more = ways[name]
        seconds, each = run([*words, *more], roots[name], n)
        runs[name].append(seconds)
        return each

    run([*words, "train.epochs=1"], root / "warm", 1)  # computes the features
    found = in_turns({name: partial(epoch_of, name) for name in ways}, rounds)
    serial, several, alone, divided = found
    check_same_bits(roots[serial], roots[several])
    check_same_bits(roots[alone], roots[divided])
    return {
        "network": model,
        "epochs": f"{N_FOLDS} x {epochs}",
        **{f"{name}, s an epoch": f"{median(found[name]):.2f}" for name in ways},
        "all threads": ratio(found[serial], found[several]),
        "1 thread": ratio(found[alone], found[divided]),
        "all, then 1": ratio(found[serial], found[divided]),
        "wanted": TARGETS[model],
        "whole runs, s": ", ".join(f"{median(runs[name]):.0f}" for name in ways),
    }


def main() -> None:
    parser = options(__doc__, rounds=3)
    parser.add_argument("models", nargs="*", default=["small", "tiny", "b0"])
    parser.add_argument("--jobs", type=int, default=2)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        rows = [
            row(model, given.jobs, given.rounds, given.quick, Path(name)) for model in given.models
        ]
    explained = (
        "Training alone, in seconds an epoch of a fold: one fold after another over several at "
        "once. *all threads*: each with all; *1 thread*: each with `train.threads=1`, which "
        "are other bits; in both the same bits one after another and at once. *all, then 1*: one "
        "after another with all threads over several at once with one. *whole runs*: the four ways "
        "from the command to its end, with what a run takes once: loading torch, again in every "
        "process, and judging."
    )
    publish("jobs", [explained, "", *table(rows)], given.write)


if __name__ == "__main__":
    main()
