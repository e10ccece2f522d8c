"""The recipe's interval: its parts, one by one, and what must not happen to it."""

from __future__ import annotations

from dataclasses import replace
from math import sqrt

import numpy as np
import pytest
from scipy.stats import t
from support.simulation import World, draw, train, truth

from kfold_hs.judge.metrics.challenge2022 import metrics_for, murmur_cost
from kfold_hs.judge.metrics.own import _of_many
from kfold_hs.judge.metrics.scores import ACCURACY, METRICS, Metric
from kfold_hs.judge.results.headline import verdict
from kfold_hs.judge.stats import class_shares, conditional_error, expected_error, multiplicity
from kfold_hs.judge.stats.class_shares import ClassShares
from kfold_hs.judge.stats.clusters import Layout
from kfold_hs.judge.stats.estimates import Basis
from kfold_hs.judge.stats.influence import Influence
from kfold_hs.judge.stats.intervals import wilson
from kfold_hs.judge.stats.paired import compare
from kfold_hs.judge.stats.scored import Scored, influence
from kfold_hs.judge.stats.variance_components import budget

MURMUR, OUTCOME = ("Present", "Unknown", "Absent"), ("Abnormal", "Normal")
OF_OUTCOME = {metric.name: metric for metric in metrics_for(OUTCOME)}


def layout_of(n: int, n_runs: int = 1, n_folds: int = 5, seed: int = 0) -> Layout:
    """Everybody one patient, folds drawn anew in every run."""
    rng = np.random.default_rng(seed)
    fold = np.concatenate([rng.permutation(n) % n_folds for _ in range(n_runs)])
    runs, people = np.repeat(np.arange(n_runs), n), np.tile(np.arange(n), n_runs)
    return Layout.of(runs, fold, people, n_folds)


def of_right(right: np.ndarray, layout: Layout) -> Influence:
    """Accuracy of rows that are right or wrong."""
    probs = np.c_[right, 1 - right].astype(float)
    return influence(ACCURACY, np.zeros(len(right), dtype=int), probs, 0, layout)


def drawn(
    seed: int = 0, n: int = 200, n_runs: int = 3, n_classes: int = 2, skill: float = 0.5
) -> tuple[np.ndarray, np.ndarray, Layout]:
    """Labels, probabilities and layout of models that know a little; classes of unequal size."""
    rng = np.random.default_rng(seed)
    y = rng.choice(n_classes, n, p=[0.3, 0.7] if n_classes == 2 else [0.2, 0.2, 0.6])
    logits = skill * (np.eye(n_classes)[y] + rng.standard_normal((n_runs, n, n_classes)))
    p = np.exp(logits) / np.exp(logits).sum(axis=2, keepdims=True)
    return np.tile(y, n_runs), p.reshape(-1, n_classes), layout_of(n, n_runs, seed=seed)


# What the reference implementation gave for `drawn(1)`, on plain arrays: the parts person,
# class shares, fold model and reciprocal.
REFERENCE = {
    (OUTCOME, "accuracy"): (3.054306e-4, 6.861778e-4, 2.430694e-4, 0.0),
    (OUTCOME, "weighted_accuracy"): (4.667659e-4, 1.173569e-3, 2.212107e-4, 0.0),
    (OUTCOME, "macro_f1"): (4.12585e-4, 0.0, 2.652001e-4, 5.44181e-5),
    (MURMUR, "accuracy"): (3.972778e-4, 3.285538e-4, 0.0, 2.3e-5),
    (MURMUR, "weighted_accuracy"): (4.898495e-4, 2.97523e-4, 0.0, 0.0),
    (MURMUR, "macro_f1"): (5.210405e-4, 0.0, 0.0, 1.127557e-4),
}


@pytest.mark.parametrize(("case", "expected"), REFERENCE.items(), ids=str)
def test_the_parts_are_those_of_the_reference(
    case: tuple[tuple[str, ...], str], expected: tuple[float, ...]
) -> None:
    classes, name = case
    y, p, layout = drawn(1, n_classes=len(classes))
    metric = next(m for m in metrics_for(classes) if m.name == name)
    parts = expected_error.parts(influence(metric, y, p, 0, layout))
    found = (parts.person, parts.class_shares, parts.fold_model, parts.reciprocal)
    assert found == pytest.approx(expected, rel=1e-6, abs=1e-12)


