"""Risk-coverage curves by hand, and what a run says of answers that are left out."""

from __future__ import annotations

import copy
import html
import itertools
import json
from math import log

import numpy as np
import pytest
from support.fake_run import fake_run, summary_of
from support.fake_run import page_of as render
from support.pages import unmarked

from kfold_hs.judge.metrics.abstention import answered, best_aurc
from kfold_hs.judge.results.abstention import SHARES, abstention, coverage_of_sets
from kfold_hs.judge.selection.selected import Selected
from kfold_hs.judge.stats.bands import bands, by_run
from kfold_hs.judge.stats.clusters import Layout
from kfold_hs.judge.stats.intervals import wilson
from kfold_hs.predictions.table import DECISIONS, Predictions
from kfold_hs.report.charts.curves import abstention_figures
from kfold_hs.report.formats import number

ALL = np.ones(1)
POSITIVES = {"murmur": 0, "outcome": 0}


def test_errors_of_four_patients_by_hand() -> None:
    confidence, wrong = np.array([0.6, 0.9, 0.8, 0.7]), np.array([1, 0, 1, 0], dtype=bool)
    once = np.ones((1, 4))
    found, area = answered(wrong[:, None], confidence, once, np.array([0.25, 0.5, 0.625, 0.75, 1]))
    np.testing.assert_allclose(found[0, 0], [0, 1, 1, 1, 2])
    # Risks 0, 1/2, 1/3, 2/4.
    np.testing.assert_allclose(area, [(0 + 1 / 2 + 1 / 3 + 1 / 2) / 4])
    # The second patient does not come, and the third comes twice.
    twice = np.array([[1.0, 0.0, 2.0, 1.0]])
    found, area = answered(wrong[:, None], confidence, twice, ALL)
    assert found.tolist() == [[[3]]]
    np.testing.assert_allclose(area, [(2 * 1 + 2 / 3 + 3 / 4) / 4])


def test_ties_are_the_mean_over_all_orders() -> None:
    confidence = np.array([0.9, 0.7, 0.7, 0.7, 0.5])
    wrong = np.array([0, 1, 0, 0, 1], dtype=bool)
    once, shares = np.ones((1, 5)), np.arange(1, 6) / 5
    found, area = answered(wrong[:, None], confidence, once, shares)
    orders = [[0, *middle, 4] for middle in itertools.permutations([1, 2, 3])]
    np.testing.assert_allclose(found[0, 0], np.mean([np.cumsum(wrong[o]) for o in orders], axis=0))
    each = [np.mean(np.cumsum(wrong[o]) / np.arange(1, 6)) for o in orders]
    np.testing.assert_allclose(area, np.mean(each))


def test_area_without_an_order_and_with_the_best() -> None:
    n = 20_000
    wrong = np.arange(n) % 5 == 0
    once = np.ones((1, n))
    for confidence, wanted in ((np.ones(n), 0.2), (1.0 - wrong, best_aurc(0.2))):
        area = answered(wrong[:, None], confidence, once, ALL)[1]
        assert area[0] == pytest.approx(wanted, abs=1e-4)
    assert best_aurc(0.2) == pytest.approx(0.2 + 0.8 * log(0.8))
    assert (best_aurc(0.0), best_aurc(1.0)) == (0, 1)


def test_a_curve_may_lack_places() -> None:
    rng = np.random.default_rng(0)
    value, rare = rng.random(200), np.arange(200) < 2
    layout = Layout.of(np.zeros(200), np.arange(200) % 4, np.arange(200))

    def means(rows: np.ndarray, weights: np.ndarray) -> np.ndarray:
        with np.errstate(invalid="ignore"):
            some = (weights * rare) @ value / (weights * rare).sum(axis=1)
        everybody = weights @ value / weights.sum(axis=1)
        return np.column_stack([everybody, some, np.full(len(weights), np.nan)])

    statistic = {"means": by_run(means, layout)}
    whole = bands(statistic, layout, 2000)["means"]
    assert np.isnan(whole.low).all()
    each = bands(statistic, layout, 2000, whole=False)["means"]
    width = 2 * 1.96 / np.sqrt(200) * value.std()
    assert each.high[0] - each.low[0] == pytest.approx(width, rel=0.1)
    # 13 % of the resamples lack both of the two, which is more than 5 %.
    assert np.isnan([each.low[1], each.high[2]]).all()
    assert each.n_undefined == 2000


