"""Predicts a variant by the fold models of a run that was trained alike."""

from __future__ import annotations

from collections.abc import Callable

from kfold_hs.files.paths import RunPaths
from kfold_hs.learn.device import exactness, threads
from kfold_hs.learn.prediction.reload import predict_again
from kfold_hs.orchestrator.context import RunContext
from kfold_hs.predictions.table import Predictions


def predict_folds(
    context: RunContext, trained: RunPaths, on_step: Callable[[int, int], None]
) -> Predictions:
    """Predictions of all folds' last epoch.

    Parameters
    ----------
    context : RunContext
        Of the variant, with the digests of the finished run whose models predict.
    trained : RunPaths
        That run.
    on_step : callable
        Called with (folds done, folds in all).

    Raises
    ------
    TrainingError
        A model cannot be read, or is of another run.
    """
    context, parts = context.on_device(), []
    with threads(context.config.train.threads), exactness(context.config.train, context.device):
        for fold in context.plan:
            model_file = trained.fold(fold).last_model
            parts.append(predict_again(context.fold(fold), model_file))
            on_step(len(parts), len(context.plan))
    return Predictions.concat(parts)
