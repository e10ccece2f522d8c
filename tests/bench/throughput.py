"""Training throughput of a whole fold over the bare ceiling. Run by name, decides no test.

    python tests/bench/throughput.py [b0|lite0|tiny ...] [--patients N] [--rounds N]
                                      [--quick] [--write]

A fold: crops, augmentation, schedule, clipping, validation predictions, history, TensorBoard,
checkpoints. The ceiling: the same number of training steps and of inference batches of the
same shapes by the same model and optimizer on fixed tensors, and nothing else. Both take
turns in one process. What a fold costs once (building, checkpoints, the tracker) counts, so that a
cohort smaller than those that are used in earnest tells of little else.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import torch
from measure import in_turns, options, publish, ratio, table

from kfold_hs.cohort import Cohort
from kfold_hs.cohort.readers.registry import read_cohort
from kfold_hs.config.compose import compose
from kfold_hs.config.schema import Config
from kfold_hs.files.paths import FoldId, RunPaths
from kfold_hs.learn.data.examples import make_targets
from kfold_hs.learn.data.fold import Fold, FoldData
from kfold_hs.learn.device import keep_freed_memory
from kfold_hs.learn.features.bank import Bank, build
from kfold_hs.learn.losses import TaskLosses
from kfold_hs.learn.models.network import make_model
from kfold_hs.learn.prediction.crops import Crops
from kfold_hs.learn.tracking.trackers import make_trackers
from kfold_hs.learn.training.epoch_plan import steps_of_an_epoch
from kfold_hs.learn.training.fold import fit_fold
from kfold_hs.learn.training.optimizer import make_optimizer
from kfold_hs.splits import stratify

MODELS = {
    "b0": ["model=timm", "model.backbone=efficientnet_b0", "model.weights=none"],
    "lite0": ["model=timm", "model.backbone=tf_efficientnet_lite0", "model.weights=none"],
    "tiny": ["model=tiny"],
}
EPOCHS = {"b0": 2, "lite0": 2, "tiny": 8}
TARGETS = {"b0": 0.95, "lite0": 0.95, "tiny": 0.90}
FOLD = FoldId(0, 0, 0)
CPU = torch.device("cpu")


def fold_of(name: str, words: Sequence[str]) -> tuple[Config, Cohort, Bank, FoldData]:
    """A fold of the built-in cohort, ready to be trained."""
    config = compose([*MODELS[name], "train.crop_frames=256", *words])
    cohort = read_cohort(config.data)
    data = FoldData.of(cohort, stratify(cohort, 5, 0).fold_of_patients(cohort, 0), 0)
    return config, cohort, build(cohort, config.features), data


def whole_fold(config: Config, cohort: Cohort, bank: Bank, data: FoldData) -> float:
    """Seconds of a fold."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        paths = RunPaths("bench", folder)
        tracking = partial(make_trackers, config, paths, FOLD)
        started = time.perf_counter()
        fold = Fold(FOLD, config, cohort, data, bank, CPU, {})
        fit_fold(fold, paths.fold(FOLD), tracking, lambda row: None)
        return time.perf_counter() - started


class Ceiling:
    """The same work on fixed tensors; calling it gives seconds."""

    def __init__(self, config: Config, cohort: Cohort, bank: Bank, data: FoldData) -> None:
        self.config, self.cohort = config, cohort
        self.n_steps = steps_of_an_epoch(config, len(data.train))[1]
        n_crops, size = len(Crops.of(bank, data.held_out, config).rows), config.predict.batch_size
        full, rest = divmod(n_crops, size)
        shape = (1, bank.n_mels, config.train.crop_frames)
        layout = torch.channels_last
        targets = make_targets(cohort, config.train, CPU)
        self.losses = TaskLosses(config.loss, cohort.tasks, targets)
        n = config.train.batch_size
        self.q = {name: each[:n] for name, each in targets.items()}
        self.x = torch.randn(n, *shape).contiguous(memory_format=layout)
        self.batches = [
            torch.randn(n, *shape).contiguous(memory_format=layout)
            for n in [size] * full + ([rest] if rest else [])
        ]

    def __call__(self) -> float:
        started = time.perf_counter()
        model = make_model(self.config.model, self.cohort.tasks, 0)
        model.to(CPU, memory_format=torch.channels_last)  # type: ignore[call-overload]
        optimizer = make_optimizer(model, self.config, CPU)
        for _ in range(self.config.train.epochs):
            model.train()
            for _ in range(self.n_steps):
                optimizer.zero_grad(set_to_none=True)
                self.losses(model(self.x), self.q).backward()  # type: ignore[no-untyped-call]
                optimizer.step()
            model.eval()
            with torch.inference_mode():
                for batch in self.batches:
                    model(batch)
        return time.perf_counter() - started


def row(name: str, rounds: int, n_patients: int, quick: bool) -> dict[str, str]:
    """A row of the table."""
    epochs = 1 if quick else EPOCHS[name]
    size = f"data.n_patients={60 if quick else n_patients}"
    config, cohort, bank, data = fold_of(name, [size, f"train.epochs={epochs}"])
    bare = Ceiling(config, cohort, bank, data)
    bare()  # warm
    jobs = {"bare": bare, "fold": partial(whole_fold, config, cohort, bank, data)}
    found = in_turns(jobs, rounds)
    n = sum(p.numel() for p in make_model(config.model, cohort.tasks, 0).parameters())
    return {
        "network": f"{config.model.backbone}, {n / 1e6:.2f} M parameters",
        "epochs, steps, inference batches": f"{epochs}, {bare.n_steps * epochs}, "
        f"{len(bare.batches) * epochs}",
        "bare, s": f"{statistics.median(found['bare']):.1f}",
        "whole fold, s": f"{statistics.median(found['fold']):.1f}",
        "bare / fold": ratio(found["bare"], found["fold"]),
        "wanted": f"{TARGETS[name]:.2f}",
    }


def main() -> None:
    parser = options(__doc__, rounds=5)
    parser.add_argument("models", nargs="*", default=list(MODELS))
    parser.add_argument("--patients", type=int, default=471)  # as many as CirCor's public part
    given = parser.parse_args()
    keep_freed_memory()  # for both, as a run does
    rows = [row(name, given.rounds, given.patients, given.quick) for name in given.models]
    publish("throughput", table(rows), given.write)


if __name__ == "__main__":
    main()
