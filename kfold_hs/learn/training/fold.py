"""The training of one fold: reads top to bottom.

Every epoch draws crops from each training recording, trains, predicts all crops of
the held-out people, and keeps their probabilities: which epoch counts is decided
later, by rules that may not look at the fold they are scored on, or by training people
who are set aside (`select=inner`). `best_model.pt` is
the epoch with the highest mean of the tasks' accuracies on the held-out people, ties
by the lower validation loss; its score is optimistic by construction.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import closing
from typing import Any

import numpy as np
import torch
from torch import nn

from kfold_hs.cohort import Cohort
from kfold_hs.cohort.covariates import CovariateEncoder
from kfold_hs.config.schedules import momentum, schedule
from kfold_hs.config.schema import Config
from kfold_hs.files.paths import FoldPaths, remove
from kfold_hs.learn import checkpoint
from kfold_hs.learn.data.bags import Bags
from kfold_hs.learn.data.covariates import check_covariates, encode
from kfold_hs.learn.data.crops import Source
from kfold_hs.learn.data.examples import FoldData, make_targets, sampling_weights
from kfold_hs.learn.data.noise import noise_bank
from kfold_hs.learn.features.bank import Bank
from kfold_hs.learn.losses import TaskLosses
from kfold_hs.learn.models.heads import check_heads
from kfold_hs.learn.models.network import check_network, make_model
from kfold_hs.learn.prediction.held_out import EpochProbs, fold_predictions
from kfold_hs.learn.prediction.score import score
from kfold_hs.learn.random_streams import Place
from kfold_hs.learn.tracking.energy import counters, joules_since
from kfold_hs.learn.tracking.trackers import Answers, Tracker, check_wandb
from kfold_hs.learn.training.divergence import (
    check_scored,
    check_training,
    loss_of_knowing_nothing,
)
from kfold_hs.learn.training.epoch import train_epoch
from kfold_hs.learn.training.history import (
    INNER,
    History,
    best_epoch,
    is_over,
    mean_accuracy,
    write_history,
)
from kfold_hs.learn.training.optimizer import (
    Average,
    make_average,
    make_optimizer,
    scored_model,
    update_batch_statistics,
)
from kfold_hs.learn.training.pace import Pace, steps_of_an_epoch
from kfold_hs.learn.training.step import Step

OnEpoch = Callable[[Mapping[str, float]], None]


def fit_fold(
    config: Config,
    cohort: Cohort,
    bank: Bank,
    data: FoldData,
    place: Place,
    paths: FoldPaths,
    tracking: Callable[[int], Tracker],
    digests: Mapping[str, str],
    device: torch.device,
    on_epoch: OnEpoch,
    soft: Mapping[str, np.ndarray] | None = None,
) -> int | None:
    """Train one fold and leave its files; predictions are written last.

    Goes on after the last whole epoch when an interrupted training left `resume.pt`. With `soft`,
    probabilities of every recording by task, (n_recordings, C), half of the targets are these.

    Returns
    -------
    int or None
        The epoch (from 0) from which the fold over-fits, if it does.

    Raises
    ------
    DivergedError
        The loss is not a finite number, or diverges.
    StorageError, WeightsError, ConfigError
        As the parts say.
    """
    of_patients = config.train.level == "patient"
    source = Source.of(config, cohort, bank)
    bags = Bags.of(cohort, data.train, config.train)
    targets = make_targets(cohort, config.train, device)
    rows = torch.from_numpy(bags.first).to(device)
    train_targets = {name: q[rows] for name, q in targets.items()}
    if soft is not None:
        told = {name: torch.from_numpy(p[bags.first]).to(device) for name, p in soft.items()}
        train_targets = {
            # Who is always trained on is held out by no model, and keeps the label alone.
            name: torch.where(told[name].isnan(), q, (q + told[name]) / 2)
            for name, q in train_targets.items()
        }
    losses = TaskLosses(config.loss, cohort.tasks, {n: q.cpu() for n, q in train_targets.items()})
    losses.to(device)
    knowing_nothing = loss_of_knowing_nothing(losses, train_targets)
    weights = sampling_weights(config.train.sampling, cohort, bags.first)

    encoder, covariates = encode(cohort, data.train, config.model.covariates, device)
    width = encoder.width if encoder else 0
    model = make_model(
        config.model, cohort.tasks, place.torch_seed("init", 0), width, of_patients,
        config.features.n_fitted_bands,
    )  # fmt: skip
    model.front.fit(bank, data.train)
    model.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    averaged = make_average(model, config)
    optimizer = make_optimizer(model, config, device)
    step = Step(config, model, losses, device)
    n_batches, n_steps = steps_of_an_epoch(config, len(bags))
    pace = Pace(
        n_batches,
        n_steps,
        schedule(config.sched, n_steps * config.train.epochs),
        momentum(config.sched, n_steps * config.train.epochs, config.optim.beta1),
    )

    history: History = []
    kept: list[EpochProbs] = []
    if state := checkpoint.load_resumable(paths.resume, device, digests):
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        if averaged is not None:
            averaged.load_state_dict(state["averaged"])
        history = state["history"]
        kept = [EpochProbs.from_state(each) for each in state["kept"]]
    best = best_epoch(history, cohort) if history else -1
    chosen = best_epoch(history, cohort, INNER) if history and len(data.inner) else None

    with checkpoint.Writer() as writer, closing(tracking(len(history))) as tracker:
        while not is_over(history, cohort, config.train.epochs, config.train.patience):
            epoch, started, energy = len(history), time.perf_counter(), counters(device)
            torch.manual_seed(place.torch_seed("dropout", epoch))
            batch_losses = train_epoch(
                config, model, averaged, optimizer, pace, source, bags, train_targets,
                step, weights, place, epoch, [row["train_loss"] for row in history], covariates,
            )  # fmt: skip
            past = [row["train_loss"] for row in history]
            train_loss = check_training(batch_losses, past, knowing_nothing, config, place)
            if averaged is not None and epoch >= averaged.first_epoch:
                averaged.update(model)
                if config.train.average_update_bn:
                    update_batch_statistics(averaged.model, bank, data.train, config)
            scored = scored_model(model, averaged)
            fill = _may_be_asked_again(config, epoch)
            probs, val_loss = score(
                scored, bank, cohort, data.held_out, data.patients, targets, losses, config,
                covariates, fill,
            )  # fmt: skip
            check_scored(val_loss, "the held-out people", config, place, epoch)
            kept.append(probs)
            inner = {}
            if len(data.inner):
                aside, inner_loss = score(
                    scored, bank, cohort, data.inner, data.inner_patients, targets, losses, config,
                    covariates, fill,
                )  # fmt: skip
                check_scored(inner_loss, "those set aside", config, place, epoch)
                values = aside.accuracies(cohort, data.inner_patients) | {"val_loss": inner_loss}
                inner = {INNER + name: value for name, value in values.items()}
            row = {
                "epoch": epoch,
                "train_loss": train_loss,
                "val_loss": val_loss,
                **kept[-1].accuracies(cohort, data.patients),
                **inner,
                "lr": optimizer.param_groups[0]["lr"],
                "seconds": time.perf_counter() - started,
                **joules_since(energy, counters(device)),
            }
            history.append(row)
            if (now_best := best_epoch(history, cohort)) != best:
                best = now_best
                content = _content(config, cohort, place, digests, scored, optimizer, row, encoder)
                writer.save(paths.best_model, content)
            if len(data.inner) and (now_best := best_epoch(history, cohort, INNER)) != chosen:
                chosen = now_best
                content = _content(config, cohort, place, digests, scored, optimizer, row, encoder)
                writer.save(paths.inner_model, content)
            is_last = is_over(history, cohort, config.train.epochs, config.train.patience)
            kept[-1].forget_recordings(unless=is_last or epoch in {best, chosen})
            writer.save(paths.resume, _resume(model, averaged, optimizer, history, kept, digests))
            tracker.epoch(row)
            on_epoch(row)
        scored = scored_model(model, averaged)
        row = history[-1]
        content = _content(config, cohort, place, digests, scored, optimizer, row, encoder)
        writer.save(paths.last_model, content)
        tracker.done(_answers(cohort, data.patients, kept[-1]), len(history) - 1)

    keep = {"last": len(history) - 1, "best": best, "inner": chosen}[config.select]
    assert keep is not None
    since = write_history(paths, history, keep, best, chosen)
    fold_predictions(cohort, data.held_out, data.patients, place, kept, keep).write(
        paths.predictions, digests
    )
    remove(paths.resume)
    return since


def check(config: Config, cohort: Cohort) -> None:
    """Refuse what can be known to fail before anything is computed.

    Raises
    ------
    ConfigError
        A backbone that timm does not have or that takes other crops; sampling by, or a weight
        for, a task that the cohort has not; a covariate that it has not; wandb where it is not
        installed; a folder without noise.
    """
    check_network(config)
    check_heads(config.model.heads, cohort.tasks)
    if "wandb" in config.track:
        check_wandb()
    check_covariates(cohort, config.model.covariates)
    TaskLosses(
        config.loss, cohort.tasks, {t.name: torch.ones(1, t.n_classes) for t in cohort.tasks}
    )
    noise_bank(config.augment, config.features)
    sampling_weights(config.train.sampling, cohort, np.arange(cohort.n_recordings))


def _may_be_asked_again(config: Config, epoch: int) -> bool:
    """Whether this epoch's weights may be those that `select` names."""
    return config.select != "last" or epoch + 1 == config.train.epochs


