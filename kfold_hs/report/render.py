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
from kfold_hs.report.tables import BREAK, Table, details, tag

_OPTION = re.compile(r"--[a-z][a-z-]*(?: \d+)?")


class Page(str):
    """The HTML of a page, with its tables and its figures by name (as Plotly takes them)."""

    tables: list[Table]
    figures: Mapping[str, Any]


class _Contents:
    """What a template makes beside text: sections, and the tables in them."""

    def __init__(self) -> None:
        self.tables: list[Table] = []
        self._section = ""

    def section(self, name: str, title: str, kind: str = "") -> Markup:
        """The beginning of a section, which the template ends."""
        self._section = name
        attributes = Markup(' class="{}"').format(kind) if kind else ""
        return Markup(
            '<section aria-labelledby="{name}"{attributes}>\n<h2 id="{name}">{title}</h2>'
        ).format(name=name, attributes=attributes, title=title)

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
    templates.globals |= {"section": contents.section, "table": contents.table, "br": BREAK}
    templates.globals |= {
        each.__name__: each
        for each in (details, difference, interval, has_ends, labelled, run_of, tag, untold)
    }
    values |= {"figures": Markup(script_json(figures)), "plotly": Markup(get_plotlyjs())}
    page = Page(templates.get_template(name).render(values))
    page.tables, page.figures = contents.tables, figures
    return page


def script_json(value: Any) -> str:
    """JSON that cannot end the script element it stands in, whatever a name holds."""
    text = json.dumps(value, allow_nan=False)
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text
