"""Speed on a GPU, side by side in one run: tests/gpu/run.sh figures [--dry] [NAME ...]

fold     a fold against the bare network's steps on fixed tensors, and against the same job as a
         plain PyTorch loop with a DataLoader and in Lightning's Trainer; steps as they are, and
         as CUDA graphs
recipe   the seed recipe (recipe=baseline: EfficientNet-B0, 5 folds, 50 epochs, batch 32), all
         folds at once, from features in the cache to the report
jobs     its folds one after another and all at once, in seconds an epoch
share    recipe=lite from ImageNet weights on the kit's share of CirCor: a score of real people
compiled the first two with train.backend=compile

The cohort of all but `share` has 471 patients, half of CirCor's public part, and the lengths of its
recordings; the sounds are the built-in ones, each repeated as long. EfficientNet-B0
starts from random weights, which costs the same. Every section is written to figures.json in the
folder that OUT names as soon as it is measured, and figures.md is ready for docs/performance.md.
With --dry, and without CUDA, sizes show only that it works.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import soundfile
import torch

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "bench"))

import contenders  # noqa: E402
import jobs as bench_jobs  # noqa: E402
from measure import in_turns, machine, table  # noqa: E402
from throughput import Ceiling, whole_fold  # noqa: E402

from kfold_hs.cohort.readers.registry import read_cohort  # noqa: E402
from kfold_hs.cohort.synthetic.dataset import ensure_cohort  # noqa: E402
from kfold_hs.config.compose import compose  # noqa: E402
from kfold_hs.learn.data.fold import FoldData  # noqa: E402
from kfold_hs.learn.device import keep_freed_memory  # noqa: E402
from kfold_hs.learn.features.bank import build  # noqa: E402
from kfold_hs.learn.training.epoch_plan import steps_of_an_epoch  # noqa: E402
from kfold_hs.splits import stratify  # noqa: E402

OUT = Path(os.environ.get("OUT", HERE / "out"))
KIT = HERE / "kit"
TASK = "{murmur: {classes: [Present, Unknown, Absent], class_weights: [3, 2, 1]}}"
BACKENDS = ("eager", "cuda_graphs")
NOT_RUN = "–"


@dataclass(frozen=True)
class Size:
    """How much is measured."""

    device: str
    n_patients: int = 471
    backbone: str = "efficientnet_b0"
    epochs: int = 20
    compiled_epochs: int = 5
    recipe_epochs: int = 50
    jobs_epochs: int = 6
    contender_epochs: int = 3
    n_folds: int = 5
    rounds: int = 3
    n_workers: int = min(8, os.cpu_count() or 1)
    share_epochs: int = 15

    @property
    def backends(self) -> tuple[str, ...]:
        """Graphs are CUDA's."""
        return BACKENDS if self.device == "cuda" else ("eager",)

    @classmethod
    def dry(cls, device: str) -> Size:
        return cls(
            device, n_patients=40, backbone="test_efficientnet", epochs=1, compiled_epochs=1,
            recipe_epochs=2, jobs_epochs=2, contender_epochs=1, n_folds=2, rounds=1, n_workers=1,
            share_epochs=1,
        )  # fmt: skip


@dataclass
class Found:
    """Tables, and the goals with what was reached; of a dry run they say nothing."""

    is_dry: bool
    sections: dict[str, list[str]] = field(default_factory=dict)
    goals: list[dict[str, str]] = field(default_factory=list)
    numbers: dict[str, Any] = field(default_factory=dict)

    def goal(self, what: str, wanted: str, found: float, is_met: bool) -> None:
        told = f"**{found:.2f}**" if found < 10 else f"**{found:.0f}**"
        row = {"goal": what, "wanted": wanted, "found": told}
        met = "a dry run" if self.is_dry else "yes" if is_met else "no"
        self.goals.append(row | {"met": met})


