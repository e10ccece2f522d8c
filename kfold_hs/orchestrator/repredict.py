"""Predicts a variant by the fold models of a run that was trained alike."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch

from kfold_hs.cohort import Cohort
from kfold_hs.config.schema import Config
from kfold_hs.files.paths import RunPaths
from kfold_hs.learn.data.examples import FoldData
from kfold_hs.learn.device import exactness
from kfold_hs.learn.features.bank import Bank
from kfold_hs.learn.prediction.reload import predict_again
from kfold_hs.learn.threads import threads
from kfold_hs.orchestrator.plan import Plan
from kfold_hs.predictions.table import Predictions
from kfold_hs.splits import Split


def predict_plan(
    plan: Plan,
    config: Config,
    cohort: Cohort,
    split: Split,
    bank: Bank,
    trained: RunPaths,
    digests: Mapping[str, str],
    device: torch.device,
    on_progress: Callable[[int, int], None],
) -> Predictions:
    """Predictions of all folds' last epoch.

    Parameters
    ----------
    trained : RunPaths
        The finished run whose models are asked.
    digests : mapping
        What that run stands on.
    on_progress : callable
        Called with (folds done, folds in all).

    Raises
    ------
    TrainingError
        A model cannot be read, or is of another run.
    """
    bank, parts = bank.to(device), []
    with threads(config.train.threads), exactness(config.train, device):
        for place in plan:
            data = FoldData.of(cohort, split.fold_of_patients(cohort, place.repeat), place.fold)
            file = trained.fold(place.repeat, place.seed, place.fold).last_model
            parts.append(predict_again(config, cohort, bank, data, place, file, digests, device))
            on_progress(len(parts), len(plan))
    return Predictions.concat(parts)
