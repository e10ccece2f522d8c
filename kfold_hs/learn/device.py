"""Which number format the network computes in.

How many threads torch computes with: they decide the last bits of a result on the CPU.

Sums are divided among threads, and floating-point sums depend on how they are divided. Two
trainings are alike to the bit only when they compute with equally many.

From numpy to the device without waiting for it.

Memory: what a step gave back is kept for the next one; how much there is.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import os
import platform
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from kfold_hs.config.schema import Config, TrainConfig
from kfold_hs.config.training import DeviceKind
from kfold_hs.errors import ConfigError
from kfold_hs.files.machine import memory_bytes


def autocast(precision: str, device: torch.device) -> torch.autocast:
    """bfloat16 where `train.precision` or, for auto, the device asks for it.

    On the CPU auto means float32, which was measured to be the faster of the two, and on GPUs that
    would have to emulate bfloat16.
    """
    wanted = precision == "bfloat16" or (precision == "auto" and device_kind(device) == "cuda")
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=wanted)


@functools.cache
def device_kind(device: torch.device) -> DeviceKind:
    """What of a device decides the numbers that are computed on it."""
    if device.type == "cpu":
        return "cpu"
    with torch.cuda.device(device):
        has_bfloat16 = torch.cuda.is_bf16_supported(including_emulation=False)
    return "cuda" if has_bfloat16 else "cuda_without_bfloat16"


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
    # torch reads it once, when a process first multiplies: a training that need not be exact may
    # be the one before.
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
    if name == "mps":
        raise ConfigError(
            "--device mps: Apple's GPU is not used; nothing of kfold-hs was tried on it. On a Mac "
            "folds are trained on the processor: --device cpu."
        )
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
    if config.train.backend == "cuda_graphs" and config.device_kind == "cpu":
        raise ConfigError(
            "train.backend=cuda_graphs needs an NVIDIA GPU, and this training is on "
            "the CPU. Set train.backend=eager, or --device cuda where there is one."
        )


@contextlib.contextmanager
def threads(n: int | None) -> Iterator[None]:
    """Compute with `n` threads, and then with as many as before; None changes nothing."""
    before = torch.get_num_threads()
    torch.set_num_threads(n or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def threads_of(n: int | None) -> int:
    """What `train.threads=n` comes to here: null stands for torch's own choice, all cores."""
    return n or torch.get_num_threads()


def to_device(values: np.ndarray, device: torch.device) -> torch.Tensor:
    """A tensor on `device`.

    For CUDA by way of pinned memory: a copy from elsewhere would wait until all steps before
    it are done.
    """
    tensor = torch.from_numpy(values)
    if device.type == "cpu":
        return tensor
    return tensor.pin_memory().to(device, non_blocking=True)


_TRIM_THRESHOLD, _MMAP_MAX = -1, -4  # of mallopt(3)
_NEVER = 2**31 - 1
_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")
"""Where Linux says how much the processes of a container may take."""


@functools.cache
def keep_freed_memory() -> bool:
    """Tell glibc to take large arrays from its heap, and to leave the heap as large as it was.

    By default it asks the system for each large array and gives it back: every training step
    then touches all of its activations as new pages, which takes a fifth of the time of a small
    network. Holds for the whole process; the peak of its memory stays what it was. Called where
    networks are made (`learn.models.network.make_model`), so that nobody who runs one forgets it.

    Returns
    -------
    bool
        False where there is no glibc: nothing was done.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    libc = ctypes.CDLL(None)
    return bool(libc.mallopt(_MMAP_MAX, 0) and libc.mallopt(_TRIM_THRESHOLD, _NEVER))


def room_on(device: torch.device) -> int:
    """Bytes that a process can have: what is free on a GPU, all memory beside the CPU."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    room = memory_bytes()
    for path in map(Path, _LIMITS):
        if path.is_file() and (text := path.read_text(encoding="ascii").strip()).isdigit():
            room = min(room, int(text))
    return room
