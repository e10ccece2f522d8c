"""Writers: a `Paper` as HTML, Markdown, DOCX and LaTeX; and a table of its numbers."""

from __future__ import annotations

import csv
import io
import re
import textwrap
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from markupsafe import Markup, escape

from kfold_hs.errors import KfoldHsError
from kfold_hs.report.paper.content import (
    Block,
    Code,
    Figure,
    Flow,
    Paper,
    Step,
    Text,
    numbers_of,
)
from kfold_hs.report.render import Page, rendered
from kfold_hs.report.tables import Content, Table, latex_text, parts_of, text

Images = Mapping[str, Path]
"""Files of figures, in figures/ beside the paper, without the suffix; empty if none are drawn."""
_LONG_WORD = re.compile(r"\S{25,}")
_IN_MARKDOWN = re.compile(r"([\\`*_{}\[\]<>#|~$&^])")
_NOT_IN_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_MARKDOWN = {"<mark>": "**", "</mark>": "**", "<strong>": "**", "</strong>": "**", "<br>": "<br>"}
_LATEX = {
    "<mark>": r"\textbf{", "</mark>": "}", "<strong>": r"\textbf{", "</strong>": "}",
    "<code>": r"\texttt{", "</code>": "}", "<br>": r"\newline ",
}  # fmt: skip


def plain(content: Content, marks: Mapping[str, str], escaped: Callable[[str], str]) -> str:
    """Content as text of a format: its parts escaped, of its elements those that have a mark."""
    parts = (
        marks.get(str(part), "") if isinstance(part, Markup) else escaped(part)
        for part in parts_of(content)
    )
    return " ".join("".join(parts).split())


# --- HTML -----------------------------------------------------------------------------------------


def html(paper: Paper) -> Page:
    """A page like the others: one file, which opens offline."""
    named = {id(b): b for s in paper.sections for b in s.blocks}
    shown = [b.name for b in named.values() if isinstance(b, Figure)]
    figures = {name: paper.figures[name] for name in shown if name in paper.figures}
    return rendered(
        "paper.html.j2", figures, paper=paper, block=lambda each: _block_html(each, figures)
    )


def _block_html(block: Block, figures: Mapping[str, Any]) -> Markup:
    match block:
        case Table():
            return block.html()
        case Text():
            return Markup("<p>{}</p>").format(text(block.content))
        case Code():
            return Markup("<pre><code>{}</code></pre>").format(block.text)
        case Figure():
            if block.name not in figures:
                return Markup()
            return Markup(
                '<figure><figcaption>{0}</figcaption><div class="chart" data-figure="{1}" '
                'role="img" aria-label="{0}: the numbers are in the tables"></div></figure>'
            ).format(block.caption, block.name)
        case Flow():
            return flow_svg(block.steps) + Markup("<ol>{}</ol>").format(
                Markup().join(
                    Markup("<li>{}{}</li>").format(
                        text(step.inside),
                        Markup("<ul>{}</ul>").format(
                            Markup().join(Markup("<li>{}</li>").format(text(c)) for c in step.left)
                        ) if step.left else "",
                    )
                    for step in block.steps
                )
            )  # fmt: skip


_BOX, _GAP, _LINE, _CHARACTERS = 340, 40, 17, 42


def flow_svg(steps: list[Step]) -> Markup:
    """The flow diagram: boxes one under another, who left on the right."""
    drawn, top = list[str](), 10
    for place, step in enumerate(steps):
        mine, left = _lines([step.inside]), _lines(step.left)
        height = _LINE * max(len(mine), 1) + 16
        drawn += _box(10, top, height, mine)
        bottom = top + height
        if left:
            middle, size = bottom + 14, _LINE * len(left) + 16
            drawn += _box(2 * _GAP + _BOX, middle, size, left)
            y = middle + size / 2
            drawn.append(_arrow(10 + _BOX / 2, y, 2 * _GAP + _BOX, y))
            bottom = middle + size
        if place + 1 < len(steps):
            drawn.append(_arrow(10 + _BOX / 2, top + height, 10 + _BOX / 2, bottom + _GAP))
        top = bottom + _GAP
    width, height = _BOX + 20, top - _GAP + 10
    if any(step.left for step in steps):
        width += _BOX + 2 * _GAP - 10
    return Markup(
        f'<div class="wide"><svg viewBox="0 0 {width} {height:g}" width="{width}" role="img" '
        'font-size="12" fill="currentColor" '
        'aria-label="Flow of people: the list below says the same">'
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" '
        'markerHeight="8" orient="auto"><path d="M0 0 L8 4 L0 8 z" fill="currentColor"/></marker>'
        f"</defs>{''.join(drawn)}</svg></div>"
    )


def _lines(contents: list[Content]) -> list[str]:
    return [line for each in contents for line in textwrap.wrap(plain(each, {}, str), _CHARACTERS)]


def _box(x: float, y: float, height: float, lines: list[str]) -> Iterator[str]:
    yield (
        f'<rect x="{x:g}" y="{y:g}" width="{_BOX}" height="{height:g}" rx="4" fill="none" '
        'stroke="currentColor"/>'
    )
    for i, line in enumerate(lines):
        yield f'<text x="{x + 10:g}" y="{y + _LINE * (i + 1) + 3:g}">{escape(line)}</text>'


