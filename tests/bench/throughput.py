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
from collections.abc import Callable, Sequence
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
from kfold_hs.learn.device import autocast, exactness, keep_freed_memory
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


def whole_fold(
    config: Config, cohort: Cohort, bank: Bank, data: FoldData, device: torch.device = CPU
) -> float:
    """Seconds of a fold; `bank` is on the device."""
    config = config.on(device.type)
    with tempfile.TemporaryDirectory() as name, exactness(config.train, device):
        folder = Path(name)
        paths = RunPaths("bench", folder)
        tracking = partial(make_trackers, config, paths, FOLD)
        started = time.perf_counter()
        fold = Fold(FOLD, config, cohort, data, bank, device, {})
        fit_fold(fold, paths.fold(FOLD), tracking, lambda row: None)
        return time.perf_counter() - started


class Ceiling:
    """The same work on fixed tensors; calling it gives seconds.

    On a GPU in the number format of `train.precision`; with `train.backend=cuda_graphs` a whole
    step is one graph, its optimizer with it, and so is a batch of inference.
    """

    def __init__(
        self,
        config: Config,
        cohort: Cohort,
        bank: Bank,
        data: FoldData,
        device: torch.device = CPU,
    ) -> None:
        self.config, self.cohort, self.device = config.on(device.type), cohort, device
        self.n_steps = steps_of_an_epoch(config, len(data.train))[1]
        n_crops, size = len(Crops.of(bank, data.held_out, config).rows), config.predict.batch_size
        full, rest = divmod(n_crops, size)
        shape = (1, bank.n_mels, config.train.crop_frames)
        layout = torch.channels_last
        targets = make_targets(cohort, config.train, device)
        self.losses = TaskLosses(
            config.loss, cohort.tasks, {n: q.cpu() for n, q in targets.items()}
        )
        self.losses.to(device)
        n = config.train.batch_size
        self.q = {name: each[:n] for name, each in targets.items()}
        self.x = torch.randn(n, *shape, device=device).contiguous(memory_format=layout)
        self.batches = [
            torch.randn(n, *shape, device=device).contiguous(memory_format=layout)
            for n in [size] * full + ([rest] if rest else [])
        ]

    def __call__(self) -> float:
        with exactness(self.config.train, self.device):
            return self._seconds()

    def _seconds(self) -> float:
        backend, device = self.config.train.backend, self.device
        started = time.perf_counter()
        model = make_model(self.config.model, self.cohort.tasks, 0)
        model.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        optimizer = make_optimizer(model, self.config, device)
        forward = torch.compile(model) if backend == "compile" else model

        def step() -> None:
            optimizer.zero_grad(set_to_none=True)
            with autocast(self.config.train.precision, device):
                logits = forward(self.x)
            self.losses(logits, self.q).backward()  # type: ignore[no-untyped-call]
            optimizer.step()

        def predict(batch: torch.Tensor) -> None:
            with torch.inference_mode(), autocast(self.config.train.precision, device):
                model(batch)

        train, infer = step, [partial(predict, batch) for batch in self.batches]
        if backend == "cuda_graphs":
            for group in optimizer.param_groups:
                group["capturable"] = True
            train = graphed(step)
            model.eval()
            replays = {len(batch): graphed(partial(predict, batch)) for batch in self.batches}
            infer = [replays[len(batch)] for batch in self.batches]
        for _ in range(self.config.train.epochs):
            model.train()
            for _ in range(self.n_steps):
                train()
            model.eval()
            for batch in infer:
                batch()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        return time.perf_counter() - started


def graphed(run: Callable[[], None]) -> Callable[[], None]:
    """`run` recorded as a CUDA graph after three runs beside the current stream."""
    beside = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    beside.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(beside):
        for _ in range(3):
            run()
    torch.cuda.current_stream().wait_stream(beside)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        run()
    return graph.replay


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
