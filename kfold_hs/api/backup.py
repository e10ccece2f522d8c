"""Results on a fast disk that may be lost, with a copy on a slow one that stays."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from numbers import Real
from pathlib import Path
from typing import Any

from kfold_hs.errors import ConfigError, KfoldHsError, StorageError, counted
from kfold_hs.files.folder_copy import FolderCopy

LEAST_S = 1.0
_DAMAGED = (
    "folder of the copy is damaged and was left out",
    "folders of the copy are damaged and were left out",
)
_BUSY = (
    "folder is being written by others, and its copy is older",
    "folders are being written by others, and their copies are older",
)


@contextmanager
def keep_copy(folder: str | Path, copy: str | Path, every_s: float = 300.0) -> Iterator[FolderCopy]:
    """Keep a copy of a folder of results on another disk while the block runs.

    At the beginning, what the copy has and the folder lacks is brought back, so that a call in the
    block continues what another machine began. While the block runs, and however it ends, the copy
    is brought up to date. For machines that are lost without warning, such as those of Google
    Colab.

    Parameters
    ----------
    folder : str or Path
        `root` of the calls in the block, on a fast disk; made if it does not exist.
    copy : str or Path
        Made if it does not exist; the folder that holds it must exist.
    every_s : float
        Seconds between two updates of the copy, at least 1.

    Yields
    ------
    FolderCopy
        `save()` brings the copy up to date at once.

    Raises
    ------
    ConfigError
        `every_s` is no number of seconds, or too small; a folder is no path.
    StorageError
        The copy cannot be reached or written, or another machine has continued it. When it fails
        while the block runs, a warning says so, and it is tried again; at the end of the block it
        is an error, since what was made is only on this machine.

    Examples
    --------
    >>> with kf.keep_copy("runs", "/content/drive/MyDrive/runs"):
    ...     report = kf.cross_validate(cohort, root="runs")
    """
    if not (isinstance(every_s, Real) and LEAST_S <= every_s <= threading.TIMEOUT_MAX):
        raise ConfigError(
            f"every_s={every_s!r}: give a number of seconds, at least {LEAST_S:g} second and at "
            f"most {threading.TIMEOUT_MAX:.0f}."
        )
    kept = FolderCopy(_place("folder", folder), _place("copy", copy))
    found = kept.restore()
    if found.damaged:
        warnings.warn(
            f"{counted(len(found.damaged), *_DAMAGED)} ({', '.join(found.damaged[:5])}): what "
            "they held is made anew.",
            stacklevel=3,
        )
    end = threading.Event()
    worker = threading.Thread(target=_update, args=(kept, every_s, end), name="copies", daemon=True)
    worker.start()
    try:
        yield kept
    except BaseException as error:
        try:
            _finish(kept, worker, end)
        except KfoldHsError as fault:
            error.add_note(f"The copy was not brought up to date: {fault}")
        raise
    try:
        _finish(kept, worker, end)
    except KfoldHsError as fault:
        raise StorageError(
            f"The block is done, and what it made lies in {kept.folder}; the copy was not brought "
            f"up to date: {fault} When that is mended, enter the block again: it does not repeat "
            "what is done, and brings the copy up to date."
        ) from fault


def _place(name: str, given: Any) -> Path:
    if not isinstance(given, str | Path) or not str(given):
        raise ConfigError(f"{name}={given!r}: give the path of a folder.")
    return Path(given).expanduser().absolute()


def _finish(kept: FolderCopy, worker: threading.Thread, end: threading.Event) -> None:
    end.set()
    worker.join()
    if busy := kept.save().busy:
        warnings.warn(
            f"{counted(len(busy), *_BUSY)}: "
            f"{', '.join(busy[:5])}. Enter the block again when these are done.",
            stacklevel=4,
        )


def _update(kept: FolderCopy, every_s: float, end: threading.Event) -> None:
    while not end.wait(every_s):
        try:
            kept.save()
        except KfoldHsError as fault:
            warnings.warn(
                f"the copy was not brought up to date; the work goes on, and it is tried again in "
                f"{every_s:g} s: {fault}",
                stacklevel=1,
            )
