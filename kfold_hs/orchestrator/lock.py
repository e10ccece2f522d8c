"""Locks of folders. One process holds a lock; whatever ends the process releases the lock."""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from kfold_hs.errors import KfoldHsError, StorageError
from kfold_hs.files.paths import storage_error

_POLL_S = 0.1
_WITHOUT_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL}


@contextlib.contextmanager
def lock(path: Path, what: str, wait_s: float = 0.0) -> Iterator[None]:
    """Hold the lock `path`.

    Parameters
    ----------
    path : Path
        The lock's file. It and its folder are made if they do not exist; the file stays.
    what : str
        What is locked, for the error.
    wait_s : float
        How long to wait for another process, in seconds, at least 0.

    Raises
    ------
    KfoldHsError
        Another process holds the lock.
    StorageError
        The folder cannot be written, or its file system has no locks.
    """
    # Another thread may release it; a lock that a killed process leaves behind is no lock.
    held = FileLock(path, thread_local=False, fallback_to_soft=False, poll_interval=_POLL_S)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        held.acquire(timeout=wait_s)
    except Timeout:
        raise KfoldHsError(
            f"another process is working on {what}. Wait until it ends, or use another --name."
        ) from None
    except OSError as error:
        if error.errno not in _WITHOUT_LOCKS:
            raise storage_error(error, path) from error
        raise StorageError(
            f"the file system of {path.parent} has no locks ({error.strerror}). Choose another "
            "folder with --root."
        ) from error
    try:
        yield
    finally:
        held.release()