def sized_cohort(folder: Path, n_patients: int) -> Path:
    """The built-in cohort with recordings as long as CirCor's; the path of its table."""
    source = ensure_cohort(n_patients, 0)
    lengths = KIT / "lengths_s.json"
    if not lengths.is_file():
        return source
    durations = json.loads(lengths.read_text())
    people = pd.read_csv(source, dtype=str, keep_default_na=False)
    (folder / "recordings").mkdir(parents=True)
    for i, name in enumerate(people["recording"]):
        samples, rate = soundfile.read(source.parent / name, dtype="int16")
        n = round(durations[i % len(durations)] * rate)
        soundfile.write(folder / name, np.resize(samples, n), rate, subtype="PCM_16")
    people.to_csv(folder / "table.csv", index=False)
    return folder / "table.csv"


def words_of(cohort: Path, size: Size, *more: str) -> list[str]:
    """Settings of the seed recipe, of one task, on a table."""
    return [
        "data=table", f"data.path={cohort}", "data.person_column=person_id", f"data.tasks={TASK}",
        "recipe=baseline", f"model.backbone={size.backbone}", "model.weights=none",
        *([] if size.device == "cuda" else ["train.threads=1"]), *more,
    ]  # fmt: skip


BARE, OURS = "(a) bare network", "(b) our fold"


def bare_and_fold(backend: str, cohort: Path, size: Size) -> tuple[dict[str, float], list[float]]:
    """Training steps a second of both, and the rounds' ratios of fold to bare."""
    device, is_compiled = torch.device(size.device), backend == "compile"
    epochs = size.compiled_epochs if is_compiled else size.epochs
    words = words_of(cohort, size, f"train.epochs={epochs}", f"train.backend={backend}")
    config = compose(words)
    people = read_cohort(config.data)
    bank = build(people, config.features).to(device)
    split = stratify(people, size.n_folds, 0)
    data = FoldData.of(people, split.fold_of_patients(people, 0), 0)
    n = epochs * steps_of_an_epoch(config.on(size.device), len(data.train))[1]
    bare = Ceiling(config, people, bank, data, device)
    ours = partial(whole_fold, config, people, bank, data, device)
    bare()  # kernels are chosen, or compiled
    seconds = in_turns({BARE: bare, OURS: ours}, 1 if is_compiled else size.rounds)
    each = zip(seconds[BARE], seconds[OURS], strict=True)
    speeds = {name: n / statistics.median(rounds) for name, rounds in seconds.items()}
    return speeds, [one / other for one, other in each]


def fold(cohort: Path, size: Size, found: Found) -> None:
    """Rows (a) to (d): training steps a second, the predictions of every epoch with them."""
    steps: dict[str, dict[str, float]] = {BARE: {}, OURS: {}}
    ratios: dict[str, list[float]] = {}
    for backend in size.backends:
        speeds, ratios[backend] = bare_and_fold(backend, cohort, size)
        for name, speed in speeds.items():
            steps[name][backend] = speed
    for name, label in (("loop", "(c) DataLoader, loop"), ("lightning", "(d) Lightning")):
        steps[label] = {"eager": contender(name, cohort, size)}
    best = max(steps[OURS].values())
    rows = [
        {"training steps a second": label}
        | {b: _shown(each.get(b, math.nan), 1) for b in BACKENDS}
        | {"our best / this": _shown(best / max(each.values()), 2)}
        for label, each in steps.items()
    ]
    found.sections["fold"] = table(rows)
    found.numbers["fold"] = {"steps_per_s": steps, "bare_over_fold": ratios}
    backend = size.backends[-1]
    ratio = statistics.median(ratios[backend])
    found.goal(f"fold / bare network, {backend}", "at least 0.95", ratio, ratio >= 0.95)
    plain = best / steps["(c) DataLoader, loop"]["eager"]
    found.goal("our fold / the plain loop", "at least 5", plain, plain >= 5)


