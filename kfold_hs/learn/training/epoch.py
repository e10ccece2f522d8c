"""One pass over the training examples: crops, augmentation, steps of the optimizer."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from kfold_hs.config.schema import Config
from kfold_hs.learn.data.augment import cutmix, mask, mixup, neutral
from kfold_hs.learn.data.bags import Bags
from kfold_hs.learn.data.crops import Source
from kfold_hs.learn.models.network import HeartSoundNet
from kfold_hs.learn.random_streams import Place
from kfold_hs.learn.training.optimizer import Average
from kfold_hs.learn.training.pace import Pace, bands_at, crop_frames_at, examples_of_a_batch
from kfold_hs.learn.training.step import COVARIATES, PRESENT, Step
from kfold_hs.learn.transfer import to_device


def train_epoch(
    config: Config,
    model: HeartSoundNet,
    averaged: Average | None,
    optimizer: torch.optim.Optimizer,
    pace: Pace,
    source: Source,
    bags: Bags,
    targets: dict[str, torch.Tensor],
    step: Step,
    weights: np.ndarray | None,
    place: Place,
    epoch: int,
    past_losses: list[float],
    covariates: torch.Tensor | None = None,
) -> list[torch.Tensor]:
    """One pass over the training examples; the loss of every batch, still on the device.

    Parameters
    ----------
    targets : dict of Tensor, each (n_bags, C)
    covariates : Tensor, optional, (n_recordings of the cohort, width)
    """
    device = source.bank.device
    size = examples_of_a_batch(config)
    n_bands, n_frames = bands_at(config, epoch), crop_frames_at(config, epoch)
    together, of_patients = config.train.accumulate, config.train.level == "patient"
    stream = place.streams(epoch)
    n_examples = len(bags) * config.train.crops_per_recording
    if weights is None:
        order = stream["order"].permutation(n_examples) % len(bags)
    else:
        order = stream["order"].choice(len(bags), size=n_examples, p=weights)
    drawn, there = bags.draw(order, stream["sites"])
    recordings, present = to_device(drawn, device), to_device(there, device)
    draw = to_device(stream["crop"].random(drawn.shape), device)
    starts = source.starts(recordings, n_frames, draw)
    chosen = to_device(order, device)
    batch_targets = {name: q[chosen] for name, q in targets.items()}

    model.train()
    batch_losses: list[torch.Tensor] = []
    whole = source.batches(recordings, starts, size, n_frames, config.augment, stream)
    for batch, x in zip(range(pace.n_batches), whole, strict=False):
        part = slice(batch * size, (batch + 1) * size)  # the last, smaller batch is left out
        fill = neutral(x, config.features.normalise, model.front.mean)
        x = mask(x, config.augment, stream["mask"], fill)
        crops = x.shape
        # From here on an example is one: its crops stand beside each other as its channels.
        x = x.reshape(-1, bags.n_slots * crops[1], *crops[2:])
        q = {name: each[part] for name, each in batch_targets.items()}
        if covariates is not None:  # they are mixed like targets
            q[COVARIATES] = covariates[recordings[part, 0]]
        if of_patients:  # a slot is there when it is there in either of two
            q[PRESENT] = present[part]
        x, q = mixup(x, q, config.augment.mixup_alpha, stream["mixup"])
        x, q = cutmix(
            x, q, config.augment.cutmix_alpha, config.augment.cutmix_axis, stream["cutmix"]
        )
        # The last group of an epoch may hold fewer batches; each step is of their mean.
        in_group = min(together, pace.n_batches - batch // together * together)
        batch_losses.append(step(x.reshape(crops), q, n_bands, in_group))
        if (batch + 1) % together and batch + 1 < pace.n_batches:
            continue
        if config.train.grad_clip:
            nn.utils.clip_grad_norm_(model.parameters(), config.train.grad_clip)
        number = epoch * pace.n_steps + batch // together
        for group in optimizer.param_groups:
            group["lr"] = config.optim.lr * pace.multiplier(number, past_losses)
            group["betas"] = (pace.momentum(number), config.optim.beta2)
        optimizer.step()
        optimizer.zero_grad(set_to_none=not step.keeps_gradients)
        if averaged is not None and config.train.average == "ema":
            averaged.update(model)
    return batch_losses
