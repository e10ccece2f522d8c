"""Ids as every reader takes them: cleaned in one way, and which of them look like one another.

Cleaned are patient, person and recording ids, wherever they come from: a table, a header, the
name of a file, an alias table, a split, the command line. Ids that differ in nothing that can be
seen are one id; ids that differ only in what spreadsheets and typists change are two, and
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
    """Cleans ids and remembers which of them were spelled otherwise, for a note."""

    def __init__(self) -> None:
        self._spelled: dict[str, dict[str, None]] = {}

    def __call__(self, name: object) -> str:
        cleaned = clean_name(name)
        self._spelled.setdefault(cleaned, {})[str(name)] = None
        return cleaned

    def notes(self) -> list[Note]:
        """What is to be told: nothing where every id was clean."""
        odd = {name: [each for each in raw if each != name] for name, raw in self._spelled.items()}
        odd = {name: raw for name, raw in odd.items() if raw}
        if not odd:
            return []
        joined = sum(len(self._spelled[name]) > 1 for name in odd)
        text = (
            "ids with spaces at their ends or characters that cannot be seen, taken without them; "
            f"{joined} of them were spelled in several ways and are one each"
        )
        items = tuple(f"{name}: {', '.join(map(ascii, raw))}" for name, raw in odd.items())
        return [Note("cleaned ids", len(odd), text, items)]


def find_file(folder: Path, name: str) -> Path:
    """The file that a table calls `name`, relative to `folder` or absolute.

    As it is written; else with its name cleaned; else one of the same name after cleaning, as
    macOS and Linux spell accents in two ways; else with Windows' backslashes; else as written,
    which is no file.
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
    """`path` with each part as it is spelled on the disk, if that is unique."""
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
    """Names of a folder by how they are spelled here."""
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
    """Groups of two or more ids that may be one person's, each sorted, in the order of their first.

    They are alike but for upper and lower case, zeros before a number (``7``, ``007``), decimals
    of a whole number (``7.0``), the script of digits, the kind of a dash or an underscore, spaces,
    or signs around the id (``'7``, ``#7``).

    Parameters
    ----------
    ids : iterable of str
        Cleaned or not; an id that comes twice counts once.
    """
    alike: dict[str, set[str]] = {}
    for each in ids:
        alike.setdefault(_likeness(each), set()).add(each)
    return sorted(tuple(sorted(group)) for group in alike.values() if len(group) > 1)


def _likeness(name: str) -> str:
    """The same for all that are suspects of one another."""
    text = "".join(map(_plain, clean_name(name).casefold()))
    text = text.strip("'\"`#") or text
    text = re.sub(r"(?<=\d)[.,]0+$", "", text.replace(" ", ""))
    return re.sub(r"(?<!\d)0+(?=\d)", "", text)


def _plain(character: str) -> str:
    """A digit of any script in ASCII, a dash or underscore of any kind as a dash."""
    if unicodedata.category(character) in ("Pd", "Pc") or character == "\u2212":
        return "-"
    digit = unicodedata.decimal(character, None)
    return character if digit is None else str(digit)
