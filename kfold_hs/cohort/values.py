"""What a cell says: the one notion of missing, number, truth and sameness, for every reader.

Spreadsheets and libraries write the same value in many ways: a blank, ``nan`` and ``#N/A``; ``20``,
``20.00`` and ``20,0``; ``True`` and ``FALSE``.
"""

from __future__ import annotations

import math
import re

import pandas as pd

from kfold_hs.config.names import clean_name

_MISSING = {
    *("na", "n/a", "n.a.", "nan", "-nan", "null", "none", "nil", "<na>", "nat", "missing"),
    *("#n/a", "#na", "#n/a n/a", "#value!", "#ref!", "#div/0!", "#num!", "#name?", "#null!"),
    *("1.#ind", "-1.#ind", "1.#qnan", "-1.#qnan"),
}
_NOTHING = re.compile(r"[-\u2010-\u2015\u2212.?/*_ ]*")
_NUMBER = re.compile(r"[+-]?(\d+([.,]\d*)?|[.,]\d+)(e[+-]?\d{1,3})?", re.ASCII)
# 1,234 is a thousand to one reader and little more than one to another: no number to us.
_THOUSANDS = re.compile(r"[+-]?[1-9]\d{0,2},\d{3}", re.ASCII)
_LARGEST = 1e30


def is_missing(cell: object) -> bool:
    """Whether a cell holds no value: blank, a word such as ``N/A``, ``nan``, ``null``, ``None``, or
    dashes, dots and question marks alone. ``0`` and ``False`` are values.

    A class that a task names is a label even if it is one of these words; who reads labels asks
    `label_of`.
    """
    if cell is None or (isinstance(cell, float) and math.isnan(cell)):
        return True
    text = clean_name(cell).casefold()
    return text in _MISSING or bool(_NOTHING.fullmatch(text))


def are_missing(cells: pd.Series) -> pd.Series:
    """`is_missing` of a column, (n,) bool."""
    told = {each: is_missing(each) for each in cells.unique()}
    return cells.map(lambda cell: told.get(cell, True)).astype(bool)  # NaN is no key of its own


def number(cell: object) -> float | None:
    """The number that a cell holds: ``20``, ``20.00``, ``20,0`` (decimal comma), ``2e1``.

    None for all else: missing, units, marks of thousands (``1 234``, and ``1,234``, which could be
    either), infinities, and whatever is above 1e30.
    """
    text = clean_name(cell).casefold().replace("\u2212", "-")
    if not _NUMBER.fullmatch(text) or _THOUSANDS.fullmatch(text):
        return None
    found = float(text.replace(",", "."))
    return found if abs(found) <= _LARGEST else None


def truth(cell: object) -> bool | None:
    """True or False where a cell says so in any spelling (``TRUE``, ``false``), else None."""
    return {"true": True, "false": False}.get(clean_name(cell).casefold())


def word(cell: object) -> str | None:
    """A cell as a word, cleaned; ``True`` and ``False`` in one spelling; None where missing."""
    if is_missing(cell):
        return None
    told = truth(cell)
    return clean_name(cell) if told is None else str(told)


def are_same(one: object, other: object) -> bool:
    """Whether two cells say the same: both missing, one number, one truth value, or one word."""
    first, second = number(one), number(other)
    if first is not None and second is not None:
        return first == second
    return word(one) == word(other)


def label_of(cell: object, classes: tuple[str, ...]) -> str | None:
    """The class that a cell names, None where it is missing, or the cell as it is.

    Parameters
    ----------
    classes : tuple of str
        One that is spelled like the cell comes first, whatever it is called (``None``, ``-``);
        else the one that says the same (``1.0`` for the class ``1``, ``TRUE`` for ``True``).
    """
    text = clean_name(cell)
    if text in classes:
        return text
    alike = [name for name in classes if are_same(name, text)]
    if len(alike) == 1 and not is_missing(text):
        return alike[0]
    looks_named = text.casefold() in {name.casefold() for name in classes}
    return None if cell is None or (is_missing(cell) and not looks_named) else text
