"""AdamW, and running means of the weights."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.optim.swa_utils import update_bn

from kfold_hs.config.schema import Config
from kfold_hs.learn.features.bank import Bank
from kfold_hs.learn.models.network import HeartSoundNet
from kfold_hs.learn.prediction.crops import Crops


def make_optimizer(model: nn.Module, config: Config, device: torch.device) -> torch.optim.AdamW:
    """AdamW; weight decay on matrices and filters, not on norms and biases.

    For CUDA graphs its rate is a tensor: a number would be recorded as it was.
    """
    flat = [p for p in model.parameters() if p.ndim <= 1]
    rest = [p for p in model.parameters() if p.ndim > 1]
    groups = [
        {"params": rest, "weight_decay": config.optim.weight_decay},
        {"params": flat, "weight_decay": 0.0},
    ]
    betas = (config.optim.beta1, config.optim.beta2)
    recorded = config.train.backend == "cuda_graphs"
    optimizer = torch.optim.AdamW(
        groups, lr=config.optim.lr, betas=betas, fused=True, capturable=recorded
    )
    if recorded:
        for group in optimizer.param_groups:
            group["lr"] = torch.tensor(config.optim.lr, device=device)
    return optimizer


class Average:
    """A running mean of the weights and of the batch statistics; integers are the latest.

    Exponential (Polyak & Juditsky 1992): after t updates by min(decay, (1 + t) / (10 + t)), so that
    the initial weights are soon forgotten. Or of equal weights (Izmailov et al., "Averaging
    Weights", UAI 2018).

    Parameters
    ----------
    model : HeartSoundNet
        On its device; it is copied.
    decay : float
        In [0, 1); 0: equal weights.
    first_epoch : float
        From which on epochs are averaged; inf: steps are.
    """

    def __init__(
        self, model: HeartSoundNet, decay: float = 0.0, first_epoch: float = math.inf
    ) -> None:
        self.model, self.n_updates = copy.deepcopy(model).requires_grad_(False), 0
        self.first_epoch, self._decay = first_epoch, decay

    def update(self, model: HeartSoundNet) -> None:
        """One more step or epoch of the model that is trained."""
        self.move(model, self.next_share())

    def next_share(self) -> float:
        """How far the mean moves towards the weights with the next update, which it counts."""
        n, self.n_updates = self.n_updates, self.n_updates + 1
        return 1 - min(self._decay, (1 + n) / (10 + n)) if self._decay else 1 / (1 + n)

    @torch.no_grad()
    def move(self, model: HeartSoundNet, share: float | torch.Tensor) -> None:
        """Towards the weights of `model`; a share on the device can be recorded."""
        pairs = list(zip(_tensors(self.model), _tensors(model), strict=True))
        floats = [pair for pair in pairs if pair[0].is_floating_point()]
        mine, theirs = [one for one, _ in floats], [other for _, other in floats]
        # One launch for all on a GPU; no copy from the host, no integer divided.
        if isinstance(share, torch.Tensor):
            way = torch._foreach_sub(theirs, mine)
            torch._foreach_mul_(way, share)
            torch._foreach_add_(mine, way)
        else:
            torch._foreach_lerp_(mine, theirs, share)
        whole = [pair for pair in pairs if not pair[0].is_floating_point()]
        if whole:
            torch._foreach_copy_([one for one, _ in whole], [other for _, other in whole])

    def state_dict(self) -> dict[str, Any]:
        return {"n_updates": self.n_updates, "model": self.model.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.n_updates = int(state["n_updates"])
        self.model.load_state_dict(state["model"])


def _tensors(model: nn.Module) -> Iterator[torch.Tensor]:
    yield from model.parameters()
    yield from model.buffers()


def make_average(model: HeartSoundNet, config: Config) -> Average | None:
    """Step by step, or epoch by epoch, or None, as `train.average` says."""
    train = config.train
    if train.average == "ema":
        return Average(model, train.average_decay)
    if train.average == "swa":
        return Average(model, first_epoch=train.average_start * train.epochs)
    return None


def scored_model(model: HeartSoundNet, averaged: Average | None) -> HeartSoundNet:
    """The averaged weights once there are any, else those that are trained."""
    return averaged.model if averaged is not None and averaged.n_updates else model


def update_batch_statistics(
    model: HeartSoundNet, bank: Bank, recordings: np.ndarray, config: Config
) -> None:
    """Means and variances of batch normalisation anew, from all crops of some recordings.

    Those of averaged weights are of no weights that were ever trained; for theirs the network has
    to hear the training people once more (Izmailov et al. 2018, section 3.2).

    Parameters
    ----------
    recordings : ndarray of int64, shape (n,)
        Rows of the bank.
    """
    crops, size = Crops.of(bank, recordings, config), config.predict.batch_size
    # Batches count alike: the last one, if it is smaller, would count too much.
    whole = (
        x for _, x in crops.batches(bank, config, fill=False) if len(x) in {size, len(crops.rows)}
    )
    update_bn(whole, _Embedding(model))


class _Embedding(nn.Module):
    """The part of a network that has batch statistics, as torch's `update_bn` calls it."""

    def __init__(self, model: HeartSoundNet) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.model.embed(x)
