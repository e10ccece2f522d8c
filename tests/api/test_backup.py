"""A machine that is lost in the middle of a run; another one goes on from the copy."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from support.api import TASKS

import kfold_hs as kf
from kfold_hs.errors import ConfigError, StorageError
from kfold_hs.files.paths import write_text

LOST = """
import os, signal, sys
import pandas as pd
import kfold_hs as kf
from kfold_hs.orchestrator.progress import NullProgress

class Losing(NullProgress):
    def epoch(self, fold, row):
        kept.save()
        if (fold.fold, row["epoch"]) == (1, 1):
            os.kill(os.getpid(), signal.SIGKILL)

cohort = kf.Cohort.from_frame(pd.read_csv("table.csv"), {tasks!r}, root=".", person="person")
with kf.keep_copy({root!r}, {copy!r}) as kept:
    kf.cross_validate(cohort, root={root!r}, name="tiny", progress=Losing(), **{tiny!r})
"""


class Seen:
    """Which folds were found, and which epochs trained."""

    def __init__(self) -> None:
        self.found: list[int] = []
        self.epochs: list[tuple[int, int]] = []

    def fold(self, fold: Any, state: str, note: str = "") -> None:
        self.found += [fold.fold] * (state == "found")

    def epoch(self, fold: Any, row: Any) -> None:
        self.epochs.append((fold.fold, int(row["epoch"])))

    def __getattr__(self, name: str) -> Any:
        return lambda *_: None


@pytest.mark.slow  # tests/api/test_colab.py does the same by way of a notebook
def test_another_machine_goes_on_to_the_same_predictions(
    report: kf.Report, people: kf.Cohort, place: Path, tiny: dict[str, Any], tmp_path: Path
) -> None:
    copy, lost = tmp_path / "copy", tmp_path / "lost"
    script = LOST.format(tasks=TASKS, root=str(lost), copy=str(copy), tiny=tiny)
    ended = subprocess.run([sys.executable, "-c", script], cwd=place, capture_output=True)
    assert ended.returncode == -signal.SIGKILL, ended.stderr.decode()
    seen, here = Seen(), tmp_path / "here"
    with kf.keep_copy(here, copy):
        again = kf.cross_validate(people, root=here, name="tiny", progress=seen, **tiny)  # type: ignore[arg-type]
    assert seen.found == [0]
    assert (1, 0) not in seen.epochs  # whole epochs are not trained again
    pd.testing.assert_frame_equal(again.predictions, report.predictions)
    third = tmp_path / "third"
    with kf.keep_copy(third, copy):
        assert kf.read_report(third / "reports/tiny").summary.headline == again.summary.headline
        assert (third / "checkpoints/best_model.pt").is_file()


def test_the_copy_is_updated_while_the_block_runs(tmp_path: Path) -> None:
    folder, copy = tmp_path / "runs", tmp_path / "copy"
    with kf.keep_copy(folder, copy, every_s=1.0):
        write_text(folder / "reports/a.txt", "text")
        until = time.monotonic() + 600
        while not (copy / "reports/copy-1.zip").exists() and time.monotonic() < until:
            time.sleep(0.05)
        assert (copy / "reports/copy-1.zip").is_file()

    def stopped() -> None:
        with kf.keep_copy(folder, copy):
            write_text(folder / "reports/a.txt", "changed")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stopped()
    assert (copy / "reports/copy-2.zip").is_file()


def test_a_disk_that_is_gone_does_not_end_the_work(tmp_path: Path) -> None:
    folder, copy, done = tmp_path / "runs", tmp_path / "disk/copy", []
    copy.parent.mkdir()

    def work(text: str, fault: Exception | None = None) -> None:
        with kf.keep_copy(folder, copy, every_s=1.0):
            shutil.rmtree(copy)
            copy.touch()
            write_text(folder / "reports/a.txt", text)
            time.sleep(1.5)
            done.append(text)
            if fault is not None:
                raise fault

    again = pytest.warns(UserWarning, match="the work goes on, and it is tried again in 1 s")
    said = r"The block is done, and what it made lies in .*runs; .*cannot write.* enter the block"
    with again, pytest.raises(StorageError, match=said):
        work("first")
    copy.unlink()
    with again, pytest.raises(ValueError, match="own") as error:
        work("second", ValueError("own"))
    assert any("was not brought up to date" in note for note in error.value.__notes__)
    assert done == ["first", "second"]
    copy.unlink()
    with kf.keep_copy(folder, copy):
        pass
    assert (copy / "reports/copy-1.zip").is_file()


def test_a_folder_that_is_removed_is_named(tmp_path: Path) -> None:
    def work() -> None:
        with kf.keep_copy(tmp_path / "runs", tmp_path / "copy"):
            shutil.rmtree(tmp_path / "runs")

    with pytest.raises(StorageError, match=r"runs is gone: it was removed or moved"):
        work()


def test_what_does_not_fit(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"every_s=0.0: give a number of seconds, at least 1"):
        kf.keep_copy(tmp_path, tmp_path / "copy", every_s=0.0).__enter__()
    for odd in ("5", None, float("nan"), float("inf")):
        with pytest.raises(ConfigError, match=r"every_s=.*: give a number of seconds"):
            kf.keep_copy(tmp_path, tmp_path / "copy", every_s=odd).__enter__()  # type: ignore[arg-type]
    for places in ((None, "copy"), ("", "copy"), ("runs", 5)):
        with pytest.raises(ConfigError, match=r"=(None|''|5): give the path of a folder"):
            kf.keep_copy(*places).__enter__()  # type: ignore[arg-type]
    with pytest.raises(StorageError, match="Mount the disk first"):
        kf.keep_copy(tmp_path / "runs", tmp_path / "drive/MyDrive/runs").__enter__()
    source = tmp_path / "from"
    with kf.keep_copy(source, tmp_path / "copy"):
        write_text(source / "reports/a.txt", "text")
    (tmp_path / "copy/reports/copy-1.zip").write_bytes(b"half")
    with (
        pytest.warns(UserWarning, match=r"1 folder of the copy is damaged.*reports"),
        kf.keep_copy(tmp_path / "new", tmp_path / "copy"),
    ):
        assert not (tmp_path / "new/reports").exists()


def test_the_page_in_a_notebook(report: kf.Report) -> None:
    shown = report.show(height=500).data
    assert shown.startswith("<div><iframe")
    assert "height: 500px" in shown
    assert "&lt;!doctype html" in shown.lower()
    with pytest.raises(kf.KfoldHsError, match="at least 100 pixels"):
        report.show(height=5)
