"""What the checks on a GPU share."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch


@pytest.fixture(scope="session")
def cuda() -> torch.device:
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    return torch.device("cuda", 0)


@pytest.fixture
def figure(record_property: Callable[[str, object], None]) -> Callable[..., None]:
    """Say a number in the table of the checks: figure(seconds=1.5, losses=1e-6)."""

    def say(**numbers: float) -> None:
        for name, number in numbers.items():
            record_property(name.replace("_", " "), float(number))

    return say