def test_what_a_run_says_of_answers_that_are_left_out() -> None:
    predictions, history = fake_run()
    summary = summary_of(predictions, history)
    kept = predictions.where(epoch=5)
    found = summary["abstention"] = abstention(Selected(kept, POSITIVES, 5), 200)
    json.dumps(found, allow_nan=False)
    page = unmarked(html.unescape(render(summary, history, predictions)))
    assert "Answering only when sure</h3>" in page
    for task, each in found["tasks"].items():
        curve, y_true, y_prob = each["curve"], kept.y_true(task), kept.y_prob(task)
        wrong, top = y_prob.argmax(axis=1) != y_true, y_prob.max(axis=1)
        accuracy = summary["tasks"][task]["metrics"]["accuracy"]["value"]
        assert curve["value"][-1] == pytest.approx(1 - accuracy)
        assert curve["error"] == pytest.approx(1 - accuracy)
        assert curve["aurc"]["low"] < curve["aurc"]["value"] < curve["aurc"]["high"]
        half = np.argsort(-top)[:50]  # of 100 patients
        at = int(np.flatnonzero(SHARES == 0.5)[0])
        assert curve["value"][at] == pytest.approx(wrong[half].mean(), abs=1e-4)
        assert curve["threshold"][at] == pytest.approx(top[half].min(), abs=1e-4)
        for c, (name, mine) in enumerate(curve["classes"].items()):
            of_class = y_true[half] == c
            assert mine["n_patients"] == (y_true == c).sum()
            assert mine["answered"]["value"][at] == pytest.approx(
                of_class.sum() / (y_true == c).sum(), abs=1e-4
            )
            assert mine["error"]["value"][at] == pytest.approx(
                wrong[half][of_class].mean(), abs=1e-4
            )
            assert mine["error"]["low"][at] < mine["error"]["value"][at] < mine["error"]["high"][at]
            assert f"{name}: errors, and share answered" in page
            assert number(mine["error"]["value"][at]) in page
        assert number(curve["aurc"]["value"]) in page
    names = set(abstention_figures(found))
    assert names == {f"{kind}-{task}" for kind in ("risk", "answered") for task in found["tasks"]}


def test_where_all_are_wrong_there_is_an_interval() -> None:
    """Nobody is called Unknown: of the 40 there, who are as many persons, all are wrong."""
    kept = fake_run()[0].where(epoch=5)
    table = kept.table.copy()
    table.loc[table["y.murmur"] == "Unknown", "y.murmur"] = "Absent"
    table.loc[table.index[40:80], "y.murmur"] = "Unknown"
    columns = [f"p.murmur.{name}" for name in kept.classes["murmur"]]
    table["p.murmur.Unknown"] = 0.0
    table[columns] = table[columns].div(table[columns].sum(axis=1), axis=0)
    found = abstention(Selected(Predictions(table, kept.classes), POSITIVES, 5), 200)
    unknown = found["tasks"]["murmur"]["curve"]["classes"]["Unknown"]["error"]
    assert (unknown["value"][-1], unknown["high"][-1]) == (1, 1)
    assert unknown["low"][-1] == pytest.approx(wilson(1, 40)[0], abs=1e-4)


def test_a_few_persons_are_no_more_by_repeats() -> None:
    """3 persons whose mean over 3 repeats is about the same: Wilson's of 3, not of dozens."""
    person, run = np.tile(np.arange(3), 3), np.repeat(np.arange(3), 3)
    layout = Layout.of(run, (person + run) % 3, person, 3)
    held = np.array([1, 0, 0, 0, 1, 0, 0, 1, 1], dtype=bool)
    sets = np.column_stack([held, ~held])
    found = coverage_of_sets(np.zeros(9, dtype=int), sets, ("a", "b"), layout)["covered"]
    low, high = wilson(4 / 9, 3)
    assert found["low"] <= low + 1e-12
    assert found["high"] >= high - 1e-12


