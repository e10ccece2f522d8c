"""Locks of folders: held by one process, and released by its end, however it ends."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import time
from collections.abc import Iterator
from pathlib import Path

from kfold_hs.errors import KfoldHsError, StorageError
from kfold_hs.files.paths import storage_error

_POLL_S = 0.1
_TAKEN = {errno.EACCES, errno.EAGAIN}


@contextlib.contextmanager
def lock(path: Path, what: str, wait_s: float = 0.0) -> Iterator[None]:
    """Hold the lock `path`.

    Parameters
    ----------
    path : Path
        A file that is made where it is not there; its folder, too.
    what : str
        What is locked, for the error.
    wait_s : float
        How long to wait for another process to let it go, in seconds.

    Raises
    ------
    KfoldHsError
        Another process holds it.
    StorageError
        The folder cannot be written, or its file system knows no locks.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("w")
    except OSError as error:
        raise storage_error(error, path) from error
    with file:
        until = time.monotonic() + wait_s
        while not _taken(file.fileno(), path):
            if time.monotonic() >= until:
                raise KfoldHsError(
                    f"another process is working on {what}. Wait for it, or give this run a "
                    "--name of its own."
                )
            time.sleep(_POLL_S)
        yield


def _taken(file: int, path: Path) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in _TAKEN:
            return False
        raise StorageError(
            f"{path.parent} is on a file system without locks ({error.strerror}). Choose another "
            "folder by --root."
        ) from error
    return True
