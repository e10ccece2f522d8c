"""Backbones that are named by where they lie: `hf-hub:OWNER/NAME` and `local-dir:FOLDER`.

Both hold a `config.json` in timm's form (its architecture and arguments) beside the weights. What
it says is read once, when a configuration is made, and is part of it from then on: a run is named
by the weights and not by the place, and a run, a bundle or a page that is read later needs neither
the folder nor the network.
"""

from __future__ import annotations

import functools
import json
import os
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from kfold_hs.config.base import Settings
from kfold_hs.errors import ConfigError, WeightsError, listing, shown
from kfold_hs.files.atomic import sha256_of

LOCAL, HUB = "local-dir:", "hf-hub:"
_OURS = {"num_classes", "in_chans", "drop_path_rate", "features_only", "pretrained"}
"""Arguments that the network decides, whatever a config.json says."""
_WEIGHTS = ("model.safetensors", "pytorch_model.bin", "pytorch_model.pth", "model.pth")
_ENDINGS = (".safetensors", ".pth", ".bin")


class BackboneSource(Settings):
    """What the place that `model.backbone` names holds.

    name : the place, as `model.backbone` says it
    architecture : a name of timm's
    args : further arguments of it
    digest : of the weights: the SHA-256 of a folder's file, the commit of a repository
    file : of the weights, in a folder
    """

    name: str
    architecture: str
    args: dict[str, Any]
    digest: str
    file: str | None = None

    def __hash__(self) -> int:
        return hash((self.name, self.architecture, self.digest))

    @property
    def identity(self) -> dict[str, Any]:
        """What of it is part of a digest: not where it lies."""
        return self.model_dump(mode="json", include={"architecture", "args", "digest"})

    @property
    def weights_file(self) -> Path:
        """Of a folder; as it was when the configuration was made, or refused.

        Raises
        ------
        WeightsError
            It is not there, or has changed since.
        """
        assert self.file is not None
        path = folder_of(self.name) / self.file
        if not path.is_file():
            raise WeightsError(
                f"model.backbone={self.name}: {path} is not there any more. Put the folder back; "
                "what is trained needs it no longer."
            )
        if sha256_of(path) != self.digest:
            raise WeightsError(
                f"model.backbone={self.name}: {path} has changed since these settings were made "
                f"(its SHA-256 was {self.digest[:16]}). Put the file back, or begin another run."
            )
        return path

    @property
    def pinned(self) -> str:
        """The repository at its commit, as timm takes it."""
        return f"{self.name.split('@')[0]}@{self.digest}"


def is_place(backbone: object) -> bool:
    """Whether a backbone's name is that of a place."""
    return isinstance(backbone, str) and backbone.startswith((LOCAL, HUB))


def folder_of(name: str) -> Path:
    return Path(name.removeprefix(LOCAL)).expanduser()


