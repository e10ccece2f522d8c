"""Numbers of a page that know where in its JSON file they stand.

A number of `traced` content becomes, in whatever cell of a table a template shows it,

    <data value="0.7324840764331211" data-key="/headline/value" data-as="number">0.732</data>

so that a reader, a test and a table for a paper can tell what was rounded, and from what.
Keys are JSON pointers (RFC 6901). Templates need not know: their filters leave a mark in the
text, of characters that no script has, and `marked` makes elements of the marks in cells and
takes away the others, which stand in sentences and attributes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from markupsafe import Markup, escape

# Of Unicode's private use: before a mark, between key, filter, exact value and text, and after.
_BEGIN, _NEXT, _END = "\uf8e0", "\uf8e1", "\uf8e2"
_MARK = re.compile("{}(.*?){}(.*?){}(.*?){}(.*?){}".format(_BEGIN, *[_NEXT] * 3, _END))
_NO_MARKS = dict.fromkeys(map(ord, (_BEGIN, _NEXT, _END)), "\ufffd")
_CELL = re.compile(r"<t[dh]\b.*?</t[dh]>", flags=re.DOTALL)
_TAG = re.compile(r"<[^>]*>")


class Number(float):
    """A float of a JSON file, with its pointer."""

    key: str


class Count(int):
    """An integer of a JSON file, with its pointer."""

    key: str


def traced(content: Any, key: str = "") -> Any:
    """The same content, with a pointer in every number.

    Parameters
    ----------
    content : JSON value
    key : str
        Pointer of the content itself.
    """
    if isinstance(content, Mapping):
        return {name: traced(value, f"{key}/{_escaped(name)}") for name, value in content.items()}
    if isinstance(content, list | tuple):
        return [traced(value, f"{key}/{place}") for place, value in enumerate(content)]
    if isinstance(content, bool) or not isinstance(content, int | float):
        return content
    found: Count | Number = Count(content) if isinstance(content, int) else Number(content)
    found.key = key
    return found


def at(content: Any, key: str) -> Any:
    """The value that a pointer leads to."""
    for name in key.split("/")[1:]:
        plain = name.replace("~1", "/").replace("~0", "~")
        content = content[int(plain)] if isinstance(content, list) else content[plain]
    return content


def showing(name: str, text_of: Callable[..., Any]) -> Callable[..., Any]:
    """The filter `text_of`, called `name`, that marks the numbers it is given."""

    def shown(value: Any, *rest: Any, **named: Any) -> Any:
        text = text_of(value, *rest, **named)
        return _mark(value, text, name) if isinstance(value, Number | Count) else text

    return shown


def plainly(value: Any) -> Any:
    """What stands in a template without a filter: numbers are marked, too.

    The marks' own characters in somebody's word would be taken for marks.
    """
    if isinstance(value, Number | Count):
        return _mark(value, str(value), "str")
    if isinstance(value, str) and not isinstance(value, Markup):
        return value.translate(_NO_MARKS)
    return value


def marked(page: str) -> str:
    """The page with elements for the marks in cells of tables, and with no others."""
    cells = _CELL.sub(lambda cell: _elements(_TAG.sub(lambda tag: _bare(tag[0]), cell[0])), page)
    return _bare(cells)


def _mark(value: Number | Count, text: str, name: str) -> Markup:
    parts = (escape(part) for part in (value.key, name, repr(value), text))
    return Markup(_BEGIN + _NEXT.join(parts) + _END)


def _elements(text: str) -> str:
    return _MARK.sub(r'<data value="\3" data-key="\1" data-as="\2">\4</data>', text)


def _bare(text: str) -> str:
    return _MARK.sub(r"\4", text)


def _escaped(name: str) -> str:
    return str(name).replace("~", "~0").replace("/", "~1")
