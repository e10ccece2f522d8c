"""The whole job against the same recipe written the ways that users write it now.

    python tests/bench/frameworks.py [small|tiny|lite0 ...] [--rounds N] [--quick] [--write]

`kfold-hs run --folds 5` from WAV files to the report, features and all, against
`contenders.py`: (a) a Dataset that reads audio and computes log-mel in `__getitem__`, with a
DataLoader of two workers and a loop over folds; (b) skorch in scikit-learn's `cross_validate`, on
arrays; (c) Lightning's Trainer in a loop over folds, on features in memory. Every one is a
process of its own, from its start to its end, imports included; they take turns. Needs the extra
`bench`.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

from measure import PACKAGE, in_turns, options, publish, ratio, table

from kfold_hs.cohort.synthetic.dataset import ensure_cohort

BACKBONES = {
    "small": "test_byobnet",
    "tiny": "test_efficientnet",
    "lite0": "tf_efficientnet_lite0",
}
EPOCHS = {"small": 24, "tiny": 12, "lite0": 2}
CONTENDERS = {
    "loop": "(a) Dataset, DataLoader, loop",
    "skorch": "(b) skorch, `cross_validate`",
    "lightning": "(c) Lightning, loop",
}
TASK = "{murmur: {classes: [Present, Unknown, Absent], class_weights: [3, 2, 1]}}"


def ours(cohort: Path, backbone: str, epochs: int) -> float:
    """Seconds of `kfold-hs run`, with nothing kept from before."""
    with tempfile.TemporaryDirectory() as folder:
        words = [
            "run", "-q", "--folds", "5", "data=table", f"data.path={cohort}",
            "data.person_column=person_id", f"data.tasks={TASK}", "model=timm",
            f"model.backbone={backbone}", "model.weights=none", "sched=onecycle", "optim.lr=1e-3",
            "augment=none", "loss.label_smoothing=0", f"train.epochs={epochs}",
        ]  # fmt: skip
        code = "from kfold_hs.cli.main import main; main()"
        return seconds(["-c", code, *words], {"KFOLD_HS_CACHE": f"{folder}/cache"}, folder)


def theirs(name: str, cohort: Path, backbone: str, epochs: int) -> float:
    """Seconds of a contender."""
    script = Path(__file__).parent.resolve() / "contenders.py"
    with tempfile.TemporaryDirectory() as folder:
        return seconds([str(script), name, str(cohort), backbone, str(epochs)], {}, folder)


def seconds(words: list[str], environment: dict[str, str], folder: str) -> float:
    """Wall time of a process of its own."""
    started = time.perf_counter()
    done = subprocess.run(
        [sys.executable, *words], cwd=folder, capture_output=True, text=True,
        env={**os.environ, "PYTHONPATH": str(PACKAGE.resolve()), **environment},
    )  # fmt: skip
    if done.returncode:
        raise SystemExit(f"{' '.join(words)}\n{done.stderr}")
    return time.perf_counter() - started


def rows(name: str, rounds: int, quick: bool) -> list[dict[str, str]]:
    """Rows of the table, one a contender."""
    epochs, cohort = 1 if quick else EPOCHS[name], ensure_cohort(120, 0)
    at = {"cohort": cohort, "backbone": BACKBONES[name], "epochs": epochs}
    jobs = {"kfold-hs": partial(ours, **at)}
    jobs |= {each: partial(theirs, each, **at) for each in CONTENDERS}
    found = in_turns(jobs, rounds)
    return [
        {
            "network, epochs": f"{BACKBONES[name]}, {epochs}",
            "against": label,
            "theirs, s": f"{statistics.median(found[each]):.1f}",
            "kfold-hs, s": f"{statistics.median(found['kfold-hs']):.1f}",
            "theirs / kfold-hs": ratio(found[each], found["kfold-hs"]),
            "wanted": "above 3" if name != "lite0" and each == "loop" else "above 1",
        }
        for each, label in CONTENDERS.items()
    ]


def main() -> None:
    parser = options(__doc__, rounds=3)
    parser.add_argument("models", nargs="*", default=list(BACKBONES))
    given = parser.parse_args()
    found = [row for name in given.models for row in rows(name, given.rounds, given.quick)]
    publish("frameworks", table(found), given.write)


if __name__ == "__main__":
    main()
