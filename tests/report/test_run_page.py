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
from support.fake_run import fake_run, summary_of
from support.fake_run import page_of as render
from support.fake_run_parts import summary_with, twice, without
from support.pages import unmarked

from kfold_hs.predictions.table import Predictions
from kfold_hs.report.formats import percent, place, signed, signed_whole

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
    for by_task in (summary["tasks"], summary["curves"]["tasks"], summary["beside"]):
        by_task[evil] = by_task.pop("murmur")
        del by_task["outcome"]
    summary["headline"]["tasks"] = [evil]
    of_murmur = summary["learning"]["columns"].pop("acc.murmur")
    summary["learning"]["columns"][f"acc.{evil}"] = of_murmur
    summary["curves"]["tasks"][evil]["cost"]["refer"] = [evil]
    summary["beside"][evil]["official"]["entries"][0]["team"] = evil
    summary["beside"][evil]["rules"][0]["name"] = evil
    summary["tasks"][evil]["classes"][0] = evil
    for rule in summary["optimism"].values():
        rule["accuracies"][evil] = rule["accuracies"]["murmur"]
    for fold in summary["folds"]:
        fold["accuracies"][evil] = fold["accuracies"]["murmur"]
    summary["split"]["balance"][0]["class"] = evil
    history = history.rename(columns={"acc.murmur": f"acc.{evil}"})
    drawn = figures(render(summary, history, predictions))
    # What Plotly fills in by itself: our own line breaks and hover templates.
    ours = "referral threshold,<br>"
    found = [text.removeprefix(ours) for text in texts(drawn) if "example.org" in text]
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
    page = " ".join(html.unescape(unmarked(render(*run))).split())
    assert run[0]["budget"]["text"] in page
    assert run[0]["budget"]["at_most"] == ["people", "repeats"]
    for what in run[0]["budget"]["at_most"]:
        assert f"at most {percent(run[0]['budget']['se_after'][what])}" in page
    for choice in run[0]["choices"]["each"]:
        each = choice["scored_above_crossfit"]
        large = max(abs(each[end]) for end in ("value", "low", "high")) >= 100
        assert (signed_whole if large else signed)(each["value"]) in page


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


def test_a_page_says_what_its_intervals_allow_for_and_whether_they_are_old(run: Run) -> None:
    summary, history, predictions = run
    page, old = (
        " ".join(render(summary | {"schema": schema}, history, predictions).split())
        for schema in (2, 1)
    )
    allows, too_narrow = "that the same people both train and test", "Repeat the command"
    assert (allows in page, too_narrow in page) == (True, False)
    assert (allows in old, too_narrow in old) == (False, True)


def test_the_target_is_drawn_and_the_axis_holds_everything(run: Run) -> None:
    for task in ("murmur", "outcome"):
        figure = figures(render(*run))[f"forest-{task}"]
        low, high = figure["layout"]["xaxis"]["range"]
        target = [trace for trace in figure["data"] if trace["name"].startswith("target")]
        assert target[0]["x"] == [0.95, 0.95]
        for metric in run[0]["tasks"][task]["metrics"].values():
            if metric["high"] is None:  # the ECE has no interval
                continue
            if metric["high"] <= 1 and metric["higher_is_better"]:
                assert low <= metric["low"]
                assert metric["high"] <= high
                assert all(low <= fold["value"] <= high for fold in metric["folds"])


@pytest.mark.parametrize(
    ("repeat", "seed", "texts"),
    [(0, 0, ["3", "3"]), (1, 0, ["3 (r0 s0)", "3 (r1 s0)"]), (0, 2, ["3 (r0 s0)", "3 (r0 s2)"])],
)
def test_place(repeat: int, seed: int, texts: list[str]) -> None:
    folds = [
        {"repeat": 0, "seed": 0, "fold": 3},
        {"repeat": repeat, "seed": seed, "fold": 3},
    ]
    assert [place(each, folds) for each in folds] == texts


