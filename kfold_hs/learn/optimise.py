"""AdamW, and running means of the weights."""

from __future__ import annotations

from typing import cast

import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from kfold_hs.learn.models import HeartSoundNet
from kfold_hs.settings import Config


def make_optimizer(model: nn.Module, config: Config, device: torch.device) -> torch.optim.AdamW:
    """AdamW; weight decay on matrices and filters, not on norms and biases."""
    flat = [p for p in model.parameters() if p.ndim <= 1]
    rest = [p for p in model.parameters() if p.ndim > 1]
    groups = [
        {"params": rest, "weight_decay": config.optim.weight_decay},
        {"params": flat, "weight_decay": 0.0},
    ]
    betas = (config.optim.beta1, config.optim.beta2)
    return torch.optim.AdamW(groups, lr=config.optim.lr, betas=betas, fused=True)


def make_average(model: nn.Module, config: Config) -> AveragedModel | None:
    """A running mean of the weights and of the batch statistics, or None.

    Exponential, step by step (`ema_decay`; Polyak & Juditsky 1992), or of equal weights,
    epoch by epoch (`swa_start`; Izmailov et al., "Averaging Weights", UAI 2018).
    """
    if config.train.ema_decay:
        average = get_ema_multi_avg_fn(config.train.ema_decay)  # type: ignore[no-untyped-call]
        return AveragedModel(model, multi_avg_fn=average, use_buffers=True)
    return AveragedModel(model, use_buffers=True) if config.train.swa_start < 1 else None


def scored_model(model: HeartSoundNet, averaged: AveragedModel | None) -> HeartSoundNet:
    """The averaged weights once there are any, else those that are trained."""
    if averaged is None or not int(averaged.n_averaged):
        return model
    return cast(HeartSoundNet, averaged.module)
