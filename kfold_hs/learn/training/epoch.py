"""One pass over the training examples: crops, augmentation, steps of the optimizer."""

from __future__ import annotations

import numpy as np
import torch

from kfold_hs.learn.data.augment import cutmix, mask, mixup, neutral
from kfold_hs.learn.device import to_device
from kfold_hs.learn.training.epoch_plan import bands_at, crop_frames_at, examples_of_a_batch
from kfold_hs.learn.training.setup import Training
from kfold_hs.learn.training.step import COVARIATES, PRESENT, Part


def train_epoch(training: Training, epoch: int, past_losses: list[float]) -> list[torch.Tensor]:
    """One pass over the training examples; the loss of every batch, still on the device.

    Parameters
    ----------
    epoch : int
        From 0.
    past_losses : list of float
        Mean training losses of the epochs before.
    """
    config, model, source = training.fold.config, training.model, training.source
    bags, plan, step, device = training.bags, training.plan, training.step, training.fold.device
    covariates = training.covariates.values
    torch.manual_seed(training.fold.streams.torch_seed("dropout", epoch))
    size = examples_of_a_batch(config)
    n_bands, n_frames = bands_at(config, epoch), crop_frames_at(config, epoch)
    together, of_patients = config.train.accumulate, config.train.level == "patient"
    stream = training.fold.streams.of_epoch(epoch)
    order = _order(training, stream["order"])
    drawn, there = bags.draw(order, stream["sites"])
    recordings, present = to_device(drawn, device), to_device(there, device)
    draw = to_device(stream["crop"].random(drawn.shape), device)
    starts = source.starts(recordings, n_frames, draw)
    chosen = to_device(order, device)
    batch_targets = {name: q[chosen] for name, q in training.bag_targets.items()}

    model.train()
    batch_losses: list[torch.Tensor] = []
    whole = source.batches(recordings, starts, size, n_frames, stream)
    for batch, x in zip(range(plan.n_batches), whole, strict=False):
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
        in_group = min(together, plan.n_batches - batch // together * together)
        is_last = (batch + 1) % together == 0 or batch + 1 == plan.n_batches
        if is_last:
            number = epoch * plan.n_steps + batch // together
            step.prepare(plan.lr(number, past_losses), plan.momentum(number))
        batch_losses.append(step(x.reshape(crops), q, Part(n_bands, in_group, is_last)))
    return batch_losses


def _order(training: Training, rng: np.random.Generator) -> np.ndarray:
    """Which example comes when, (n_examples,) int64."""
    n_bags = len(training.bags)
    n_examples = n_bags * training.fold.config.train.crops_per_recording
    if training.weights is None:
        return rng.permutation(n_examples) % n_bags
    return rng.choice(n_bags, size=n_examples, p=training.weights)
