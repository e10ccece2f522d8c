"""What is kept between runs, and made anew where it is damaged or gone: features, fingerprints, the
built-in cohort."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from kfold_hs.errors import DamagedFileError, StorageError
from kfold_hs.files.atomic import check_sums
from kfold_hs.files.stored import warn


def cache_folder() -> Path:
    """Where features and the built-in cohort are kept between runs.

    `KFOLD_HS_CACHE`, else `XDG_CACHE_HOME`/kfold-hs, else ~/.cache/kfold-hs.
    Everything in it is addressed by its content and can be deleted at any time.

    Raises
    ------
    StorageError
        There is no home directory, and no variable names another.
    """
    if folder := os.environ.get("KFOLD_HS_CACHE"):
        return Path(folder)
    if base := os.environ.get("XDG_CACHE_HOME"):
        return Path(base) / "kfold-hs"
    try:
        return Path.home() / ".cache" / "kfold-hs"
    except RuntimeError as error:
        raise StorageError(
            "this user has no home directory, and features must be kept somewhere: name a folder "
            "for them with KFOLD_HS_CACHE=DIR."
        ) from error


@contextlib.contextmanager
def keeping() -> Iterator[None]:
    """Around what is written into the cache.

    Raises
    ------
    StorageError
        In place of one that does not say how to name another folder.
    """
    try:
        yield
    except StorageError as error:
        raise StorageError(
            f"{error} What is used again lies in {cache_folder()}; KFOLD_HS_CACHE=DIR names "
            "another folder."
        ) from error


def is_whole(folder: Path, what: str) -> bool:
    """Whether a folder of the cache is what was written; its bytes are read once, at 1.4 GB/s.

    Parameters
    ----------
    folder : Path
        That `atomic.writing_folder` wrote, with its checksums.
    what : str
        What the user is told to be damaged and made anew.
    """
    try:
        check_sums(folder)
    except DamagedFileError as error:
        warn(f"{what} that were kept are damaged ({error}) They are made anew.")
        return False
    return True
