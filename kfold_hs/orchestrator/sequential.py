"""Trains a plan in this process, one fold after another."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import torch

from kfold_hs.cohort import Cohort
from kfold_hs.config.schema import Config
from kfold_hs.files.paths import RunPaths
from kfold_hs.learn.features.bank import Bank
from kfold_hs.orchestrator.plan import Plan
from kfold_hs.orchestrator.worker import OnFold, OnFoldEpoch, Work, check_outcomes
from kfold_hs.splits import Split


def train(
    plan: Plan,
    config: Config,
    cohort: Cohort,
    split: Split,
    bank: Bank,
    paths: RunPaths,
    digests: Mapping[str, str],
    device: torch.device,
    on_fold: OnFold,
    on_epoch: OnFoldEpoch,
) -> None:
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
    work = Work(config, cohort, split, paths, digests)
    left = work.to_do(plan, on_fold)
    bank = bank.to(device) if left else bank
    outcomes = []
    for place in left:
        on_fold(place, "start", "")
        outcome = work.train(place, bank, device, partial(on_epoch, place))
        on_fold(place, outcome.state, outcome.text)
        outcomes.append(outcome)
    check_outcomes(outcomes, len(plan))
