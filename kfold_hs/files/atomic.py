"""The one way to write files: whole or not at all, with checksums.

A file is written under a temporary name in its folder, flushed to the disk and renamed, so that no
reader sees half of it. A writer holds a lock on its temporary file. A temporary file without a lock
was left by a killed process, and is removed.

    FOLDER/.sha256/NAME.sha256  one line: the SHA-256 of FOLDER/NAME; while the file is replaced,
    two
                                lines: the old and the new one
    FOLDER/SHA256SUMS           for a folder that is written at once, in the format of `sha256sum`

`kfold_hs.files.stored` reads these files, and refuses a file that differs from its checksum.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import hashlib
import json
import os
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from filelock import lock_descriptor

from kfold_hs.errors import DamagedFileError, StorageError

SUMS = "SHA256SUMS"
_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_TEMPORARY = re.compile(r"\..+\.[a-z0-9_]{8}\.tmp")
_OF_OLD = re.compile(r"\..+\.[a-z0-9_]{8}")
"""Temporary names of older versions; a user's hidden file may have such a name."""
_LINE = 65
_HELD = ".held"
_POLL_S = 0.002
_OLD_S = 24 * 3600.0
"""Age from which a temporary file is left over, on a file system without locks."""
_OPEN_FILES_STAY = os.name == "nt"
"""Whether the system refuses to rename or remove what is open, and to read what is locked.

So does Windows; there no temporary file is held, and its age alone says that it was left over.
"""
_PAUSES_S = (0.01, 0.05, 0.2, 0.5)
"""Between attempts to rename over a file that a reader or a virus scanner has open there."""


@contextlib.contextmanager
def writing(target: Path, checksum: bool = False) -> Iterator[Path]:
    """Yield a temporary path beside `target`; rename it to `target` on success.

    Parameters
    ----------
    target : Path
    checksum : bool
        Keep the SHA-256 of the file, for `kfold_hs.files.stored`.

    Raises
    ------
    StorageError
        There is no room or no permission; the temporary file is removed.
    """
    temporary: Path | None = None
    handle: int | None = None
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _sweep_once(target.parent.absolute())
        with alone(target.parent):  # or it could be swept before it is locked
            handle, name = tempfile.mkstemp(".tmp", f".{target.name}.", target.parent)
            handle = _held(handle)
        temporary = Path(name)
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        temporary.chmod(0o644)
        if checksum:
            _replace(temporary, target)
        else:
            _rename(temporary, target)
    except OSError as error:
        raise storage_error(error, target) from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)
        if handle is not None:
            os.close(handle)


def remove(target: Path) -> None:
    """Remove a file and its checksum, if they exist."""
    target.unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        checksum_file(target).unlink(missing_ok=True)


@contextlib.contextmanager
def writing_folder(target: Path, sums: bool = False) -> Iterator[Path]:
    """`writing` for a whole folder. A folder that another process has put there stays.

    With `sums`, the folder gets the checksums of its files.
    """
    temporary: Path | None = None
    handle: int | None = None
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _sweep_once(target.parent.absolute())
        with alone(target.parent):
            temporary = Path(tempfile.mkdtemp(".tmp", f".{target.name}.", target.parent))
            # Not the folder itself: a writer in it locks that for moments.
            handle = _held(os.open(temporary / _HELD, os.O_RDWR | os.O_CREAT))
        yield temporary
        if sums:
            (temporary / SUMS).write_bytes(_sums(temporary).encode())
        for path in temporary.rglob("*"):
            if path.is_file():
                with path.open("rb+") as file:
                    os.fsync(file.fileno())
        with alone(target.parent):
            (temporary / _HELD).unlink()
            if _OPEN_FILES_STAY:  # nor does it rename over an empty folder
                with contextlib.suppress(OSError):
                    target.rmdir()
            try:
                temporary.replace(target)
            except OSError as error:
                is_there = _OPEN_FILES_STAY and target.is_dir()
                if not is_there and error.errno not in {errno.ENOTEMPTY, errno.EEXIST}:
                    raise
    except OSError as error:
        raise storage_error(error, target) from error
    finally:
        if temporary is not None:
            shutil.rmtree(temporary, ignore_errors=True)
        if handle is not None:
            os.close(handle)


