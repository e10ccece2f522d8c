"""The frame branch of a fold: found in the cache, or trained now and put there.

It depends on the fold's training people, their marks and the settings of `frames`, and on nothing
else of a recipe: variants that differ elsewhere share it.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import torch

from kfold_hs.cohort import Cohort
from kfold_hs.config.digests import for_digest
from kfold_hs.config.plugins import source_of
from kfold_hs.config.schema import Config
from kfold_hs.files.atomic import discard
from kfold_hs.files.cache import cache_folder, is_whole, keeping
from kfold_hs.files.paths import FoldId, sweep, writing_folder
from kfold_hs.learn import checkpoint
from kfold_hs.learn.data.fold import Fold
from kfold_hs.learn.device import device_kind
from kfold_hs.learn.frames.branch import FrameBranch
from kfold_hs.learn.frames.targets import FrameTargets
from kfold_hs.learn.frames.training import fit_branch, targets_of

VERSION = 1
"""Of what a training gives; raised when it would give something else."""
_FILE = "branch.pt"


def branch_of(fold: Fold) -> FrameBranch | None:
    """The frame branch of a fold; None where `frames` is off.

    Raises
    ------
    CohortError, TrainingError, StorageError
        As `fit_branch`; the cache cannot be written.
    """
    if not fold.config.frames.is_on:
        return None
    targets = targets_of(fold)
    folder = place_of(fold.id, fold.config, fold.cohort, targets, fold.device)
    sweep(folder.parent, ours=False)
    if folder.exists() and not is_whole(folder, "a frame branch"):
        discard(folder)
    if not folder.is_dir():
        state = fit_branch(fold, targets).to_state()
        with keeping(), writing_folder(folder, sums=True) as temporary:
            checkpoint.save(temporary / _FILE, state)
    state = checkpoint.load(folder / _FILE, fold.device)
    return FrameBranch.from_state(state, fold.config, fold.device)


def place_of(
    fold: FoldId, config: Config, cohort: Cohort, targets: FrameTargets, device: torch.device
) -> Path:
    """The folder of a fold's branch in the cache, trained with as many threads as torch has now.

    It need not be there.

    Parameters
    ----------
    targets : FrameTargets
        Of the fold's training recordings.
    """
    content = [
        VERSION,
        for_digest(config.frames, "frames"),
        for_digest(config.features.of_recordings, "features"),
        cohort.recordings["sha256"].iloc[targets.recordings].tolist(),
        targets.digest,
        [config.seed, *fold],
        [device_kind(device), torch.get_num_threads()],
        [config.train.tf32, config.train.deterministic],
        *([source] if (source := source_of(config.features.of_recordings)) else []),
    ]
    digest = hashlib.sha256(json.dumps(content).encode()).hexdigest()
    return cache_folder() / "frames" / digest
