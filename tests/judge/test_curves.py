"""Curves against scikit-learn and by hand: rates, bands, calibration, net benefit, cost."""

from __future__ import annotations

import copy
import html
import json

import numpy as np
import pytest
from sklearn import metrics as sk
from sklearn.linear_model import LogisticRegression
from support.fake_run import fake_run, problem, summary_of
from support.fake_run import page_of as render
from support.pages import unmarked

from kfold_hs.judge.metrics.challenge2022 import cost
from kfold_hs.judge.metrics.curves import (
    GRID,
    PROBABILITIES,
    net_benefit,
    net_benefit_of_all,
    rates,
    reaching,
)
from kfold_hs.judge.results.curves import cost_at, curves
from kfold_hs.judge.selection.calibration import bins_of, calibration, platt, platt_of
from kfold_hs.judge.selection.crossfit import choose
from kfold_hs.judge.selection.selected import Selected
from kfold_hs.judge.stats.bands import bands, by_model, by_run
from kfold_hs.judge.stats.clusters import Layout
from kfold_hs.report.charts.curves import curve_figures
from kfold_hs.report.formats import number

FINE = np.linspace(0, 1, 20_001)
POSITIVES = {"murmur": 0, "outcome": 0}


@pytest.mark.parametrize("ties", [True, False])
def test_rates_are_scikit_learns(ties: bool) -> None:
    for seed in range(3):
        y, p, w = problem(seed, n_classes=2, ties=ties)
        tpr, precision = rates(y == 0, p[:, 0], w, len(FINE))
        for row, mine, precise in zip(w, tpr, precision, strict=True):
            fpr, reference, _ = sk.roc_curve(
                y == 0, p[:, 0], sample_weight=row, drop_intermediate=False
            )
            between = np.interp(FINE, fpr, reference)
            away = np.abs(FINE[:, None] - fpr).min(axis=1) > 1e-6  # from vertical pieces
            np.testing.assert_allclose(mine[away], between[away], atol=1e-12)
            area = sk.roc_auc_score(y == 0, p[:, 0], sample_weight=row)
            assert np.trapezoid(mine, FINE) == pytest.approx(area, abs=1e-4)
            average = sk.average_precision_score(y == 0, p[:, 0], sample_weight=row)
            assert precise[1:].mean() == pytest.approx(average, abs=1e-3)


def test_rates_by_hand() -> None:
    y, score = np.array([1, 0, 1, 0], dtype=bool), np.array([0.9, 0.8, 0.6, 0.1])
    once = np.ones((1, 4))
    tpr, precision = rates(y, score, once, 5)
    assert tpr.tolist() == [[0.5, 0.5, 1, 1, 1]]
    assert precision.tolist() == [[1, 1, 1, 2 / 3, 2 / 3]]
    nobody = np.array([[0.0, 1, 0, 1]])  # no positive is drawn
    assert all(np.isnan(each).all() for each in rates(y, score, nobody, 5))
    only = np.array([[1.0, 0, 1, 0]])  # no negative: all that is called is right
    assert np.isnan(rates(y, score, only, 5)[0]).all()
    assert rates(y, score, only, 5)[1].tolist() == [[1] * 5]


def test_net_benefit_by_hand() -> None:
    y, p = np.array([1, 1, 0, 0, 0], dtype=bool), np.array([0.9, 0.3, 0.6, 0.2, 0.1])
    found = net_benefit(y, p, np.ones((1, 5)), np.array([0, 0.25, 0.5]))
    expected = [2 / 5 - 0, 2 / 5 - 1 / 5 * (0.25 / 0.75), 1 / 5 - 1 / 5]
    np.testing.assert_allclose(found[0], expected)
    everybody = net_benefit(y, np.ones(5), np.ones((1, 5)), np.array([0.5]))
    np.testing.assert_allclose(everybody, [[2 / 5 - 3 / 5]])
    alike = net_benefit(y, np.ones(5), np.ones((1, 5)))
    np.testing.assert_allclose(net_benefit_of_all(np.array([2 / 5])), alike)


def test_cost_at_a_threshold_is_the_challenges() -> None:
    y, p, w = problem(3, n_classes=2)
    grid = np.array([0.0, 0.3, 0.7, 1.0])
    found = cost_at(p[:, 0], y == 0, w, grid)
    for k, threshold in enumerate(grid):
        np.testing.assert_allclose(found[:, k], cost(p[:, 0] >= threshold, y == 0, w))


