"""What would fail on macOS or Windows, found on Linux.

Windows refuses to rename or remove a file that is open, to open a folder, and to rename over one;
it has no fork and no POSIX modules, and neither its texts nor its consoles are UTF-8 by default.
"""

from __future__ import annotations

import ast
import contextlib
import errno
import multiprocessing
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.commands import COMMAND
from support.jobs import check_same_bits, fit
from support.project import Silent

from kfold_hs.cohort import Cohort
from kfold_hs.errors import StorageError
from kfold_hs.files import atomic, stored
from kfold_hs.files.machine import memory_bytes, peak_memory_bytes
from kfold_hs.orchestrator import processes

ROOT = Path(__file__).parent.parent
MODULES = sorted((ROOT / "kfold_hs").rglob("*.py"))
POSIX = {"fcntl", "grp", "pwd", "pty", "resource", "syslog", "termios", "tty"}


def test_a_checkout_has_no_links() -> None:
    """Without further rights, Windows writes a file with the link's target in its place."""
    listed = subprocess.run(["git", "ls-files", "-s"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("not a checkout of git")
    assert not [line for line in listed.stdout.splitlines() if line.startswith("120000")]


def test_texts_name_their_encoding_and_modules_of_posix_are_no_condition() -> None:
    found = []
    for path in MODULES:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in tree.body:
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            if POSIX & set(names):
                found.append(f"{path}:{node.lineno} not every system has it")
        calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
        found += [f"{path}:{call.lineno} {faults(call)}" for call in calls if faults(call)]
    assert not found


def faults(call: ast.Call) -> str:
    """What depends on the system in a call that reads or writes text."""
    if not isinstance(call.func, ast.Attribute):
        return ""
    name, owner = call.func.attr, ast.unparse(call.func.value)
    is_named = "encoding" in {word.arg for word in call.keywords}
    if name == "write_text":
        return "its line ends are the system's; use kfold_hs.files"
    if name == "read_text":
        return "" if call.args or is_named else "its encoding is the system's"
    mode = getattr(call.args[0], "value", None) if call.args else "r"
    if name != "open" or owner == "fleet" or not isinstance(mode, str) or "b" in mode:
        return ""
    return "" if is_named else "its encoding is the system's"


@pytest.mark.parametrize(
    ("code", "is_fault"),
    [
        ("p.read_text()", True),
        ("p.read_text('utf-8')", False),
        ("p.write_text('a', encoding='utf-8')", True),
        ("write_text(p, 'a')", False),
        ("p.open('w')", True),
        ("p.open('wb')", False),
        ("p.open('w', encoding='utf-8')", False),
    ],
)
def test_faults_are_found(code: str, is_fault: bool) -> None:
    (call,) = [node for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Call)]
    assert bool(faults(call)) == is_fault


@pytest.mark.slow
@pytest.mark.parametrize("system", ["win32", "darwin"])
def test_types_are_right_where_modules_have_other_names(system: str) -> None:
    """typeshed knows what each system has: `os.sysconf`, `signal.SIGKILL`."""
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--platform", system, "--cache-dir", os.devnull],
        cwd=ROOT, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout


def test_memory_is_told() -> None:
    held = bytearray(50_000_000)
    assert len(held) < peak_memory_bytes() < memory_bytes()


class Windows:
    """Refuses what Windows refuses, of the files that this process has open."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.refused: list[str] = []
        for name in ("replace", "rename", "unlink", "remove", "rmdir"):
            monkeypatch.setattr(os, name, self.guarded(getattr(os, name)))
        self._open = os.open
        monkeypatch.setattr(os, "open", self.opening)
        monkeypatch.setattr(atomic, "_OPEN_FILES_STAY", True)
        monkeypatch.setattr(atomic, "_PAUSES_S", (0.01, 0.01))

    def guarded(self, function: Callable[..., None]) -> Callable[..., None]:
        def call(path: Any, *others: Any, **words: Any) -> None:
            for each in (path, *others):
                if words.get("dir_fd") is None and is_open(Path(each)):
                    self.refuse(function.__name__, each)
            if others and Path(others[0]).is_dir():
                self.refuse(function.__name__, others[0])
            function(path, *others, **words)

        return call

    def opening(self, path: Any, *words: Any, **more: Any) -> int:
        if more.get("dir_fd") is None and Path(path).is_dir() and called_by_us():
            self.refuse("open", path)
        return self._open(path, *words, **more)

    def refuse(self, what: str, path: Any) -> None:
        self.refused.append(f"{what} {path}")
        raise PermissionError(errno.EACCES, "Access is denied", str(path))


def called_by_us() -> bool:
    """shutil opens folders to remove them, which it does not on Windows."""
    return "kfold_hs" in sys._getframe(2).f_code.co_filename


def is_open(path: Path) -> bool:
    """Whether this process has the file, or one in the folder, open or mapped."""
    place = Path(os.path.abspath(path))  # noqa: PTH100 - not where a link points
    return any(each == place or place in each.parents for each in opened())


def opened() -> Iterator[Path]:
    for handle in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):
            yield handle.readlink()
    for line in Path("/proc/self/maps").read_text().splitlines():
        if "/" in line:
            yield Path(line[line.index("/") :])


@pytest.fixture
def windows(monkeypatch: pytest.MonkeyPatch) -> Windows:
    if not Path("/proc/self/maps").exists():
        pytest.skip("what is open is told by Linux alone")
    return Windows(monkeypatch)


def test_windows_refuses(windows: Windows, tmp_path: Path) -> None:
    path = tmp_path / "a"
    with path.open("w"), pytest.raises(PermissionError):
        path.replace(tmp_path / "b")
    path.replace(tmp_path / "b")


def test_files_are_written_where_open_files_stay(windows: Windows, tmp_path: Path) -> None:
    path = tmp_path / "folder" / "a.json"
    for value in ({"n": 1}, {"n": 2}, {"n": 2}):
        atomic.write_json(path, value)
        assert stored.read_json(path, "the number") == value
    assert atomic.checksum_file(path).read_bytes().count(b"\n") == 1
    atomic.remove(path)
    assert not path.exists()


def test_a_reader_is_waited_for_and_named_if_it_stays(windows: Windows, tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    atomic.write_json(path, {"n": 1})
    with path.open() as file, pytest.raises(StorageError, match=r"a\.json"):
        atomic.write_json(path, {"n": 2})
    assert stored.read_json(path, "the number") == {"n": 1}
    assert file.closed
    atomic.write_json(path, {"n": 3})
    assert stored.read_json(path, "the number") == {"n": 3}


def test_folders_are_written_and_discarded(windows: Windows, tmp_path: Path) -> None:
    target = tmp_path / "bundle"
    target.mkdir()  # an empty one is taken
    for text in ("first", "second"):
        with atomic.writing_folder(target, sums=True) as folder:
            (folder / "a").write_text(text)
    atomic.check_sums(target)
    assert (target / "a").read_text() == "first"  # who was there first stays
    atomic.discard(target)
    assert not target.exists()
    assert not [path for path in tmp_path.iterdir() if atomic.is_temporary(path.name)]


def test_only_old_temporary_files_are_swept(windows: Windows, tmp_path: Path) -> None:
    with atomic.writing(tmp_path / "a") as written:
        written.write_text("x")
        atomic.sweep(tmp_path)
        assert written.exists()
    left = tmp_path / ".b.abcdefgh.tmp"
    left.write_text("x")
    past = time.time() - 2 * 24 * 3600
    os.utime(left, (past, past))
    atomic.sweep(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_a_run_needs_no_more(windows: Windows, cohort: Cohort, tmp_path: Path) -> None:
    fit(cohort, tmp_path, Silent(), "train.epochs=1")
    # Folders are opened to lock them, which is no condition.
    assert not [each for each in windows.refused if not each.startswith("open ")]


@pytest.mark.slow
def test_processes_that_are_not_forked_give_the_same_bits(
    cohort: Cohort, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spawn: Any = multiprocessing.get_context("spawn")
    monkeypatch.setattr(processes, "_process", spawn.Process)
    paths = fit(cohort, tmp_path / "spawned", Silent(), "train.epochs=1", n_jobs=2)
    check_same_bits(fit(cohort, tmp_path / "once", Silent(), "train.epochs=1"), paths)


@pytest.mark.parametrize("encoding", ["cp1252", "cp437"])
def test_a_console_without_a_letter_gets_its_number(encoding: str) -> None:
    done = subprocess.run(
        [*COMMAND, "config", "data=table", "data.path=Ж.csv"], capture_output=True,
        env=os.environ | {"PYTHONIOENCODING": encoding, "PYTHONUTF8": "0"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "\\u0416.csv" in done.stdout.decode(encoding)
