"""What a run was computed on, for its report."""

from __future__ import annotations

import os
import platform
import sys
from pathlib import Path
from typing import Any

from kfold_hs.files.machine import memory_bytes

CPUINFO = Path("/proc/cpuinfo")


def hardware(cpuinfo: Path = CPUINFO) -> dict[str, Any]:
    """processor (its model, or the architecture), cores that may be used, memory_gib.

    Of the machine that this process runs on: folds may be trained on others.
    """
    memory = memory_bytes() / 2**30
    return {"processor": _model(cpuinfo), "cores": n_cores(), "memory_gib": round(memory, 1)}


def n_cores() -> int:
    """Cores that this process may use."""
    if sys.platform == "linux":  # no other tells which cores are ours
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _model(cpuinfo: Path) -> str:
    if cpuinfo.is_file():
        for line in cpuinfo.read_text(encoding="utf-8").splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "model name":
                return value.strip()
    return platform.processor() or platform.machine()
