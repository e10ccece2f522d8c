"""No interval that cannot be: without width, outside the possible, narrower than it may be."""

from __future__ import annotations

import csv
import dataclasses
import html
import json
from collections.abc import Iterator, Mapping
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special, stats
from support.fake_run import SPLIT, fake_run, summary_of
from support.fake_run import page_of as render

from kfold_hs.cli.tables import show_run
from kfold_hs.config.judging import Margins
from kfold_hs.judge.metrics.bounds import SHARE
from kfold_hs.judge.metrics.challenge2022 import (
    COST_BOUNDS,
    MURMUR,
    OUTCOME,
    metrics_for,
    outcome_cost,
)
from kfold_hs.judge.metrics.scores import ACCURACY, METRICS
from kfold_hs.judge.results.comparison import Terms, Variants, compare_variants
from kfold_hs.judge.selection.objective import Objective
from kfold_hs.judge.stats import sample_size
from kfold_hs.judge.stats.clusters import Layout
from kfold_hs.judge.stats.estimates import Basis
from kfold_hs.judge.stats.expected_error import recipe_estimate
from kfold_hs.judge.stats.influence import Influence
from kfold_hs.judge.stats.intervals import Estimate, possible_ends
from kfold_hs.judge.stats.label_noise import label_noise
from kfold_hs.judge.stats.multiplicity import Resamples, best
from kfold_hs.judge.stats.paired import compare
from kfold_hs.judge.stats.scored import influence
from kfold_hs.predictions.table import Predictions

ALL = metrics_for(("Abnormal", "Normal"))


def possible(found: Mapping[str, Any], bounds: tuple[float, float]) -> bool:
    """Whether an estimate has ends that can be; asserts that it is None at both or at none."""
    low, high = found["low"], found["high"]
    if low is None or high is None:
        assert low is high is None
        assert len(found["method"]) > 20, "it must say why"
        return False
    assert isfinite(low)
    assert bounds[0] <= low < high <= bounds[1]
    assert high - low > 1e-9 * (bounds[1] - bounds[0])
    return True


@st.composite
def tables(draw: st.DrawFn) -> tuple[np.ndarray, list[np.ndarray], Layout]:
    """Labels, probabilities of two variants, and who was predicted by which model."""
    n, n_runs, n_folds = draw(st.integers(2, 9)), draw(st.integers(1, 3)), draw(st.integers(1, 3))
    owners = draw(st.lists(st.integers(0, 3), min_size=n, max_size=n))
    person = np.array(owners if draw(st.booleans()) else range(n))
    y = np.array(draw(st.lists(st.integers(0, 1), min_size=n, max_size=n)))
    folds = np.concatenate([np.arange(n) % n_folds for _ in range(n_runs)])
    layout = Layout.of(np.repeat(np.arange(n_runs), n), folds, np.tile(person, n_runs), n_folds)
    values = st.sampled_from([0.0, 0.25, 0.5, 0.5000001, 1.0])
    variants = []
    for _ in range(2):
        p = np.array(draw(st.lists(values, min_size=n * n_runs, max_size=n * n_runs)))
        if draw(st.booleans()):
            p[:] = draw(values)  # one answer for everybody
        variants.append(np.stack([p, 1 - p], axis=1))
    return np.tile(y, n_runs), variants, layout


@settings(max_examples=60, deadline=None)
@given(tables())
def test_whatever_the_table_an_interval_can_be(
    drawn: tuple[np.ndarray, list[np.ndarray], Layout],
) -> None:
    y, variants, layout = drawn
    if layout.n_persons < 2:
        return
    basis = Basis(layout, 0.8)
    for metric in ALL:
        pair = [influence(metric, y, p, 0, layout) for p in variants]
        for found in pair:
            assert not isfinite(found.value) or found.bounds[0] <= found.value <= found.bounds[1]
            recipe, fixed = (dataclasses.asdict(e) for e in basis.estimates(found, 1))
            both = possible(recipe, metric.bounds), possible(fixed, metric.bounds)
            if all(both):
                assert recipe["low"] <= fixed["low"] <= fixed["high"] <= recipe["high"]
        apart = compare(*pair, margin=0.01)
        bounds = pair[0].minus(pair[1]).bounds
        told_apart = possible(apart["difference"], bounds)
        assert told_apart or apart["verdict"] == "cannot tell"
        assert apart["p"] is None or 0 < apart["p"] <= 1
        if apart["these_models"]:
            possible(apart["these_models"], bounds)
        defined = {str(k): each for k, each in enumerate(pair) if isfinite(each.value)}
        drawn_anew = None
        if len(defined) == 2:
            resamples = Resamples(layout, 20)
            drawn_anew = resamples.corrected({"m": list(defined.values())}, {"m": 1})["m"]
        top = best(defined, 0.8, n_tried=7, resampled=drawn_anew)
        for name in ("estimate", "corrected"):
            if top[name]:
                possible(top[name], metric.bounds)
                assert metric.bounds[0] <= top[name]["value"] <= metric.bounds[1]