# --- person and fold model ------------------------------------------------------------------------


def test_one_repeat_counts_what_people_add_twice() -> None:
    right = np.r_[np.ones(74), np.zeros(26)]
    folds = np.r_[np.arange(74), np.arange(26)] % 5  # alike, as stratified ones are
    layout = Layout.of(np.zeros(100), folds, np.arange(100), 5)
    found = expected_error.spread(of_right(right, layout))
    assert found is not None
    assert found.parts.fold_model == 0
    assert found.parts.person == pytest.approx(0.74 * 0.26 / 100)
    assert found.parts.reciprocal == found.parts.person
    # The normal quantile almost: people are what differs.
    assert found.quantile() == pytest.approx(t.ppf(0.975, 99))


@pytest.mark.parametrize(("n", "n_right"), [(100, 74), (200, 148), (942, 697), (100, 50)])
def test_a_constant_classifier_in_stratified_folds_has_an_interval(n: int, n_right: int) -> None:
    """Folds of one class mix agree: their spread is 0, and Nadeau-Bengio's interval had no width.
    It held the truth in 52, 48, 30 and 16 % of data sets; half and half gave [0.500, 0.500]."""
    y = np.r_[np.zeros(n_right, dtype=int), np.ones(n - n_right, dtype=int)]
    layout = Layout.of(np.zeros(n), np.r_[np.arange(n_right), np.arange(n - n_right)] % 5,
                       np.arange(n), 5)  # fmt: skip
    found = influence(ACCURACY, y, np.tile([0.8, 0.2], (n, 1)), 0, layout)
    estimate = expected_error.recipe_estimate(found, 0.8, n)
    assert expected_error.corrected(found.models, 1 / 4) < 0.1 * found.of_people
    assert estimate.low is not None
    assert estimate.high is not None
    # At least what a share of n people has by itself: an interval of 95 % is wider than that.
    assert estimate.high - estimate.low > 2 * 1.96 * sqrt(n_right / n * (1 - n_right / n) / n)


def test_fold_models_that_do_not_differ_add_nothing_on_average() -> None:
    """J / (J - S), not J / (J - 1): psi is centred in every run, not once over all."""
    ratios = []
    for seed in range(300):
        rng = np.random.default_rng(seed)
        layout = layout_of(60, n_runs=3, seed=seed)
        found = of_right(rng.random(180) < 0.7, layout)
        of_models = 15 / 12 * (layout.by_model(found.psi) ** 2).sum()
        ratios.append(of_models / (layout.by_cell(found.psi) ** 2).sum())
        parts = expected_error.parts(found)
        expected = max(0.0, of_models - (layout.by_cell(found.psi) ** 2).sum())
        assert parts.fold_model == pytest.approx(expected)
    # (J - 1) / J of the folds' sums leaves 0.86.
    assert np.mean(ratios) == pytest.approx(1, abs=0.04)


def test_fold_models_that_differ_count_by_what_they_differ() -> None:
    found = []
    for seed in range(200):
        rng = np.random.default_rng(seed)
        layout = layout_of(200, n_runs=3, seed=seed)
        values = 0.3 * rng.standard_normal(15)[layout.model] + rng.standard_normal(600)
        psi = (values - (np.bincount(layout.run, values) / 200)[layout.run]) / 600
        found.append(expected_error.parts(Influence(0.5, psi, psi, np.zeros(3), layout)).fold_model)
    # tau^2 / J, less its share in the sum over rows, which is in the person part.
    assert np.mean(found) == pytest.approx(0.09 / 15 - 0.09 / 600, rel=0.08)


