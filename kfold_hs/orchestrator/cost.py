"""What a plan costs before it is trained: its folds, time, memory and disk."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from kfold_hs.config.schema import Config
from kfold_hs.files.paths import RunPaths
from kfold_hs.learn.data.bags import Bags
from kfold_hs.learn.data.fold import FoldData
from kfold_hs.learn.features.bank import is_cached
from kfold_hs.learn.training.benchmark import TimingRun, frames_of, n_predicted, time_steps
from kfold_hs.learn.training.epoch_plan import steps_of_an_epoch
from kfold_hs.orchestrator.context import RunInputs
from kfold_hs.orchestrator.folder import finished
from kfold_hs.orchestrator.plan import Plan


@dataclass(frozen=True)
class Estimate:
    """Of one run; bytes and seconds.

    Parameters
    ----------
    n_folds, n_done : int
        Fold models of the plan, and those that are trained.
    n_steps, n_batches : int
        Training steps, and batches of predictions, of a fold model.
    has_features : bool
        The features are in the cache.
    bank_bytes : int
        Of the features.
    """

    n_folds: int
    n_done: int
    n_steps: int
    n_batches: int
    timing: TimingRun
    has_features: bool
    bank_bytes: int

    @property
    def n_left(self) -> int:
        return self.n_folds - self.n_done

    @property
    def fold_s(self) -> float:
        """Of a fold model."""
        cost = self.timing
        return self.n_steps * cost.step_s + self.n_batches * cost.predict_s

    @property
    def left_s(self) -> float:
        """Of all that is left, one after another."""
        return self.n_left * self.fold_s

    @property
    def fold_bytes(self) -> int:
        """Memory of a process that trains; the pages of the bank are shared by all."""
        return self.timing.peak_bytes

    def disk_bytes(self, n_jobs: int) -> int:
        """What is still to be written, at its most."""
        features = 0 if self.has_features else self.bank_bytes
        at_once = min(n_jobs, self.n_left)
        cost = self.timing
        return features + self.n_left * cost.kept_bytes + at_once * cost.passing_bytes


def estimate(config: Config, inputs: RunInputs, paths: RunPaths, device: torch.device) -> Estimate:
    """Estimate a run from a timed step; trains nothing, computes no features, writes nothing.

    The steps of fold 0 stand for those of all; early stopping is not foreseen.
    """
    cohort, split = inputs.cohort, inputs.split
    plan = Plan.of(config, split)
    data = FoldData.of(cohort, split.fold_of_patients(cohort, 0), 0)
    frames = frames_of(cohort, config)
    n_batches, _ = steps_of_an_epoch(config, len(Bags.of(cohort, data.train, config.train)))
    n_crops = n_predicted(frames[data.held_out], config)
    return Estimate(
        n_folds=len(plan),
        n_done=len(finished(plan, paths)),
        n_steps=n_batches * config.train.epochs,
        n_batches=math.ceil(n_crops / config.predict.batch_size) * config.train.epochs,
        timing=time_steps(config, cohort, data, device),
        has_features=is_cached(cohort, config.features),
        bank_bytes=int(frames.sum()) * config.features.n_mels * 2,
    )