def compiled(cohort: Path, size: Size, found: Found) -> None:
    """The first two rows with a compiled network."""
    if size.device == "cpu":  # it would take minutes
        found.sections["compiled"] = ["train.backend=compile: skipped: no CUDA device"]
        return
    speeds, _ = bare_and_fold("compile", cohort, size)
    found.sections["compiled"] = table(
        [{"compiled, training steps a second": n, "": f"{each:.1f}"} for n, each in speeds.items()]
    )
    found.numbers["compiled"] = speeds


def _shown(value: float, digits: int) -> str:
    return NOT_RUN if math.isnan(value) else f"{value:.{digits}f}"


def contender(name: str, cohort: Path, size: Size) -> float:
    """Training steps a second of one fold, between two numbers of epochs: without its start.

    NaN where the start varied by more than the epochs took: a dry run's are few.
    """
    job = contenders.Job(size.device, size.n_workers, n_folds=1)
    recordings = contenders.Recordings(cohort, job)
    train, _ = next(iter(recordings.folds()))
    run = contenders.CONTENDERS[name]
    seconds = []
    for epochs in (1, 1 + size.contender_epochs):
        started = time.perf_counter()
        run(recordings, size.backbone, epochs)
        seconds.append(time.perf_counter() - started)
    taken = seconds[1] - seconds[0]
    steps = size.contender_epochs * (len(train) // contenders.BATCH)
    return steps / taken if taken > 0 else math.nan


def run_words(cohort: Path, size: Size, epochs: int) -> list[str]:
    best = "cuda_graphs" if size.device == "cuda" else "eager"
    return words_of(cohort, size, f"train.epochs={epochs}", f"split.n_folds={size.n_folds}",
                    f"train.backend={best}")  # fmt: skip


def jobs(cohort: Path, size: Size, found: Found, root: Path) -> None:
    """Folds one after another and all at once."""
    words = [*run_words(cohort, size, size.jobs_epochs), "track=[]"]
    of = {n: bench_jobs.run(words, root / f"jobs{n}", n, size.device) for n in (1, size.n_folds)}
    gain = of[1][1] / of[size.n_folds][1]
    found.sections["jobs"] = table(
        [
            {"folds at once": str(n), "seconds of a whole run": f"{whole:.1f}",
             "seconds of training an epoch of a fold": f"{each:.3f}"}
            for n, (whole, each) in of.items()
        ]
    )  # fmt: skip
    found.numbers["jobs"] = {str(n): list(each) for n, each in of.items()}
    found.goal(f"{size.n_folds} folds at once / one after another", "at least 3", gain, gain >= 3)


def recipe(cohort: Path, size: Size, found: Found, root: Path) -> None:
    """The seed recipe, from features in the cache to the report."""
    words = run_words(cohort, size, size.recipe_epochs)
    done = run(words, root / "recipe", size)
    found.sections["recipe"] = table([{
        "recipe=baseline": f"{size.n_folds} folds at once, {size.recipe_epochs} epochs, batch 32",
        "whole run, s": f"{done['seconds']:.1f}", "training, s": f"{done['training_s']:.1f}",
        "murmur AUROC, simulated people": f"{done['auroc']:.3f}",
    }])  # fmt: skip
    found.numbers["recipe"] = done
    trained = done["training_s"]
    found.goal("seed recipe, seconds of training", "below 90", trained, trained < 90)


def share(size: Size, found: Found, root: Path) -> None:
    """A score of real people."""
    data = KIT / "data" / "circor"
    if not data.is_dir():
        found.sections["share"] = ["Not run: the kit holds no recordings."]
        return
    words = ["data=circor", f"data.root={data}", "recipe=lite", f"train.epochs={size.share_epochs}",
             f"split.n_folds={size.n_folds}"]  # fmt: skip
    if size.backbone == "test_efficientnet":
        words += ["model.backbone=test_efficientnet", "model.weights=none", "train.threads=1"]
    else:
        words += ["model.weights=file", f"model.weights_file={KIT / 'lite0.safetensors'}"]
    done = run(words, root / "share", size)
    n = done["n_patients"]
    found.sections["share"] = table([{
        "recipe=lite": f"{n} patients of CirCor, {size.n_folds} folds, {size.share_epochs} epochs",
        "whole run, s": f"{done['seconds']:.1f}", "training, s": f"{done['training_s']:.1f}",
        "murmur AUROC": f"{done['auroc']:.3f}",
    }])  # fmt: skip
    found.numbers["share"] = done


def run(words: Sequence[str], root: Path, size: Size) -> dict[str, float]:
    """A run of the command line: its seconds, those while folds were trained, and its score.

    Training begins with the first epoch of a fold and ends with the last one of the last fold.
    """
    root.mkdir(parents=True)
    started = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "kfold_hs.cli.main", "run", "--name", "bench", "--device",
         size.device, "--root", str(root), "--jobs", str(size.n_folds), *words],
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stderr is not None
    lines, epochs = [], []
    for line in process.stderr:
        lines.append(line)
        if re.search(r"fold \d+ epoch \d+/", line):
            epochs.append(time.perf_counter())
    if process.wait():
        raise RuntimeError("".join(lines[-20:]))
    files = root.glob("checkpoints/bench/*/history.csv")
    first = max(pd.read_csv(path)["seconds"].iloc[0] for path in files)
    summary = json.loads((root / "reports" / "bench" / "summary.json").read_text())
    return {
        "seconds": time.perf_counter() - started,
        "training_s": epochs[-1] - epochs[0] + first,
        "auroc": summary["tasks"]["murmur"]["metrics"]["auroc"]["value"],
        "n_patients": summary["cohort"]["n_patients"],
    }


