"""Ids as every reader takes them: cleaned in one way, and which of them look like one another.

Cleaned are patient, person and recording ids, wherever they come from: a table, a header, the
name of a file, an alias table, a split, the command line. Ids that differ in nothing that can be
seen are one id; ids that differ only in what spreadsheets and typists change are two, and
*suspects*.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

from kfold_hs.names import clean_name

__all__ = ["clean_name", "suspects"]


def suspects(ids: Iterable[str]) -> list[tuple[str, ...]]:
    """Groups of two or more ids that may be one person's, each sorted, in the order of their first.

    They are alike but for upper and lower case, zeros before a number (``7``, ``007``), decimals
    of a whole number (``7.0``), the kind of a dash, or spaces.

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
    text = clean_name(name).casefold()
    text = "".join("-" if unicodedata.category(c) == "Pd" or c == "\u2212" else c for c in text)
    text = re.sub(r"(?<=\d)[.,]0+$", "", text.replace(" ", ""))
    return re.sub(r"(?<!\d)0+(?=\d)", "", text)
