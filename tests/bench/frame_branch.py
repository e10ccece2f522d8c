"""What a frame branch costs: its training and its answers, against the network's of `recipe=lite`.

    python tests/bench/frame_branch.py                    200 of the built-in people
    python tests/bench/frame_branch.py data=circor data.root=DIR

One fold, on the same threads, alternating: an epoch of the network (trained and scored, as a run
does it) and an epoch of the branch; then all held-out recordings are decoded. The share of a whole
fold follows from the epochs of both recipes.
"""

from __future__ import annotations

import dataclasses
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import torch

from kfold_hs.config.compose import compose
from kfold_hs.files.paths import FoldId, RunPaths
from kfold_hs.learn.data.fold import Fold
from kfold_hs.learn.frames.training import fit_branch
from kfold_hs.learn.prediction.crops import Predictor
from kfold_hs.learn.prediction.held_out import score
from kfold_hs.learn.training.epoch import train_epoch
from kfold_hs.learn.training.setup import Training
from kfold_hs.orchestrator.context import RunContext
from kfold_hs.orchestrator.progress import NullProgress
from kfold_hs.workflows.inputs import read_inputs

ROUNDS = 3


def main(words: list[str]) -> None:
    words = words or ["data.n_patients=200"]
    config = compose([*words, "recipe=lite", "frames=cycle"]).on("cpu")
    inputs = read_inputs(config, NullProgress())
    with tempfile.TemporaryDirectory() as root:
        paths = RunPaths("bench", Path(root))
        context = RunContext.prepare(config, inputs, paths, torch.device("cpu"), NullProgress())
        fold = context.fold(FoldId(0, 0, 0))
        network, branch = [], []
        for epoch in range(ROUNDS):
            network.append(network_s(fold, epoch))
            branch.append(branch_s(fold, 1))
        both = branch_s(fold, 2)
        trained = fit_branch(with_epochs(fold, 1))
        started = time.perf_counter()
        trained.cycles(fold.bank, fold.data.held_out)
        asked = (time.perf_counter() - started) / len(fold.data.held_out)
    an_epoch = both - median(branch)
    first = median(branch) - an_epoch
    whole = first + an_epoch * config.frames.epochs + asked * len(fold.data.held_out)
    lite = median(network) * config.train.epochs
    print(f"threads {torch.get_num_threads()}, {len(fold.data.train)} training recordings")
    print(f"network: {median(network):.1f} s an epoch, {config.train.epochs} epochs: {lite:.0f} s")
    print(f"branch: {an_epoch:.1f} s an epoch, {config.frames.epochs} epochs: {whole:.0f} s")
    print(f"branch / network: {whole / lite:.3f}")
    print(f"a recording: {1000 * asked:.1f} ms asked and decoded")


def network_s(fold: Fold, epoch: int) -> float:
    """An epoch of the network, and the held-out people scored."""
    training = Training.of(fold)
    started = time.perf_counter()
    train_epoch(training, epoch, [])
    predictor = Predictor(
        training.model, fold.bank, fold.config, training.covariates.values, fill=False
    )
    score(predictor, fold.cohort, fold.data.scored, training.targets, training.losses)
    return time.perf_counter() - started


def branch_s(fold: Fold, epochs: int) -> float:
    started = time.perf_counter()
    fit_branch(with_epochs(fold, epochs))
    return time.perf_counter() - started


def with_epochs(fold: Fold, epochs: int) -> Fold:
    frames = fold.config.frames.model_copy(update={"epochs": epochs})
    return dataclasses.replace(fold, config=fold.config.model_copy(update={"frames": frames}))


if __name__ == "__main__":
    main(sys.argv[1:])
