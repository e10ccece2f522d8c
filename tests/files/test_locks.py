"""Locks: one process holds one, its end releases it, and a file system without locks is named."""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from kfold_hs.errors import KfoldHsError, StorageError
from kfold_hs.files.atomic import sweep, write_text, writing
from kfold_hs.orchestrator.lock import lock

HOLD = """
import signal, sys
from pathlib import Path
from kfold_hs.files.atomic import writing
from kfold_hs.orchestrator.lock import lock
folder = Path(sys.argv[1])
with lock(folder / ".lock", "it"), writing(folder / "text") as temporary:
    temporary.write_text("half")
    print("held", flush=True)
    signal.pause()
"""


@pytest.fixture
def holder(tmp_path: Path) -> subprocess.Popen[str]:
    """Another process that holds the lock of the folder and writes a file there."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    with process.stdout as said:
        assert said.readline() == "held\n"
    return process


def test_a_killed_process_holds_nothing(holder: subprocess.Popen[str], tmp_path: Path) -> None:
    with pytest.raises(KfoldHsError, match="another process is working on it"):
        lock(tmp_path / ".lock", "it").__enter__()
    sweep(tmp_path)
    assert len(list(tmp_path.glob(".text.*.tmp"))) == 1
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    with lock(tmp_path / ".lock", "it"):
        sweep(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [".lock"]


@pytest.mark.parametrize("reason", [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP])
def test_a_file_system_without_locks(
    reason: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: int, __: int) -> None:
        raise OSError(reason, os.strerror(reason))

    monkeypatch.setattr(fcntl, "flock", refuse)
    with pytest.raises(StorageError, match=r"has no locks.*--root"):
        lock(tmp_path / ".lock", "it").__enter__()
    with writing(tmp_path / "text") as temporary:
        sweep(tmp_path)  # it may be somebody's for a day
        temporary.write_text("whole")
    write_text(tmp_path / "text", "again")
    assert (tmp_path / "text").read_text() == "again"


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="cannot write"):
        lock(tmp_path / "file" / ".lock", "it").__enter__()
