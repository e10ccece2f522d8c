"""How an epoch is walked: its steps and rates, and the size of its crops."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from kfold_hs.config.schedules import Schedule
from kfold_hs.config.schema import Config


@dataclass(frozen=True)
class EpochPlan:
    """Batches and optimizer steps of an epoch, and the rate and momentum of every step.

    Parameters
    ----------
    highest_lr : float
        What the schedule multiplies.
    """

    n_batches: int
    n_steps: int
    highest_lr: float
    multiplier: Schedule
    momentum: Callable[[int], float]

    def lr(self, step: int, past_losses: Sequence[float]) -> float:
        """The rate of a step, counted from 0 over all epochs."""
        return self.highest_lr * self.multiplier(step, past_losses)


def examples_of_a_batch(config: Config) -> int:
    """`train.batch_size` counts crops: so many are a step's work and memory at either level."""
    of_patients = config.train.level == "patient"
    return config.train.batch_size // (config.train.sites_per_patient if of_patients else 1)


def steps_of_an_epoch(config: Config, n_train: int) -> tuple[int, int]:
    """Batches and optimizer steps of an epoch over `n_train` recordings or patients."""
    n_batches = max(1, n_train * config.train.crops_per_recording // examples_of_a_batch(config))
    return n_batches, math.ceil(n_batches / config.train.accumulate)


def crop_frames_at(config: Config, epoch: int) -> int:
    """Progressive resizing: frames of a training crop in an epoch (from 0).

    Straight up from `train.first_crop_frames` to `train.crop_frames` during the first
    `train.grow_until` of the epochs, in steps of 16 (Howard, fast.ai, 2018; Tan & Le,
    "EfficientNetV2", ICML 2021).
    """
    return _grown(config.train.first_crop_frames, config.train.crop_frames, config, epoch, 16)


def bands_at(config: Config, epoch: int) -> int:
    """As `crop_frames_at`, bands of a training crop: from `train.first_n_mels`, in steps of 4."""
    return _grown(config.train.first_n_mels, config.features.n_mels, config, epoch, 4)


def _grown(first: int | None, last: int, config: Config, epoch: int, step: int) -> int:
    n_growing = config.train.grow_until * config.train.epochs
    if first is None or epoch >= n_growing:
        return last
    return min(last, round((first + (last - first) * epoch / n_growing) / step) * step)
