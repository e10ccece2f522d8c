"""What a log says of the time that is left."""

from __future__ import annotations

import pytest

from kfold_hs.files.paths import FoldId
from kfold_hs.orchestrator import rich_progress
from kfold_hs.orchestrator.rich_progress import RichProgress


def test_a_log_says_how_long_the_rest_takes(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = [0.0]
    monkeypatch.setattr(rich_progress.time, "monotonic", lambda: now[0])
    row = {"train_loss": 1.0, "val_loss": 1.0}
    with RichProgress() as progress:
        progress.training(3, 4)
        progress.fold(FoldId(0, 0, 0), "found")  # 8 epochs are left
        for fold in (1, 2):
            progress.fold(FoldId(0, 0, fold), "start")
            for epoch in range(4):
                now[0] += 20.0
                progress.epoch(FoldId(0, 0, fold), row | {"epoch": epoch})
            progress.fold(FoldId(0, 0, fold), "done")
    lines = [line for line in capsys.readouterr().err.splitlines() if "epoch" in line]
    assert lines[0].endswith("about 2:20 left")
    assert lines[3].endswith("about 1:20 left")
    assert lines[-1].endswith("about 0:00 left")