def of_hits(hits: list[int], n_folds: int) -> Influence:
    """Accuracy of one run, by fold in turn."""
    n = len(hits)
    layout = Layout.of(np.zeros(n), np.arange(n) % n_folds, np.arange(n), n_folds)
    right = np.array(hits, dtype=float)
    return influence(
        ACCURACY, np.zeros(n, dtype=int), np.stack([right, 1 - right], axis=1), 0, layout
    )


def test_folds_that_agree_by_chance_make_nothing_certain() -> None:
    found = of_hits([1] * 21 + [0] * 9, 3)  # 7 of 10 in every fold
    recipe, fixed = Basis(found.layout, 0.67).estimates(found, 30, is_proportion=True)
    # Twice the variance of 21 of 30, with t of 29 degrees of freedom on the logit scale.
    half = stats.t.ppf(0.975, 29) * np.sqrt(2 * 0.7 * 0.3 / 30) / (0.7 * 0.3)
    ends = special.expit(special.logit(0.7) + np.array([-half, half]))
    assert (recipe.low, recipe.high) == pytest.approx(ends)
    assert recipe.se == pytest.approx(np.sqrt(2 * 0.7 * 0.3 / 30))
    assert fixed.low is not None
    assert 0.5 < fixed.low < 0.7 < float(fixed.high or 0) < 0.85


def test_five_of_a_hundred_one_a_fold_are_no_difference() -> None:
    first, second = of_hits([1] * 80 + [0] * 20, 5), of_hits([1] * 85 + [0] * 15, 5)
    found = compare(first, second, margin=0.01)
    assert found["difference"]["value"] == pytest.approx(0.05)
    assert (found["verdict"], found["winner"]) == ("cannot tell", None)
    assert found["p"] > 0.05
    assert found["difference"]["se"] >= found["these_models"]["se"]
    assert found["bayes"]["better"] < 0.97


def test_a_difference_of_sensitivities_stays_a_difference_of_shares() -> None:
    rng = np.random.default_rng(0)
    sensitivity = METRICS["sensitivity"]
    layout = Layout.of(np.zeros(8), np.arange(8) % 2, np.arange(8), 2)
    y = np.array([0, 0, 0, 0, 1, 1, 1, 1])
    for _ in range(50):
        one, two = (
            influence(sensitivity, y, np.stack([p, 1 - p], axis=1), 0, layout)
            for p in rng.random((2, 8))
        )
        possible(compare(one, two, margin=0.01)["difference"], (-1.0, 1.0))


def test_costs_are_never_below_the_least_that_there_is() -> None:
    shares = np.linspace(0, 1, 1001)
    weights = np.stack([shares, 1 - shares], axis=1)  # of the ill and of the well
    for called in (np.eye(2)[[0, 0]], np.eye(2)[[1, 1]], np.eye(2), np.eye(2)[::-1]):
        costs = outcome_cost(np.array([0, 1]), called, 0, weights)
        assert COST_BOUNDS[0] <= costs.min()
        assert costs.max() <= COST_BOUNDS[1]
    wide = possible_ends(Estimate(900.0, -2000.0, 4000.0), COST_BOUNDS)
    assert (wide.low, wide.high) == (35.0, 4000.0)


def test_what_holds_everything_says_nothing() -> None:
    assert possible_ends(Estimate(0.5, 0.0001, 0.9999), SHARE).low is None
    assert possible_ends(Estimate(0.5, float("nan"), 0.7), SHARE).low is None
    assert possible_ends(Estimate(0.5, 0.5, 0.5), SHARE, "so").method == "so"
    assert possible_ends(Estimate(1.009, 0.9, 1.2), SHARE) == Estimate(1.0, 0.9, 1.0)


def test_a_plan_of_what_does_not_vary_has_no_width() -> None:
    nothing = sample_size.Components(0.0, 0.0, 0.0)
    found = sample_size.design(
        sample_size.Outlook("accuracy", 0.8, nothing, nothing, True, ()), 0.05, n_people=100,
        n_runs=3, n_folds=5,
    )  # fmt: skip
    assert (found["low"], found["width"]) == (None, None)


