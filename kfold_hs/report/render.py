"""What all pages share: templates beside this module, and data that cannot break out of a script.

Pages open offline: the drawing library is inlined, and no request leaves them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

import jinja2
from jinja2.bccache import Bucket
from markupsafe import Markup, escape
from plotly.offline import get_plotlyjs

from kfold_hs.errors import enumerated
from kfold_hs.judge.results.sentences import counted, without_folders
from kfold_hs.report.formats import (
    FORMATS,
    difference,
    has_ends,
    interval,
    labelled,
    run_of,
    untold,
)
from kfold_hs.report.glossary import GLOSSARY
from kfold_hs.report.tables import BREAK, Table, details, tag, text

_OPTION = re.compile(r"--[a-z][a-z-]*(?: \d+)?")


class Page(str):
    """The HTML of a page, with its tables and its figures by name (as Plotly takes them)."""

    tables: list[Table]
    figures: Mapping[str, Any]


_CONTENTS = Markup("<!--contents-->")
_LINK = Markup('<li><a href="#{}">{}</a>{}</li>\n')


class _Contents:
    """What a template makes beside text: parts, sections, and the tables in them."""

    def __init__(self) -> None:
        self.tables: list[Table] = []
        self._section = ""
        self._parts: list[tuple[str, str, list[tuple[str, str]]]] = []
        self._in_part = False

    def part(self, name: str = "", title: str = "") -> Markup:
        """The heading of a question that the sections after it answer; without one, its end."""
        self._in_part = bool(name)
        if not name:
            return Markup()
        self._parts.append((name, title, []))
        return Markup('<h2 class="part" id="{}">{}</h2>').format(name, title)

    def section(self, name: str, title: str, kind: str = "") -> Markup:
        """The beginning of a section, which the template ends."""
        self._section = name
        if self._in_part:
            self._parts[-1][2].append((name, title))
        else:
            self._parts.append((name, title, []))
        return Markup(
            '<section aria-labelledby="{name}"{kind}>\n<{tag} id="{name}">{title}</{tag}>'
        ).format(
            name=name,
            kind=Markup(' class="{}"').format(kind) if kind else "",
            tag="h3" if self._in_part else "h2",
            title=title,
        )

    def links(self) -> Markup:
        """The list of all parts and sections, which stays in sight."""
        items = Markup()
        for name, title, sections in self._parts:
            below = Markup().join(_LINK.format(*each, "") for each in sections)
            items += _LINK.format(
                name, title, Markup("\n<ul>\n{}</ul>").format(below) if below else ""
            )
        return Markup('<nav class="contents" aria-label="Contents"><ul>\n{}</ul></nav>').format(
            items
        )

    def table(self, *args: Any, **named: Any) -> Table:
        """A `Table` of the section, to be filled and placed."""
        self.tables.append(Table(self._section, *args, **named))
        return self.tables[-1]


class _Compiled(jinja2.BytecodeCache):
    """Templates are compiled once a process: a search draws hundreds of pages."""

    def __init__(self) -> None:
        self._known: dict[str, bytes] = {}

    def load_bytecode(self, bucket: Bucket) -> None:
        if bucket.key in self._known:
            bucket.bytecode_from_string(self._known[bucket.key])

    def dump_bytecode(self, bucket: Bucket) -> None:
        self._known[bucket.key] = bucket.bytecode_to_string()


_COMPILED = _Compiled()


def in_one_piece(text: str) -> Markup:
    """Text in which no line ends within an option, as ``--repeats 3``, after its hyphens."""
    return Markup(_OPTION.sub(r'<span class="whole">\g<0></span>', str(escape(text))))


def rendered(name: str, figures: Mapping[str, Any], **values: Any) -> Page:
    """The page that a template makes of these values.

    Parameters
    ----------
    name : str
        Of the template, in the folder beside this module.
    figures : mapping
        By the names that the template's charts have.
    **values
        What the template shows. A name that it misspells is an error.
    """
    templates = jinja2.Environment(
        loader=jinja2.PackageLoader("kfold_hs.report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=["jinja2.ext.do"],
        bytecode_cache=_COMPILED,
    )
    contents = _Contents()
    templates.filters |= FORMATS | {
        each.__name__: each for each in (counted, enumerated, in_one_piece, without_folders)
    }
    templates.tests["ended"] = has_ends
    templates.globals |= {
        "section": contents.section, "part": contents.part, "table": contents.table,
        "contents": _CONTENTS, "br": BREAK, "glossary": GLOSSARY,
    }  # fmt: skip
    templates.globals |= {
        each.__name__: each
        for each in (details, difference, interval, has_ends, labelled, run_of, tag, text, untold)
    }
    values |= {"figures": Markup(script_json(figures)), "plotly": Markup(get_plotlyjs())}
    drawn = templates.get_template(name).render(values)
    page = Page(drawn.replace(_CONTENTS, contents.links(), 1))
    page.tables, page.figures = contents.tables, figures
    return page


def script_json(value: Any) -> str:
    """JSON that cannot end the script element it stands in, whatever a name holds."""
    text = json.dumps(value, allow_nan=False)
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text