def test_murphys_parts_add_up_and_are_those_of_the_bins() -> None:
    y, p, _ = problem(5, n=200, n_classes=2)
    layout = Layout.of(np.zeros(200), np.arange(200) % 5, np.arange(200))
    found = calibration(y == 0, p[:, 0], layout, n_bins=4)
    whole = found["reliability"] - found["resolution"] + found["uncertainty"] + found["within"]
    assert whole == pytest.approx(sk.brier_score_loss(y == 0, p[:, 0]))
    assert found["uncertainty"] == pytest.approx((y == 0).mean() * (y != 0).mean())
    number = bins_of(p[:, 0], 4)
    gaps = [(number == k).mean() * abs((y == 0)[number == k].mean() - p[number == k, 0].mean())
            for k in range(number.max() + 1)]  # fmt: skip
    assert found["ece"] == pytest.approx(sum(gaps))
    # Only as many probabilities as bins: nothing varies within, and equal ones stay together.
    few = np.array([0.1, 0.1, 0.1, 0.7, 0.7, 0.7])
    six = Layout.of(np.zeros(6), np.arange(6), np.arange(6))
    coarse = calibration(np.array([0, 0, 1, 1, 1, 0], dtype=bool), few, six, n_bins=2)
    assert [each["n_patients"] for each in coarse["bins"]] == [3, 3]
    assert coarse["within"] == pytest.approx(0)
    assert coarse["reliability"] == pytest.approx(((1 / 3 - 0.1) ** 2 + (2 / 3 - 0.7) ** 2) / 2)


