"""One training step and one batch of predictions, timed at the shapes of a run."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from kfold_hs.cohort import Cohort
from kfold_hs.config.schema import Config
from kfold_hs.files.machine import peak_memory_bytes
from kfold_hs.learn.data.covariates import Covariates
from kfold_hs.learn.data.fold import FoldData
from kfold_hs.learn.device import autocast, exactness, threads
from kfold_hs.learn.features.transform import transform_of
from kfold_hs.learn.frames.branch import untrained_net
from kfold_hs.learn.frames.targets import FrameTargets
from kfold_hs.learn.frames.training import Loss, train_step
from kfold_hs.learn.losses import TaskLosses
from kfold_hs.learn.models.network import to_device, untrained_model
from kfold_hs.learn.prediction.crops import crop_starts
from kfold_hs.learn.training.epoch_plan import examples_of_a_batch
from kfold_hs.learn.training.optimizer import make_average, make_optimizer
from kfold_hs.learn.training.step import COVARIATES, PRESENT, Part, Step

_WARM, _TIMED = 1, 3


@dataclass(frozen=True)
class TimingRun:
    """What a fold model of a configuration costs.

    Parameters
    ----------
    step_s, predict_s : float
        Seconds of a training step and of a batch of predictions; medians of 3 after a warm one.
    peak_bytes : int
        Of the process (CPU; with all that was imported) or of the GPU.
    model_bytes, optimizer_bytes : int
        Of what the checkpoints hold.
    is_averaged : bool
        resume.pt holds the mean of the weights, too.
    """

    step_s: float
    predict_s: float
    peak_bytes: int
    model_bytes: int
    optimizer_bytes: int
    is_averaged: bool

    @property
    def kept_bytes(self) -> int:
        """On the disk for a finished fold: best_model.pt and last.pt."""
        return 2 * (self.model_bytes + self.optimizer_bytes)

    @property
    def passing_bytes(self) -> int:
        """On the disk while a fold is trained: resume.pt, and its next version beside it."""
        averaged = self.model_bytes if self.is_averaged else 0
        return 2 * (self.model_bytes + self.optimizer_bytes + averaged)


@dataclass(frozen=True)
class BranchTiming:
    """What a fold's frame branch costs.

    Parameters
    ----------
    step_s : float
        Seconds of a training step, as of `TimingRun`.
    n_steps : int
        Of a training.
    model_bytes : int
        Of what a checkpoint, and the cache, hold.
    """

    step_s: float
    n_steps: int
    model_bytes: int

    @property
    def total_s(self) -> float:
        """Of a training."""
        return self.n_steps * self.step_s


def time_steps(config: Config, cohort: Cohort, data: FoldData, device: torch.device) -> TimingRun:
    """Make the network of a fold, train it on noise for a few steps, and take the time.

    Weights are not fetched. Crops of full length, whatever the epoch: an upper bound where crops
    grow. What surrounds a step (crops, augmentation, checkpoints) is not in it.
    """
    if device.type == "cuda":  # of this timing run, not of one before
        torch.cuda.reset_peak_memory_stats(device)
    size = examples_of_a_batch(config)
    of_patients = config.train.level == "patient"
    n_slots = config.train.sites_per_patient if of_patients else 1
    covariates = Covariates.of(cohort, data.train, config.model.covariates, device)
    model = to_device(untrained_model(config, cohort.tasks, covariates.width), device)
    averaged, optimizer = make_average(model, config), make_optimizer(model, config, device)
    beside = {
        task.name: torch.eye(task.n_classes, device=device)[torch.zeros(size, dtype=torch.int64)]
        for task in cohort.tasks
    }
    losses = TaskLosses(config.loss, cohort.tasks, {n: torch.eye(q.shape[1]) for n, q in
                                                    beside.items()}).to(device)  # fmt: skip
    if covariates.values is not None:
        beside[COVARIATES] = covariates.values[torch.zeros(size, dtype=torch.int64)]
    if of_patients:
        beside[PRESENT] = torch.ones(size, n_slots, device=device)
    shape = (1, config.features.n_mels, config.train.crop_frames)
    of_steps = averaged if config.train.average == "ema" else None
    step = Step(config, model, losses, optimizer, of_steps)

    def train() -> None:
        model.train()
        step.prepare(config.optim.lr, config.optim.beta1)
        x = torch.randn(size * n_slots, *shape, device=device)
        step(x, beside, Part(config.features.n_mels))

    @torch.inference_mode()
    def predict() -> None:
        model.eval()
        x = torch.randn(config.predict.batch_size, *shape, device=device)
        with autocast(config.train.precision, device):
            model.embed(x.contiguous(memory_format=torch.channels_last))

    with threads(config.train.threads), exactness(config.train, device):
        step_s, predict_s = _seconds(train, device), _seconds(predict, device)
    return TimingRun(
        step_s,
        predict_s,
        _peak(device),
        _bytes(model.state_dict()),
        _bytes(optimizer.state_dict()),
        averaged is not None,
    )


def time_branch(config: Config, targets: FrameTargets, device: torch.device) -> BranchTiming:
    """Make the frame branch of a fold, train it on noise for a few steps, and take the time.

    Finding heart cycles in the held-out recordings is not in it.

    Parameters
    ----------
    targets : FrameTargets
        Of the fold's training recordings.
    """
    frames, frame_s = config.frames, config.features.frame_s
    assert frame_s is not None  # `Config` refuses it
    n = len(targets.recordings)
    size = min(frames.batch_size, n)
    shape = size, round(frames.crop_s / frame_s)
    marks = np.resize(np.concatenate(targets.allowed), shape)
    allowed = torch.from_numpy(marks).to(device)
    net, loss = untrained_net(config).to(device), Loss(targets, device)
    optimizer = torch.optim.AdamW(net.parameters(), lr=frames.lr)

    def train() -> None:
        x = torch.randn(shape[0], config.features.n_mels, shape[1], device=device)
        train_step(net, loss, optimizer, x, allowed)

    with threads(config.train.threads), exactness(config.train, device):
        step_s = _seconds(train, device)
    return BranchTiming(step_s, frames.epochs * (n // size), _bytes(net.state_dict()))


def frames_of(cohort: Cohort, config: Config) -> np.ndarray:
    """Frames of every recording, (n_recordings,) int64, without computing any."""
    features = transform_of(config.features)
    table = cohort.recordings
    pairs = zip(table["n_samples"], table["sample_rate_hz"], strict=True)
    return np.array([features.n_frames(int(n), int(rate)) for n, rate in pairs], dtype=np.int64)


def n_predicted(frames: np.ndarray, config: Config) -> int:
    """How many crops cover recordings of so many frames."""
    rule = config.train.crop_frames, config.predict.crop_overlap, config.predict.n_shifts
    return sum(len(crop_starts(int(n), *rule)) for n in frames) * len(config.predict.gains_db)


def _seconds(call: Callable[[], None], device: torch.device) -> float:
    taken = []
    for _ in range(_WARM + _TIMED):
        started = time.perf_counter()
        call()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        taken.append(time.perf_counter() - started)
    return statistics.median(taken[_WARM:])


def _peak(device: torch.device) -> int:
    if device.type == "cuda":
        return torch.cuda.max_memory_reserved(device)
    return peak_memory_bytes()


def _bytes(state: object) -> int:
    if isinstance(state, torch.Tensor):
        return state.nbytes
    if isinstance(state, dict):
        return sum(_bytes(each) for each in state.values())
    return 0
