"""Networks of plug-ins: made, and asked once whether they give what they must."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from kfold_hs.cohort import Task
from kfold_hs.config.models import MODELS, BackboneConfig
from kfold_hs.config.schema import Config, NetworkConfig
from kfold_hs.errors import ConfigError


class MeanOfFrames(nn.Module):
    """Crops (n, channels, bands, frames) -> mean over the frames, (n, channels * bands)."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.mean(dim=3).flatten(1)


class _Taken(nn.Module):
    """A plug-in's module, given crops in the form that it asks for."""

    def __init__(self, module: nn.Module, is_waveform: bool) -> None:
        super().__init__()
        self.module, self.is_waveform = module, is_waveform

    def forward(self, x: torch.Tensor) -> Any:
        return self.module(x.squeeze(2).contiguous() if self.is_waveform else x)


class _Backbone(_Taken):
    """One that gives embeddings; `num_features` is their width, as timm calls it."""

    def __init__(self, module: nn.Module, is_waveform: bool, crop: torch.Tensor, name: str) -> None:
        super().__init__(module, is_waveform)
        found = _asked(self, crop, name)
        if not isinstance(found, torch.Tensor) or found.ndim != 2 or len(found) != len(crop):
            raise ConfigError(
                f"model={name} has no parameter n_classes, so that it is a backbone and gives a "
                f"tensor (n, size); of crops {tuple(crop.shape)} it gave {_words(found)}."
            )
        self.num_features = found.shape[1]


def own_backbone(config: BackboneConfig, crop: tuple[int, int]) -> nn.Module:
    """The backbone of such settings; `crop` is bands and frames.

    Raises
    ------
    ConfigError
        It cannot be made, or does not give embeddings.
    """
    channels = 1 + config.deltas
    example = torch.zeros(2, channels, *crop)
    build = MODELS.of(config).build
    if build is None:
        return _Backbone(MeanOfFrames(), False, example, config.kind)
    module = _made(config, in_channels=channels)
    return _Backbone(module, takes_waveform(config), example, config.kind)


def own_network(config: NetworkConfig, tasks: tuple[Task, ...], crop: tuple[int, int]) -> nn.Module:
    """The whole network of such settings.

    Raises
    ------
    ConfigError
        It cannot be made, or does not give logits of each task.
    """
    n_classes = {task.name: task.n_classes for task in tasks}
    module = _made(config, in_channels=1 + config.deltas, n_classes=n_classes)
    taken = _Taken(module, takes_waveform(config))
    example = torch.zeros(2, 1 + config.deltas, *crop)
    found = _asked(taken, example, config.kind)
    shapes = {k: tuple(v.shape) for k, v in found.items()} if isinstance(found, dict) else None
    if shapes != {name: (2, n) for name, n in n_classes.items()}:
        raise ConfigError(
            f"model={config.kind} must give logits of each task, a dict of "
            f"{', '.join(f'{k!r}: (n, {n})' for k, n in n_classes.items())}; of n = 2 crops "
            f"{tuple(example.shape)} it gave {_words(found)}."
        )
    return taken


def takes_waveform(config: NetworkConfig) -> bool:
    """Whether a network takes samples in place of features."""
    return getattr(config, "inputs", "features") == "waveform"


def check_own(config: Config) -> None:
    """Refuse what a plug-in's network cannot do.

    Raises
    ------
    ConfigError
        It takes waveforms and gets something else, or is to pool patients and has no embedding.
    """
    model, features = config.model, config.features
    if takes_waveform(model) and features.n_mels != 1:
        raise ConfigError(
            f"model={model.kind} takes waveforms, and features={features.kind} has "
            f"{features.n_mels} bands: set features=waveform, and train.crop_frames in samples."
        )
    if config.train.level == "patient" and not isinstance(model, BackboneConfig):
        raise ConfigError(
            f"train.level=patient pools embeddings, and model={model.kind} goes from crops to "
            "logits by itself: leave n_classes out of its parameters and give embeddings, or set "
            "train.level=recording."
        )


def _made(config: NetworkConfig, **context: Any) -> nn.Module:
    build = MODELS.of(config).build
    assert build is not None
    try:
        module = build(config, **context)
    except ConfigError:
        raise
    except Exception as error:
        raise ConfigError(
            f"model={config.kind} cannot be made: {type(error).__name__}: {error}"
        ) from error
    if not isinstance(module, nn.Module):
        raise ConfigError(f"model={config.kind} is no torch.nn.Module but {_words(module)}.")
    return module


@torch.inference_mode()
def _asked(module: nn.Module, crop: torch.Tensor, name: str) -> Any:
    """What it gives of a crop; drawing nothing, and leaving it as it was."""
    was, state = module.training, {k: v.clone() for k, v in module.state_dict().items()}
    try:
        with torch.random.fork_rng(devices=[]):
            found = module.eval()(crop)
    except Exception as error:
        raise ConfigError(
            f"model={name} cannot take crops {tuple(crop.shape)}: {type(error).__name__}: "
            f"{str(error).splitlines()[0] if str(error) else ''}"
        ) from error
    module.load_state_dict(state)
    module.train(was)
    return found


def _words(found: Any) -> str:
    if isinstance(found, torch.Tensor):
        return f"a tensor {tuple(found.shape)}"
    if isinstance(found, dict):
        parts = [f"{k!r}: {_words(v)}" for k, v in list(found.items())[:4]]
        return "{" + ", ".join(parts) + "}"
    return f"a {type(found).__name__}"