def _content(
    config: Config,
    cohort: Cohort,
    place: Place,
    digests: Mapping[str, str],
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    row: Mapping[str, float],
    encoder: CovariateEncoder | None,
) -> dict[str, Any]:
    return {
        "epoch": int(row["epoch"]),
        "model_state_dict": model.state_dict(),
        "optimizer_state_dict": optimizer.state_dict(),
        "val_acc": mean_accuracy(row, cohort),
        "val_loss": row["val_loss"],
        "config": config.as_dict(),
        "covariates": list(encoder.rules) if encoder else [],
        "tasks": {task.name: list(task.classes) for task in cohort.tasks},
        "place": {"repeat": place.repeat, "seed": place.seed, "fold": place.fold},
        "digests": dict(digests),
    }


def _answers(cohort: Cohort, patients: np.ndarray, last: EpochProbs) -> dict[str, Answers]:
    labels = cohort.patients.iloc[patients]
    return {
        task.name: Answers(
            task.classes,
            task.positive_index,
            task.encode(labels[task.name]),
            last.patients[task.name],
        )
        for task in cohort.tasks
    }


def _resume(
    model: nn.Module,
    averaged: Average | None,
    optimizer: torch.optim.Optimizer,
    history: History,
    kept: list[EpochProbs],
    digests: Mapping[str, str],
) -> dict[str, Any]:
    """All there is to go on from: random streams start anew in every epoch."""
    return {
        "model": model.state_dict(),
        "averaged": averaged.state_dict() if averaged is not None else None,
        "optimizer": optimizer.state_dict(),
        "history": history,
        "kept": [each.to_state() for each in kept],
        "digests": dict(digests),
    }
