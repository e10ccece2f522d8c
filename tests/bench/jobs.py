"""Several folds at once against one after another. Run by name, decides no test.

    python tests/bench/jobs.py [tiny b0 ...] [--jobs N] [--rounds N] [--quick] [--write]

Whole runs of the built-in cohort, from the command line to the report; features are in the cache.
Four ways take turns: threads as they come, and one thread a fold, each with --jobs 1 and N. With
equally many threads the predictions must be the same to the bit, or the bench stops.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from statistics import median

from measure import in_turns, options, publish, ratio, table
from throughput import MODELS

from kfold_hs.paths import RunPaths
from kfold_hs.predictions import Predictions

EPOCHS = {"b0": 2, "lite0": 2, "tiny": 40}
TARGETS = {"b0": "1.00", "lite0": "1.00", "tiny": "1.25"}


def run(words: list[str], root: Path, jobs: int) -> float:
    """Seconds of a run; `root` holds what it left."""
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir(parents=True)
    started = time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "kfold_hs.cli", "run", "-q", "--name", "bench", "--device", "cpu",
         "--root", str(root), "--jobs", str(jobs), *words],
        check=True, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    return time.perf_counter() - started


def check_same_bits(one: Path, other: Path) -> None:
    tables = [Predictions.read(RunPaths("bench", root).predictions).table for root in (one, other)]
    if not tables[0].equals(tables[1]):
        raise SystemExit(f"the predictions in {one} and {other} differ")


def row(model: str, jobs: int, rounds: int, quick: bool, root: Path) -> dict[str, str]:
    """A row of the table."""
    epochs, patients = (1, 60) if quick else (EPOCHS[model], 240)
    words = [*MODELS[model], f"train.epochs={epochs}", f"data.n_patients={patients}"]
    words += ["train.crop_frames=256", "split.n_folds=4", "track=[]"]
    ways = {
        f"{n} at once, {name}": (n, more)
        for name, more in (("all threads", []), ("1 thread", ["train.threads=1"]))
        for n in (1, jobs)
    }
    roots = {name: root / model / str(number) for number, name in enumerate(ways)}
    run([*words, "train.epochs=1"], root / "warm", 1)  # features
    found = in_turns(
        {name: partial(run, [*words, *more], roots[name], n) for name, (n, more) in ways.items()},
        rounds,
    )
    one, several, alone, divided = found
    check_same_bits(roots[one], roots[several])
    check_same_bits(roots[alone], roots[divided])
    return {
        "network": model,
        "epochs": str(epochs),
        **{f"{name}, s": f"{median(found[name]):.1f}" for name in ways},
        "same threads": ratio(found[one], found[several]),
        "1 thread each": ratio(found[one], found[divided]),
        "wanted": TARGETS[model],
    }


def main() -> None:
    parser = options(__doc__, rounds=3)
    parser.add_argument("models", nargs="*", default=["tiny", "b0"])
    parser.add_argument("--jobs", type=int, default=2)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        rows = [
            row(model, given.jobs, given.rounds, given.quick, Path(name)) for model in given.models
        ]
    explained = (
        "Four folds of the built-in cohort, one after another with all threads, over several at "
        "once. *same threads*: each with all threads, too; the same bits. *1 thread each*: with "
        "`train.threads=1`; the same bits as one after another with `train.threads=1`."
    )
    publish("jobs", [explained, "", *table(rows)], given.write)


if __name__ == "__main__":
    main()
