"""A CSV of names, row by row and field by field: what does not fit its first line is refused."""

from __future__ import annotations

import csv
from pathlib import Path

from kfold_hs.errors import CohortError


def csv_rows(path: Path) -> list[tuple[int, list[str]]]:
    """Number of the line and fields of every row, the header first, blank lines left out.

    Commas, quotes and line breaks inside of quotes belong to a field. All rows have as many fields
    as the first: one too many would move every value into its neighbour's column.

    Raises
    ------
    CohortError
        Missing, not UTF-8, not a CSV, empty, or a row of another length.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.reader(file, strict=True)
            rows = [(reader.line_num, row) for row in reader if any(map(str.strip, row))]
    except (OSError, ValueError, csv.Error) as error:
        raise CohortError(f"cannot read {path} as CSV: {error}.") from error
    if not rows:
        raise CohortError(f"cannot read {path} as CSV: it is empty.")
    width = len(rows[0][1])
    for number, row in rows:
        if len(row) != width:
            raise CohortError(
                f"{path}: line {number} has {len(row)} fields, and the first line has {width}."
            )
    return rows
