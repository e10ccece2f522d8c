"""A table of a page: one object, written as HTML, as CSV and as LaTeX.

In the page and in LaTeX numbers are rounded, in CSV they are exact. In HTML a number of `traced`
content says where in its JSON file it stands:

    <data value="0.7324840764331211" data-key="/headline/value" data-as="number">0.732</data>
"""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from markupsafe import Markup, escape

from kfold_hs.files.paths import write_text
from kfold_hs.report.traced import Shown, traceable

_LATEX = {
    "\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
    **{character: "\\" + character for character in "&%$#_{}"},
}  # fmt: skip
# Cells from this length on are set in lines of their own in LaTeX.
_LONG = 40
Content = Any
"""What a cell shows: a text, a number, `Markup` (drawn, but no text), or a list of these."""


@dataclass(frozen=True)
class Cell:
    """A cell.

    Parameters
    ----------
    parts : list of str
        Texts, numbers as `Shown`, and `Markup`.
    kind : str
        Classes of its column in the style sheet. Numbers of a "text" column are part of its
        words: CSV has no column for them.
    """

    parts: list[str]
    kind: str = ""

    @property
    def text(self) -> str:
        return _joined(part for part in self.parts if not isinstance(part, Markup))

    @property
    def words(self) -> str:
        """What it says beside the numbers."""
        return _joined(part for part in self.parts if not isinstance(part, Markup | Shown))

    @property
    def numbers(self) -> list[Shown]:
        is_prose = "text" in self.kind.split()
        return [] if is_prose else [part for part in self.parts if isinstance(part, Shown)]

    def html(self, tag: str, scope: str = "") -> str:
        """The cell as `tag`, which is "td" or "th"; a heading that says nothing is a "td"."""
        content = "".join(map(_html, self.parts))
        tag, scope = (tag, scope) if content else ("td", "")
        attributes = f' scope="{scope}"' if scope else ""
        attributes += f' class="{self.kind}"' if self.kind else ""
        return f"<{tag}{attributes}>{content}</{tag}>"


@dataclass
class Table:
    """A table of a page; all rows have equally many cells.

    Parameters
    ----------
    section : str
        Id of the heading that it stands under.
    caption : str
        Empty where the table has none.
    head : list of Content
        Empty where the table has none.
    kinds : dict
        Of columns, by their index, negative ones from the end: "text", or other classes of the
        style sheet.
    names_in : int, optional
        Index of the column that names the rows.
    label : str
        What tells it apart from the section's other tables, whatever its numbers are: a part of
        the names of files.
    """

    section: str
    caption: str
    head: list[Content] = field(default_factory=list)
    kinds: dict[int, str] = field(default_factory=dict)
    names_in: int | None = 0
    label: str = ""
    rows: list[list[Content]] = field(default_factory=list, init=False)

    @property
    def name(self) -> str:
        """``<section>-<label>``, in letters that a file may have: the same in every run."""
        return "-".join(filter(None, map(_slug, (self.section, self.label))))

    def row(self, *contents: Content) -> list[Content]:
        """Add a row, to which more can be appended."""
        self.rows.append(list(contents))
        return self.rows[-1]

    def html(self) -> Markup:
        """The table, in an element that scrolls where the window is narrow."""
        lines = ['<div class="wide"><table>']
        if self.caption:
            lines.append(f"<caption>{escape(self.caption)}</caption>")
        if self.head:
            heads = "".join(cell.html("th", "col") for cell in self._cells(self.head))
            lines.append(f"<thead><tr>{heads}</tr></thead>")
        lines.append("<tbody>")
        for row in self.rows:
            cells = [
                cell.html("th", "row") if index == self.names_in else cell.html("td")
                for index, cell in enumerate(self._cells(row))
            ]
            lines.append(f"<tr>{''.join(cells)}</tr>")
        return Markup("\n".join([*lines, "</tbody></table></div>"]))

    def folded(self, most: int = 12) -> Markup:
        """The table, on request where it has more rows than these."""
        n = len(self.rows)
        return text(details(f"{self.caption} ({n} rows)", self.html()) if n > most else self.html())

    def csv(self) -> str:
        """CSV; a cell of several numbers becomes a column for each, named by its pointer's end.

        Numbers have full precision. Where a cell also says something in words, a further
        column has it as shown; what is not known is empty.
        """
        heads, columns, seen = list[str](), list[list[str]](), Counter[str]()
        for head, cells in self.columns():
            for name, values in _split(head, cells):
                seen[name] += 1
                heads.append(name if seen[name] == 1 else f"{name} ({seen[name]})")
                columns.append(values)
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        if self.head:
            writer.writerow(heads)
        writer.writerows(zip(*columns, strict=True))
        return out.getvalue()

    def latex(self, label: str = "") -> str:
        r"""A `table` with booktabs' rules; needs ``\usepackage{booktabs}``.

        Parameters
        ----------
        label : str
            For ``\ref``; of a table that has a caption, and so a number.
        """
        kinds = "".join(_alignment(cells) for _, cells in self.columns())
        lines = [r"\begin{table}", r"\centering"]
        if self.caption:
            lines.append(rf"\caption{{{latex_text(_joined(self.caption))}}}")
            lines += [rf"\label{{{label}}}"] if label else []
        lines += [rf"\begin{{tabular}}{{{kinds}}}", r"\toprule"]
        if self.head:
            lines += [_latex_row(self._cells(self.head)), r"\midrule"]
        lines += [_latex_row(self._cells(row)) for row in self.rows]
        lines += [r"\bottomrule", r"\end{tabular}", r"\end{table}", ""]
        return "\n".join(lines)

    def _cells(self, row: Sequence[Content]) -> list[Cell]:
        return [
            Cell(list(parts_of(content)), self.kinds.get(i) or self.kinds.get(i - len(row), ""))
            for i, content in enumerate(row)
        ]

    def columns(self) -> Iterator[tuple[str, list[Cell]]]:
        """The text of every column's head, and its cells."""
        heads, rows = self._cells(self.head), [self._cells(row) for row in self.rows]
        for i in range(max(map(len, [self.head, *self.rows]))):
            yield heads[i].text if heads else "", [row[i] for row in rows]