@pytest.mark.parametrize(("name", "most"), [("auroc", 1.25), ("auprc", 1.25)])
def test_metrics_by_fold_have_delongs_factor_in_the_recipes_variance(
    name: str, most: float
) -> None:
    """Three positives in a fold: without n / (n - 1) the variance is 0.8 of what it should be.

    AUPRC's has the share of positives in it, too, which is the same in all of these samples.
    """
    ratios, values = [], []
    for seed in range(400):
        rng = np.random.default_rng(seed)
        y = np.r_[np.zeros(15, dtype=int), np.ones(60, dtype=int)]
        odds = rng.standard_normal((75, 1)) + (1.5 * (y == 0)[:, None] if name == "auprc" else 0)
        p = 1 / (1 + np.exp(-odds))
        fold = np.r_[np.arange(15), np.arange(60)] % 5
        layout = Layout.of(np.zeros(75), fold, np.arange(75), 5)
        rows = Scored(y, np.c_[p, 1 - p], 0, layout)
        found = rows.influence(METRICS[name])
        values.append(found.value)
        plain = rows.influence(replace(METRICS[name], unbiased=None))
        ratios.append([expected_error.parts(each).person for each in (found, plain)])
    with_factor, without = np.mean(ratios, axis=0) / np.var(values)
    assert 0.95 < with_factor < most
    assert without < 0.85


def test_degrees_of_freedom_are_those_of_what_differs() -> None:
    people = expected_error.Parts(1.0, 0.0, 0.0, 1.0, 1.0)
    assert expected_error.degrees_of_freedom(people, 100, 1, 5) == pytest.approx(99)
    models = expected_error.Parts(0.0, 0.0, 1.0, 0.0, 0.0)
    assert expected_error.degrees_of_freedom(models, 100, 1, 5) == pytest.approx(4)
    assert expected_error.degrees_of_freedom(models, 100, 3, 15) == 14


# --- reciprocal -----------------------------------------------------------------------------------


def pairs_only(seed: int, symmetry: float, n: int = 60, n_runs: int = 3) -> Influence:
    """A value made of pairs alone: j moves the answer for i by g_ij if j trains its model.

    g_ij and g_ji are drawn with correlation `symmetry`.
    """
    rng = np.random.default_rng(seed)
    layout = layout_of(n, n_runs, seed=seed)
    g, h = rng.standard_normal((2, n, n))
    g = np.sqrt((1 + symmetry) / 2) * (g + g.T) / sqrt(2) + np.sqrt((1 - symmetry) / 2) * (
        h - h.T
    ) / sqrt(2)
    model = layout.model.reshape(n_runs, n)
    e = np.array([(g * (row[:, None] != row)).sum(axis=1) for row in model]).ravel()
    value = float(e.mean())
    runs = np.bincount(layout.run, e) / n
    psi = (e - runs[layout.run]) / len(e)
    return Influence(value, psi, psi, runs, layout, (-1e9, 1e9))


def test_the_reciprocal_part_is_what_symmetric_pairs_add() -> None:
    found = [pairs_only(seed, 1.0) for seed in range(400)]
    true = np.var([each.value for each in found])
    parts = [expected_error.parts(each) for each in found]
    person = np.mean([each.person for each in parts])
    assert true / person == pytest.approx(2, abs=0.3)  # people alone see half
    whole = np.mean([each.person + each.reciprocal for each in parts])
    assert whole / true == pytest.approx(1, abs=0.12)


def test_pairs_of_one_direction_are_no_more_than_people_show() -> None:
    """Where g_ij says nothing of g_ji the part is too much, and never more than the people's."""
    found = [pairs_only(seed, 0.0) for seed in range(400)]
    true = np.var([each.value for each in found])
    person = np.mean([expected_error.parts(each).person for each in found])
    assert person / true == pytest.approx(1, abs=0.15)
    for each in found:
        parts = expected_error.parts(each)
        assert 0 <= parts.reciprocal <= parts.persistent <= parts.person


def test_answers_that_do_not_depend_on_the_training_have_no_reciprocal_part() -> None:
    right = np.tile(np.random.default_rng(0).random(100) < 0.7, 3)
    parts = expected_error.parts(of_right(right, layout_of(100, n_runs=3)))
    assert parts.reciprocal == pytest.approx(0, abs=1e-12)
    assert parts.persistent == pytest.approx(parts.person)
    assert expected_error.c4(2) == pytest.approx(0.7979, abs=1e-4)
    assert expected_error.c4(3) == pytest.approx(0.8862, abs=1e-4)