def card(size: Size) -> str:
    name = torch.cuda.get_device_name(0) if size.device == "cuda" else "no GPU"
    return f"{name}; {machine()}"


def write(found: Found, size: Size) -> str:
    """figures.json and figures.md as they are by now; the latter's text."""
    lines = [card(size), ""]
    if found.is_dry:
        lines += ["A dry run, with sizes that show only that it works.", ""]
    for section in found.sections.values():
        lines += [*section, ""]
    lines += table(found.goals) if found.goals else []
    OUT.mkdir(parents=True, exist_ok=True)
    content = {"card": card(size), "dry": found.is_dry, "goals": found.goals, **found.numbers}
    (OUT / "figures.json").write_text(json.dumps(content, indent=1))
    (OUT / "figures.md").write_text("\n".join(lines) + "\n")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="fold, recipe, jobs, share, compiled")
    parser.add_argument("--dry", action="store_true", help="sizes that show only that it works")
    given = parser.parse_args()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    is_dry = given.dry or device == "cpu"
    size = Size.dry(device) if is_dry else Size(device)
    keep_freed_memory()
    found, failed = Found(is_dry), []
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        os.environ.setdefault("KFOLD_HS_CACHE", str(root / "cache"))
        started = time.perf_counter()
        cohort = sized_cohort(root / "cohort", size.n_patients)
        build(read_cohort((at := compose(words_of(cohort, size))).data), at.features)
        print(f"cohort and features: {time.perf_counter() - started:.0f} s", flush=True)
        sections: dict[str, Callable[[], None]] = {
            "fold": partial(fold, cohort, size, found),
            "recipe": partial(recipe, cohort, size, found, root),
            "jobs": partial(jobs, cohort, size, found, root),
            "share": partial(share, size, found, root),
            "compiled": partial(compiled, cohort, size, found),
        }
        for each in given.names or sections:
            started = time.perf_counter()
            try:
                sections[each]()
            except Exception as error:  # the other sections are measured all the same
                failed.append(each)
                traceback.print_exc(limit=-6)
                found.sections[each] = [f"FAILED: {each}: {type(error).__name__}: {error}"]
            print(f"{each}: {time.perf_counter() - started:.0f} s", flush=True)
            text = write(found, size)
        shutil.rmtree(root / "cohort", ignore_errors=True)
    print(f"\n{text}\n\n{OUT / 'figures.md'}")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
