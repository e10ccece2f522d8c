"""Every number in a table of a page comes from its JSON file, and says from where."""

from __future__ import annotations

import json

import jinja2
import pytest
from support.fake_run import fake_run, summary_of
from support.traced import Cells, check

from kfold_hs.judge.results.summary import Summary
from kfold_hs.report.formats import FORMATS, percent
from kfold_hs.report.render import rendered
from kfold_hs.report.run_page import render
from kfold_hs.report.traced import Count, Number, Shown, at, traced


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