@pytest.mark.parametrize(("n_done", "share"), [(1, 0.0), (3, 0.5), (5, 1.0)])
def test_one_repeat_that_is_not_finished_has_fewer_pairs(n_done: int, share: float) -> None:
    layout = layout_of(100)
    rows = layout.model < n_done
    part = Layout.of(layout.run[rows], layout.model[rows], layout.person[rows], 5)
    parts = expected_error.parts(of_right(np.random.default_rng(0).random(rows.sum()) < 0.7, part))
    assert parts.reciprocal == pytest.approx(share * parts.person)


def test_these_models_have_the_reciprocal_part_from_two_runs_on() -> None:
    y, p, layout = drawn()
    found = influence(OF_OUTCOME["weighted_accuracy"], y, p, 0, layout)
    parts = expected_error.parts(found)
    fixed = conditional_error.fixed_estimate(found, 50)
    assert parts.reciprocal > 0
    assert fixed.se == pytest.approx(sqrt(found.of_people + parts.reciprocal))
    y, p, layout = drawn(n_runs=1)
    found = influence(OF_OUTCOME["weighted_accuracy"], y, p, 0, layout)
    assert conditional_error.fixed_estimate(found, 50).se == pytest.approx(sqrt(found.of_people))


# --- class shares ---------------------------------------------------------------------------------


def moved_by_definition(
    metric: Metric, y: np.ndarray, p: np.ndarray, layout: Layout, sharpness: float
) -> np.ndarray:
    """G of both ways with loops, (2, n): by probability, and by call with a small step."""
    n_classes, n_runs = p.shape[1], layout.n_runs
    one = layout.run == 0
    n, pi = int(one.sum()), np.bincount(y[one], minlength=n_classes) / one.sum()
    found = np.zeros((2, layout.n_persons))
    for c in range(n_classes):
        d = sqrt((1 - pi[c]) / (n * pi[c]))
        slopes = []
        for sign in (1, -1):
            z = np.log(p) + sign * sharpness * d * (np.arange(n_classes) == c)
            probs = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
            values = [
                metric(y, probs, 0, (layout.run == s)[None].astype(float))[0] for s in range(n_runs)
            ]
            slopes.append(np.mean(values))
        by_call = []
        for sign in (1, -1):
            values = []
            for s in range(n_runs):
                weights = np.zeros(len(y))
                for true in range(n_classes):
                    rows = np.flatnonzero((layout.run == s) & (y == true))
                    called = p[rows].argmax(axis=1) == c
                    raised = 1 + 1e-6 * sign * called
                    weights[rows] = raised / raised.mean()
                values.append(metric(y, p, 0, weights[None])[0])
            by_call.append(np.mean(values))
        beta = (slopes[0] - slopes[1]) / (2 * d), (by_call[0] - by_call[1]) / 2e-6
        on_share = np.zeros(layout.n_persons)
        np.add.at(on_share, layout.person[one], ((y[one] == c) / pi[c] - 1) / n)
        found += np.outer(beta, on_share)
    return found


@pytest.mark.parametrize("classes", [MURMUR, OUTCOME])
def test_class_shares_move_a_metric_as_the_formula_says(classes: tuple[str, ...]) -> None:
    y, p, layout = drawn(1, n_classes=len(classes))
    shares = ClassShares.of(y, p, layout)
    metrics = [m for m in metrics_for(classes) if m.needs == "decisions"]
    if len(classes) == 3:
        metrics.append(murmur_cost(MURMUR, np.random.default_rng(0).random(len(y)) < 0.4))
    for metric in metrics:
        found = influence(metric, y, p, 0, layout)
        expected = moved_by_definition(metric, y, p, layout, shares.sharpness)
        scale = np.abs(found.layout.by_person(found.psi)).max()
        np.testing.assert_allclose(found.by_shares, expected, atol=1e-5 * scale)
        of_person = layout.by_person(found.psi)
        larger = max(((of_person + each) ** 2).sum() for each in expected)
        parts = expected_error.parts(found)
        assert parts.person + parts.class_shares == pytest.approx(
            max(parts.person, larger), rel=1e-4
        )


