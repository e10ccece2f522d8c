"""A real training of two folds that takes seconds."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

import pandas as pd
import pytest
import torch

from kfold_hs.cohort import Cohort
from kfold_hs.config.compose import compose
from kfold_hs.config.schema import Config
from kfold_hs.files.paths import FoldId, RunPaths
from kfold_hs.learn.features import bank as banks
from kfold_hs.orchestrator.context import RunContext, RunInputs
from kfold_hs.orchestrator.sequential import train
from kfold_hs.predictions.table import Predictions
from kfold_hs.splits import stratify
from support.project import TINY, Silent

DEVICE = torch.device(os.environ.get("KFOLD_HS_TEST_DEVICE", "cpu"))
"""tests/gpu/run.sh has the trainings of other tests on a GPU, too."""
_EXACT = ["train.deterministic=true"] if DEVICE.type == "cuda" else []


def config(*more: str) -> Config:
    return compose([*TINY, "data.path=unused.csv", *_EXACT, *more])


def context_of(
    cohort: Cohort, settings: Config, paths: RunPaths, n_folds: int, digest: str = "d"
) -> RunContext:
    """A run of so many folds."""
    inputs = RunInputs(cohort, stratify(cohort, n_folds, 0))
    bank = banks.build(cohort, settings.features)
    return RunContext(settings, inputs, paths, {"config": digest}, DEVICE, bank)


def fit(
    cohort: Cohort,
    root: Path,
    *more: str,
    listener: Silent | None = None,
    digest: str = "d",
    folds: int = 2,
) -> tuple[RunPaths, Predictions]:
    """Train a run of two folds, or the first of them alone."""
    settings = config(*more)
    paths = RunPaths("run", root)
    context = context_of(cohort, settings, paths, 2, digest)
    plan = dataclasses.replace(context.plan, only=frozenset((0, fold) for fold in range(folds)))
    train(plan, context, listener or Silent())
    parts = [Predictions.read(paths.fold(FoldId(0, 0, fold)).predictions) for fold in range(folds)]
    return paths, Predictions.concat(parts)


def check_resumed(
    cohort: Cohort, root: Path, *words: str, folds: int = 2
) -> tuple[RunPaths, Predictions]:
    """Trained in one go, and interrupted in its first fold and resumed: the same bits there."""
    paths, whole = fit(cohort, root / "whole", *words, folds=folds)
    with pytest.raises(KeyboardInterrupt):
        fit(cohort, root / "parts", *words, listener=Interrupts(after=2), folds=1)
    _, parts = fit(cohort, root / "parts", *words, folds=1)
    first = whole.where(fold=0).table
    pd.testing.assert_frame_equal(parts.table, first, check_exact=True)
    return paths, whole


class Interrupts(Silent):
    """Presses Ctrl-C after so many epochs."""

    def __init__(self, after: int) -> None:
        super().__init__()
        self._left = after

    def epoch(self, place: object, row: object) -> None:
        super().epoch(place, row)
        self._left -= 1
        if self._left == 0:
            raise KeyboardInterrupt
