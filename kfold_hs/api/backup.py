"""Results on a fast disk that may be lost, with a copy on a slow one that stays."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from kfold_hs.errors import ConfigError, KfoldHsError
from kfold_hs.files.folder_copy import FolderCopy

LEAST_S = 1.0


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
        `every_s` is too small.
    StorageError
        The copy cannot be reached or written, or another machine has continued it. When it fails
        while the block runs, a warning says so, and it is tried again.

    Examples
    --------
    >>> with kf.keep_copy("runs", "/content/drive/MyDrive/runs"):
    ...     report = kf.cross_validate(cohort, root="runs")
    """
    if not every_s >= LEAST_S:
        raise ConfigError(f"every_s={every_s!r}: give at least {LEAST_S:g} second.")
    kept = FolderCopy(Path(folder).expanduser().absolute(), Path(copy).expanduser().absolute())
    found = kept.restore()
    if found.damaged:
        warnings.warn(
            f"{len(found.damaged)} folders of the copy are damaged and were left out "
            f"({', '.join(found.damaged[:5])}): what they held is made anew.",
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
    _finish(kept, worker, end)


def _finish(kept: FolderCopy, worker: threading.Thread, end: threading.Event) -> None:
    end.set()
    worker.join()
    if busy := kept.save().busy:
        warnings.warn(
            f"{len(busy)} folders are being written by others, and their copies are older: "
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
