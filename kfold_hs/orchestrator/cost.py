"""What a plan costs before it is trained: its folds, time, memory and disk."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from kfold_hs.config.schema import Config
from kfold_hs.files.cache import cache_folder
from kfold_hs.files.paths import FoldId, RunPaths
from kfold_hs.learn.data.bags import Bags
from kfold_hs.learn.device import threads
from kfold_hs.learn.features.bank import build, is_cached
from kfold_hs.learn.frames.cached import place_of
from kfold_hs.learn.frames.targets import FrameTargets
from kfold_hs.learn.models.network import untrained_model
from kfold_hs.learn.training.benchmark import (
    BranchTiming,
    TimingRun,
    frames_of,
    n_predicted,
    time_branch,
    time_steps,
)
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
    branch : BranchTiming or None
        Of a frame branch; None without one, and where no fold is left.
    branches : frozenset of Path
        Places in the cache of frame branches that are not there, of the folds that are left.
    """

    n_folds: int
    n_done: int
    n_steps: int
    n_batches: int
    timing: TimingRun
    has_features: bool
    bank_bytes: int
    branch: BranchTiming | None
    branches: frozenset[Path]

    @property
    def n_left(self) -> int:
        return self.n_folds - self.n_done

    @property
    def fold_s(self) -> float:
        """Of a fold model; with its frame branch, unless all of them are in the cache."""
        return self.left_s(1, min(1, len(self.branches)))

    def left_s(self, n_folds: int, n_branches: int) -> float:
        """Of so many networks and frame branches, one after another."""
        cost = self.timing
        network_s = self.n_steps * cost.step_s + self.n_batches * cost.predict_s
        return n_folds * network_s + n_branches * (self.branch.total_s if self.branch else 0.0)

    @property
    def fold_bytes(self) -> int:
        """Memory of a process that trains; the pages of the bank are shared by all."""
        return self.timing.peak_bytes

    def disk_bytes(self, n_jobs: int) -> int:
        """What is still to be written, at its most."""
        features = 0 if self.has_features else self.bank_bytes
        at_once = min(n_jobs, self.n_left)
        cost = self.timing
        branch = self.branch.model_bytes if self.branch else 0
        kept = self.n_left * (cost.kept_bytes + 2 * branch) + len(self.branches) * branch
        return features + kept + at_once * (cost.passing_bytes + 4 * branch)


def estimate(config: Config, inputs: RunInputs, paths: RunPaths, device: torch.device) -> Estimate:
    """Estimate a run from a timed step; trains nothing, computes no features, writes nothing.

    The steps of fold 0 stand for those of all; early stopping is not foreseen.
    """
    cohort, split = inputs.cohort, inputs.split
    plan = Plan.of(config, split)
    data = inputs.fold_data(config, 0, 0)
    done = finished(plan, paths)
    branch, branches = _branches(config, inputs, set(plan) - set(done), device)
    frames = frames_of(cohort, config)
    n_batches, _ = steps_of_an_epoch(config, len(Bags.of(cohort, data.train, config.train)))
    n_crops = n_predicted(frames[data.held_out], config)
    return Estimate(
        n_folds=len(plan),
        n_done=len(done),
        n_steps=n_batches * config.train.epochs,
        n_batches=math.ceil(n_crops / config.predict.batch_size) * config.train.epochs,
        timing=time_steps(config, cohort, data, device),
        has_features=is_cached(cohort, config.features),
        bank_bytes=int(frames.sum()) * config.features.n_mels * 2,
        branch=branch,
        branches=branches,
    )


def needs(config: Config, inputs: RunInputs, paths: RunPaths) -> dict[Path, int]:
    """Bytes that a run still writes, by the folder: features, and two checkpoints a fold.

    A checkpoint holds the weights, and AdamW's two means of each. Trains and times nothing.
    """
    plan, cohort = Plan.of(config, inputs.split), inputs.cohort
    n_left = len(plan) - len(finished(plan, paths))
    found = {paths.root: 0, cache_folder(): 0}
    if n_left:
        model = untrained_model(config, cohort.tasks, int(bool(config.model.covariates)))
        n_bytes = 4 * sum(each.numel() for each in model.parameters())
        found[paths.root] = n_left * 2 * 3 * n_bytes
    if n_left and not is_cached(cohort, config.features):
        found[cache_folder()] = int(frames_of(cohort, config).sum()) * config.features.n_mels * 2
    return found


def _branches(
    config: Config, inputs: RunInputs, left: Collection[FoldId], device: torch.device
) -> tuple[BranchTiming | None, frozenset[Path]]:
    """What a frame branch of some folds costs, and those that are not in the cache."""
    if not config.frames.is_on or not left:
        return None, frozenset()
    cohort = inputs.cohort
    if is_cached(cohort, config.features):  # those of a plug-in's features are not known before
        frames = build(cohort, config.features).length.numpy()
    else:
        frames = frames_of(cohort, config)
    marked = FrameTargets.of(config, cohort, np.arange(cohort.n_recordings), frames)
    missing, largest = set(), marked.among(np.empty(0, dtype=np.int64))
    with threads(config.train.threads):
        for fold in left:
            of_fold = marked.among(inputs.fold_data(config, fold.repeat, fold.fold).train)
            largest = max(largest, of_fold, key=lambda each: len(each.recordings))
            missing.add(place_of(fold, config, cohort, of_fold, device))
    missing = {place for place in missing if not place.is_dir()}
    return time_branch(config, largest, device), frozenset(missing)
