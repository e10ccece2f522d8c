"""A copy of a folder on another disk, from which the folder can be had back.

For machines that are lost without warning (notebooks in a cloud, spot instances): the folder lies
on the machine's own, fast disk, its copy on a slow one that stays.

    COPY/FOLDER/copy-1.zip  copy-2.zip   the files of FOLDER, not those of its folders

A folder's files go into one archive, as they were at one moment: a fold can be continued from it as
after a kill at that moment. The two archives of a folder are written in turn and in place: one is
whole at any time, and nothing is renamed or removed, since a cloud disk keeps what was removed and
counts it. Archives have a number; the folder notes which one its files come from (`.copied.json`),
so that a copy that another machine has continued is not overwritten.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import tempfile
import threading
import time
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from kfold_hs.errors import StorageError
from kfold_hs.files.atomic import is_temporary, storage_error, write_json, writing, writing_folder
from kfold_hs.files.stored import read_json

NOTED = ".copied.json"
_SLOTS = ("copy-1.zip", "copy-2.zip")
_SUMS = ".sha256"
_TRIES = 5
_PAUSE_S = 0.2
_PIECE = 1 << 22
_OURS = re.compile(rf"({re.escape(_SUMS)}/)?(?!\.\.?$)[^/]+")
_LEFT_OUT = re.compile(r"\..*\.lock|\.lock|" + re.escape(NOTED))
_Seen = dict[str, tuple[int, int, int]]
"""File -> when it was changed, its size, its inode."""


@dataclass(frozen=True)
class Restored:
    """What `FolderCopy.restore` brought back.

    Attributes
    ----------
    folders : tuple of str
        Those that were missing here.
    damaged : tuple of str
        Those of which the copy has no whole archive; what they held is made anew.
    """

    folders: tuple[str, ...]
    damaged: tuple[str, ...]


@dataclass(frozen=True)
class Saved:
    """What `FolderCopy.save` wrote.

    Attributes
    ----------
    folders : tuple of str
        Those whose files had changed.
    busy : tuple of str
        Those whose files changed all the time; their older copy stays.
    n_bytes : int
        Size of what was written.
    """

    folders: tuple[str, ...]
    busy: tuple[str, ...]
    n_bytes: int


@dataclass(frozen=True)
class FolderCopy:
    """A folder and its copy.

    Parameters
    ----------
    folder : Path
        Where the work is done; made if it does not exist.
    target : Path
        Where the copy lies. It is made; the folder that holds it must exist, since a disk that is
        not mounted would otherwise be a folder of the machine that will be lost.

    Raises
    ------
    StorageError
        The target's folder does not exist, or one of the two lies in the other.
    """

    folder: Path
    target: Path
    _seen: dict[str, _Seen] = field(default_factory=dict, repr=False, compare=False)
    """Folder -> its files at the last `save` of this process."""
    _one: threading.Lock = field(default_factory=threading.Lock, repr=False, compare=False)
    """One thread at a time saves."""

    def __post_init__(self) -> None:
        folder, target = self.folder.resolve(), self.target.resolve()
        if folder.is_relative_to(target) or target.is_relative_to(folder):
            raise StorageError(
                f"{self.target} cannot hold the copy of {self.folder}: one lies in the other. "
                "Choose a folder on another disk."
            )
        if not target.parent.is_dir():
            raise StorageError(
                f"{self.target} cannot hold the copy of {self.folder}: {target.parent} does not "
                "exist. Mount the disk first, or make that folder."
            )
        for each in (self.folder, self.target):
            try:
                each.mkdir(parents=each == self.folder, exist_ok=True)
            except OSError as error:
                raise storage_error(error, each) from error

    def restore(self) -> Restored:
        """Bring back the folders of the copy that have no files here; those that have, stay.

        Raises
        ------
        StorageError
            The copy cannot be read, or there is no room here; or a folder has files here and
            others in the copy, and neither was made from the other.
        """
        back, damaged = [], []
        with self._reaching():
            kept = {name: _archives(self.target / name) for name in self._kept()}
            here = [name for name in kept if _files(self.folder / name)]
            for name in here:
                with tempfile.TemporaryFile() as file:
                    if _pack(self.folder / name, file) is not None:
                        self._number(name, kept[name], file)
            for name in sorted(kept.keys() - set(here)):
                whole = next((each for each in kept[name] if each.is_whole()), None)
                if whole is None:
                    damaged.append(name)
                else:
                    whole.unpack(self.folder / name)
                    back.append(name)
                if kept[name]:
                    self._note(name, kept[name][0].number)
        return Restored(tuple(back), tuple(damaged))

    def save(self) -> Saved:
        """Bring the copy up to date. What was removed here stays in the copy.

        Raises
        ------
        StorageError
            The copy cannot be written, another machine has continued it, or the folder is gone.
        """
        if not self.folder.is_dir():
            raise StorageError(
                f"{self.folder} is gone: it was removed or moved while its copy is kept. What "
                f"{self.target} holds stays as it is."
            )
        wrote, busy, n_bytes = [], [], 0
        with self._one, self._reaching():
            for name in _folders(self.folder):
                if self._seen.get(name) == _files(self.folder / name):
                    continue
                with tempfile.TemporaryFile() as file:
                    seen = _pack(self.folder / name, file)
                    if seen is None:
                        busy.append(name)
                        continue
                    if size := self._write(name, file):
                        wrote.append(name)
                        n_bytes += size
                self._seen[name] = seen
        return Saved(tuple(wrote), tuple(busy), n_bytes)

    def _write(self, name: str, file: IO[bytes]) -> int:
        """Put an archive where the older of the two is; 0 where the newer has the same files."""
        number = self._number(name, _archives(self.target / name), file)
        if number is None:
            return 0
        with zipfile.ZipFile(file, "a") as archive:
            archive.comment = json.dumps({"number": number + 1}).encode()
        slot = self.target / name / _SLOTS[number % 2]
        slot.parent.mkdir(parents=True, exist_ok=True)
        file.seek(0)
        with slot.open("wb") as copy:
            shutil.copyfileobj(file, copy, _PIECE)
            copy.flush()
            os.fsync(copy.fileno())
        self._note(name, number + 1)
        return slot.stat().st_size

    def _number(self, name: str, kept: list[_Archive], file: IO[bytes]) -> int | None:
        """The number of the archive that the files here were made from; None if it holds them.

        Raises
        ------
        StorageError
            They were made from another one.
        """
        if not kept:
            return 0
        newest = kept[0]
        with zipfile.ZipFile(file) as ours:
            if newest.members == _members(ours):
                self._note(name, newest.number)
                return None
        if self._noted().get(name) != newest.number:
            raise StorageError(
                f"{self.folder / name} and its copy in {self.target / name} hold different files, "
                "and neither was made from the other: another session may work with the same "
                f"copy. End it; then remove {self.folder / name} to take those of the copy, or "
                "choose another folder for the copy."
            )
        return newest.number

    def _noted(self) -> dict[str, int]:
        path = self.folder / NOTED
        found: dict[str, int] = read_json(path, "the notes of copies") if path.exists() else {}
        return found

    def _note(self, name: str, number: int) -> None:
        noted = self._noted()
        if noted.get(name) != number:
            write_json(self.folder / NOTED, {**noted, name: number})

    def _kept(self) -> Iterator[str]:
        """Folders of which the copy has archives, whole or not."""
        for place, _, files in os.walk(self.target, onerror=_raise):
            if not set(_SLOTS).isdisjoint(files):
                yield Path(place).relative_to(self.target).as_posix()

    @contextlib.contextmanager
    def _reaching(self) -> Iterator[None]:
        """Errors of either disk, named."""
        try:
            yield
        except OSError as error:
            at = Path(error.filename) if isinstance(error.filename, str) else self.target
            raise storage_error(error, at) from error


@dataclass(frozen=True)
class _Archive:
    """An archive whose directory can be read."""

    path: Path
    number: int
    members: dict[str, tuple[int, int]]

    def is_whole(self) -> bool:
        with contextlib.suppress(zipfile.BadZipFile, EOFError), zipfile.ZipFile(self.path) as found:
            return found.testzip() is None
        return False

    def unpack(self, folder: Path) -> None:
        with zipfile.ZipFile(self.path) as archive:
            if not folder.exists():
                with writing_folder(folder) as temporary:
                    archive.extractall(temporary)
                return
            for name in sorted(self.members, reverse=True):  # a file after its checksum
                with writing(folder / name) as temporary, archive.open(name) as packed:
                    temporary.write_bytes(packed.read())


def _archives(folder: Path) -> list[_Archive]:
    """The readable ones of a folder's two, the newest first."""
    found = []
    for slot in _SLOTS:
        try:
            with zipfile.ZipFile(folder / slot) as archive:
                number = int(json.loads(archive.comment)["number"])
                members = _members(archive)
        except (FileNotFoundError, ValueError, KeyError, TypeError, zipfile.BadZipFile):
            continue  # there is none, or it was cut off
        if all(_OURS.fullmatch(name) for name in members):
            found.append(_Archive(folder / slot, number, members))
    return sorted(found, key=lambda each: -each.number)