def test_ranks_do_not_move_with_class_shares() -> None:
    y, p, layout = drawn(n_classes=3)
    for metric in metrics_for(MURMUR):
        found = influence(metric, y, p, 0, layout)
        if metric.needs == "ranks":
            assert expected_error.parts(found).class_shares == 0
    # Of two classes it is so by itself: odds of one class move everybody's rank alike.
    y, p, _ = drawn()
    up = class_shares.with_odds_of(p, 0, 1.3)
    assert METRICS["auroc"](y, up, 0)[0] == METRICS["auroc"](y, p, 0)[0]


def test_the_metric_of_a_plug_in_moves_as_one_of_ours_does() -> None:
    y, p, layout = drawn(n=80, n_runs=2)

    def cost(y: np.ndarray, p: np.ndarray) -> float:
        return float((5 * y * (p > 0.5) + (1 - y) * (p <= 0.5)).sum() / (5 * y + 1 - y).sum())

    def ranked(y: np.ndarray, p: np.ndarray) -> float:
        return float(METRICS["auroc"](1 - y, np.c_[p, 1 - p], 0)[0])

    own, ranks = (
        Metric(f.__name__, "", _of_many(f, f.__name__, (0.0, 1.0)), 0.01, plugin="my_module")
        for f in (cost, ranked)
    )
    ours = influence(OF_OUTCOME["weighted_accuracy"], y, p, 0, layout)
    theirs = influence(own, y, p, 0, layout)
    assert theirs.value == pytest.approx(ours.value)
    np.testing.assert_allclose(theirs.by_shares[0], ours.by_shares[0])
    # By call its slopes are the jackknife's, which differ by a share of 1 / n.
    np.testing.assert_allclose(theirs.by_shares[1], ours.by_shares[1], rtol=0.05, atol=1e-5)
    # Ranks do not depend on calls alone, and odds do not move them.
    assert not influence(ranks, y, p, 0, layout).by_shares.any()


def test_decisions_move_by_call_alone() -> None:
    y, p, layout = drawn()
    calls = np.eye(2)[p.argmax(axis=1)]
    found = influence(OF_OUTCOME["sensitivity"], y, calls, 0, layout)
    assert not found.by_shares[0].any()
    # Positives called positive gain d (1 - r) of their share r when called more by 1 + d.
    r = found.value
    of_positive = [((y[:200] == c) / (y[:200] == c).mean() - 1) / 200 for c in (0, 1)]
    runs = [((y == 0) & (calls[:, 0] == 1) & (layout.run == s)).sum() for s in range(3)]
    r = np.array(runs) / (y[:200] == 0).sum()
    slope = float((r * (1 - r)).mean())
    np.testing.assert_allclose(found.by_shares[1], slope * (of_positive[0] - of_positive[1]))


def test_a_group_is_moved_by_the_class_shares_of_everybody() -> None:
    y, p, layout = drawn()
    whole = Scored(y, p, 0, layout)
    rows = layout.person % 2 == 0
    part = whole.among(rows).influence(OF_OUTCOME["sensitivity"])
    assert part.by_shares.shape == (2, 200)
    assert np.abs(part.by_shares[0][1::2]).min() > 0  # who is not in the group trains its models


