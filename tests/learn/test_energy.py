"""Counters of energy as Linux lays them out: packages add up, wrap round, and may be unreadable."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from kfold_hs.learn.tracking.energy import counters, joules_since

CPU = torch.device("cpu")


def zone(root: Path, name: str, kind: str, microjoules: int) -> Path:
    folder = root / name
    folder.mkdir(exist_ok=True)
    (folder / "name").write_text(f"{kind}\n")
    (folder / "energy_uj").write_text(f"{microjoules}\n")
    (folder / "max_energy_range_uj").write_text("1000000000\n")
    return folder


def test_packages_are_added_and_a_counter_wraps(tmp_path: Path) -> None:
    zone(tmp_path, "intel-rapl:0", "package-0", 5_000_000)
    zone(tmp_path, "intel-rapl:0:0", "core", 1)  # part of its package
    zone(tmp_path, "intel-rapl:1", "package-1", 999_000_000)
    before = counters(CPU, tmp_path)
    zone(tmp_path, "intel-rapl:0", "package-0", 7_500_000)
    zone(tmp_path, "intel-rapl:1", "package-1", 500_000)
    assert joules_since(before, counters(CPU, tmp_path)) == {"joules": pytest.approx(2.5 + 1.5)}


def test_what_cannot_be_read_is_not_told(tmp_path: Path) -> None:
    assert counters(CPU, tmp_path / "none") == {}
    zone(tmp_path, "intel-rapl:0", "package-0", 1)
    seen = counters(CPU, tmp_path)
    assert counters(torch.device("cuda"), tmp_path) == {}
    (tmp_path / "intel-rapl:0" / "energy_uj").unlink()
    assert counters(CPU, tmp_path) == {}
    assert joules_since(seen, {}) == {}
    assert joules_since({}, seen) == {}
