"""Checkpoints that a thread writes: what they hold, in which order, and a disk that is full."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from support.project import Silent
from support.training import fit

from kfold_hs.cohort import Cohort
from kfold_hs.errors import StorageError
from kfold_hs.files.paths import FoldId, write_bytes
from kfold_hs.learn import checkpoint


def test_a_checkpoint_holds_what_was_there_when_it_was_handed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = threading.Event()
    original = checkpoint.save

    def slow(path: Path, content: dict[str, object]) -> None:
        assert gate.wait(30)
        original(path, content)

    monkeypatch.setattr(checkpoint, "save", slow)
    layer = torch.nn.BatchNorm1d(2)
    history = [{"epoch": 0}]
    with checkpoint.Writer() as writer:
        writer.save({tmp_path / "a.pt": {"model": layer.state_dict(), "history": history}})
        with torch.no_grad():  # the next epoch
            layer.weight.fill_(7)
        history.append({"epoch": 1})
        assert not (tmp_path / "a.pt").exists()
        gate.set()
    found = checkpoint.load(tmp_path / "a.pt")
    assert found["model"]["weight"].tolist() == [1, 1]
    assert found["model"]._metadata[""] == {"version": 2}
    assert found["history"] == [{"epoch": 0}]


def test_checkpoints_are_written_in_order_and_one_epoch_s_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gates = {1: threading.Event(), 2: threading.Event()}
    written: list[tuple[str, int]] = []

    def slow(path: Path, content: dict[str, int]) -> None:
        assert gates[content["epoch"]].wait(30)
        written.append((path.name, content["epoch"]))

    monkeypatch.setattr(checkpoint, "save", slow)
    with checkpoint.Writer() as writer:
        assert not writer.is_busy
        writer.save({tmp_path / name: {"epoch": 1} for name in ("best", "resume")})
        assert written == []
        assert writer.is_busy
        threading.Timer(0.05, gates[1].set).start()
        writer.save({tmp_path / "best": {"epoch": 2}})  # comes back when the first are written
        assert written == [("best", 1), ("resume", 1)]
        gates[2].set()
    assert written == [("best", 1), ("resume", 1), ("best", 2)]


def test_training_does_not_wait_for_the_disk_and_goes_on_from_what_lies_there(
    cohort: Cohort, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first epoch's files take until the last epoch: those between are left out."""
    original, seen = checkpoint.save, list[tuple[str, int]]()
    gate = threading.Event()

    def slow(path: Path, content: dict[str, Any]) -> None:
        assert gate.wait(30)
        n_epochs = content["epoch"] + 1 if "epoch" in content else len(content["history"])
        seen.append((path.name, n_epochs))
        original(path, content)

    class Opens(Silent):
        def epoch(self, place: object, row: Mapping[str, float]) -> None:
            super().epoch(place, row)
            if len(self.rows) == 4:
                gate.set()
                raise KeyboardInterrupt

    words = ["train.epochs=5", "split.n_folds=2"]
    _, whole = fit(cohort, tmp_path / "whole", *words)
    monkeypatch.setattr(checkpoint, "save", slow)
    with pytest.raises(KeyboardInterrupt):
        fit(cohort, tmp_path / "parts", *words, listener=Opens())
    assert seen == [("best_model.pt", 1), ("resume.pt", 1)]
    paths, parts = fit(cohort, tmp_path / "parts", *words)
    pd.testing.assert_frame_equal(parts.table, whole.table, check_exact=True)
    fold = paths.fold(FoldId(0, 0, 0))
    history = pd.read_csv(fold.history)
    (best,) = history["epoch"][history["best"]]
    assert checkpoint.load(fold.best_model)["epoch"] == best


def write_two(folder: Path, interrupted: bool) -> None:
    with checkpoint.Writer() as writer:
        writer.save({folder / "file" / "best.pt": {}})
        if interrupted:
            raise KeyboardInterrupt
        writer.save({folder / "resume.pt": {}})


def test_after_one_that_cannot_be_written_no_other_is(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="cannot write"):
        write_two(tmp_path, interrupted=False)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    with pytest.raises(KeyboardInterrupt):  # not replaced by the other
        write_two(tmp_path, interrupted=True)


@pytest.mark.parametrize("n_written", [1, 5])
def test_a_fold_that_finds_the_disk_full_says_so_and_goes_on_later(
    cohort: Cohort,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    n_written: int,
) -> None:
    _, whole = fit(cohort, tmp_path / "whole")
    left = [n_written]

    def write(target: Path, content: bytes, checksum: bool) -> None:
        left[0] -= 1
        if left[0] < 0:
            raise StorageError(f"no room to write {target}")
        write_bytes(target, content, checksum)

    with monkeypatch.context() as full:
        full.setattr(checkpoint, "write_bytes", write)
        with pytest.raises(StorageError, match="no room to write"):
            fit(cohort, tmp_path / "parts")
    _, parts = fit(cohort, tmp_path / "parts")
    assert parts.table.equals(whole.table)
