"""Numbers that know where in their JSON file they stand, and texts that know their number.

A number of `traced` content has its JSON pointer (RFC 6901) as `key`. A format that is
`traceable` makes a text of it that remembers the number, so that a table can say what was
rounded, and from what. In a sentence such a text is like any other.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

V = TypeVar("V")


class Number(float):
    """A float of a JSON file, with its pointer."""

    key: str


class Count(int):
    """An integer of a JSON file, with its pointer."""

    key: str


class Shown(str):
    """The text of a number, with the number, and the name of its format."""

    number: Number | Count
    written_as: str


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


def traceable(text_of: Callable[[V], str]) -> Callable[[V], str]:
    """The same format, whose texts of `traced` numbers are `Shown`."""

    @functools.wraps(text_of)
    def shown(value: V) -> str:
        if not isinstance(value, Number | Count):
            return text_of(value)
        text = Shown(text_of(value))
        text.number, text.written_as = value, text_of.__name__
        return text

    return shown


def at(content: Any, key: str) -> Any:
    """The value that a pointer leads to."""
    for name in key.split("/")[1:]:
        plain = name.replace("~1", "/").replace("~0", "~")
        content = content[int(plain)] if isinstance(content, list) else content[plain]
    return content


def _escaped(name: str) -> str:
    return str(name).replace("~", "~0").replace("/", "~1")