def _arrow(x1: float, y1: float, x2: float, y2: float) -> str:
    return (
        f'<line x1="{x1:g}" y1="{y1:g}" x2="{x2:g}" y2="{y2:g}" stroke="currentColor" '
        'marker-end="url(#tip)"/>'
    )


# --- Markdown -------------------------------------------------------------------------------------


def markdown_text(said: str) -> str:
    """Text in Markdown, whatever signs it holds; also between bars of a table."""
    return _IN_MARKDOWN.sub(r"\\\1", said)


def markdown(paper: Paper, images: Images) -> str:
    """CommonMark with tables, as GitHub and Pandoc read it."""
    lines = [f"# {markdown_text(paper.title)}", ""]
    for section in paper.sections:
        lines += [f"## {markdown_text(section.title)}", ""]
        for block in section.blocks:
            lines += [*_block_markdown(block, images), ""]
    return "\n".join(lines)


def _in_markdown(content: Content) -> str:
    return plain(content, _MARKDOWN, markdown_text)


def _block_markdown(block: Block, images: Images) -> list[str]:
    match block:
        case Table():
            rows = [[_in_markdown(cell) for cell in row] for row in [block.head, *block.rows]]
            bars = [f"| {' | '.join(row)} |" for row in rows]
            rule = "|" + "---|" * len(block.head)
            return [f"**{markdown_text(block.caption)}**", "", bars[0], rule, *bars[1:]]
        case Text():
            return [_in_markdown(block.content)]
        case Code():
            fence = "`" * max(3, *(len(run) + 1 for run in re.findall("`+", block.text) or [""]))
            return [fence, block.text, fence]
        case Figure():
            if block.name not in images:
                return []
            caption = markdown_text(block.caption)
            return [f"![{caption}](figures/{images[block.name].name}.png)"]
        case Flow():
            lines = []
            for place, step in enumerate(block.steps, 1):
                lines.append(f"{place}. {_in_markdown(step.inside)}")
                lines += [f"   - {_in_markdown(each)}" for each in step.left]
            return lines


# --- LaTeX ----------------------------------------------------------------------------------------

_PREAMBLE = r"""\documentclass[a4paper,10pt]{article}
\usepackage{iftex}
\ifPDFTeX\usepackage[T1]{fontenc}\usepackage[utf8]{inputenc}\else\usepackage{fontspec}\fi
\usepackage[margin=2cm]{geometry}
\usepackage{array,booktabs,longtable,graphicx}
\setlength{\parindent}{0pt}\setlength{\parskip}{6pt}
"""


def latex(paper: Paper, images: Images) -> str:
    """A document of its own; needs no package beyond those of a usual installation."""
    lines = [_PREAMBLE + r"\begin{document}", rf"\section*{{{_wrapped(paper.title)}}}", ""]
    for section in paper.sections:
        lines += [rf"\section{{{_wrapped(section.title)}}}\label{{sec:{section.name}}}", ""]
        for block in section.blocks:
            lines += [*_block_latex(block, images), ""]
    return "\n".join([*lines, r"\end{document}", ""])


def _wrapped(said: str) -> str:
    """Text in LaTeX, whose long words (digests, pointers) may break anywhere."""

    def broken(word: re.Match[str]) -> str:
        parts = textwrap.wrap(word[0], 12, break_on_hyphens=False)
        return r"\allowbreak{}".join(map(latex_text, parts))

    found, at = list[str](), 0
    for word in _LONG_WORD.finditer(said):
        found += [latex_text(said[at : word.start()]), broken(word)]
        at = word.end()
    # At the start of a row a bracket would be an option of the one before; two dashes would be one.
    return "".join([*found, latex_text(said[at:])]).replace("[", "{[}").replace("--", "-{}-")


def _in_latex(content: Content) -> str:
    return plain(content, _LATEX, _wrapped)


def _block_latex(block: Block, images: Images) -> list[str]:
    match block:
        case Table():
            return _longtable(block)
        case Text():
            return [_in_latex(block.content)]
        case Code():
            said = r"\newline ".join(map(_wrapped, block.text.splitlines()))
            return [r"\begin{quote}\ttfamily\raggedright", said, r"\end{quote}"]
        case Figure():
            if block.name not in images:
                return []
            path = f"figures/{images[block.name].name}.pdf"
            return [r"\begin{center}", rf"\includegraphics[width=0.8\linewidth]{{{path}}}",
                    r"\par " + _wrapped(block.caption), r"\end{center}"]  # fmt: skip
        case Flow():
            lines = [r"\begin{enumerate}"]
            for step in block.steps:
                lines.append(r"\item " + _in_latex(step.inside))
                if step.left:
                    lines += [r"\begin{itemize}", *(r"\item " + _in_latex(c) for c in step.left),
                              r"\end{itemize}"]  # fmt: skip
            return [*lines, r"\end{enumerate}"]


