"""Which number format the network computes in."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator

import torch

from kfold_hs.config.schema import Config, TrainConfig
from kfold_hs.errors import ConfigError


def autocast(precision: str, device: torch.device) -> torch.autocast:
    """bfloat16 where `train.precision` or, for auto, the device asks for it.

    On the CPU auto means float32, which was measured to be the faster of the two.
    """
    wanted = precision == "bfloat16" or (precision == "auto" and device.type == "cuda")
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=wanted)


def in_float32(x: torch.Tensor) -> contextlib.AbstractContextManager[object]:
    """Heads and attention compute in float32 whatever the backbone does.

    A logit of bfloat16 has 8 bits: half of 300 patients would tie with another.
    """
    if torch.is_autocast_enabled(x.device.type):
        return torch.autocast(x.device.type, enabled=False)
    return contextlib.nullcontext()


@contextlib.contextmanager
def exactness(config: TrainConfig, device: torch.device) -> Iterator[None]:
    """`device` as the current one, as exact as `config` wants it; nothing on the CPU.

    `train.tf32`: with 10 bits of mantissa. `train.deterministic`: by algorithms that give the same
    bits each time; torch refuses operations that have none.
    """
    if device.type != "cuda":
        yield
        return
    # Streams and graphs are made on the current device, not on that of their tensors.
    with torch.cuda.device(device), _exactness(config.tf32, config.deterministic):
        yield


@contextlib.contextmanager
def _exactness(tf32: bool, deterministic: bool) -> Iterator[None]:
    # cuBLAS reads it when it is used first.
    if deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    backends = (torch.backends.cuda.matmul, torch.backends.cudnn.conv)  # type: ignore[attr-defined]
    formats = [each.fp32_precision for each in backends]
    is_deterministic, is_cudnn = (
        torch.are_deterministic_algorithms_enabled(),
        torch.backends.cudnn.deterministic,
    )
    try:
        for each in backends:
            each.fp32_precision = "tf32" if tf32 else "ieee"
        torch.use_deterministic_algorithms(deterministic)
        torch.backends.cudnn.deterministic = deterministic
        yield
    finally:
        for each, before in zip(backends, formats, strict=True):
            each.fp32_precision = before
        torch.use_deterministic_algorithms(is_deterministic)
        torch.backends.cudnn.deterministic = is_cudnn


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


def check_device(config: Config) -> None:
    """Refuse what the device that folds are trained on cannot do.

    Raises
    ------
    ConfigError
        CUDA graphs where there is no CUDA.
    """
    if config.train.backend == "cuda_graphs" and config.device_kind != "cuda":
        raise ConfigError(
            "train.backend=cuda_graphs needs an NVIDIA GPU, and this training is on "
            f"{config.device_kind}. Set train.backend=eager, or --device cuda where there is one."
        )
