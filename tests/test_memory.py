"""Freed memory is kept: arrays of a step lie where those of the step before lay."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

CODE = """
import resource, sys
import numpy as np
if sys.argv[1] == "kept":
    from kfold_hs.learn.memory import keep_freed_memory
    assert keep_freed_memory()
def step():
    arrays = [np.ones(n, dtype=np.float32) for n in (100_000, 3_000_000, 12_000_000)]
    return sum(float(array[-1]) for array in arrays)
step()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(5):
    step()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="there is no glibc")
def test_a_step_touches_no_new_pages() -> None:
    def new_pages(how: str) -> int:
        done = subprocess.run(
            [sys.executable, "-c", CODE, how], capture_output=True, text=True, check=True
        )
        return int(done.stdout)

    assert new_pages("kept") < 10 < new_pages("given back")