def test_a_ceiling_at_its_lowest_has_no_width() -> None:
    """Two classes, and everybody who was labelled twice was labelled both ways."""
    kept = fake_run(n_epochs=1)[0]
    table = kept.table.copy()
    table["person_id"] = [f"q{i // 2}" for i in range(len(table))]
    table["y.outcome"] = ["Abnormal", "Normal"] * (len(table) // 2)
    noise = label_noise(Predictions(table, kept.classes), "outcome")
    assert noise is not None
    assert noise["ceiling"] == {"value": 0.5, "low": None, "high": None}


@pytest.fixture(scope="module")
def undecided() -> dict[str, Any]:
    """A run in which nothing varies by person: each has two patients, one right and one wrong."""
    predictions, history = constant_run()
    return summary_of(predictions, history)


def constant_run() -> tuple[Predictions, Any]:
    predictions, history = fake_run()
    table = predictions.table.copy()
    for task, names in predictions.classes.items():
        for fold in range(5):
            rows = np.flatnonzero(table["fold"] == fold)
            for epoch in sorted(set(table["epoch"])):
                mine = rows[table["epoch"].to_numpy()[rows] == epoch]
                labels = names[-2:]
                table.loc[mine, f"y.{task}"] = [labels[k % 2] for k in range(len(mine))]
                table.loc[mine, "person_id"] = [f"q{fold}-{k // 2}" for k in range(len(mine))]
        table[[f"p.{task}.{name}" for name in names]] = 0.2 / (len(names) - 1)
        table[f"p.{task}.{names[-1]}"] = 0.8
    return Predictions(table, predictions.classes), history


def test_page_tables_json_and_terminal_say_cannot_be_told(
    undecided: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    accuracy = undecided["tasks"]["outcome"]["metrics"]["accuracy"]
    assert accuracy["value"] == pytest.approx(0.5)
    for each in (accuracy, accuracy["these_models"]):
        assert (each["low"], each["high"]) == (None, None)
        assert "more people would tell" in each["method"]
    head = undecided["headline"]
    assert "is unknown" in head["sentence"]
    assert "more people would tell" in head["sentence"]
    assert (head["low"], head["verdict"]) == (None, "cannot tell")
    json.dumps(undecided, allow_nan=False)
    page = render(undecided, constant_run()[1], constant_run()[0])
    assert "Unknown, accuracy" in html.unescape(page)
    assert "is unknown" in page
    (told_table,) = [each for each in page.tables if each.caption.startswith("outcome, ")]
    rows = {row[0]: row for row in csv.reader(told_table.csv().splitlines())}
    assert "unknown" in rows["accuracy"]
    show_run(undecided, tmp_path)
    shown = capsys.readouterr().out
    assert "unknown" in shown
    assert "more people would tell" in " ".join(shown.split())


# --- found by name --------------------------------------------------------------------------------


@pytest.fixture
def _another_metric_first() -> Iterator[None]:
    """A metric that nobody knows of but its row, which stands before all others."""
    rows = dict(METRICS)
    row = dataclasses.replace(METRICS["balanced_accuracy"], name="new", label="new", margin=0.07)
    METRICS.clear()
    METRICS.update({row.name: row, **rows})
    yield
    METRICS.clear()
    METRICS.update(rows)


def headlines() -> tuple[dict[str, Any], dict[str, Any]]:
    """A run's summary, and its comparison with itself."""
    run = fake_run(n_epochs=2)
    kept = run[0].where(epoch=1)
    compared = compare_variants(
        Variants.of({"a": kept, "b": kept}, {"murmur": 0, "outcome": 0}, SPLIT),
        Terms("a", margins={"accuracy": 0.03}, n_resamples=20),
    )
    return summary_of(*run), compared


PLAIN = headlines()


@pytest.mark.usefixtures("_another_metric_first")
def test_a_metric_put_first_changes_no_headline() -> None:
    summary, compared = headlines()
    for key in ("headline", "target", "budget", "optimism", "folds", "choices", "subgroups"):
        assert summary[key] == PLAIN[0][key]
    assert compared["headline"] == PLAIN[1]["headline"]
    assert compared["headline"]["pairs"][0]["margin"] == 0.03


@pytest.mark.usefixtures("_another_metric_first")
def test_a_row_is_all_that_a_metric_takes() -> None:
    summary, compared = headlines()
    assert next(iter(summary["tasks"]["murmur"]["metrics"])) == "new"
    assert compared["tasks"]["murmur"]["new"]["pairs"][0]["margin"] == 0.07
    nested = Objective.of("murmur.new", {"murmur": ("Present", "Unknown", "Absent")})
    assert nested.label == "new"
    page = render(summary, fake_run(n_epochs=2)[1], fake_run(n_epochs=2)[0])
    assert "<td>new</td>" in page or ">new<" in page


def test_margins_of_the_configuration_are_the_metrics_own() -> None:
    of_config = Margins().model_dump()
    known = [metrics_for(classes) for classes in (MURMUR, OUTCOME)]
    assert of_config == {metric.name: metric.margin for metrics in known for metric in metrics}


def test_what_would_tell_follows_the_largest_part() -> None:
    """Two persons a class: the interval would hold all but 1 % of the values."""
    y, folds = np.array([0, 1, 0, 1]), np.array([0, 0, 1, 1])
    p = np.array([[0.9, 0.1], [0.8, 0.2], [0.2, 0.8], [0.1, 0.9]])
    layout = Layout.of(np.zeros(4), folds, np.arange(4))
    found = influence(METRICS["balanced_accuracy"], y, p, 1, layout)
    estimate = recipe_estimate(found, 0.5, 2)
    assert estimate.low is None
    assert "99 %" in estimate.method
    assert "more repeats (--repeats)" in estimate.method
    moved = np.array([[5.0, -5.0, 5.0, -5.0], [0, 0, 0, 0]])
    by_shares = recipe_estimate(dataclasses.replace(found, moved=moved), 0.5, 2)
    assert by_shares.low is None
    assert "neither people nor repeats" in by_shares.method
    assert "more" not in by_shares.method.split(";")[1]
