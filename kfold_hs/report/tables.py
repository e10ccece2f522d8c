"""The tables of a page as files for a paper: CSV with exact numbers, LaTeX with those shown.

They are read from the page itself, so that nothing on it is left out and no number can
differ from it. Numbers are the elements that `report.traced` made of them.
"""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path

from kfold_hs.files.paths import write_text

_LATEX = {
    "\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
    **{character: "\\" + character for character in "&%$#_{}"},
}  # fmt: skip
# Cells from this length on are set in lines of their own in LaTeX.
_LONG = 40


@dataclass
class Cell:
    """What a cell shows, and its numbers: pointer and exact value of each, as text."""

    text: str = ""
    numbers: list[tuple[str, str]] = field(default_factory=list)
    words: str = ""
    """What it shows beside the numbers."""
    is_prose: bool = False


@dataclass
class Table:
    """A table of a page.

    Parameters
    ----------
    section : str
        Id of the section's heading.
    caption : str
        Empty where the table has none.
    head : list of str
        Empty where the table has none.
    rows : list of list of Cell
    """

    section: str
    caption: str = ""
    head: list[str] = field(default_factory=list)
    rows: list[list[Cell]] = field(default_factory=list)


def tables_of(page: str) -> list[Table]:
    """The tables of a page, in its order."""
    reader = _Reader()
    reader.feed(page)
    reader.close()
    return reader.tables


def write_tables(page: str, folder: Path) -> list[Path]:
    """Write every table of a page as CSV and as LaTeX.

    Returns
    -------
    list of Path
        ``<number>-<section>-<caption>.csv`` and ``.tex``, in the order of the page.
    """
    written = []
    for number, table in enumerate(tables_of(page), start=1):
        name = "-".join(
            part for part in (f"{number:02}", _slug(table.section), _slug(table.caption)) if part
        )
        for suffix, text in (("csv", to_csv(table)), ("tex", to_latex(table))):
            written.append(folder / f"{name}.{suffix}")
            write_text(written[-1], text)
    return written


def to_csv(table: Table) -> str:
    """CSV; a cell of several numbers becomes a column for each, named by what its pointer ends in.

    Numbers have full precision. Where a cell also says something in words, a further column
    has it as shown; what cannot be told is empty.
    """
    n_columns = max((len(row) for row in table.rows), default=0)
    heads, columns, seen = list[str](), list[list[str]](), Counter[str]()
    for place in range(n_columns):
        cells = [row[place] if place < len(row) else Cell() for row in table.rows]
        head = table.head[place] if place < len(table.head) else ""
        for name, values in _columns(head, cells):
            seen[name] += 1
            heads.append(name if seen[name] == 1 else f"{name} ({seen[name]})")
            columns.append(values)
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    if table.head:
        writer.writerow(heads)
    writer.writerows(zip(*columns, strict=True))
    return out.getvalue()


def to_latex(table: Table) -> str:
    r"""A `table` with booktabs' rules; needs ``\usepackage{booktabs}``."""
    n_columns = max([len(table.head), *(len(row) for row in table.rows)])
    kinds = "".join(
        _kind([row[place] for row in table.rows if place < len(row)]) for place in range(n_columns)
    )
    lines = [r"\begin{table}", r"\centering"]
    if table.caption:
        lines.append(rf"\caption{{{_escaped(table.caption)}}}")
    lines += [rf"\begin{{tabular}}{{{kinds}}}", r"\toprule"]
    if table.head:
        lines += [" & ".join(map(_escaped, table.head)) + r" \\", r"\midrule"]
    lines += [" & ".join(_escaped(cell.text) for cell in row) + r" \\" for row in table.rows]
    lines += [r"\bottomrule", r"\end{tabular}", r"\end{table}", ""]
    return "\n".join(lines)


def _columns(head: str, cells: Sequence[Cell]) -> list[tuple[str, list[str]]]:
    fullest = max(cells, key=lambda cell: len(cell.numbers), default=Cell())
    if not fullest.numbers:
        return [(head, ["" if cell.text == "–" else cell.text for cell in cells])]
    names = _ends([key for key, _ in fullest.numbers])
    found = [
        (
            f"{head} {name}".strip() if len(names) > 1 else head,
            [_value(c, name, names) for c in cells],
        )
        for name in names
    ]
    placed = [sum(bool(values[row]) for _, values in found) for row in range(len(cells))]
    if any(
        re.search(r"[^\W\d_]{3,}", cell.words) or n < len(cell.numbers)
        for cell, n in zip(cells, placed, strict=True)
    ):
        found.append((f"{head}, as shown".lstrip(", "), [cell.text for cell in cells]))
    return found


def _ends(keys: Sequence[str]) -> list[str]:
    """What tells pointers of one cell apart: their parts after those that they share."""
    parts = [key.split("/") for key in keys]
    shared = 0
    while len({tuple(each[: shared + 1]) for each in parts}) == 1 and shared + 1 < min(
        map(len, parts)
    ):
        shared += 1
    return [" ".join(each[shared:]) for each in parts]


def _value(cell: Cell, name: str, names: Sequence[str]) -> str:
    """The cell's number whose pointer ends in a name; its only one where the column has one."""
    if len(names) == 1 and len(cell.numbers) == 1:
        return cell.numbers[0][1]
    end = "/" + name.replace(" ", "/")
    return next((value for key, value in cell.numbers if key.endswith(end)), "")


def _kind(cells: Sequence[Cell]) -> str:
    if any(len(cell.text) >= _LONG for cell in cells):
        return r"p{0.35\linewidth}"
    return "r" if any(cell.numbers for cell in cells) else "l"


def _escaped(text: str) -> str:
    return "".join(_LATEX.get(character, character) for character in text)


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower())[:40].strip("-")


class _Reader(HTMLParser):
    """Collects tables while a page is read."""

    def __init__(self) -> None:
        super().__init__()
        self.tables: list[Table] = []
        self._section = ""
        self._inside: list[str] = []  # open elements that matter here
        self._cell = Cell()
        self._in_head = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attrs}
        if tag == "h2":
            self._section = found.get("id", "")
        elif tag == "table":
            self.tables.append(Table(self._section))
        elif tag == "thead":
            self._in_head = True
        elif tag == "tr" and not self._in_head:
            self.tables[-1].rows.append([])
        elif tag in {"td", "th"}:
            self._cell = Cell(is_prose="text" in found.get("class", "").split())
        elif tag == "data" and "data-key" in found and not self._cell.is_prose:
            value = found["value"]
            if found.get("data-as") == "from_one":  # the files count from 0, readers from 1
                value = str(int(value) + 1)
            self._cell.numbers.append((found["data-key"], value))
        elif tag == "br":
            self.handle_data(" ")
        if tag in _KEPT:
            self._inside.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag in _KEPT and tag in self._inside:
            while self._inside.pop() != tag:
                pass
        if tag == "thead":
            self._in_head = False
        elif tag == "caption":
            self.tables[-1].caption = " ".join(self.tables[-1].caption.split())
        elif tag in {"td", "th"}:
            self._cell.text = " ".join(self._cell.text.split())
            if self._in_head:
                self.tables[-1].head.append(self._cell.text)
            else:
                self.tables[-1].rows[-1].append(self._cell)

    def handle_data(self, data: str) -> None:
        if "caption" in self._inside:
            self.tables[-1].caption += data
        elif {"td", "th"} & set(self._inside) and "summary" not in self._inside:
            self._cell.text += data
            if "data" not in self._inside:
                self._cell.words += data


_KEPT = {"caption", "td", "th", "data", "summary"}
