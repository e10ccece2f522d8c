"""The one reader for every CSV of a user, as spreadsheets and libraries save it.

Comma, semicolon or tab; with or without a byte order mark; UTF-8, UTF-16 and UTF-32 with a mark,
otherwise Windows-1252 with a note. Cells stay text.
"""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from kfold_hs.config.names import clean_name
from kfold_hs.errors import CohortError, KfoldHsError, counted, listing

_MARKS = (  # the longer first: UTF-32's begins as UTF-16's does
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
    (codecs.BOM_UTF8, "utf-8-sig"),
)
_DELIMITERS = ",;\t"
_LINES_TO_TELL = 20
"""Number of lines that decide the delimiter."""
FALLBACK = "cp1252"
_UNCLEAR = re.compile(r"\s*[+-]?\d{1,3},\d{3}\s*", re.ASCII)
_WITH_POINT = r"\s*[+-]?\d*\.\d+\s*"


@dataclass(frozen=True)
class CsvFile:
    """What `read_csv` found.

    Parameters
    ----------
    table : DataFrame of str
        Columns by their cleaned names, cells as in the file; the index is the number of the line
        in which a row begins, from 1.
    note : str
        A note about the encoding, or "".
    delimiter : str
        The character between cells.
    """

    table: pd.DataFrame
    note: str = ""
    delimiter: str = ","

    def values(self, column: str) -> pd.Series:
        """Cells of a column of values, not of names or ids.

        ``1,625`` may be 1.625 or 1625. In a file with semicolons, a column without points has
        decimal commas; they become points.
        """
        cells = self.table[column]
        if self.delimiter != ";" or cells.str.fullmatch(_WITH_POINT).any():
            return cells
        return cells.map(lambda cell: cell.replace(",", ".") if _UNCLEAR.fullmatch(cell) else cell)


def read_csv(path: Path, error: type[KfoldHsError] = CohortError) -> CsvFile:
    """A CSV whose first line names its columns.

    Empty rows are skipped, and empty columns without a name.

    Raises
    ------
    KfoldHsError
        Of the type `error`: the file does not exist, is no text or no CSV, two columns have one
        name, or a row has more or fewer cells than there are columns.
    """
    rows, note, delimiter = read_rows(path, error)
    first = next(rows, None)
    if first is None:
        raise error(f"{path} is empty. Its first line must name the columns.")
    names = [clean_name(name) for name in first[1]]
    cells, lines = [], []
    for line, row in rows:
        row = row[: len(names)] if not any(map(str.strip, row[len(names) :])) else row
        if len(row) != len(names):
            raise error(
                f"{path}, line {line} has {counted(len(row), 'cell')}, but the first line names "
                f"{len(names)} columns. Correct it. A cell that holds the delimiter needs double "
                "quotes."
            )
        cells.append(row)
        lines.append(line)
    kept = [i for i, name in enumerate(names) if name or any(row[i].strip() for row in cells)]
    names = [name or f"Unnamed: {i}" for i, name in enumerate(names)]
    if twice := [n for n, count in Counter(names[i] for i in kept).items() if count > 1]:
        raise error(
            f"{path} has several columns with the name {listing(map(repr, twice))}. Rename or "
            "remove one."
        )
    content = [[row[i] for i in kept] for row in cells]
    columns = pd.Index([names[i] for i in kept], dtype=object)
    return CsvFile(pd.DataFrame(content, pd.Index(lines), columns, dtype=object), note, delimiter)


def read_rows(
    path: Path, error: type[KfoldHsError] = CohortError
) -> tuple[Iterator[tuple[int, list[str]]], str, str]:
    """Rows that are not empty, each with the number of its line; the note; the delimiter."""
    text, note = read_text(path, error)
    if "\0" in text:
        raise error(f"{path} is not text, or UTF-16 without its mark. Save it as CSV in UTF-8.")
    skipped = 0
    if text[:4].casefold() == "sep=" and text[5:6] in ("\r", "\n"):  # a line of Excel's own
        delimiter, skipped = text[4], 1
        text = text[5:].removeprefix("\r").removeprefix("\n")
    else:
        delimiter = _delimiter(text)
    return _rows(path, text, delimiter, skipped, error), note, delimiter


def read_text(path: Path, error: type[KfoldHsError] = CohortError) -> tuple[str, str]:
    """Text of a file, and a note about its encoding, or "".

    Raises
    ------
    KfoldHsError
        Of the type `error`: the file does not exist, cannot be read, or is no text.
    """
    try:
        raw = path.read_bytes()
    except (OSError, ValueError) as fault:
        raise error(f"cannot read {path}: {getattr(fault, 'strerror', None) or fault}.") from fault
    encoding = next((name for mark, name in _MARKS if raw.startswith(mark)), "utf-8")
    try:
        return raw.decode(encoding), ""
    except UnicodeDecodeError as fault:
        line = raw.count(b"\n", 0, fault.start) + 1
    try:
        if encoding != "utf-8":
            raise UnicodeError
        return raw.decode(
            FALLBACK
        ), f"{path.name} is not UTF-8 (line {line}); it is read as Windows-1252"
    except UnicodeError:
        raise error(
            f"{path}, line {line} is not {encoding} text. Save the file as UTF-8."
        ) from None


def _rows(
    path: Path, text: str, delimiter: str, skipped: int, error: type[KfoldHsError]
) -> Iterator[tuple[int, list[str]]]:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    while True:
        line = reader.line_num + 1 + skipped
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error as fault:
            raise error(
                f"cannot read {path} as CSV: line {line}: {fault}. Is a double quote not closed?"
            ) from fault
        if any(cell.strip() for cell in row):
            yield line, row


def _delimiter(text: str) -> str:
    """The one that cuts most lines into as many cells as the first line, and into most cells."""

    def score(delimiter: str) -> tuple[float, int]:
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
        widths = []
        try:
            for _, row in zip(range(_LINES_TO_TELL), reader, strict=False):
                widths.append(len(row)) if row else None
        except csv.Error:
            pass
        if not widths or widths[0] < 2:
            return (0, 0)
        return (sum(width == widths[0] for width in widths) / len(widths), widths[0])

    return max(_DELIMITERS, key=score)
