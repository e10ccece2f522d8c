"""Trains a plan on this machine, one fold after another.

A fold whose predictions exist is done and is not trained again. A fold that cannot be
trained does not end the others: what failed is told when all have had their turn.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch

from kfold_hs.cohort import Cohort
from kfold_hs.errors import DivergedError, TrainingError, UnfinishedError
from kfold_hs.fleet.plan import Plan
from kfold_hs.learn.bank import Bank
from kfold_hs.learn.checkpoint import check_digests
from kfold_hs.learn.examples import FoldData
from kfold_hs.learn.fit import fit_fold
from kfold_hs.learn.memory import keep_freed_memory
from kfold_hs.learn.streams import Place
from kfold_hs.learn.track import make_trackers
from kfold_hs.paths import RunPaths, write_json
from kfold_hs.predictions import Predictions
from kfold_hs.settings import Config
from kfold_hs.splits import Split
from kfold_hs.splits.inner import inner_persons

OnFold = Callable[[Place, str, str], None]
OnFoldEpoch = Callable[[Place, Mapping[str, float]], None]


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

    Parameters
    ----------
    on_fold : callable
        Called with a place, "found", "start", "done" or "failed", and a remark or "".
    on_epoch : callable
        Called with a place and a row of its history.

    Raises
    ------
    UnfinishedError
        After all folds were tried, with those that failed and why; each left `failed.json`.
    TrainingError
        A fold that was found is of another configuration, cohort, split or features.
    """
    keep_freed_memory()
    bank = bank.to(device)
    faults = []
    for place in plan:
        files = paths.fold(place.repeat, place.seed, place.fold)
        if files.is_done:
            check_digests(files.predictions, Predictions.digests(files.predictions), digests)
            on_fold(place, "found", "")
            continue
        on_fold(place, "start", "")
        patient_folds = split.fold_of_patients(cohort, place.repeat)
        data = FoldData.of(cohort, patient_folds, place.fold)
        if config.select == "inner":
            key = (config.seed, place.repeat, place.fold)
            aside = inner_persons(cohort, data.train, config.train.inner_share, key)
            data = data.without(cohort, aside)
        try:
            since = fit_fold(
                config=config,
                cohort=cohort,
                bank=bank,
                data=data,
                place=place,
                paths=files,
                tracking=partial(
                    make_trackers,
                    config.track,
                    paths.tensorboard(place.repeat, place.seed, place.fold),
                    config.to_yaml(),
                    config.as_dict(),
                    paths.name,
                ),
                digests=digests,
                device=device,
                on_epoch=partial(on_epoch, place),
            )
        except TrainingError as error:
            write_json(files.fault, _record(place, error))
            on_fold(place, "failed", str(error))
            faults.append(str(error))
        else:
            files.fault.unlink(missing_ok=True)
            remark = "" if since is None else f"over-fitting from epoch {since + 1} on"
            on_fold(place, "done", remark)
    if faults:
        raise UnfinishedError(
            f"{len(faults)} of {len(plan)} folds could not be trained; the others are kept. "
            + " ".join(faults)
        )


def _record(place: Place, error: TrainingError) -> dict[str, Any]:
    """What failed.json holds; epoch and step from 0, null where the loss was not the cause."""
    record = {
        "repeat": place.repeat,
        "seed": place.seed,
        "fold": place.fold,
        "epoch": None,
        "step": None,
        "cause": str(error),
        "text": str(error),
    }
    if isinstance(error, DivergedError):
        record |= {"epoch": error.epoch, "step": error.step, "cause": error.cause}
    return record