def test_bands_of_few_persons_hold_wilsons_ends() -> None:
    kept = fake_run()[0].where(epoch=5)
    table = kept.table.copy()
    table.loc[table["y.murmur"] == "Unknown", "y.murmur"] = "Absent"
    table.loc[table.index[40:44], "y.murmur"] = "Unknown"
    found = abstention(Selected(Predictions(table, kept.classes), POSITIVES, 5), 200)
    error = found["tasks"]["murmur"]["curve"]["classes"]["Unknown"]["error"]
    low, high = wilson(error["value"][-1], 4)
    assert error["low"][-1] <= low + 1e-4
    assert error["high"][-1] >= high - 1e-4


def test_an_area_without_width_has_no_interval() -> None:
    """Everybody is answered rightly: no resample differs, and JSON says so as the page does."""
    kept = fake_run(skill=40)[0].where(epoch=5)
    found = abstention(Selected(kept, POSITIVES, 5), 200)
    area = found["tasks"]["murmur"]["curve"]["aurc"]
    assert area == {"value": 0.0, "low": None, "high": None, "best": 0.0}


def test_what_a_number_of_persons_cannot_promise_is_said() -> None:
    predictions, history = fake_run()
    kept = predictions.where(epoch=5)
    rare = (kept.table["y.murmur"] != "Unknown") | (kept.table.index % 8 == 0)
    few = Predictions(kept.table[rare].reset_index(drop=True), kept.classes)
    n = len(set(few.table.loc[few.table["y.murmur"] == "Unknown", "person_id"]))
    assert 0 < n < 9
    summary = summary_of(predictions, history)
    summary["abstention"] = abstention(Selected(few, POSITIVES, 5), 0)
    sets = summary["abstention"]["tasks"]["murmur"]["sets"]
    assert sets["classes"]["Unknown"] == {
        "n_persons": n, "most": pytest.approx(n / (n + 1)), "is_promised": False,
    }  # fmt: skip
    assert sets["classes"]["Absent"]["is_promised"]
    assert sets["promises"]["class"]["classes"]["Unknown"]["covered"]["value"] == 1
    page = " ".join(unmarked(html.unescape(render(summary, history, predictions))).split())
    assert f"{n} people with Unknown</strong> can promise a coverage of" in page
    assert "Without bands (judge.band_resamples=0)" in page.partition('id="abstention"')[2]


def test_coverage_of_sets_by_hand() -> None:
    y = np.array([0, 0, 1, 1])
    sets = np.array([[1, 0, 0], [1, 1, 0], [1, 0, 1], [0, 1, 0]], dtype=bool)
    layout = Layout.of(np.zeros(4), np.zeros(4), np.arange(4))
    found = coverage_of_sets(y, sets, ("a", "b", "c"), layout)
    assert (found["covered"]["value"], found["mean_size"], found["single"]) == (0.75, 1.5, 0.5)
    each = found["classes"]
    assert [each[name]["covered"]["value"] for name in "abc"] == [1, 0.5, None]
    assert [each[name]["mean_size"] for name in "abc"] == [1.5, 1.5, None]
    assert [each[name]["n_patients"] for name in "abc"] == [2, 2, 0]


def test_decisions_have_no_order_to_be_answered_in() -> None:
    kept = fake_run()[0].where(epoch=5)
    called = Predictions(kept.table, kept.classes, kinds={"murmur": DECISIONS})
    assert list(abstention(Selected(called, POSITIVES, 5), 0)["tasks"]) == ["outcome"]


def test_a_summary_without_it_says_how_to_get_it() -> None:
    predictions, history = fake_run()
    older = copy.deepcopy(summary_of(predictions, history))
    del older["abstention"]
    page = render(older, history, predictions)
    assert "says nothing of answers that are left out" in page
