"""Whether a folder can be written to, and how much room its disk has."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from kfold_hs.errors import StorageError

LEAST_BYTES = 50_000_000
"""Free on a disk, for a run to begin."""


def existing(folder: Path) -> Path:
    """The folder, or where it is not there yet the nearest above it that is."""
    folder = folder.absolute()
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return folder


def free_bytes(folder: Path) -> int:
    """Of the disk that a folder is on, or will be."""
    return shutil.disk_usage(existing(folder)).free


def fault_of(folder: Path) -> str:
    """Why nothing can be written to a folder; "" where it can."""
    place = existing(folder)
    if not place.is_dir():
        return f"{place} is a file"
    if not os.access(place, os.W_OK | os.X_OK):
        return f"{place} is not writable for this user"
    if (free := free_bytes(place)) < LEAST_BYTES:
        return f"the disk of {place} has {free / 1e6:.0f} MB left"
    return ""


def check_writable(folder: Path, way_out: str) -> None:
    """Refuse to begin what could not be written down.

    Parameters
    ----------
    way_out : str
        A sentence.

    Raises
    ------
    StorageError
        The folder cannot be written to, or its disk is full.
    """
    if fault := fault_of(folder):
        raise StorageError(f"nothing can be written to {folder.absolute()}: {fault}. {way_out}")


def check_room(needs: dict[Path, int], way_out: str) -> None:
    """Refuse to begin what its disks cannot hold.

    Parameters
    ----------
    needs : dict
        Folder -> bytes that will be written there; folders of one disk count together.

    Raises
    ------
    StorageError
        A disk has less room.
    """
    of_disk: dict[int, dict[Path, int]] = {}
    for folder, n_bytes in needs.items():
        of_disk.setdefault(existing(folder).stat().st_dev, {})[folder] = n_bytes
    for parts in of_disk.values():
        needed, free = sum(parts.values()), free_bytes(next(iter(parts)))
        if needed > free:
            where = " and ".join(str(folder.absolute()) for folder, n in parts.items() if n)
            raise StorageError(
                f"up to {needed / 1e9:.1f} GB would be written to {where}, and the disk has "
                f"{free / 1e9:.1f} GB left. {way_out}"
            )
