"""What the checks on a GPU share.

KFOLD_HS_TEST_DEVICE=cpu puts the CPU in the place of the GPU, in checks that need no CUDA: to try
the checks themselves.
"""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest
import torch


@pytest.fixture(scope="session")
def device() -> torch.device:
    """What is held against the CPU."""
    found = torch.device(os.environ.get("KFOLD_HS_TEST_DEVICE", "cuda:0"))
    if found.type == "cuda" and not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    return found


@pytest.fixture(scope="session")
def cuda(device: torch.device) -> torch.device:
    """The same, where nothing else will do."""
    if device.type != "cuda":
        pytest.skip(f"needs CUDA, and KFOLD_HS_TEST_DEVICE={device}")
    return device


@pytest.fixture
def figure(record_property: Callable[[str, object], None]) -> Callable[..., None]:
    """Say a number in the table of the checks: figure(seconds=1.5, losses=1e-6)."""

    def say(**numbers: float) -> None:
        for name, number in numbers.items():
            record_property(name.replace("_", " "), float(number))

    return say