def test_both_ends_of_an_interval_have_one_precision(run: Run) -> None:
    summary = copy.deepcopy(run[0])
    optimism = summary["choices"]["each"][1]["scored_above_crossfit"]
    optimism |= {"value": -42.1234, "low": -846.2, "high": -6.504}
    page = " ".join(unmarked(render(summary, *run[1:])).split())
    assert "<td>-42<br> (-846 to -7)</td>" in page.replace("<br>(", "<br> (")
    optimism |= {"value": 0.5, "low": 0.25, "high": None}
    assert "+0.500<br>(unknown)" in unmarked(render(summary, *run[1:])).replace("\n", "")


def test_folds_that_overfit_are_named_and_kept_epochs_marked(run: Run) -> None:
    page = " ".join(render(*run).split())
    assert "Fold 1 from epoch 4 on." in page
    drawn = figures(page)
    kept = [trace for trace in drawn["loss"]["data"] if trace.get("name") == "kept epoch"]
    assert [trace["x"] for trace in kept] == [[6] * 5]
    assert [t["x"] for t in drawn["loss"]["data"] if "over-fitting" in t.get("name", "")] == [[4]]
    learnt = run[0]["learning"]
    rows = run[1][run[1]["epoch"] == 2]["val_loss"]
    column = learnt["columns"]["val_loss"]
    assert column["mean"][2] == pytest.approx(rows.mean())
    assert column["high"][2] - column["mean"][2] == pytest.approx(rows.std(), abs=1e-12)
    older = {key: value for key, value in run[0].items() if key not in {"learning", "effort"}}
    assert figures(render(older, *run[1:]))["loss"] == drawn["loss"]


def test_repeats_and_seeds_stand_in_the_forest_plot(run: Run) -> None:
    assert not [t for t in figures(render(*run))["forest-murmur"]["data"] if "repeat" in t["name"]]
    predictions, history = twice(run[2], run[1])
    again = Predictions(
        pd.concat([predictions.table, predictions.table.assign(seed=1)], ignore_index=True),
        predictions.classes,
    )
    both = pd.concat([history, history.assign(seed=1)], ignore_index=True)
    summary = summary_with(again, both, n_repeats=2)
    accuracy = summary["tasks"]["murmur"]["metrics"]["accuracy"]
    for what in ("repeat", "seed"):
        assert [each[what] for each in accuracy[f"{what}s"]] == [0, 1]
        for each in accuracy[f"{what}s"]:
            assert each["value"] == pytest.approx(accuracy["value"])
    page = render(summary, both, again)
    assert "fold 0 (r0 s0)" in unmarked(page)
    names = [t["name"] for t in figures(page)["forest-murmur"]["data"]]
    assert {"one repeat", "one seed"} <= set(names)


def test_time_and_energy_of_a_fold_are_told_where_they_were_measured(run: Run) -> None:
    page = " ".join(unmarked(render(*run)).split())
    assert "a fold 12 s on average (12 s to 12 s;" in page
    assert "not measured: the processor's counters could not be read" in html.unescape(page)
    history = run[1].assign(joules=1200.0)
    summary = summary_of(run[2], history)
    assert [fold["joules"] for fold in summary["folds"]] == [7200.0] * 5
    measured = " ".join(unmarked(render(summary, history, run[2])).split())
    assert "10 Wh, a fold 2 Wh on average (2 Wh to 2 Wh); of the whole" in measured
    history.loc[0, "joules"] = np.nan
    partly = summary_of(run[2], history)
    assert partly["folds"][0]["joules"] is None
    assert "measured in 4 of 5 folds." in " ".join(
        unmarked(render(partly, history, run[2])).split()
    )


def test_the_page_names_the_command_for_a_paper(run: Run) -> None:
    page = " ".join(html.unescape(render(*run)).split())
    assert f"kfold-hs paper reports/{run[0]['run']} -o paper" in page


def test_many_variants_on_one_split_are_told(run: Run) -> None:
    summary = {**run[0], "tried": {"n_variants": 7, "runs": {}}}
    words = "7 variants have been tried on these people and folds"
    assert words in render(summary, run[1], run[2])
    assert "have been tried" not in render(*run)