def tag(name: str, content: Content, kind: str = "", **attributes: str) -> list[Content]:
    """The content in an element of HTML, of a class of the style sheet and with attributes."""
    attributes |= {"class": kind} if kind else {}
    opened = "".join(f' {key}="{escape(value)}"' for key, value in attributes.items())
    return [Markup(f"<{name}{opened}>"), content, Markup(f"</{name}>")]


def details(summary: str, content: Content) -> list[Content]:
    """What a page shows on request, and files always."""
    opened = Markup("<details><summary>{}</summary>").format(summary)
    return ["\n", opened, content, Markup("</details>")]


def text(content: Content) -> Markup:
    """The content as HTML, outside of a table: its numbers say where they stand, as in one."""
    return Markup("").join(map(_html, parts_of(content)))


BREAK: Content = [Markup("<br>"), "\n"]
"""A new line of a cell."""


def write_tables(tables: Iterable[Table], folder: Path) -> list[Path]:
    """Write tables as CSV and as LaTeX.

    Returns
    -------
    list of Path
        ``<section>-<label>.csv`` and ``.tex``, in the order of the tables; the LaTeX's label is
        ``tab:<section>-<label>``.
    """
    tables, written = list(tables), []
    for name, table in zip(distinct(each.name for each in tables), tables, strict=True):
        for suffix, content in (("csv", table.csv()), ("tex", table.latex(f"tab:{name}"))):
            written.append(folder / f"{name}.{suffix}")
            write_text(written[-1], content)
    return written


def distinct(names: Iterable[str]) -> list[str]:
    """The names of files, of which a repeated one gets a number."""
    found: list[str] = []
    for name in names:
        again = re.compile(rf"{re.escape(name)}(_\d+)?")
        same = sum(again.fullmatch(each) is not None for each in found)
        found.append(f"{name}_{same + 1}" if same else name)
    return found


def parts_of(content: Content) -> Iterator[str]:
    """The content as texts, numbers as `Shown`, and `Markup`, in their order."""
    if isinstance(content, list | tuple):
        for each in content:
            yield from parts_of(each)
    else:
        yield content if isinstance(content, str) else _plain(content)


_plain = traceable(str)


def _html(part: str) -> str:
    if not isinstance(part, Shown):
        return escape(part)
    return Markup('<data value="{}" data-key="{}" data-as="{}">{}</data>').format(
        repr(part.number), part.number.key, part.written_as, str(part)
    )


def _joined(parts: Iterable[str]) -> str:
    return " ".join("".join(parts).split())


def _split(head: str, cells: Sequence[Cell]) -> list[tuple[str, list[str]]]:
    """The columns in CSV, with their heads, that one column of a table becomes."""
    fullest = max((cell.numbers for cell in cells), key=len, default=[])
    if not fullest:
        return [(head, ["" if cell.text == "–" else cell.text for cell in cells])]
    names = _ends([each.number.key for each in fullest])
    found = [
        (
            f"{head} {name}".strip() if len(names) > 1 else head,
            [_value(cell.numbers, name, names) for cell in cells],
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


def _value(numbers: Sequence[Shown], name: str, names: Sequence[str]) -> str:
    """The number whose pointer ends in a name; the only one where the column has one."""
    end = "" if len(names) == len(numbers) == 1 else "/" + name.replace(" ", "/")
    return next((_exact(each) for each in numbers if each.number.key.endswith(end)), "")


def _exact(shown: Shown) -> str:
    # The files count from 0, readers from 1.
    return repr(shown.number + 1 if shown.written_as == "from_one" else shown.number)


def _alignment(cells: Sequence[Cell]) -> str:
    if any(len(cell.text) >= _LONG for cell in cells):
        return r"p{0.35\linewidth}"
    return "r" if any(cell.numbers for cell in cells) else "l"


def _latex_row(cells: Sequence[Cell]) -> str:
    return " & ".join(latex_text(cell.text) for cell in cells) + r" \\"


def latex_text(text: str) -> str:
    """Text in LaTeX, whatever signs it holds."""
    return "".join(_LATEX.get(character, character) for character in text)


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower())[:40].strip("-")
