"""Every number in a table of a page comes from its JSON file, and says from where."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from html.parser import HTMLParser
from typing import Any

import jinja2
import pytest
from test_judge import fake_run, summary_of

from kfold_hs.judge.results.summary import Summary
from kfold_hs.report.formats import FORMATS, percent
from kfold_hs.report.render import rendered
from kfold_hs.report.run_page import render
from kfold_hs.report.traced import Count, Number, Shown, at, traced

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


def test_numbers_of_a_run() -> None:
    predictions, history = fake_run()
    summary = json.loads(json.dumps(summary_of(predictions, history)))
    page = render(Summary.from_json(summary), history, predictions)
    assert check(page, summary, FORMATS) > 300
    pointed = {each["data-key"] for each, _ in Cells(page).keyed}
    for end in ("value", "low", "high", "pooled", "folds/3/value", "these_models/low"):
        assert f"/tasks/murmur/metrics/accuracy/{end}" in pointed


def test_a_key_leads_to_its_value_whatever_its_name() -> None:
    content = {"a/b": [{"~": 0.25}, 3], "yes": True, "none": None, "text": "5"}
    found = traced(content)
    assert found == content
    assert isinstance(found["a/b"][0]["~"], Number)
    assert isinstance(found["a/b"][1], Count)
    assert found["a/b"][0]["~"].key == "/a~1b/0/~0"
    assert at(content, "/a~1b/0/~0") == 0.25
    assert type(found["yes"]) is bool


def test_a_text_remembers_its_number_and_is_like_any_other() -> None:
    number = traced({"x": 0.125})["x"]
    text = percent(number)
    assert isinstance(text, Shown)
    assert (text.number, text.number.key, text.written_as) == (0.125, "/x", "percent")
    assert text == percent(0.125) == "12 %"
    assert not isinstance(percent(0.125), Shown)


def test_arithmetic_loses_the_key() -> None:
    assert not isinstance(percent(2 * traced({"x": 0.125})["x"]), Shown)


def test_a_name_that_a_template_misspells_is_an_error() -> None:
    with pytest.raises(jinja2.UndefinedError, match="'s' is undefined"):
        rendered("report.html.j2", {})
