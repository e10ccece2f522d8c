"""What the operating system says of memory: that of this machine, and the most of this process."""

from __future__ import annotations

import ctypes
import os
import sys


def memory_bytes() -> int:
    """All memory of this machine."""
    if sys.platform == "win32":
        # MEMORYSTATUSEX: its own length and the load in 32 bits each, then all memory.
        status = (ctypes.c_uint64 * 8)(64)
        if not ctypes.windll.kernel32.GlobalMemoryStatusEx(status):
            raise ctypes.WinError()
        return int(status[1])
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def peak_memory_bytes() -> int:
    """The most memory that this process has held so far."""
    if sys.platform == "win32":
        # PROCESS_MEMORY_COUNTERS: its own length and a count in 32 bits each, then the peak.
        counters, this_process = (ctypes.c_uint64 * 9)(72), ctypes.c_void_p(-1)
        if not ctypes.windll.kernel32.K32GetProcessMemoryInfo(this_process, counters, 72):
            raise ctypes.WinError()
        return int(counters[1])
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