def discard(folder: Path) -> None:
    """Remove a folder; for other processes it disappears at once."""
    aside = Path(tempfile.mkdtemp(".tmp", f".{folder.name}.", folder.parent))
    with contextlib.suppress(FileNotFoundError):  # another process was faster
        folder.replace(aside / folder.name)
    shutil.rmtree(aside, ignore_errors=True)


def is_temporary(name: str) -> bool:
    """Whether a file or folder of this name is being written, or was left by a killed writer."""
    return _TEMPORARY.fullmatch(name) is not None


def sweep(folder: Path, ours: bool = True) -> None:
    """Remove the temporary files and folders that killed writers left in `folder`.

    With `ours`, the folder holds only files of kfold-hs: names of older versions count, too.
    """
    if not folder.is_dir():
        return
    names = (_TEMPORARY, _OF_OLD) if ours else (_TEMPORARY,)
    found = [p for p in folder.iterdir() if any(name.fullmatch(p.name) for name in names)]
    if not found:
        return
    with alone(folder):
        for path in found:
            if not _is_held(path):
                if path.is_dir() and not path.is_symlink():
                    shutil.rmtree(path, ignore_errors=True)
                else:
                    with contextlib.suppress(OSError):
                        path.unlink()


@functools.lru_cache(maxsize=4096)
def _sweep_once(folder: Path) -> None:
    """`sweep` once in each process, since a folder may hold thousands of files."""
    with contextlib.suppress(OSError):
        sweep(folder, ours=False)


def storage_error(error: OSError, target: Path) -> StorageError:
    """An error of the disk as a message that says what to do."""
    if error.errno in _NO_ROOM:
        return StorageError(
            f"no room to write {target}: {error.strerror}. No half-written file was left. Free "
            "some space, or use a folder on another disk, and repeat the command: it continues."
        )
    return StorageError(f"cannot write {target}: {error.strerror or error}.")


def write_bytes(target: Path, content: bytes | memoryview, checksum: bool = False) -> None:
    """Write `content` to `target`, whole or not at all."""
    with writing(target, checksum) as temporary:
        temporary.write_bytes(content)


def write_text(target: Path, text: str, checksum: bool = False) -> None:
    """Write UTF-8 `text` to `target`, whole or not at all."""
    write_bytes(target, text.encode(), checksum)


def write_json(
    target: Path,
    value: Any,
    default: Callable[[Any], Any] | None = None,
    checksum: bool = True,
) -> None:
    """Write `value` as indented JSON; NaN is refused, since JSON does not have it."""
    text = json.dumps(value, indent=1, allow_nan=False, default=default) + "\n"
    write_text(target, text, checksum)


def checksum_file(path: Path) -> Path:
    """The path of a file's checksum."""
    # It has its own suffix, so that `*.pt` and `*.json` do not match it.
    return path.parent / ".sha256" / f"{path.name}.sha256"


def checksums(path: Path) -> list[str] | None:
    """The SHA-256 (hex) values that a file may have; None where none was kept.

    Raises
    ------
    DamagedFileError
        The file of the checksums holds something else.
    """
    kept = checksum_file(path)
    try:
        with kept.open("rb") as file:
            lines = file.read(10 * _LINE).decode("ascii", "replace").split("\n")
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise DamagedFileError("the checksum", kept, str(error.strerror)) from error
    found = [line for line in lines if re.fullmatch(r"[0-9a-f]{64}", line)]
    if not found and any(lines):
        way_out = f"Remove it, and check whether {path} is right."
        raise DamagedFileError("the checksum", kept, "it holds no SHA-256", way_out)
    return found or None  # empty: the writer was killed before it wrote the file


