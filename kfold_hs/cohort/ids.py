"""Cleaned ids, and ids that look like one another.

Patient, person and recording ids are cleaned in one way, whether they come from a table, a header,
the name of a file, an alias table, a split or the command line. Ids without a visible difference
are one id. Ids that differ only as spreadsheets and typists change them are two ids, and
*suspects*.
"""

from __future__ import annotations

import functools
import re
import unicodedata
from collections.abc import Iterable
from pathlib import Path

from kfold_hs.cohort.cohort import Note
from kfold_hs.config.names import clean_name

__all__ = ["Spelling", "clean_name", "find_file", "suspects"]


class Spelling:
    """Cleans ids, and remembers other spellings for a note."""

    def __init__(self) -> None:
        self._spelled: dict[str, dict[str, None]] = {}

    def __call__(self, name: object) -> str:
        cleaned = clean_name(name)
        self._spelled.setdefault(cleaned, {})[str(name)] = None
        return cleaned

    def notes(self) -> list[Note]:
        """A note of the ids that were cleaned, if there are any."""
        odd = {name: [each for each in raw if each != name] for name, raw in self._spelled.items()}
        odd = {name: raw for name, raw in odd.items() if raw}
        if not odd:
            return []
        joined = sum(len(self._spelled[name]) > 1 for name in odd)
        text = (
            "ids with spaces at the ends or invisible characters, which were removed; "
            f"{joined} of the ids had several spellings and are now one id each"
        )
        items = tuple(f"{name}: {', '.join(map(ascii, raw))}" for name, raw in odd.items())
        return [Note("cleaned ids", len(odd), text, items)]


def find_file(folder: Path, name: str) -> Path:
    """The file that a table calls `name`, relative to `folder` or absolute.

    In this order: the name as it is; cleaned; with Windows' backslashes as slashes; a file with the
    same name after cleaning, since macOS and Linux spell accents in two ways. Where there is none,
    the name as it is.
    """
    spellings = [name, clean_name(name)]
    spellings += [each.replace("\\", "/") for each in spellings if "\\" in each]
    for each in spellings:
        if _is_file(folder / each):
            return folder / each
    for each in spellings:
        if (found := _alike(folder / each)) is not None and _is_file(found):
            return found
    try:
        (folder / name).exists()
    except (OSError, ValueError):  # a name that no file can have
        return folder / f"{name:.80}..."
    return folder / name


def _alike(path: Path) -> Path | None:
    """`path` with the spelling of the disk, if that is unique."""
    if path == path.parent:
        return path
    try:
        if path.exists():
            return path
        parent = _alike(path.parent)
        if parent is None:
            return None
        names = _spelled(parent, parent.stat().st_mtime_ns).get(clean_name(path.name), [])
    except (OSError, ValueError):  # no such folder, no permission, a name too long
        return None
    return parent / names[0] if len(names) == 1 else None


@functools.lru_cache(maxsize=64)  # a folder of thousands is asked for each of its files
def _spelled(folder: Path, changed_ns: int) -> dict[str, list[str]]:
    """Names in a folder by their cleaned name."""
    found: dict[str, list[str]] = {}
    for each in folder.iterdir():
        found.setdefault(clean_name(each.name), []).append(each.name)
    return found


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # a name too long
        return False


def suspects(ids: Iterable[str]) -> list[tuple[str, ...]]:
    """Groups of two or more ids that may be one person's, sorted.

    The ids of a group differ only in upper and lower case, zeros before a number (``7``, ``007``),
    decimals of a whole number (``7.0``), the script of digits, the kind of a dash or an underscore,
    spaces, or signs around the id (``'7``, ``#7``).

    Parameters
    ----------
    ids : iterable of str
        Cleaned or not; a repeated id counts once.
    """
    alike: dict[str, set[str]] = {}
    for each in ids:
        alike.setdefault(_likeness(each), set()).add(each)
    return sorted(tuple(sorted(group)) for group in alike.values() if len(group) > 1)


def _likeness(name: str) -> str:
    """The form that all ids of one group have in common."""
    text = "".join(map(_plain, clean_name(name).casefold()))
    text = text.strip("'\"`#") or text
    text = re.sub(r"(?<=\d)[.,]0+$", "", text.replace(" ", ""))
    return re.sub(r"(?<!\d)0+(?=\d)", "", text)


def _plain(character: str) -> str:
    """Digits of any script in ASCII; dashes and underscores of any kind as a dash."""
    if unicodedata.category(character) in ("Pd", "Pc") or character == "\u2212":
        return "-"
    digit = unicodedata.decimal(character, None)
    return character if digit is None else str(digit)
