"""`kfold_hs.testing.check_model`: what keeps the contract passes, each breach is named."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from support.plugin_files import importable
from torch import nn

from kfold_hs import register
from kfold_hs.testing import Checked, ContractError, check_model


@pytest.fixture(autouse=True)
def _forgotten(tmp_path: Path) -> Iterator[None]:
    with importable(tmp_path):
        yield


class Small(nn.Module):
    def __init__(self, in_channels: int, width: int = 4) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, width, 5, stride=4)
        self.count = 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.conv(x).mean(dim=(2, 3))


@pytest.mark.slow
def test_a_network_that_keeps_the_contract() -> None:
    assert check_model(Small, width=3) == Checked("small", 3 * 26 + 3 * 5 + 5, "ONNX")
    assert register.named_model(Small) == "small"  # it was added under its own name


class OfTheBatch(Small):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        found = super().forward(x)
        return found - found.mean(dim=0)


class Drawing(Small):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return nn.functional.dropout(super().forward(x), 0.5, training=True)


class Counting(Small):
    """What it learns stands beside its state."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.training:
            self.count += 1
        return super().forward(x) * (1 + self.count / 10)


@pytest.mark.parametrize(
    ("model", "fault"),
    [
        (OfTheBatch, "must not depend on the rest of its batch"),
        pytest.param(Drawing, "nothing may be drawn or counted", marks=pytest.mark.slow),
        pytest.param(Counting, "must be in its state_dict", marks=pytest.mark.slow),
    ],
)
def test_a_breach_is_named(model: type[nn.Module], fault: str) -> None:
    with pytest.raises(ContractError, match=fault):
        check_model(model)


@pytest.mark.slow
def test_what_cannot_be_exported_says_why() -> None:
    class Branching(Small):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            found = super().forward(x)
            return torch.stack([row if float(row.detach().sum()) > 0 else 2 * row for row in found])

    found = check_model(Branching)
    assert found.export.startswith("torch.export cannot:")
