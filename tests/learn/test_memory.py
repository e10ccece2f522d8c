"""What a process is told that runs networks: to keep freed memory, and how threads wait."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import pytest

from kfold_hs.openmp import wait_briefly
from kfold_hs.orchestrator import processes

SPINS, ASKED = "GOMP_SPINCOUNT", ("OMP_", "GOMP_", "KMP_")
CODE = """
import resource, sys
import numpy as np
if sys.argv[1] == "kept":
    from kfold_hs.cohort import Task
    from kfold_hs.learn.models.network import make_model
    from kfold_hs.config.schema import ModelConfig
    small = ModelConfig(backbone="test_efficientnet", weights="none")
    make_model(small, (Task("murmur", ("Present", "Absent"), "Present", (1.0, 1.0), "mean"),), 0)
def step():
    arrays = [np.ones(n, dtype=np.float32) for n in (100_000, 3_000_000, 12_000_000)]
    return sum(float(array[-1]) for array in arrays)
step()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(5):
    step()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.slow
@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="there is no glibc")
def test_whoever_makes_a_network_keeps_freed_memory_and_waits_briefly() -> None:
    told = {name: value for name, value in os.environ.items() if not name.startswith(ASKED)}

    def new_pages(how: str) -> int:
        done = subprocess.run(
            [sys.executable, "-c", CODE, how], capture_output=True, text=True, check=True,
            env={**told, "OMP_DISPLAY_ENV": "VERBOSE"},
        )  # fmt: skip
        spins = {line.split("=")[1].strip() for line in done.stderr.splitlines() if SPINS in line}
        assert spins == ({"'1000'"} if how == "kept" else set())
        return int(done.stdout)

    assert new_pages("kept") < 10 < new_pages("given back")


@pytest.mark.parametrize("name", ["OMP_WAIT_POLICY", "KMP_BLOCKTIME", "GOMP_SPINCOUNT"])
def test_what_the_user_says_of_waiting_counts(name: str) -> None:
    asked = {name: "77"}
    wait_briefly(asked)
    assert asked == {name: "77"}
    wait_briefly(unasked := {"OMP_NUM_THREADS": "2"})
    assert unasked["GOMP_SPINCOUNT"] == "1000"


@pytest.mark.parametrize(("before", "inside"), [("1000", "0"), ("5", "5"), (None, None)])
def test_several_processes_do_not_wait_in_circles_at_all(
    monkeypatch: pytest.MonkeyPatch, before: str | None, inside: str | None
) -> None:
    monkeypatch.delenv(SPINS, raising=False)
    if before is not None:
        monkeypatch.setenv(SPINS, before)
    with processes._patient_threads():
        assert os.environ.get(SPINS) == inside
    assert os.environ.get(SPINS) == before
