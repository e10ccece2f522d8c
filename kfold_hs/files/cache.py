"""The cache of features, fingerprints and the built-in cohort; what is damaged is made anew."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from kfold_hs.errors import DamagedFileError, StorageError
from kfold_hs.files.atomic import check_sums
from kfold_hs.files.stored import warn


def cache_folder() -> Path:
    """The folder that keeps features and the built-in cohort between runs.

    `KFOLD_HS_CACHE`, otherwise `XDG_CACHE_HOME`/kfold-hs, otherwise ~/.cache/kfold-hs. Its files
    are named by their content and can be deleted at any time.

    Raises
    ------
    StorageError
        There is no home directory, and no variable names a folder.
    """
    if folder := os.environ.get("KFOLD_HS_CACHE"):
        return Path(folder)
    if base := os.environ.get("XDG_CACHE_HOME"):
        return Path(base) / "kfold-hs"
    try:
        return Path.home() / ".cache" / "kfold-hs"
    except RuntimeError as error:
        raise StorageError(
            "this user has no home directory for the cache. Name a folder with KFOLD_HS_CACHE=DIR."
        ) from error


@contextlib.contextmanager
def keeping() -> Iterator[None]:
    """A context in which the cache is written.

    Raises
    ------
    StorageError
        The cache cannot be written; the message says how to name another folder.
    """
    try:
        yield
    except StorageError as error:
        raise StorageError(
            f"{error} The cache is {cache_folder()}; KFOLD_HS_CACHE=DIR names another folder."
        ) from error


def is_whole(folder: Path, what: str) -> bool:
    """Whether a folder of the cache is unchanged; its bytes are read once, at 1.4 GB/s.

    Parameters
    ----------
    folder : Path
        A folder from `atomic.writing_folder`, with its checksums.
    what : str
        The name of the content in the warning.
    """
    try:
        check_sums(folder)
    except DamagedFileError as error:
        warn(f"{what} in the cache are damaged ({error}) They are made anew.")
        return False
    return True