def sha256_of(path: Path) -> str:
    """SHA-256 (hex) of a file, read in pieces."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def check_sums(folder: Path) -> None:
    """Refuse a folder of `writing_folder` that was changed after it was written.

    Raises
    ------
    DamagedFileError
        A file differs or is missing.
    """
    kept = folder / SUMS
    try:
        text = kept.read_bytes().decode()
        lines = [line.split("  ", 1) for line in text.splitlines()]
        wanted = {name: digest for digest, name in lines}
        found = _digests(folder, list(wanted))
    except (OSError, ValueError) as error:
        raise DamagedFileError("the folder", folder, f"it is incomplete ({error})") from error
    if differ := [name for name in wanted if wanted[name] != found[name]]:
        raise DamagedFileError(
            "the file", folder / differ[0], "it was changed after it was written"
        )
    if not wanted or text != _as_text(wanted):
        raise DamagedFileError("the checksums", kept, "they were changed after they were written")


def _sums(folder: Path) -> str:
    files = [path for path in folder.rglob("*") if path.is_file() and path.name != _HELD]
    names = [path.relative_to(folder).as_posix() for path in files]
    return _as_text(_digests(folder, names))


def _as_text(digests: dict[str, str]) -> str:
    return "".join(f"{digests[name]}  {name}\n" for name in sorted(digests))


def _digests(folder: Path, names: list[str]) -> dict[str, str]:
    # hashlib releases the interpreter lock.
    with ThreadPoolExecutor(max_workers=min(4, os.cpu_count() or 1)) as pool:
        return dict(zip(names, pool.map(lambda name: sha256_of(folder / name), names), strict=True))


def _replace(temporary: Path, target: Path) -> None:
    """Rename; a kill at any moment leaves a file that fits its checksums.

    First the new checksum is added to the old one, then the file is replaced, then the old checksum
    is removed.
    """
    new = f"{sha256_of(temporary)}\n".encode()
    kept = checksum_file(target)
    with alone(target.parent):
        kept.parent.mkdir(exist_ok=True)
        binary = getattr(os, "O_BINARY", 0)  # Windows would write "\r\n"
        handle = os.open(kept, os.O_RDWR | os.O_CREAT | binary, 0o644)
        try:
            before = os.read(handle, 2 * _LINE)
            if len(before) != _LINE and target.is_file():
                # Written by an older version of kfold-hs, or by a writer that was killed here.
                before = f"{sha256_of(target)}\n".encode()
            before = before[:_LINE]
            if len(before) < _LINE or before == new:
                _rewrite(handle, new)
                before = new
            else:
                _rewrite(handle, before + new)
            os.fsync(handle)
            _rename(temporary, target)
            if before != new:
                _rewrite(handle, new)
        finally:
            os.close(handle)


def _rewrite(handle: int, lines: bytes) -> None:
    os.lseek(handle, 0, os.SEEK_SET)
    os.write(handle, lines)
    os.ftruncate(handle, len(lines))


def _rename(temporary: Path, target: Path) -> None:
    for pause in _PAUSES_S if _OPEN_FILES_STAY else ():
        with contextlib.suppress(PermissionError):
            temporary.replace(target)
            return
        time.sleep(pause)
    temporary.replace(target)


@contextlib.contextmanager
def alone(folder: Path) -> Iterator[None]:
    """One writer at a time in a folder, for moments; on a file system without locks, any number."""
    handle: int | None = None
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        lock_descriptor(handle, poll_interval=_POLL_S)
    try:
        yield
    finally:
        if handle is not None:
            os.close(handle)


def _held(handle: int) -> int | None:
    """The handle, locked; where an open file could not be renamed, it is closed instead."""
    if _OPEN_FILES_STAY:
        os.close(handle)
        return None
    with contextlib.suppress(OSError):
        lock_descriptor(handle, blocking=False)
    return handle


def _is_held(path: Path) -> bool:
    """Whether a process may still be writing there."""
    held = path / _HELD if path.is_dir() else path
    try:
        if _OPEN_FILES_STAY:
            return time.time() - held.lstat().st_mtime < _OLD_S
        handle = os.open(held, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0))
    except OSError:
        return False
    try:
        return not lock_descriptor(handle, blocking=False)
    except OSError:
        return time.time() - os.fstat(handle).st_mtime < _OLD_S
    finally:
        os.close(handle)
