"""How a name is spelled: ids, class names, labels and column names, cleaned in one way.

Two files that a reader cannot tell apart name the same people: what is told apart here is what
can be seen.
"""

from __future__ import annotations

import unicodedata

# Drawn as nothing, though Unicode calls them letters, marks or symbols: joiners, Hangul fillers,
# the empty Braille cell, variation selectors.
_BLANK = {0x034F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x2800, 0x3164, 0xFFA0}
_BLANK |= {*range(0x180B, 0x1810), *range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0)}


def clean_name(name: object) -> str:
    """The name in Unicode's form NFKC, without invisible characters, its white space single.

    White space of every kind goes at both ends and becomes one space inside; control and
    format characters (zero width, byte order mark, soft hyphen, directions) go everywhere.
    Bytes of a file's name that are no UTF-8 are written as ``\\udcNN``. Cleaning twice is the
    same as cleaning once.

    Parameters
    ----------
    name : object
        Text, or a number or truth value of a configuration, which counts as its text.
    """
    text = str(name)
    if text.isascii() and text.isprintable():  # nearly all of them
        return " ".join(text.split())
    text = text.encode("utf-8", "backslashreplace").decode()
    while (cleaned := _once(text)) != text:  # what goes may have kept its neighbours apart
        text = cleaned
    return text


def _once(text: str) -> str:
    shown = "".join(each for each in text if each.isspace() or not _is_invisible(each))
    return " ".join(unicodedata.normalize("NFKC", shown).split())


def _is_invisible(character: str) -> bool:
    return unicodedata.category(character) in ("Cc", "Cf") or ord(character) in _BLANK
