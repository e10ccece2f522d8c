"""Files are written whole or not at all."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from kfold_hs.errors import ConfigError, StorageError
from kfold_hs.files.paths import check_name, write_json, write_text, writing, writing_folder


def write_half(target: Path) -> None:
    with writing(target) as temporary:
        temporary.write_text("ne")
        raise RuntimeError("half way")


def write_half_a_folder(target: Path) -> None:
    with writing_folder(target) as temporary:
        (temporary / "frames").write_text("half")
        raise RuntimeError("half way")


def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    target = tmp_path / "a.txt"
    write_text(target, "old")
    with pytest.raises(RuntimeError, match="half way"):
        write_half(target)
    assert target.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]


def test_a_folder_that_fails_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="half way"):
        write_half_a_folder(tmp_path / "bank")
    assert list(tmp_path.iterdir()) == []


def test_the_first_of_two_writers_of_a_folder_wins(tmp_path: Path) -> None:
    target = tmp_path / "bank"
    with writing_folder(target) as slow:
        (slow / "who").write_text("slow")
        with writing_folder(target) as fast:
            (fast / "who").write_text("fast")
    assert (target / "who").read_text() == "fast"
    assert [p.name for p in tmp_path.iterdir()] == ["bank"]


def test_no_permission_names_the_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="cannot write"):
        write_text(tmp_path / "file" / "below", "x")


def test_no_room_is_told_and_nothing_half_written_stays(tmp_path: Path) -> None:
    # A limit on the size of files is the nearest thing to a full disk that a test may make.
    code = f"""
import resource, signal
from pathlib import Path
from kfold_hs.errors import StorageError
from kfold_hs.files.paths import write_bytes
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    write_bytes(Path({str(tmp_path / "big")!r}), b"x" * 5000)
except StorageError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "no room to write" in done.stdout
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_checkpoint_without_room_leaves_the_earlier_one(tmp_path: Path) -> None:
    code = f"""
import resource, signal, torch
from pathlib import Path
from kfold_hs.errors import StorageError
from kfold_hs.learn import checkpoint
path = Path({str(tmp_path / "resume.pt")!r})
checkpoint.save(path, {{"epoch": 1}})
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (4000, 4000))
try:
    checkpoint.save(path, {{"epoch": 2, "weights": torch.zeros(100_000)}})
except StorageError as error:
    print(error)
print(checkpoint.load(path))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "no room to write" in done.stdout
    assert "{'epoch': 1}" in done.stdout
    assert sorted(p.name for p in tmp_path.iterdir()) == [".sha256", "resume.pt"]


def test_nan_is_not_json(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "a.json", {"x": float("nan")})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["../up", "a b", "", ".hidden", "x" * 101, "a/b"])
def test_a_run_name_must_be_a_folder_name(name: str) -> None:
    with pytest.raises(ConfigError, match="--name"):
        check_name(name)
