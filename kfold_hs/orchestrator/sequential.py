"""Trains a plan in this process, one fold after another."""

from __future__ import annotations

from functools import partial

from kfold_hs.orchestrator.context import RunContext
from kfold_hs.orchestrator.plan import Plan
from kfold_hs.orchestrator.progress import Progress
from kfold_hs.orchestrator.worker import check_outcomes, folds_to_do, train_fold


def train(plan: Plan, context: RunContext, progress: Progress) -> None:
    """Train every fold of the plan that is not done yet.

    Raises
    ------
    UnfinishedError
        After all folds were tried, with those that failed and why; each left `failed.json`.
    TrainingError
        A fold that was found is of another configuration, cohort, split or features.
    KfoldHsError
        What every fold would meet; those that are done stay.
    """
    left = folds_to_do(plan, context, progress)
    context = context.on_device() if left else context
    outcomes = []
    for fold in left:
        progress.fold(fold, "start")
        outcome = train_fold(context, fold, partial(progress.epoch, fold))
        progress.fold(fold, outcome.state, outcome.text)
        outcomes.append(outcome)
    check_outcomes(outcomes, len(plan))