def with_own_weights(model: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of a model that name a place: the weights are those that lie there."""
    return {**model, "weights": "source"} if is_place(model.get("backbone")) else dict(model)


def find_source(name: str) -> BackboneSource:
    """Look into the place that a backbone's name says.

    Raises
    ------
    ConfigError
        It lacks a config.json of timm's form, or weights.
    WeightsError
        The hub cannot be reached, or has no such repository.
    """
    return _in_folder(name) if name.startswith(LOCAL) else _on_hub(name)


def _in_folder(name: str) -> BackboneSource:
    folder = folder_of(name)
    if not folder.is_dir():
        raise ConfigError(
            f"model.backbone={name}: there is no folder {folder} (from {Path.cwd()}). It must hold "
            "a config.json in timm's form and the weights, as timm.models.save_for_hf writes them."
        )
    content = folder / "config.json"
    if not content.is_file():
        raise ConfigError(
            f"model.backbone={name}: {folder} has no config.json. timm.models.save_for_hf(network, "
            "folder) writes one; weights alone go by model.weights=file model.weights_file=PATH."
        )
    file = _weights_in(name, folder)
    status = (folder / file).stat()
    digest = _digest(folder / file, status.st_size, status.st_mtime_ns)
    return BackboneSource(name=name, **_read(name, content), digest=digest, file=file)


def _weights_in(name: str, folder: Path) -> str:
    there = sorted(each.name for each in folder.iterdir() if each.name.endswith(_ENDINGS))
    known = [each for each in _WEIGHTS if each in there]
    if known or len(there) == 1:
        return (known or there)[0]
    lack = f"several files of weights ({listing(there)})" if there else "no file of weights"
    raise ConfigError(
        f"model.backbone={name}: {folder} has {lack}. One is needed, named {listing(_WEIGHTS)}."
    )


@functools.lru_cache(maxsize=64)  # the variants of a search ask again and again
def _digest(path: Path, size: int, changed_ns: int) -> str:
    return sha256_of(path)


def _read(name: str, path: Path) -> dict[str, Any]:
    """architecture and args of a config.json."""
    try:
        content = json.loads(path.read_bytes())
        architecture, args = content["architecture"], content.get("model_args") or {}
        if not isinstance(architecture, str) or not isinstance(args, dict):
            raise TypeError
    except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
        raise ConfigError(
            f"model.backbone={name}: {path} is not in timm's form: it names no architecture "
            '("architecture": "resnet18"). timm.models.save_for_hf writes it.'
        ) from error
    # Its first part is the architecture, what follows a dot the weights.
    kept = {key: value for key, value in args.items() if key not in _OURS}
    if not kept.get("global_pool", True):  # saved without pooling; an embedding has it
        del kept["global_pool"]
    return {"architecture": architecture.split(".")[0], "args": kept}


def _on_hub(name: str) -> BackboneSource:
    from huggingface_hub import hf_hub_download, try_to_load_from_cache
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    repository, _, revision = name.removeprefix(HUB).partition("@")
    try:
        found = try_to_load_from_cache(repository, "config.json", revision=revision or None)
        if not isinstance(found, str):
            check_reachable(f"{name} is", f"model.backbone={name}")
            found = hf_hub_download(repository, "config.json", revision=revision or None)
    except HFValidationError as error:
        raise ConfigError(
            f"model.backbone={shown(name)} names no repository: write hf-hub:OWNER/NAME or "
            "hf-hub:OWNER/NAME@REVISION."
        ) from error
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        text = str(error).strip().splitlines()[0].rstrip(".")
        raise WeightsError(
            f"model.backbone={name} cannot be had from the hub: {text}. Look for the name at "
            "https://huggingface.co/models?library=timm, or copy its files into a folder and use "
            "model.backbone=local-dir:FOLDER."
        ) from error
    path = Path(found)
    return BackboneSource(name=name, **_read(name, path), digest=path.parent.name)


def check_reachable(what: str, key: str) -> None:
    """Fail at once, not after a minute of retries, where the hub's name cannot be resolved.

    Raises
    ------
    WeightsError
        What is not in the hub's cache cannot be fetched either.
    """
    from huggingface_hub import constants, is_offline_mode

    if is_offline_mode():
        why = "HF_HUB_OFFLINE forbids to ask the hub"
    elif os.environ.get("HTTPS_PROXY") or os.environ.get("https_proxy"):
        return  # names are resolved by the proxy
    else:
        host = urlsplit(constants.ENDPOINT).hostname
        try:
            socket.getaddrinfo(host, 443)
            return
        except OSError as error:
            why = f"the hub ({host}) cannot be reached: {error.strerror}"
    raise WeightsError(
        f"{what} not in the hub's cache and {why}. Ask once on a machine that reaches the hub: the "
        f"cache it leaves works offline; or copy its files into a folder and name it, in place of "
        f"{key}, as model.backbone=local-dir:FOLDER."
    )
