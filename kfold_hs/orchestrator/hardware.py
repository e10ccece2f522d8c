"""What a run was computed on, for its report."""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import Any

CPUINFO = Path("/proc/cpuinfo")


def hardware(cpuinfo: Path = CPUINFO) -> dict[str, Any]:
    """processor (its model, or the architecture), cores that may be used, memory_gib.

    Of the machine that this process runs on: folds may be trained on others.
    """
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    return {"processor": _model(cpuinfo), "cores": n_cores(), "memory_gib": round(memory, 1)}


def n_cores() -> int:
    """Cores that this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # only Linux tells which cores are ours
        return os.cpu_count() or 1


def _model(cpuinfo: Path) -> str:
    if cpuinfo.is_file():
        for line in cpuinfo.read_text().splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "model name":
                return value.strip()
    return platform.processor() or platform.machine()
