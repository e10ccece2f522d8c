"""The network: a timm backbone on one-channel features, and one linear head a task.

features (n, 1, n_mels, n_frames) -> backbone with its global pooling -> dropout
-> [linear, SiLU, dropout] -> one linear head a task
"""

from __future__ import annotations

import timm
import torch
from torch import nn

from kfold_hs.cohort import Task
from kfold_hs.errors import ConfigError, nearest
from kfold_hs.learn.weights import load_pretrained
from kfold_hs.settings import ModelConfig


class HeartSoundNet(nn.Module):
    """Backbone and heads; `forward` gives logits (n, C) by task name."""

    def __init__(self, backbone: nn.Module, config: ModelConfig, tasks: tuple[Task, ...]) -> None:
        super().__init__()
        size = _n_features(backbone)
        self.backbone = backbone
        neck: list[nn.Module] = [nn.Dropout(config.dropout)]
        if config.hidden:
            neck += [nn.Linear(size, config.hidden), nn.SiLU(), nn.Dropout(config.dropout)]
            size = config.hidden
        self.neck = nn.Sequential(*neck)
        self.heads = nn.ModuleDict({task.name: nn.Linear(size, task.n_classes) for task in tasks})

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        hidden = self.neck(self.backbone(x))
        return {name: head(hidden) for name, head in self.heads.items()}


def _n_features(backbone: nn.Module) -> int:
    """Width of what a backbone gives; for some of timm's it is not its `num_features`."""
    size = getattr(backbone, "head_hidden_size", None) or backbone.num_features
    assert isinstance(size, int)
    return size


def make_model(config: ModelConfig, tasks: tuple[Task, ...], seed: int) -> HeartSoundNet:
    """A network with its initial weights: pretrained where asked for, else from `seed`.

    Raises
    ------
    ConfigError
        No timm backbone has this name, or it cannot be built with these settings.
    WeightsError
        The pretrained weights cannot be had; nothing is trained from scratch instead.
    """
    check_backbone(config)
    torch.manual_seed(seed)
    try:
        backbone = timm.create_model(
            config.backbone,
            pretrained=False,
            in_chans=1,
            num_classes=0,
            # Not every backbone has stochastic depth; one that lacks it must not be asked.
            **({"drop_path_rate": config.drop_path} if config.drop_path else {}),
        )
    except TypeError as error:
        raise ConfigError(
            f"model.backbone={config.backbone} cannot be built with model.drop_path="
            f"{config.drop_path}: {error}. Set model.drop_path=0."
        ) from error
    if config.weights != "none":
        load_pretrained(backbone, config)
    return HeartSoundNet(backbone, config, tasks)


def check_backbone(config: ModelConfig) -> None:
    """Refuse a backbone that timm does not have, with the nearest name."""
    if not timm.is_model(config.backbone):
        guess = nearest(config.backbone, timm.list_models())
        raise ConfigError(
            f"timm has no model.backbone {config.backbone!r}; "
            "`python -c 'import timm; print(*timm.list_models())'` lists them."
            + (f" Did you mean {guess!r}?" if guess else "")
        )