def test_patients_of_a_person_and_runs_not_finished_count_once() -> None:
    y, p, _ = drawn(n=60, n_runs=2)
    run, patient = np.repeat([0, 1], 60), np.tile(np.arange(60), 2)
    layout = Layout.of(run, patient // 2 % 5, patient // 2, 5)
    shares = ClassShares.of(y, p, layout)
    pi = (y[:60] == 0).mean()
    each = ((y[:60] == 0) / pi - 1) / 60
    np.testing.assert_allclose(shares.on_share[:, 0], each.reshape(30, 2).sum(axis=1))
    rows = (run == 0) | (layout.model % 5 == 0)  # the second run has one fold
    fewer = Layout.of(run[rows], layout.model[rows] % 5, patient[rows] // 2, 5)
    again = ClassShares.of(y[rows], p[rows], fewer)
    np.testing.assert_allclose(again.on_share[:, 0], shares.on_share[:, 0])


def test_class_shares_are_what_a_weighted_accuracy_varies_by_near_chance() -> None:
    """LDA that knows nothing, 100 people, two folds' worth of seeds: 250 data sets."""
    world = World(shares=(0.5, 0.5), distance=0.0, noise=0.0, n_features=8)
    rng = np.random.default_rng(0)
    data = draw(world, rng, 250, 100, n_runs=2)
    trained = train(world, data, rng)
    true = float(truth(world, trained)["weighted_accuracy"].mean())
    metric, held = OF_OUTCOME["weighted_accuracy"], {"all": 0, "without": 0}
    for i in range(250):
        layout = Layout.of(
            np.repeat([0, 1], 100), data.fold[i].ravel(), np.tile(np.arange(100), 2), 5
        )
        y = np.tile(data.y[i], 2)
        found = influence(metric, y, trained.prob[i].reshape(-1, 2), 0, layout)
        for name, each in (("all", found), ("without", replace(found, moved=None))):
            estimate = expected_error.recipe_estimate(each, 0.8, 50)
            held[name] += bool((estimate.low or 0) <= true <= (estimate.high or 1))
    assert held["all"] / 250 >= 0.92
    assert held["without"] / 250 < 0.85


# --- what must not happen -------------------------------------------------------------------------


@pytest.mark.parametrize("n_runs", [1, 2])
def test_ten_calls_of_a_hundred_flipped_are_no_equivalence(n_runs: int) -> None:
    """One more right and one more wrong in every fold: folds agree, and the two are not alike."""
    layout = layout_of(100, n_runs)
    first = np.tile(np.arange(100) % 2 == 0, n_runs).astype(float)
    second = first.copy()
    for model in range(layout.n_models):
        rows = np.flatnonzero(layout.model == model)
        for was in (0.0, 1.0):
            second[rows[first[rows] == was][0]] = 1 - was
    found = compare(of_right(first, layout), of_right(second, layout), margin=0.01)
    assert found["difference"]["value"] == 0
    assert found["verdict"] == "cannot tell"
    # Ten of a hundred differ by 1: a standard error of sqrt(10) / 100 from one run, at least.
    assert found["difference"]["high"] > 1.96 * sqrt(10 / n_runs) / 100
    assert found["p"] == 1


def test_right_on_everybody_is_better_than_right_on_nobody() -> None:
    layout = layout_of(20)
    worst, best = of_right(np.zeros(20), layout), of_right(np.ones(20), layout)
    found = compare(worst, best, margin=0.01)
    assert (found["verdict"], found["winner"]) == ("better", "second")
    # One repeat: half of 20 persons. Wilson's of 10 of 10, as (1 + d) / 2; and the sign test.
    assert found["difference"]["low"] == pytest.approx(2 * wilson(1, 10)[0] - 1)
    assert found["difference"]["high"] == 1
    assert found["p"] == pytest.approx(2 * 0.5**10)
    looked = compare(best, worst, margin=0.01, n_looks=5)["difference"]["high"]
    assert looked == pytest.approx(1 - 2 * wilson(1, 10, 0.99)[0])
    assert compare(best, worst, margin=0.01)["winner"] == "first"
    # By half a share for everybody is no share of the people.
    half = replace(best.minus(worst), value=0.5)
    assert expected_error.recipe_estimate(half, 0.8, 20).low is None


def test_no_error_is_not_surer_than_one() -> None:
    """One repeat counts people twice, at 100 of 100 as at 99 of 100."""
    layout = layout_of(100)
    none, one = (of_right(np.r_[np.zeros(k), np.ones(100 - k)], layout) for k in (0, 1))
    found, nearly = (expected_error.recipe_estimate(each, 0.8, 100) for each in (none, one))
    assert found.low == pytest.approx(wilson(1, 50)[0])
    assert found.low is not None
    assert nearly.low is not None
    assert found.low < 0.95  # 100 of 100 do not show that a recipe reaches it
    assert nearly.low < found.low
    assert "conservative" in found.method
    assert conditional_error.fixed_estimate(none, 100).low == pytest.approx(wilson(1, 100)[0])
    twice = of_right(np.ones(200), layout_of(100, n_runs=2))
    assert expected_error.recipe_estimate(twice, 0.8, 100).low == pytest.approx(wilson(1, 100)[0])


@pytest.mark.parametrize("n_runs", [1, 3])
def test_people_whose_patients_cancel_tell_nothing(n_runs: int) -> None:
    """20 people of two patients, one right and one wrong: accuracy 0.5, and once [0.5, 0.5]."""
    right = np.tile([1.0, 0.0], 20 * n_runs)
    person = np.tile(np.repeat(np.arange(20), 2), n_runs)
    layout = Layout.of(np.repeat(np.arange(n_runs), 40), person % 5, person, 5)
    found = of_right(right, layout)
    for estimate in Basis(layout, 0.8).estimates(found, 20, is_proportion=True):
        assert (estimate.value, estimate.low, estimate.high) == (0.5, None, None)
        assert "more people would tell" in estimate.method
        assert {verdict(estimate, target) for target in (0.49, 0.51)} == {"cannot tell"}


def test_the_best_variant_picked_anew_is_worth_what_there_can_be() -> None:
    rng = np.random.default_rng(0)
    y = np.arange(30) % 2
    layout = layout_of(30, n_folds=3)
    each = []
    for _ in range(4):
        p = np.clip(0.5 + 0.35 * (1 - 2 * y) + 0.2 * rng.standard_normal(30), 0.01, 0.99)
        each.append(influence(METRICS["auroc"], y, np.c_[p, 1 - p], 0, layout))
    assert max(one.value for one in each) > 0.97
    values = multiplicity.Resamples(layout, 2000).corrected({"auroc": each}, {"auroc": 1})["auroc"]
    assert values.max() <= 1
    named = {f"v{i}": one for i, one in enumerate(each)}
    found = multiplicity.best(named, 0.67, resampled=values)["corrected"]
    assert 0 <= found["low"] < found["value"] <= found["high"] <= 1


def test_an_ece_has_no_interval_anywhere() -> None:
    """A calibrated model has none; the interval of 200 people's reached below 0.005 in 3 %."""
    y, p, layout = drawn()
    found = influence(METRICS["ece"], y, p, 0, layout)
    for estimate in Basis(layout, 0.8).estimates(found, 50):
        assert estimate.value is not None
        assert (estimate.low, estimate.se) == (None, None)
        assert "few people a bin push" in estimate.method
    other = influence(METRICS["ece"], y, p[::-1], 0, layout)
    against = compare(found, other, margin=0.01)
    assert (against["p"], against["difference"]["low"]) == (None, None)
    assert "few people a bin push" in against["difference"]["method"]
    assert budget(found) is None
    resampled = multiplicity.Resamples(layout, 50).corrected({"ece": [found, other]}, {"ece": -1})
    top = multiplicity.best(
        {"a": found, "b": other}, 0.8, higher_is_better=False, resampled=resampled["ece"]
    )
    for name in ("estimate", "corrected"):
        assert (top[name]["low"], top[name]["value"] is None) == (None, False)


@pytest.mark.parametrize("n_runs", [1, 2, 3])
@pytest.mark.parametrize("n_classes", [2, 3])
def test_the_recipes_interval_holds_that_of_its_models(n_runs: int, n_classes: int) -> None:
    for seed in range(6):
        y, p, layout = drawn(seed, 100, n_runs, n_classes, skill=seed / 2)
        basis = Basis(layout, 0.8)
        for metric in metrics_for(MURMUR if n_classes == 3 else OUTCOME):
            found = influence(metric, y, p, 0, layout)
            if not np.isfinite(found.value) or metric.no_interval:
                continue
            spread = expected_error.spread(found)
            recipe, fixed = basis.estimates(found, 10, metric.is_proportion)
            assert spread is not None
            of_models = conditional_error.conditional_variance(found)
            assert spread.variance >= of_models or of_models < 1e-30
            if recipe.low is not None and fixed.low is not None:
                assert metric.bounds[0] <= recipe.low <= fixed.low
                assert (fixed.high or 0) <= (recipe.high or 0) <= metric.bounds[1]
