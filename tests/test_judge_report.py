"""The page where something is missing, undefined, optimistic or not text."""

from __future__ import annotations

import copy
import html
import json
import re
from typing import Any

import numpy as np
import pandas as pd
import pytest
from test_judge import fake_run, summary_of
from test_judge_summary import without

from kfold_hs.judge.report import percent, place, render, signed
from kfold_hs.predictions import Predictions

Run = tuple[dict[str, Any], pd.DataFrame, Predictions]


@pytest.fixture(scope="module")
def run() -> Run:
    predictions, history = fake_run()
    return summary_of(predictions, history), history, predictions


def figures(page: str) -> dict[str, Any]:
    block = re.search(r'id="figures">(.*?)</script>', page, flags=re.DOTALL)
    assert block is not None
    found: dict[str, Any] = json.loads(block.group(1))
    return found


def texts(node: Any) -> list[str]:
    """Every string of a figure."""
    if isinstance(node, dict):
        return [text for each in node.values() for text in texts(each)]
    if isinstance(node, list):
        return [text for each in node for text in texts(each)]
    return [node] if isinstance(node, str) else []


def test_the_page_forbids_itself_every_request(run: Run) -> None:
    page = render(*run)
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', page)
    assert policy is not None
    assert policy.group(1).startswith("default-src 'none';")
    assert not re.search(r"https?:|\*", policy.group(1))
    assert page.index("Content-Security-Policy") < page.index("<script")


def test_a_name_is_text_inside_the_charts_too(run: Run) -> None:
    # Plotly makes links and line breaks of HTML in names, ticks and hover texts.
    evil = '<a href="http://example.org">x</a><br>%{y}'
    summary, history, predictions = copy.deepcopy(run[0]), run[1], run[2]
    summary["tasks"] = {evil: summary["tasks"]["murmur"]}
    summary["tasks"][evil]["classes"][0] = evil
    for rule in summary["optimism"].values():
        rule["accuracies"][evil] = rule["accuracies"]["murmur"]
    for fold in summary["folds"]:
        fold["accuracies"][evil] = fold["accuracies"]["murmur"]
    summary["split"]["balance"][0]["class"] = evil
    history = history.rename(columns={"acc.murmur": f"acc.{evil}"})
    drawn = figures(render(summary, history, predictions))
    # What Plotly fills in by itself: our own line breaks and hover templates.
    found = [text for text in texts(drawn) if "example.org" in text]
    assert len(found) > 20
    assert not [text for text in found if "<" in text]
    for figure in drawn.values():
        for trace in figure["data"]:
            assert "example.org" not in trace["hovertemplate"]  # %{y} in a name would be filled in


def test_a_loss_that_is_not_a_number_is_a_gap(run: Run) -> None:
    history = run[1].copy()
    history.loc[0, "val_loss"] = np.nan
    history.loc[1, "train_loss"] = np.inf
    drawn = figures(render(run[0], history, run[2]))
    assert sum(trace["y"].count(None) for trace in drawn["loss"]["data"]) >= 2


def test_undefined_is_a_dash(run: Run) -> None:
    summary = copy.deepcopy(run[0])
    metric = summary["tasks"]["murmur"]["metrics"]["auroc"]
    metric |= {"value": None, "low": None, "high": None}
    page = html.unescape(render(summary, run[1], run[2]))
    assert "<strong>–</strong>" in page


def test_an_unfinished_run_says_so() -> None:
    predictions, history = without(*fake_run(), fold=4)
    page = render(summary_of(predictions, history), history, predictions).replace("\n", " ")
    assert "Not finished: without fold 4 of repeat 0, seed 0." in page


def test_a_summary_of_an_earlier_version_is_drawn(run: Run) -> None:
    summary = {key: value for key, value in run[0].items() if key != "incomplete"}
    assert "The answer" in render(summary, run[1], run[2])
    older = copy.deepcopy(run[0])
    del older["budget"]["at_most"]
    for choice in older["choices"]["each"]:
        del choice["scored_above_crossfit"]
    page = render(older, run[1], run[2])
    assert "The answer" in page
    assert "what to buy next" not in page


def test_what_to_buy_next_and_the_optimism_of_choices_are_shown(run: Run) -> None:
    page = " ".join(html.unescape(render(*run)).split())
    assert run[0]["budget"]["text"] in page
    assert run[0]["budget"]["at_most"] == ["repeats"]
    assert f"at most {percent(run[0]['budget']['se_after']['repeats'])}" in page
    for choice in run[0]["choices"]["each"]:
        assert signed(choice["scored_above_crossfit"]["value"]) in page


def test_every_caption_of_an_optimistic_run_says_so(run: Run) -> None:
    predictions, history = run[2], run[1].assign(kept=run[1]["best"])
    page = render(summary_of(predictions, history, select="best"), history, predictions)
    for caption in ("Accuracy against", "murmur, 100", "outcome, 100", "Folds; epochs"):
        assert re.search(rf"<caption>{caption}[^<]*\(optimistic\)</caption>", page)
    assert "(optimistic)</caption>" not in render(*run)


def test_tables_can_be_read_aloud(run: Run) -> None:
    page = render(*run)
    tables = re.findall(r"<table>.*?</table>", page, flags=re.DOTALL)
    assert len(tables) >= 7
    for table in tables:
        assert table.count("<caption>") == 1
        assert not re.search(r"<th(?![^>]*scope=)[ >]", table)


def test_the_target_is_drawn_and_the_axis_holds_everything(run: Run) -> None:
    for task in ("murmur", "outcome"):
        figure = figures(render(*run))[f"forest-{task}"]
        low, high = figure["layout"]["xaxis"]["range"]
        target = [trace for trace in figure["data"] if trace["name"].startswith("target")]
        assert target[0]["x"] == [0.95, 0.95]
        for metric in run[0]["tasks"][task]["metrics"].values():
            if metric["high"] <= 1 and metric["higher_is_better"]:
                assert low <= metric["low"]
                assert metric["high"] <= high
                assert all(low <= fold["value"] <= high for fold in metric["folds"])


@pytest.mark.parametrize(
    ("repeat", "seed", "text"), [(0, 0, "3"), (1, 0, "3 (r1 s0)"), (0, 2, "3 (r0 s2)")]
)
def test_place(repeat: int, seed: int, text: str) -> None:
    assert place({"repeat": repeat, "seed": seed, "fold": 3}) == text


def test_many_variants_on_one_split_are_told(run: Run) -> None:
    summary = {**run[0], "tried": {"n_variants": 7, "runs": {}}}
    words = "7 variants have been tried on these people and folds"
    assert words in render(summary, run[1], run[2])
    assert "have been tried" not in render(*run)