def _shares(table: Table) -> list[float]:
    """Of the width of a page, for every column, by its longest cell."""
    weights = []
    for head, cells in table.columns():
        longest = max((len(cell.text) for cell in cells), default=0)
        weights.append(max(min(longest, 60), min(len(head), 14)) + 4)
    return [weight / sum(weights) for weight in weights]


def _longtable(table: Table) -> list[str]:
    shares = _shares(table)
    room, size = 1 - 0.025 * len(shares), "scriptsize" if len(shares) > 7 else "footnotesize"
    columns = "".join(
        rf">{{\raggedright\arraybackslash}}p{{{room * share:.3f}\linewidth}}" for share in shares
    )
    rows = [" & ".join(_in_latex(cell) for cell in row) + r" \\" for row in table.rows]
    head = " & ".join(_in_latex(cell) for cell in table.head) + r" \\"
    return [
        rf"{{\{size}\setlength{{\tabcolsep}}{{3pt}}", rf"\begin{{longtable}}{{{columns}}}",
        rf"\caption{{{_wrapped(table.caption)}}}\label{{tab:{table.name}}}\\",
        r"\toprule", head, r"\midrule\endfirsthead", r"\toprule", head, r"\midrule\endhead",
        *rows, r"\bottomrule", r"\end{longtable}}",
    ]  # fmt: skip


# --- DOCX -----------------------------------------------------------------------------------------


def docx(paper: Paper, images: Images) -> bytes:
    """A document of Word, by python-docx (extra `paper`).

    Raises
    ------
    KfoldHsError
        python-docx is not installed.
    """
    document = new_document()
    document.add_heading(_xml(paper.title), 0)
    for section in paper.sections:
        document.add_heading(_xml(section.title), 1)
        for block in section.blocks:
            _block_docx(document, block, images)
    out = io.BytesIO()
    document.save(out)
    return out.getvalue()


def new_document() -> Any:
    """An empty document; an error where python-docx is missing."""
    try:
        import docx as library
    except ImportError as error:
        raise KfoldHsError(
            "paper.docx is written by python-docx, which is not installed: pip install "
            "'kfold-hs[paper]', or leave it out: --formats html,md,tex."
        ) from error
    document = library.Document()
    for side in ("left_margin", "right_margin", "top_margin", "bottom_margin"):
        setattr(document.sections[0], side, library.shared.Cm(2))
    return document


def _xml(said: str) -> str:
    return _NOT_IN_XML.sub("\ufffd", said)


def _block_docx(document: Any, block: Block, images: Images) -> None:
    page = document.sections[0]
    room = page.page_width - page.left_margin - page.right_margin
    match block:
        case Table():
            document.add_paragraph(_xml(block.caption), style="Caption")
            grid = document.add_table(rows=0, cols=len(block.head), style="Table Grid")
            grid.autofit, shares = False, _shares(block)
            for column, share in zip(grid.columns, shares, strict=True):
                column.width = round(share * room)
            for place, row in enumerate([block.head, *block.rows]):
                cells = grid.add_row().cells
                for cell, content, share in zip(cells, row, shares, strict=True):
                    cell.width = round(share * room)
                    _runs(cell.paragraphs[0], content, size=8, bold=place == 0)
            document.add_paragraph()
        case Text():
            _runs(document.add_paragraph(), block.content)
        case Code():
            _runs(document.add_paragraph(), block.text, size=8, font="Courier New")
        case Figure():
            if block.name in images:
                from docx.shared import Inches

                document.add_picture(f"{images[block.name]}.png", width=Inches(5.5))
                document.add_paragraph(_xml(block.caption), style="Caption")
        case Flow():
            for step in block.steps:
                _runs(document.add_paragraph(style="List Bullet"), step.inside)
                for each in step.left:
                    _runs(document.add_paragraph(style="List Bullet 2"), each)


def _runs(
    paragraph: Any, content: Content, size: int = 10, bold: bool = False, font: str = ""
) -> None:
    """The parts of content, with what is marked in them, in a paragraph."""
    from docx.enum.text import WD_COLOR_INDEX
    from docx.shared import Pt

    within = set[str]()
    for part in parts_of(content):
        if isinstance(part, Markup):
            name = str(part).strip("</>")
            (within.discard if str(part).startswith("</") else within.add)(name)
            if name == "br":
                paragraph.add_run().add_break()
            continue
        run = paragraph.add_run(re.sub(r"\s+", " ", _xml(str(part))))
        run.font.size, run.bold = Pt(size), bold or "strong" in within
        if font or "code" in within:
            run.font.name = font or "Courier New"
        if "mark" in within:
            run.font.highlight_color = WD_COLOR_INDEX.YELLOW


# --- numbers --------------------------------------------------------------------------------------


def numbers(paper: Paper) -> str:
    """CSV: every number as it is written, its exact value, and where it stands."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["section", "written", "value", "file", "pointer"])
    for section, said, part in numbers_of(paper):
        file, _, pointer = part.number.key.partition("#")
        writer.writerow([section, said, repr(part.number), file, pointer])
    return out.getvalue()