def test_intervals_of_bins_count_persons() -> None:
    y, p = np.tile([True, False], 20), np.full(40, 0.5)
    alone = Layout.of(np.zeros(40), np.zeros(40), np.arange(40))
    pairs = Layout.of(np.zeros(40), np.zeros(40), np.repeat(np.arange(10), 4))
    alike = Layout.of(np.zeros(40), np.zeros(40), np.tile([0, 1], 20) + 2 * (np.arange(40) // 4))
    wide, same = (calibration(y, p, each)["bins"][0] for each in (alike, pairs))
    plain = calibration(y, p, alone)["bins"][0]
    # Two patients of a person who are alike say what one does.
    assert wide["high"] - wide["low"] > 1.3 * (plain["high"] - plain["low"])
    assert (wide["n_persons"], same["n_persons"]) == (20, 10)
    none = calibration(np.zeros(40, dtype=bool), p, pairs)["bins"][0]
    assert none["low"] == 0
    assert 0.2 < none["high"] < 0.35  # Wilson of 0 in 10


def test_platt_undoes_what_was_done_and_stays_finite() -> None:
    rng = np.random.default_rng(0)
    truth = rng.uniform(0.02, 0.98, 4000)
    y = rng.uniform(size=4000) < truth
    z = np.log(truth / (1 - truth))
    a, b = platt_of(y, 1 / (1 + np.exp(-(3 * z - 1))))
    reference = LogisticRegression(C=np.inf).fit((3 * z - 1)[:, None], y)
    assert (a, b) == pytest.approx((reference.intercept_[0], reference.coef_[0, 0]), abs=0.01)
    apart = platt_of(np.array([True, True, False, False]), np.array([0.9, 0.8, 0.2, 0.1]))
    assert np.isfinite(apart).all()
    assert 0.5 < platt(np.array([0.9]), apart)[0] < 1


def test_bands_of_a_mean_are_those_of_the_normal() -> None:
    rng = np.random.default_rng(1)
    values = rng.standard_normal(400)
    layout = Layout.of(np.zeros(400), np.arange(400) % 4, np.arange(400))

    def mean(rows: np.ndarray, weights: np.ndarray) -> np.ndarray:
        return (weights @ values[rows] / weights.sum(axis=1))[:, None]

    found = bands({"run": by_run(mean, layout), "model": by_model(mean, layout)}, layout, 2000)
    for band in found.values():
        assert band.value[0] == pytest.approx(values.mean())
        assert band.high[0] - band.low[0] == pytest.approx(2 * 1.96 / 20 * values.std(), rel=0.1)
    again = bands({"run": by_run(mean, layout)}, layout, 2000)["run"]
    assert again.low == found["run"].low
    assert np.isnan(bands({"run": by_run(mean, layout)}, layout, 0)["run"].low).all()


def test_curves_of_a_run_reach_the_page() -> None:
    predictions, history = fake_run()
    summary = summary_of(predictions, history)
    kept = predictions.where(epoch=5)
    summary["curves"] = curves(Selected(kept, POSITIVES, 5), summary["choices"], 200)
    json.dumps(summary["curves"], allow_nan=False)
    page = unmarked(html.unescape(render(summary, history, predictions)))
    for task, each in summary["curves"]["tasks"].items():
        metrics = summary["tasks"][task]["metrics"]
        value = np.array(each["roc"]["value"])
        assert np.trapezoid(value, each["roc"]["x"]) == pytest.approx(
            metrics["auroc"]["value"], abs=0.02
        )
        for name in ("roc", "pr", "cost"):
            ends = list(zip(each[name]["low"], each[name]["high"], strict=True))
            assert all(low is high is None or low < high for low, high in ends)
            assert sum(low is not None for low, _ in ends) > 50
            assert len(each[name]["folds"]) == 5
        two_class = each["calibration"]["versions"]["as configured"]["brier"]
        if task == "outcome":
            assert two_class == pytest.approx(metrics["brier"]["value"] / 2)
        assert set(each["calibration"]["versions"]) == {"as configured", "temperature", "Platt"}
        assert [c["fold"] for c in each["cost"]["chosen"]] == [0, 1, 2, 3, 4]
        for version in each["calibration"]["versions"].values():
            for name in ("ece", "brier", "reliability", "resolution", "uncertainty", "within"):
                assert f"<td>{number(version[name])}</td>" in page
        assert len(each["decision"]["all"]) == len(PROBABILITIES)
    assert "Curves</h3>" in page
    assert "200 resamples" in page


def test_scaling_is_fitted_on_the_other_folds() -> None:
    predictions, _ = fake_run()
    kept = predictions.where(epoch=5)
    layout = Layout.of_predictions(kept, 5)
    y, p = kept.y_true("outcome") == 0, kept.y_prob("outcome")[:, 0]
    scaled, _, chosen = choose(
        layout,
        lambda rows: platt_of(y[rows], p[rows]),
        lambda ab, rows: platt(p[rows], ab)[:, None],
    )
    own = layout.model == 2
    assert chosen[2] == platt_of(y[~own], p[~own])
    found = curves(Selected(kept, POSITIVES, 5), {"each": []}, 0)["tasks"]["outcome"]
    assert found["calibration"]["versions"]["Platt"]["brier"] == pytest.approx(
        ((scaled[:, 0] - y) ** 2).mean()
    )
    assert found["cost"]["chosen"] == []
    assert found["roc"]["low"] == [None] * 101


def test_one_fold_is_not_scaled_and_a_fold_without_a_class_has_no_curve() -> None:
    predictions, _ = fake_run(n_folds=1)
    kept = predictions.where(epoch=5)
    found = curves(Selected(kept, POSITIVES, 1), {"each": []}, 0)
    outcome = found["tasks"]["outcome"]["calibration"]
    assert set(outcome["versions"]) == {"as configured"}
    assert outcome["obstacle"] == "repeat 0 has one fold, and none to choose on"
    table = kept.table.assign(fold=np.where(kept.y_true("outcome") == 0, 0, 1))
    lacking = type(kept)(table, kept.classes)
    found = curves(Selected(lacking, POSITIVES, 2), {"each": []}, 200)
    assert found["tasks"]["outcome"]["roc"]["value"] == [None] * 101
    assert curve_figures(found)["roc-outcome"]["data"]


def test_a_summary_without_curves_says_how_to_get_them() -> None:
    predictions, history = fake_run()
    older = copy.deepcopy(summary_of(predictions, history))
    del older["curves"]
    page = render(older, history, predictions)
    assert "holds no curves" in page
    assert 'data-figure="roc-' not in page


def test_who_reaches_a_place_is_counted_once() -> None:
    rng = np.random.default_rng(0)
    score = np.r_[rng.random(200).round(2), 0.0, 1.0]  # many on the places themselves
    weights = rng.integers(0, 4, (3, len(score))).astype(np.float32)
    for grid in (GRID, PROBABILITIES, np.array([0.5])):
        wanted = weights @ (score[:, None] >= grid)
        np.testing.assert_array_equal(reaching(score, weights, grid), wanted)
