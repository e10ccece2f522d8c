"""Which number format the network computes in."""

from __future__ import annotations

import re

import torch

from kfold_hs.errors import ConfigError
from kfold_hs.settings import TrainConfig


def autocast(precision: str, device: torch.device) -> torch.autocast:
    """bfloat16 where `train.precision` or, for auto, the device asks for it.

    On the CPU auto means float32, which was measured to be the faster of the two.
    """
    wanted = precision == "bfloat16" or (precision == "auto" and device.type == "cuda")
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=wanted)


def pick_device(name: str) -> torch.device:
    """The device for `--device`: auto takes CUDA when there is one, else the CPU.

    Raises
    ------
    ConfigError
        The name is none of auto, cpu, cuda and cuda:N, or there is no such device here.
    """
    if not re.fullmatch(r"auto|cpu|cuda(:\d+)?", name):
        raise ConfigError(f"--device {name!r} is not one of auto, cpu, cuda and cuda:N.")
    n_cuda = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if name == "auto":
        return torch.device("cuda" if n_cuda else "cpu")
    device = torch.device(name)
    if device.type == "cuda" and (device.index or 0) >= n_cuda:
        raise ConfigError(
            f"--device {name}: torch sees {n_cuda} CUDA devices here. Use --device cpu, or a "
            "torch built for this machine's GPU and driver."
        )
    return device


def check_device(config: TrainConfig, device: torch.device) -> None:
    """Refuse what the device cannot do.

    Raises
    ------
    ConfigError
        CUDA graphs where there is no CUDA.
    """
    if config.cuda_graphs and device.type != "cuda":
        raise ConfigError(
            f"train.cuda_graphs=true needs an NVIDIA GPU, and this training is on {device.type}. "
            "Set train.cuda_graphs=false, or --device cuda where there is one."
        )
