"""Training throughput of a whole fold over the bare ceiling. Run by name, decides no test.

    python tests/bench/throughput.py [lite0|b0|tiny ...] [--epochs N] [--rounds N]

A fold: crops, augmentation, schedule, clipping, validation predictions, history, TensorBoard,
checkpoints. The ceiling: the same number of training steps and of inference batches of the
same shapes by the same model and optimizer on fixed tensors, and nothing else. Both are
timed in turns in one process, and the ratio is of the medians.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from functools import partial
from pathlib import Path

import numpy as np
import torch

from kfold_hs import cohort as cohorts
from kfold_hs.cohort import Cohort
from kfold_hs.config import compose
from kfold_hs.learn.bank import Bank, build
from kfold_hs.learn.examples import FoldData, make_targets
from kfold_hs.learn.fit import fit_fold
from kfold_hs.learn.losses import TaskLosses
from kfold_hs.learn.models import make_model
from kfold_hs.learn.optimise import make_optimizer
from kfold_hs.learn.predict import crop_starts
from kfold_hs.learn.streams import Place
from kfold_hs.learn.track import make_trackers
from kfold_hs.paths import FoldPaths
from kfold_hs.settings import Config
from kfold_hs.splits import stratify

MODELS = {
    "lite0": ["model=timm", "model.backbone=tf_efficientnet_lite0", "model.weights=none"],
    "b0": ["model=timm", "model.backbone=efficientnet_b0", "model.weights=none"],
    "tiny": ["model=tiny"],
}
PLACE = Place(0, 0, 0, 0)
CPU = torch.device("cpu")


def whole_fold(config: Config, cohort: Cohort, bank: Bank, data: FoldData) -> float:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        tracking = partial(
            make_trackers, config.track, folder / "tensorboard" / "fold", config.to_yaml(),
            config.as_dict(), "bench",
        )  # fmt: skip
        started = time.perf_counter()
        fit_fold(
            config, cohort, bank, data, PLACE, FoldPaths(folder / "fold"), tracking, {}, CPU,
            lambda row: None,
        )  # fmt: skip
        return time.perf_counter() - started


def ceiling(config: Config, cohort: Cohort, bank: Bank, data: FoldData) -> tuple[float, int, int]:
    """Seconds, training steps and inference batches."""
    size, n_frames = config.train.batch_size, config.train.crop_frames
    n_steps = len(data.train) * config.train.crops_per_recording // size * config.train.epochs
    lengths = bank.length.numpy()[data.held_out]
    n_crops = sum(len(crop_starts(int(n), n_frames, config.predict.crop_overlap)) for n in lengths)
    full, rest = divmod(n_crops, config.predict.batch_size)
    shapes = [config.predict.batch_size] * full + ([rest] if rest else [])
    torch.manual_seed(0)
    targets = make_targets(cohort, config.train, CPU)
    losses = TaskLosses(config.loss, cohort.tasks, targets)
    q = {name: each[:size] for name, each in targets.items()}
    x = torch.randn(size, 1, bank.n_mels, n_frames).contiguous(memory_format=torch.channels_last)
    batches = [
        torch.randn(n, 1, bank.n_mels, n_frames).contiguous(memory_format=torch.channels_last)
        for n in shapes
    ]
    started = time.perf_counter()
    model = make_model(config.model, cohort.tasks, 0)
    model.to(CPU, memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = make_optimizer(model, config, CPU)
    for _ in range(config.train.epochs):
        model.train()
        for _ in range(n_steps // config.train.epochs):
            optimizer.zero_grad(set_to_none=True)
            losses(model(x), q).backward()  # type: ignore[no-untyped-call]
            optimizer.step()
        model.eval()
        with torch.inference_mode():
            for batch in batches:
                model(batch)
    return time.perf_counter() - started, n_steps, len(batches) * config.train.epochs


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="*", default=["lite0", "b0", "tiny"])
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads")
    for name in options.models:
        words = [*MODELS[name], f"train.epochs={options.epochs}", "train.crop_frames=256"]
        config = compose(words)
        cohort = cohorts.load(config.data)
        bank = build(cohort, config.features)
        split = stratify(cohort, 5, 0)
        data = FoldData.of(cohort, split.fold_of_patients(cohort, 0), 0)
        n = sum(p.numel() for p in make_model(config.model, cohort.tasks, 0).parameters())
        ceiling(config, cohort, bank, data)  # warm
        fold, bare = [], []
        for _ in range(options.rounds):
            fold.append(whole_fold(config, cohort, bank, data))
            seconds, n_steps, n_batches = ceiling(config, cohort, bank, data)
            bare.append(seconds)
        ratio = statistics.median(bare) / statistics.median(fold)
        spread = np.array(bare) / np.array(fold)
        print(
            f"{name:<6} {n / 1e6:5.2f} M parameters, {n_steps} steps and {n_batches} inference "
            f"batches: bare {statistics.median(bare):6.1f} s, whole fold "
            f"{statistics.median(fold):6.1f} s, ratio {ratio:.3f} "
            f"(rounds {spread.min():.3f} to {spread.max():.3f})",
            flush=True,
        )


if __name__ == "__main__":
    main()
