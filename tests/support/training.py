"""A real training of two folds that takes seconds."""

from __future__ import annotations

from pathlib import Path

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

CPU = torch.device("cpu")


def config(*more: str) -> Config:
    return compose([*TINY, "data.path=unused.csv", *more])


def fit(
    cohort: Cohort, root: Path, *more: str, listener: Silent | None = None, digest: str = "d"
) -> tuple[RunPaths, Predictions]:
    settings = config(*more)
    paths = RunPaths("run", root)
    context = RunContext(
        settings, RunInputs(cohort, stratify(cohort, 2, 0)), paths, {"config": digest}, CPU,
        banks.build(cohort, settings.features),
    )  # fmt: skip
    train(context.plan, context, listener or Silent())
    parts = [Predictions.read(paths.fold(FoldId(0, 0, fold)).predictions) for fold in range(2)]
    return paths, Predictions.concat(parts)


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