def _members(archive: zipfile.ZipFile) -> dict[str, tuple[int, int]]:
    """File -> its CRC and size."""
    return {each.filename: (each.CRC, each.file_size) for each in archive.infolist()}


def _pack(folder: Path, file: IO[bytes]) -> _Seen | None:
    """Write the files of a folder, as they are at one moment; None if there was no such moment."""
    for again in range(_TRIES):
        time.sleep(_PAUSE_S * bool(again))
        file.seek(0)
        file.truncate()
        before = _files(folder)
        try:
            with zipfile.ZipFile(file, "w", strict_timestamps=False) as archive:
                for name in before:
                    archive.write(folder / name, name)
        except FileNotFoundError:
            continue
        if before and before == _files(folder):
            return before
    return None


def _folders(top: Path) -> Iterator[str]:
    """A folder and all below it that have files."""
    for place, names, _ in os.walk(top, onerror=_raise):
        names[:] = sorted(name for name in names if name != _SUMS and not is_temporary(name))
        if _files(Path(place)):
            yield Path(place).relative_to(top).as_posix()


def _files(folder: Path) -> _Seen:
    """The files of a folder and their checksums, without locks and what is half written."""
    try:
        names = [each.name for each in folder.iterdir() if each.is_file()]
    except (FileNotFoundError, NotADirectoryError):
        return {}
    ours = [n for n in names if not is_temporary(n) and not _LEFT_OUT.fullmatch(n)]
    found = {}
    for name in sorted([*ours, *(f"{_SUMS}/{each}.sha256" for each in ours)]):
        with contextlib.suppress(FileNotFoundError):
            about = (folder / name).stat()
            found[name] = (about.st_mtime_ns, about.st_size, about.st_ino)
    return found


def _raise(error: OSError) -> None:
    raise error
