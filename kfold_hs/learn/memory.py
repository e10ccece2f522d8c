"""Memory: what a step gave back is kept for the next one; how much there is."""

from __future__ import annotations

import ctypes
import functools
import os
import platform
from pathlib import Path

import torch

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
    room = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    for path in map(Path, _LIMITS):
        if path.is_file() and (text := path.read_text().strip()).isdigit():
            room = min(room, int(text))
    return room
