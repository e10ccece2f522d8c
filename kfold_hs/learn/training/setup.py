"""What the training of a fold begins with: the network, its examples, targets, loss and steps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch

from kfold_hs.config.schedules import momentum, schedule
from kfold_hs.learn.cuda_graphs import Recorder
from kfold_hs.learn.data.bags import Bags
from kfold_hs.learn.data.covariates import Covariates
from kfold_hs.learn.data.crops import Source
from kfold_hs.learn.data.examples import make_targets, sampling_weights
from kfold_hs.learn.data.fold import Fold
from kfold_hs.learn.losses import TaskLosses
from kfold_hs.learn.models.network import HeartSoundNet, Inputs, make_model, to_device
from kfold_hs.learn.training.epoch_plan import EpochPlan, steps_of_an_epoch
from kfold_hs.learn.training.optimizer import Average, make_average, make_optimizer
from kfold_hs.learn.training.step import Step

Soft = Mapping[str, np.ndarray]
"""Probabilities of every recording by task, (n_recordings, C); NaN where there are none."""


@dataclass(frozen=True, eq=False)
class Training:
    """A fold that is ready to be trained.

    Parameters
    ----------
    averaged : Average or None
        The running mean of the weights, where the configuration asks for one.
    bags : Bags
        The training examples.
    targets : dict of Tensor, each (n_recordings of the cohort, C)
        Of every recording of the cohort, by task.
    bag_targets : dict of Tensor, each (n_bags, C)
        What is learnt.
    weights : ndarray or None
        Probability of drawing each example.
    recorder : Recorder or None
        Of the networks that are scored, with train.backend=cuda_graphs.
    """

    fold: Fold
    model: HeartSoundNet
    averaged: Average | None
    optimizer: torch.optim.Optimizer
    step: Step
    plan: EpochPlan
    source: Source
    bags: Bags
    targets: dict[str, torch.Tensor]
    bag_targets: dict[str, torch.Tensor]
    losses: TaskLosses
    weights: np.ndarray | None
    covariates: Covariates
    recorder: Recorder | None

    @classmethod
    def of(cls, fold: Fold, soft: Soft | None = None) -> Training:
        """With initial weights from the fold's random stream; half of the targets are `soft`'s.

        Raises
        ------
        StorageError, WeightsError, ConfigError
            As the parts say.
        """
        config, cohort, data, device = fold.config, fold.cohort, fold.data, fold.device
        source = Source.of(config, cohort, fold.bank)
        bags = Bags.of(cohort, data.train, config.train)
        targets = make_targets(cohort, config.train, device)
        bag_targets = _of_bags(targets, bags, soft)
        losses = TaskLosses(config.loss, cohort.tasks, {n: q.cpu() for n, q in bag_targets.items()})
        losses.to(device)
        weights = sampling_weights(config.train.sampling, cohort, bags.first)
        covariates = Covariates.of(cohort, data.train, config.model.covariates, device)
        seed = fold.streams.torch_seed("init", 0)
        model = make_model(config.model, cohort.tasks, seed, Inputs.of(config, covariates.width))
        model.front.fit(fold.bank, data.train)
        to_device(model, device)
        averaged = make_average(model, config)
        optimizer = make_optimizer(model, config, device)
        of_steps = averaged if config.train.average == "ema" else None
        step = Step(config, model, losses, optimizer, of_steps)
        n_batches, n_steps = steps_of_an_epoch(config, len(bags))
        n_whole = n_steps * config.train.epochs
        plan = EpochPlan(
            n_batches,
            n_steps,
            config.optim.lr,
            schedule(config.sched, n_whole),
            momentum(config.sched, n_whole, config.optim.beta1),
        )
        return cls(
            fold, model, averaged, optimizer, step, plan, source, bags, targets, bag_targets,
            losses, weights, covariates, step.forward_recorder(),
        )  # fmt: skip


def _of_bags(
    targets: dict[str, torch.Tensor], bags: Bags, soft: Soft | None
) -> dict[str, torch.Tensor]:
    """Targets of every bag, each (n_bags, C)."""
    found = {}
    for name, each in targets.items():
        own = each[torch.from_numpy(bags.first).to(each.device)]
        if soft is not None:
            given = torch.from_numpy(soft[name][bags.first]).to(each.device)
            # Who is always trained on is held out by no model, and keeps the label alone.
            own = torch.where(given.isnan(), own, (own + given) / 2)
        found[name] = own
    return found
