"""The learning-rate range test, on a real tiny training."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from support.project import TINY, Silent, kfold_hs

from kfold_hs.config.compose import compose
from kfold_hs.errors import ConfigError, TrainingError
from kfold_hs.learn.training.lr_range import Range, _read
from kfold_hs.workflows.lr_range import find_lr


def rate(step: int) -> float:
    return float(1e-6 * 10 ** (step / 10))


def test_the_steepest_and_the_lowest_point_of_a_known_curve() -> None:
    steps = np.arange(60)
    # Flat, falls fastest around step 30 (1e-3), lowest at 42, then rises.
    losses = 1 - 0.6 / (1 + np.exp(-(steps - 30) / 2)) + np.where(steps > 42, (steps - 42) ** 2, 0)
    found = _read(list(losses), rate)
    assert rate(29) < found.steepest < rate(36)  # the smoothing lags behind a little
    assert rate(40) < found.lowest <= rate(44)
    assert found.table["smoothed"].iloc[-1] <= 4 * found.table["smoothed"].min()


def test_a_loss_that_diverges_at_once() -> None:
    with pytest.raises(TrainingError, match="Begin lower with --from"):
        _read([0.5] * 4 + [float("nan")] * 20, rate)


def test_on_a_training(shared_table_csv: Path) -> None:
    config = compose([*TINY, f"data.path={shared_table_csv}"])
    found = find_lr(config, Silent(), Range(1e-5, n_steps=60))
    again = find_lr(config, Silent(), Range(1e-5, n_steps=60))
    assert found.table.equals(again.table)
    assert found.table["lr"].iloc[0] == pytest.approx(1e-5)
    assert found.table["lr"].is_monotonic_increasing
    assert 1e-5 < found.steepest <= found.lowest <= 1
    with pytest.raises(ConfigError, match="the range must go up"):
        find_lr(config, Silent(), Range(1.0, 0.1))


def test_the_command_writes_a_plot(tmp_path: Path, shared_table_csv: Path) -> None:
    words = ["lr-find", *TINY, f"data.path={shared_table_csv}", "--steps", "40", "-o", "lr.html"]
    done = kfold_hs(*words, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "Try optim.lr=" in done.stdout
    assert "Learning-rate range test" in (tmp_path / "lr.html").read_text()
