"""The meaning of a cell: missing values, numbers, truth values and equality, for every reader.

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
# 1,234 is 1234 to one reader and 1.234 to another: it is no number here.
_THOUSANDS = re.compile(r"[+-]?[1-9]\d{0,2},\d{3}", re.ASCII)
_LARGEST = 1e30


def is_missing(cell: object) -> bool:
    """Whether a cell holds no value: blank, a word such as ``N/A``, ``nan``, ``null``, ``None``, or
    only dashes, dots and question marks. ``0`` and ``False`` are values.

    A task may have one of these words as a class; `label_of` reads labels.
    """
    if cell is None or (isinstance(cell, float) and math.isnan(cell)):
        return True
    text = clean_name(cell).casefold()
    return text in _MISSING or bool(_NOTHING.fullmatch(text))


def are_missing(cells: pd.Series) -> pd.Series:
    """`is_missing` of a column, (n,) bool."""
    known = {each: is_missing(each) for each in cells.unique()}
    return cells.map(lambda cell: known.get(cell, True)).astype(bool)  # NaN is no key of its own


def number(cell: object) -> float | None:
    """The number that a cell holds: ``20``, ``20.00``, ``20,0`` (decimal comma), ``2e1``.

    None for everything else: missing values, units, separators of thousands (``1 234``; ``1,234``
    could be either), infinities, and numbers above 1e30.
    """
    text = clean_name(cell).casefold().replace("\u2212", "-")
    if not _NUMBER.fullmatch(text) or _THOUSANDS.fullmatch(text):
        return None
    found = float(text.replace(",", "."))
    return found if abs(found) <= _LARGEST else None


def truth(cell: object) -> bool | None:
    """True or False in any spelling (``TRUE``, ``false``), otherwise None."""
    return {"true": True, "false": False}.get(clean_name(cell).casefold())


def word(cell: object) -> str | None:
    """A cell as a word, cleaned; ``True`` and ``False`` in one spelling; None where missing."""
    if is_missing(cell):
        return None
    found = truth(cell)
    return clean_name(cell) if found is None else str(found)


def said(cell: object) -> float | str | None:
    """A value that is equal for equal cells; None where missing."""
    found = number(cell)
    return word(cell) if found is None else found


def are_same(one: object, other: object) -> bool:
    """Whether two cells are equal: both missing, or the same number, truth value or word."""
    first, second = number(one), number(other)
    if first is not None and second is not None:
        return first == second
    return word(one) == word(other)


def label_of(cell: object, classes: tuple[str, ...]) -> str | None:
    """The class that a cell names, None where the cell is missing, otherwise the cell as it is.

    Parameters
    ----------
    classes : tuple of str
        A class with the spelling of the cell comes first, even ``None`` or ``-``; then a class
        that is equal (``1.0`` for the class ``1``, ``TRUE`` for ``True``).
    """
    text = clean_name(cell)
    if text in classes:
        return text
    alike = [name for name in classes if are_same(name, text)]
    if len(alike) == 1 and not is_missing(text):
        return alike[0]
    looks_named = text.casefold() in {name.casefold() for name in classes}
    return None if cell is None or (is_missing(cell) and not looks_named) else text
