"""Trainings of several folds at once."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
import torch

from kfold_hs.cohort import Cohort
from kfold_hs.files.paths import FoldId, RunPaths
from kfold_hs.orchestrator.executor import Fleet
from kfold_hs.predictions.table import Predictions
from support.project import Silent
from support.training import config, context_of

CPU = torch.device("cpu")


def fit(
    cohort: Cohort, root: Path, listener: Silent, *more: str, n_jobs: int = 1, n_folds: int = 3
) -> RunPaths:
    settings, paths = config(*more), RunPaths("run", root)
    context = context_of(cohort, settings, paths, n_folds)
    Fleet(n_jobs).train(CPU)(context.plan, context, listener)
    return paths


def weights(paths: RunPaths, fold: int) -> dict[str, torch.Tensor]:
    content = torch.load(paths.fold(FoldId(0, 0, fold)).last_model, weights_only=True)
    return dict(content["model_state_dict"])


def check_same_bits(one: RunPaths, other: RunPaths, n_folds: int = 3) -> None:
    for fold in range(n_folds):
        tables = [
            Predictions.read(p.fold(FoldId(0, 0, fold)).predictions).table for p in (one, other)
        ]
        assert tables[0].equals(tables[1])
        first, second = weights(one, fold), weights(other, fold)
        assert all(torch.equal(first[name], second[name]) for name in first)


def wait_for_the_end_of(group: int) -> None:
    """Until no process of a group is left; what keeps books for them ends a little later."""
    until = time.monotonic() + 900
    while time.monotonic() < until:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return
        time.sleep(0.1)
    pytest.fail(f"processes of the group {group} are left")
