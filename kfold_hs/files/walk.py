"""The one way a user's folder is searched for files: nothing is passed over without a count.

Links to files and folders are followed, each folder once, so that a circle ends. Hidden files and
what other systems leave beside the real ones (`._x.wav`, `__MACOSX`, `Thumbs.db`) are skipped.
"""

from __future__ import annotations

import os
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path

from kfold_hs.errors import listing

RECORDINGS = frozenset(
    {".wav", ".flac", ".aif", ".aiff"}
    | {".mp3", ".m4a", ".mp4", ".aac", ".ogg", ".oga", ".opus", ".wma", ".amr", ".3gp", ".caf"}
    | {".au", ".snd", ".w64", ".rf64", ".wave", ".aifc"}
)
"""Endings of sound files, in lower case. Those that cannot be read are found all the same: whoever
reads them says so."""
_OF_SYSTEMS = {"__macosx", "thumbs.db", "desktop.ini", "$recycle.bin", "system volume information"}


@dataclass(frozen=True)
class Found:
    """Files of a folder, ascending by path, and what was left out, by reason."""

    files: list[Path] = field(default_factory=list)
    left_out: dict[str, list[Path]] = field(default_factory=dict)

    def notes(self, folder: Path) -> list[str]:
        """A sentence a reason: how many files of the folder were left out, and which."""
        return [
            f"{len(paths)} left out of {folder} ({reason}): "
            f"{listing(plain(path.relative_to(folder).as_posix()) for path in paths)}"
            for reason, paths in sorted(self.left_out.items())
        ]


def find_files(folder: Path, suffixes: Collection[str] = RECORDINGS) -> Found:
    """Every file below a folder that ends in one of the suffixes, in any case.

    Parameters
    ----------
    folder : Path
    suffixes : collection of str
        In lower case, with the dot.
    """
    found = Found()
    links: list[Path] = []
    seen = {os.path.realpath(folder)}
    _search(folder, suffixes, found, links, seen)
    while links:
        link = links.pop(0)
        if (real := os.path.realpath(link)) in seen:
            _leave(found, "a link to what is there already", link)
        elif link.is_dir():
            seen.add(real)
            _search(link, suffixes, found, links, seen)
        else:
            seen.add(real)
            _take(link, suffixes, found)
    found.files.sort()
    for paths in found.left_out.values():
        paths.sort()
    return found


def plain(name: str) -> str:
    """A file's name as text: bytes that are no UTF-8, which no CSV can hold, become `\\xE9`."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def is_hidden(name: str) -> bool:
    """Whether a file or folder of this name is none of the user's."""
    return name.startswith(".") or name.lower() in _OF_SYSTEMS


def _search(
    folder: Path, suffixes: Collection[str], found: Found, links: list[Path], seen: set[str]
) -> None:
    """Real files and folders first: a link to one of them then adds nothing."""
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError:
        _leave(found, "a folder that may not be read", folder)
        return
    for entry in entries:
        path = folder / entry.name
        if is_hidden(entry.name):
            _leave(found, "hidden, or a system's own", path)
        elif entry.is_symlink():
            links.append(path)
        elif entry.is_dir():
            if (real := os.path.realpath(path)) not in seen:
                seen.add(real)
                _search(path, suffixes, found, links, seen)
        else:
            seen.add(os.path.realpath(path))
            _take(path, suffixes, found)


def _take(path: Path, suffixes: Collection[str], found: Found) -> None:
    if path.suffix.lower() not in suffixes:
        _leave(found, "no recording by its ending", path)
    elif not path.exists():
        _leave(found, "a link to nothing", path)
    elif not path.is_file():
        _leave(found, "no regular file", path)
    else:
        found.files.append(path)


def _leave(found: Found, reason: str, path: Path) -> None:
    found.left_out.setdefault(reason, []).append(path)
