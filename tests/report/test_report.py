"""The page: complete, offline, and safe against names that are not text."""

from __future__ import annotations

import html
import json
import re
from pathlib import Path

import pandas as pd
import pytest
from support.fake_run import PROVENANCE, fake_run, summary_of
from support.fake_run import page_of as render
from support.pages import unmarked

import kfold_hs
from kfold_hs.predictions.table import Predictions
from kfold_hs.report.formats import duration, number
from kfold_hs.report.render import in_one_piece

Run = tuple[dict, pd.DataFrame, Predictions]  # type: ignore[type-arg]


@pytest.fixture(scope="module")
def run() -> Run:
    predictions, history = fake_run()
    return summary_of(predictions, history), history, predictions


def without_library(page: str) -> str:
    """The page without the drawing library, which is not ours."""
    scripts = re.findall(r"<script>.*?</script>", page, flags=re.DOTALL)
    return page.replace(max(scripts, key=len), "")


def test_every_number_of_the_tables_is_on_the_page(run: Run) -> None:
    page = html.unescape(unmarked(render(*run)))
    summary = run[0]
    assert summary["headline"]["sentence"] in re.sub("<[^>]+>", "", page)  # options do not break
    for result in summary["tasks"].values():
        for metric in result["metrics"].values():
            for value in (metric["value"], metric["low"], metric["high"], metric["pooled"]):
                assert number(value) in page
            for fold in metric["folds"]:
                assert f"<td>{number(fold['value'])}</td>" in page
    for rule in summary["optimism"].values():
        assert number(rule["mean_accuracy"]["value"]) in page


def test_sections_and_figures(run: Run) -> None:
    page = unmarked(render(*run))
    for title in ("The answer", "Metrics, out of fold", "Learning", "Confusion", "Split and data",
                  "How to reproduce"):  # fmt: skip
        assert re.search(rf"<h(\d) [^>]*>{title}</h\1>", page)
    places = set(re.findall(r'data-figure="([^"]+)"', page))
    block = re.search(r'id="figures">(.*?)</script>', page, flags=re.DOTALL)
    assert block is not None
    assert places == set(json.loads(block.group(1)))
    assert "Over-fitting" in page
    assert "<td>4</td>" in page  # fold 1 over-fits from epoch 4 on, counted from 1


def test_nothing_is_fetched(run: Run) -> None:
    page = without_library(render(*run))
    assert not re.search(r'(?:src|href|action)\s*=\s*"?(?:https?:)?//', page)
    assert "@import" not in page
    assert "url(" not in page
    assert len(render(*run)) < 10_000_000


def test_hostile_names_stay_text(run: Run) -> None:
    summary, history, predictions = run
    evil = '</script><script>alert("x")</script>'
    hostile = json.loads(json.dumps(summary))
    hostile["cohort"]["notes"][0]["items"] = [evil, "‮" + "x" * 10_000]
    hostile["split"]["balance"][0]["class"] = evil
    hostile["provenance"] = {**PROVENANCE, "command": evil}
    hostile["tasks"]["murmur"]["classes"][0] = evil
    page = without_library(render(hostile, history, predictions))
    assert evil not in page
    assert "<script>alert" not in page
    assert html.escape(evil, quote=False).replace('"', "&#34;") in page


def test_an_optimistic_choice_is_named(run: Run) -> None:
    predictions, history = run[2], run[1].assign(kept=run[1]["best"])
    page = render(summary_of(predictions, history, select="best"), history, predictions)
    assert "Optimistic: the epoch of every model was chosen on the people it is scored on" in (
        page.replace("\n", " ")
    )


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "–"), (0.12345, "0.123"), (12345.6, "12,346"), (-0.5, "-0.500"), (-0.0004, "0.000")],
)
def test_numbers(value: float | None, text: str) -> None:
    assert number(value) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(7, "7 s"), (127, "2 min 07 s"), (3661, "1 h 01 min")]
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_an_option_stays_on_one_line_and_nothing_is_markup() -> None:
    found = in_one_piece("<b> is conservative; --repeats 3 is - so to say - recommended.")
    assert found == (
        '&lt;b&gt; is conservative; <span class="whole">--repeats 3</span> is - so to say - '
        "recommended."
    )


def test_a_page_with_a_list_of_contents_has_room_beside_it() -> None:
    templates = Path(kfold_hs.__file__).parent / "report" / "templates"
    for path in templates.glob("*.html.j2"):
        page = path.read_text("utf-8")
        body = re.search("<body[^>]*>", page)
        assert ("{{ contents }}" in page) == (body is not None and "with-contents" in body[0]), path
