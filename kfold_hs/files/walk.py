"""The one way to search a user's folder for files; everything that is left out is counted.

Links to files and folders are followed, each folder once, so that circles end. Hidden files and
files of operating systems (`._x.wav`, `__MACOSX`, `Thumbs.db`) are left out.
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
"""Suffixes of sound files, in lower case. Formats that cannot be read are found, too, so that their
reader can refuse them."""
_SUFFIX = "not the suffix of a recording"
_OF_SYSTEMS = {"__macosx", "thumbs.db", "desktop.ini", "$recycle.bin", "system volume information"}


@dataclass(frozen=True)
class Found:
    """Files of a folder, sorted by path, and the files left out, by reason."""

    files: list[Path] = field(default_factory=list)
    left_out: dict[str, list[Path]] = field(default_factory=dict)

    def notes(self, folder: Path) -> list[str]:
        """One sentence for each reason: how many files of the folder were left out, and which."""
        return [
            f"{len(paths)} left out of {folder} ({reason}): "
            f"{listing(plain(path.relative_to(folder).as_posix()) for path in paths)}"
            for reason, paths in sorted(self.left_out.items())
        ]


def find_files(folder: Path, suffixes: Collection[str] = RECORDINGS) -> Found:
    """Every file below a folder with one of the suffixes, in lower or upper case.

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
            _leave(found, "a link to a file or folder that was found", link)
        elif link.is_dir():
            seen.add(real)
            _search(link, suffixes, found, links, seen)
        else:
            seen.add(real)
            _take(link, suffixes, found)
    found.files.sort()
    _forget_marks(found)
    for paths in found.left_out.values():
        paths.sort()
    return found


def _forget_marks(found: Found) -> None:
    """A recording's segmentation, `RECORDING.tsv` beside it, is no file that was left out."""
    recordings = {path.with_suffix("") for path in found.files}
    others = found.left_out.pop(_SUFFIX, [])
    if rest := [p for p in others if p.suffix != ".tsv" or p.with_suffix("") not in recordings]:
        found.left_out[_SUFFIX] = rest


def plain(name: str) -> str:
    """A file's name as text: bytes that are not UTF-8 become `\\xE9`, so that a CSV can hold "
    "them."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def is_hidden(name: str) -> bool:
    """Whether a name is hidden, or belongs to an operating system."""
    return name.startswith(".") or name.lower() in _OF_SYSTEMS


def _search(
    folder: Path, suffixes: Collection[str], found: Found, links: list[Path], seen: set[str]
) -> None:
    """Real files and folders first: a link to one of them then adds nothing."""
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError:
        _leave(found, "a folder that cannot be read", folder)
        return
    for entry in entries:
        path = folder / entry.name
        if is_hidden(entry.name):
            _leave(found, "hidden, or a file of the operating system", path)
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
        _leave(found, _SUFFIX, path)
    elif not path.exists():
        _leave(found, "a broken link", path)
    elif not path.is_file():
        _leave(found, "not a regular file", path)
    else:
        found.files.append(path)


def _leave(found: Found, reason: str, path: Path) -> None:
    found.left_out.setdefault(reason, []).append(path)
