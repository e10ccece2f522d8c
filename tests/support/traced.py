"""Every number of a page, checked against the JSON that it points to."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from html.parser import HTMLParser
from typing import Any

from kfold_hs.report.traced import at

Formats = Mapping[str, Callable[..., str]]


class Cells(HTMLParser):
    """Numbers of the cells that are no words: those with a key, and what else has a digit."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.keyed: list[tuple[dict[str, str], str]] = []
        self.others: list[str] = []
        self._cell = self._prose = False
        self._data: dict[str, str] | None = None
        self.feed(re.sub(r"<script\b.*?</script>", "", page, flags=re.DOTALL))

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attributes}
        if tag == "td":
            self._cell = not {"text", "name"} & set(found.get("class", "").split())
        elif tag == "details":
            self._prose = True
        elif tag == "data":
            self._data = found

    def handle_endtag(self, tag: str) -> None:
        if tag == "td":
            self._cell = False
        elif tag == "details":
            self._prose = False
        elif tag == "data":
            self._data = None

    def handle_data(self, text: str) -> None:
        if self._data is not None:
            self.keyed.append((self._data, text))
        elif self._cell and not self._prose and re.search(r"\d", text):
            self.others.append(text)


def check(page: str, content: Any, formats: Formats) -> int:
    """How many numbers the page's tables show, all of which are the content's."""
    cells = Cells(page)
    assert cells.others == []
    for attributes, text in cells.keyed:
        value = at(content, attributes["data-key"])
        assert text == {"str": str, **formats}[attributes["data-as"]](value)
        assert float(attributes["value"]) == value
    return len(cells.keyed)
