"""Influence, intervals and comparisons: golden numbers, other packages, invariances."""

from __future__ import annotations

import json
from dataclasses import replace
from math import sqrt
from pathlib import Path

import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special, stats
from statsmodels.stats.multitest import multipletests

from kfold_hs.errors import ConfigError, PredictionsError
from kfold_hs.judge.metrics import gradients
from kfold_hs.judge.metrics.challenge2022 import metrics_for, murmur_cost
from kfold_hs.judge.metrics.scores import (
    ACCURACY,
    METRICS,
    Metric,
    sensitivity,
    specificity,
    weighted_accuracy,
)
from kfold_hs.judge.stats import (
    conditional_error,
    expected_error,
    intervals,
    multiplicity,
    paired,
    power,
)
from kfold_hs.judge.stats.clusters import Layout
from kfold_hs.judge.stats.influence import Influence
from kfold_hs.judge.stats.scored import influence, of_persons
from kfold_hs.judge.stats.variance_components import budget

MURMUR, OUTCOME = ("Present", "Unknown", "Absent"), ("Abnormal", "Normal")
CASES = [(classes, m) for classes in (MURMUR, OUTCOME) for m in metrics_for(classes)]
# What reports do not name: thresholds, other class weights, the cost of murmurs by outcome.
OTHERS = {
    "sensitivity_0.3": (OUTCOME, sensitivity(0.3), gradients.sensitivity(0.3)),
    "specificity_0.6": (OUTCOME, specificity(0.6), gradients.specificity(0.6)),
    "weighted_712": (
        MURMUR,
        weighted_accuracy([7, 1, 2]),
        gradients.weighted_accuracy([7, 1, 2]),
    ),
}
CASES += [
    (classes, Metric(name, "", function, 0, gradient=gradient))
    for name, (classes, function, gradient) in OTHERS.items()
]
weighted = Metric(
    "weighted_712", "", weighted_accuracy([7, 1]), 0,
    gradient=gradients.weighted_accuracy([7, 1]), needs="decisions",
)  # fmt: skip
GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "packages.json").read_text())

Table = tuple[np.ndarray, np.ndarray, Layout]


def table(
    seed: int = 0, n: int = 120, n_runs: int = 3, n_classes: int = 2, per_person: int = 1
) -> Table:
    """Labels, probabilities with ties and layout of a run whose models know a little."""
    rng = np.random.default_rng(seed)
    y = np.arange(n) % n_classes
    logits = rng.standard_normal((n_runs, n, n_classes)) + 1.5 * np.eye(n_classes)[y]
    p = np.round(np.exp(logits) / np.exp(logits).sum(axis=2, keepdims=True), 2) + 0.01
    fold = np.stack([rng.permutation(n // per_person) % 5 for _ in range(n_runs)])
    fold = np.repeat(fold, per_person, axis=1)
    person = np.tile(np.arange(n) // per_person, n_runs)
    layout = Layout.of(np.repeat(np.arange(n_runs), n), fold.ravel(), person)
    p = (p / p.sum(axis=2, keepdims=True)).reshape(-1, n_classes)
    return np.tile(y, n_runs), p, layout


def of(right: np.ndarray, layout: Layout) -> Influence:
    """Accuracy of rows that are right or wrong."""
    return influence(ACCURACY, np.zeros(len(right), int), np.c_[right, 1 - right], 0, layout)


def no_gradient(metric: Metric) -> Metric:
    """A metric of which only the function is known: its influence is the jackknife's."""
    return replace(metric, gradient=None, unbiased=None)


# --- influence --------------------------------------------------------------------------------


@pytest.mark.parametrize(("classes", "metric"), CASES, ids=lambda v: getattr(v, "name", ""))
def test_gradients_are_derivatives(classes: tuple[str, ...], metric) -> None:  # type: ignore[no-untyped-def]
    y, p, _ = table(n=60, n_runs=1, n_classes=len(classes))
    weights = np.random.default_rng(1).integers(1, 4, (1, 60)).astype(float)
    step = 1e-6 * np.eye(60)
    up, down = (metric(y, p, 0, weights + sign * step) for sign in (1, -1))
    found = metric.gradient(y, p, 0, weights)[0]
    np.testing.assert_allclose(found, (up - down) / 2e-6, atol=1e-6 * np.abs(found).max())
    assert found @ weights[0] == pytest.approx(0, abs=1e-9 * np.abs(found).max())


@pytest.mark.parametrize(("classes", "metric"), CASES, ids=lambda v: getattr(v, "name", ""))
def test_closed_form_is_the_jackknife_up_to_1_over_n(classes: tuple[str, ...], metric) -> None:  # type: ignore[no-untyped-def]
    y, p, layout = table(n=300, n_runs=1, n_classes=len(classes))
    closed, left_out = (influence(each, y, p, 0, layout) for each in (metric, no_gradient(metric)))
    assert closed.value == left_out.value
    # The ECE has a kink at every bin without a gap; AUPRC bends at the top of the list.
    least = {"ece": 0.85, "auprc": 0.985, "macro_auprc": 0.985}.get(metric.name, 0.999)
    assert np.corrcoef(closed.psi, left_out.psi)[0, 1] > least
    assert left_out.psi.std() == pytest.approx(closed.psi.std(), rel=0.12)


def test_cost_of_murmurs_has_the_jackknifes_influence() -> None:
    y, p, layout = table(n=300, n_runs=1, n_classes=3)
    metric = murmur_cost(MURMUR, np.random.default_rng(0).random(300) < 0.4)
    closed, left_out = (influence(each, y, p, 0, layout) for each in (metric, no_gradient(metric)))
    assert np.corrcoef(closed.psi, left_out.psi)[0, 1] > 0.999
    assert left_out.psi.std() == pytest.approx(closed.psi.std(), rel=0.02)


def test_auroc_is_the_fold_mean_not_the_pooled_one() -> None:
    y, p, layout = table()
    metric = METRICS["auroc"]
    masks = (layout.model == np.arange(15)[:, None]).astype(float)
    found = influence(metric, y, p, 0, layout)
    assert found.value == pytest.approx(metric(y, p, 0, masks).mean())
    np.testing.assert_allclose(found.models, metric(y, p, 0, masks))


def test_a_fold_without_a_class_is_undefined_not_skipped() -> None:
    y, p, layout = table(n=20, n_runs=1)
    y = np.where(layout.model == 0, 1, y)
    metric = METRICS["auroc"]
    estimate = expected_error.recipe_estimate(influence(metric, y, p, 0, layout), 0.8, 5)
    assert (estimate.value, estimate.low) == (None, None)
    assert "undefined: 1 of 5 folds have nobody of a class" in estimate.method


# --- golden numbers -----------------------------------------------------------------------------

D = np.array([[1, 0, 1, 0, 1, 1, 0, 1, 1, 0, 1, 1], [1, 1, 1, 0, 0, 1, 0, 1, 1, 1, 1, 1]])
FOLDS = np.array([[0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2], [0, 1, 2] * 4])


def by_hand() -> Influence:
    layout = Layout.of(np.repeat([0, 1], 12), FOLDS.ravel(), np.tile(np.arange(12), 2))
    return of(D.ravel(), layout)


def test_the_recipes_interval_by_hand() -> None:
    found = by_hand()
    psi, layout = found.psi, found.layout
    # Two runs, 8 and 9 of 12 right: e = right - 2/3 and right - 3/4.
    assert (layout.by_person(psi) ** 2).sum() == pytest.approx(0.0120081, abs=1e-7)
    # J / (J - S) = 6 / 4 of fold sums 0, 1, -1 and 0, 0, 0 in units of 1 / 24 ... squared.
    assert 6 / 4 * (layout.by_model(psi) ** 2).sum() == pytest.approx(0.0069444, abs=1e-7)
    assert (layout.by_cell(psi) ** 2).sum() == pytest.approx(0.0085359, abs=1e-7)
    parts = expected_error.parts(found)
    assert parts.person == pytest.approx(0.0120081, abs=1e-7)
    assert (parts.class_shares, parts.fold_model) == (0, 0)
    assert parts.reciprocal == pytest.approx(0.0069444, abs=1e-7)
    estimate = expected_error.recipe_estimate(found, 2 / 3, 12)
    se = sqrt(0.0120081 + 0.0069444)
    assert (estimate.value, estimate.se, estimate.df) == pytest.approx((17 / 24, se, 5), abs=1e-6)
    half = stats.t.ppf(0.975, 5) * se / (17 / 24 * 7 / 24)
    ends = special.expit(special.logit(17 / 24) + np.array([-half, half]))
    assert (estimate.low, estimate.high) == pytest.approx(ends, abs=1e-5)
    assert estimate.target == "this recipe, trained on 67 % of the people"


def test_person_and_fold_model_are_the_two_way_variance_of_statsmodels() -> None:
    y, p, layout = table(n_runs=3)
    found = influence(ACCURACY, y, p, 0, layout)
    e = found.psi * len(found.psi)
    groups = np.c_[layout.person, layout.model]
    model = sm.OLS(e, np.ones(len(e)))
    fit = model.fit(cov_type="cluster", cov_kwds={"groups": groups, "use_correction": False})
    psi = found.psi
    ours = sum((each(psi) ** 2).sum() for each in (layout.by_person, layout.by_model))
    ours -= (layout.by_cell(psi) ** 2).sum()
    assert ours == pytest.approx(float(np.squeeze(fit.cov_params())), rel=1e-10)


def test_corrected_t_by_hand_and_as_baycomp() -> None:
    a, b = np.array(GOLDEN["second"]), np.array(GOLDEN["first"])
    se = sqrt(expected_error.corrected(a - b, 1 / 4))
    assert se == pytest.approx(0.0101735, abs=1e-7)
    found = expected_error.Spread(se**2, 4, "", expected_error.Parts(se**2, 0, 0, 0, 0))
    assert found.p_value(0.014) == pytest.approx(0.240802, abs=1e-6)
    ends = intervals.around(0.014, se, found.quantile(), is_share=False)
    assert ends == pytest.approx((-0.014246, 0.042246), abs=1e-6)
    rope = paired.correlated_t(a - b, 1 / 4, 0.01)
    np.testing.assert_allclose([rope.worse, rope.same, rope.better], GOLDEN["two_on_single_rope"])
    none = paired.correlated_t(a - b, 1 / 4, 0.0)
    np.testing.assert_allclose([none.worse, none.better], GOLDEN["two_on_single"])


def test_delong_is_that_of_other_packages() -> None:
    y, (s, t) = np.array(GOLDEN["y"]), np.array(GOLDEN["scores"])
    layout = Layout.of(np.zeros(40), np.zeros(40), np.arange(40))
    metric = METRICS["auroc"]
    a, b = (influence(metric, 1 - y, np.c_[each, 1 - each], 0, layout) for each in (s, t))
    assert a.value == pytest.approx(GOLDEN["auc"])
    assert conditional_error.bayle(a) == pytest.approx(
        GOLDEN["auc_variance"], rel=1e-6
    )  # theirs is float32
    apart = a.minus(b)
    assert abs(apart.value) / sqrt(conditional_error.bayle(apart)) == pytest.approx(
        GOLDEN["delong_z"]
    )
    these = paired.these_models(apart)
    assert (these["p"], these["method"]) == (
        pytest.approx(GOLDEN["delong_p"]),
        conditional_error.DELONG,
    )
    y, s = np.array([0, 0, 0, 1, 1, 1, 1]), np.array([0.9, 0.6, 0.35, 0.8, 0.4, 0.3, 0.1])
    layout = Layout.of(np.zeros(7), np.zeros(7), np.arange(7))
    found = influence(metric, y, np.c_[s, 1 - s], 0, layout)
    assert (found.value, sqrt(conditional_error.bayle(found))) == pytest.approx((0.75, 0.2151657))


def test_delong_by_fold_is_the_mean_of_the_folds_variances() -> None:
    y, p, layout = table(n=100, n_runs=1, n_classes=3)
    by_name = {m.name: m for m in metrics_for(MURMUR)}
    variances = []
    for k in range(5):
        rows = layout.model == k
        s, positive = p[rows, 0], y[rows] == 0
        above = (s[positive][:, None] > s[~positive]) + (s[positive][:, None] == s[~positive]) / 2
        v10, v01 = above.mean(axis=1), above.mean(axis=0)
        variances.append(v10.var(ddof=1) / len(v10) + v01.var(ddof=1) / len(v01))
    found = influence(by_name["auroc"], y, p, 0, layout)
    assert conditional_error.bayle(found) == pytest.approx(np.sum(variances) / 25)
    # So has the influence that the recipe's interval stands on; sums over fold models have not.
    plain = influence(replace(by_name["auroc"], unbiased=None), y, p, 0, layout)
    assert conditional_error.bayle(found) > conditional_error.bayle(plain)
    assert (layout.by_person(found.psi) ** 2).sum() > (layout.by_person(plain.psi) ** 2).sum()
    np.testing.assert_allclose(found.models, plain.models)
    of_macro = influence(by_name["macro_auroc"], y, p, 0, layout)
    each = [influence(by_name["auroc"], y, p, c, layout).within for c in range(3)]
    np.testing.assert_allclose(of_macro.within, np.mean(each, axis=0))


@pytest.mark.slow
def test_golden_numbers_are_what_the_packages_say(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("baycomp", "confidenceinterval", "MLstatkit"):
        pytest.importorskip(name)
    monkeypatch.syspath_prepend(Path(__file__).parents[1] / "golden")
    from packages import numbers  # type: ignore[import-not-found]

    found = numbers()
    for key in GOLDEN.keys() - {"versions"}:
        np.testing.assert_allclose(found[key], GOLDEN[key], rtol=1e-6)


def test_wilson_is_that_of_the_formula() -> None:
    z = stats.norm.isf(0.025)
    for share, n in [(730 / 942, 942), (0.0, 20), (1.0, 20), (0.31, 7.25)]:
        middle = (share + z**2 / (2 * n)) / (1 + z**2 / n)
        half = z * sqrt(share * (1 - share) / n + z**2 / (4 * n**2)) / (1 + z**2 / n)
        low, high = intervals.wilson(share, n)
        assert (low, high) == pytest.approx((middle - half, middle + half), abs=1e-12)
        assert 0 <= low <= share <= high <= 1


def test_holm_is_statsmodels_also_with_tests_that_are_not_given() -> None:
    p = [0.01, 0.04, 0.03, 0.005, 0.5]
    np.testing.assert_allclose(multiplicity.holm(p), multipletests(p, method="holm")[1])
    assert multiplicity.holm([]).size == 0
    np.testing.assert_allclose(multiplicity.holm([0.01, 0.02], n_tests=5), [0.05, 0.08])


def test_accuracy_of_these_models_is_wilsons_where_patients_are_persons() -> None:
    right = np.r_[np.ones(73), np.zeros(27)]
    layout = Layout.of(np.zeros(100), np.arange(100) % 5, np.arange(100))
    found = conditional_error.fixed_estimate(of(right, layout), 100, is_proportion=True)
    assert (found.low, found.high) == pytest.approx(intervals.wilson(0.73, 100))


def test_bca_corrects_for_skewness() -> None:
    right = np.r_[np.ones(57), np.zeros(3)]
    layout = Layout.of(np.zeros(60), np.arange(60) % 5, np.arange(60))
    found = of(right, layout)
    ends = conditional_error.bca(found, lambda w: w @ right / w.sum(axis=1), 5000)
    assert ends is not None
    e = right - right.mean()
    expected = stats.bootstrap((right,), np.mean, n_resamples=5000, method="BCa", rng=0)
    assert (e**3).sum() < 0
    assert ends.low == pytest.approx(expected.confidence_interval.low, abs=0.02)
    assert ends.high == pytest.approx(expected.confidence_interval.high, abs=0.02)


@pytest.mark.parametrize("name", ["accuracy", "auroc", "macro_f1"])
def test_people_resampled_are_rows_resampled(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    y, p, layout = table(n=120, per_person=2)
    metric = METRICS[name]
    value = of_persons(metric, y, p, 0, layout)
    found = influence(metric, y, p, 0, layout)
    assert value(np.ones((1, 60))) == pytest.approx(found.value)
    drawn = conditional_error.person_weights(layout, 3, 0)
    for weights, ours in zip(drawn, value(drawn), strict=True):
        rows = np.repeat(np.arange(len(y)), weights[layout.person].astype(int))
        again = Layout(layout.run[rows], layout.model[rows], layout.person[rows], 5)
        assert ours == pytest.approx(influence(metric, y[rows], p[rows], 0, again).value)
    whole = conditional_error.bca(found, value, 1000)
    assert whole is not None
    monkeypatch.setattr(conditional_error, "_CELLS", 360 * 100)
    parts = conditional_error.bca(found, value, 1000)
    assert parts is not None
    assert (parts.low, parts.high) == pytest.approx((whole.low, whole.high), abs=0.02)
    near = conditional_error.fixed_estimate(found, 60)
    assert (whole.low, whole.high) == pytest.approx((near.low, near.high), abs=0.03)


# --- laws -----------------------------------------------------------------------------------------


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1000), st.sampled_from(["accuracy", "auroc", "macro_f1"]))
def test_order_of_rows_and_copies_of_a_run(seed: int, name: str) -> None:
    y, p, layout = table(seed, n=60)
    metric = METRICS[name]
    whole = influence(metric, y, p, 0, layout)
    order = np.random.default_rng(seed).permutation(len(y))
    mixed_layout = Layout.of(layout.run[order], layout.model[order], layout.person[order], 5)
    mixed = influence(metric, y[order], p[order], 0, mixed_layout)
    assert mixed.value == pytest.approx(whole.value)
    assert expected_error.parts(mixed).to_json() == pytest.approx(
        expected_error.parts(whole).to_json(), abs=1e-15
    )
    twice = Layout.of(
        np.r_[layout.run, layout.run + 3],
        np.r_[layout.model, layout.model],
        np.tile(layout.person, 2),
    )
    copies = influence(metric, np.tile(y, 2), np.tile(p, (2, 1)), 0, twice)
    assert copies.value == pytest.approx(whole.value)
    # Rows count persons, not copies.
    assert conditional_error.bayle(copies) == pytest.approx(conditional_error.bayle(whole))


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1000), st.sampled_from(["accuracy", "auroc", "macro_f1"]))
def test_names_of_runs_folds_and_persons_do_not_matter(seed: int, name: str) -> None:
    y, p, layout = table(seed, n=60)
    metric = METRICS[name]
    rng = np.random.default_rng(seed)
    run, person = (rng.permutation(n) for n in (layout.n_runs, layout.n_persons))
    # Folds are numbered anew in every run.
    fold = rng.permuted(np.tile(np.arange(5), (layout.n_runs, 1)), axis=1)
    other = Layout.of(run[layout.run], fold[layout.run, layout.model % 5], person[layout.person], 5)
    one, two = (influence(metric, y, p, 0, each) for each in (layout, other))
    assert two.value == pytest.approx(one.value)
    first, second = expected_error.spread(one), expected_error.spread(two)
    assert first is not None
    assert second is not None
    assert (second.variance, second.df) == pytest.approx((first.variance, first.df))
    assert conditional_error.bayle(two) == pytest.approx(conditional_error.bayle(one))


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1000), st.sampled_from([1, 3]))
def test_costs_scale_with_their_unit(seed: int, n_runs: int) -> None:
    # The challenge's cost of one variant, in two currencies: interval and verdict move along.
    y, p, layout = table(seed, n=100, n_runs=n_runs)
    q = table(seed + 1, n=100, n_runs=n_runs)[1]
    metric = next(m for m in metrics_for(OUTCOME) if m.name == "cost")
    a, b = (influence(metric, y, each, 0, layout) for each in (p, q))
    small = [each.times(1 / 1000) for each in (a, b)]
    one = paired.compare(a, b, margin=200.0, higher_is_better=False)
    two = paired.compare(*small, margin=0.2, higher_is_better=False)
    assert two["p"] == pytest.approx(one["p"])
    assert (two["verdict"], two["winner"]) == (one["verdict"], one["winner"])
    assert 1000 * two["difference"]["low"] == pytest.approx(one["difference"]["low"])
    assert two["bayes"] == pytest.approx(one["bayes"])


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1000), st.sampled_from([1, 2, 3]))
def test_a_minus_b_is_minus_b_minus_a(seed: int, n_runs: int) -> None:
    y, p, layout = table(seed, n=60, n_runs=n_runs)
    q = table(seed + 1, n=60, n_runs=n_runs)[1]
    a, b = (influence(ACCURACY, y, each, 0, layout) for each in (p, q))
    one, two = (paired.compare(*pair, margin=0.01) for pair in ((a, b), (b, a)))
    assert one["p"] == pytest.approx(two["p"])
    assert one["difference"]["low"] == pytest.approx(-two["difference"]["high"])
    assert one["verdict"] == two["verdict"]
    assert one["bayes"]["better"] == pytest.approx(two["bayes"]["worse"])


@pytest.mark.parametrize("n_runs", [1, 2, 3])
def test_identical_variants(n_runs: int) -> None:
    y, p, layout = table(n_runs=n_runs)
    a = influence(ACCURACY, y, p, 0, layout)
    same = paired.compare(a, a, margin=0.01)
    # Nothing speaks against their being alike, and nothing says how alike others would be.
    assert (same["p"], same["verdict"], same["winner"]) == (1, "cannot tell", None)
    assert same["difference"]["low"] is None
    assert "more people" in same["difference"]["method"]


def test_persons_are_the_unit() -> None:
    # Copies of every patient under the same person say nothing new; as persons they would.
    y, p, layout = table(n=100, n_runs=3)
    copied = Layout(*(np.repeat(c, 4) for c in (layout.run, layout.model, layout.person)), 5)
    apart = Layout(copied.run, copied.model, np.arange(1200) % 4 + 4 * copied.person, 5)
    rows = np.repeat(y, 4), np.repeat(p, 4, axis=0), 0
    one, same = (
        expected_error.parts(each).to_json()
        for each in (influence(ACCURACY, y, p, 0, layout), influence(ACCURACY, *rows, copied))
    )
    # What a person adds by the class shares is in steps of 1 / sqrt(patients), and these are more.
    for name in ("person", "fold_model", "reciprocal"):
        assert same[name] == pytest.approx(one[name])
    each = [
        conditional_error.bayle(influence(ACCURACY, *rows, layout)) for layout in (copied, apart)
    ]
    assert each[1] == pytest.approx(each[0] / 4)


def test_verdicts() -> None:
    assert paired.verdict_of(0.002, 0.03, 0.01) == "better"
    assert paired.verdict_of(-0.03, -0.002, 0.01) == "better"
    assert paired.verdict_of(0.001, 0.009, 0.01) == "equivalent"
    assert paired.verdict_of(-0.005, 0.02, 0.01) == "cannot tell"


def test_lower_is_better_names_the_other_winner() -> None:
    y, p, layout = table(n=400)
    worse = np.roll(p, 1, axis=0)
    a, b = (influence(ACCURACY, y, each, 0, layout) for each in (worse, p))
    assert paired.compare(a, b, margin=0.01)["winner"] == "second"
    lower = paired.compare(a, b, margin=0.01, higher_is_better=False)
    assert lower["winner"] == "first"
    assert lower["bayes"]["worse"] > 0.9


def test_rows_of_other_people_cannot_be_subtracted() -> None:
    (y, p, layout), (_, q, other) = table(0), table(1)
    a, b = influence(ACCURACY, y, p, 0, layout), influence(ACCURACY, y, q, 0, other)
    with pytest.raises(PredictionsError, match="same people in"):
        a.minus(b)


# --- many variants --------------------------------------------------------------------------------


def test_the_best_of_equal_variants_is_not_believed() -> None:
    gain, left, called = [], [], 0
    for seed in range(30):
        rng = np.random.default_rng(seed)
        layout = table(seed, n=200, n_runs=1)[2]
        each = {f"v{i}": of(rng.random(200) < 0.7, layout) for i in range(6)}
        resampled = multiplicity.Resamples(layout, 400).corrected(
            {"accuracy": list(each.values())}, {"accuracy": 1}
        )
        found = multiplicity.best(each, 0.8, resampled=resampled["accuracy"])
        gain.append(found["estimate"]["value"] - 0.7)
        left.append(found["corrected"]["value"] - 0.7)
        against = multiplicity.against_baseline(each, "v0", margin=0.01)
        called += any(other["verdict"] == "better" for other in against.values())
        assert set(against) == {"v1", "v2", "v3", "v4", "v5"}
    assert np.mean(gain) > 0.02
    assert abs(np.mean(left)) < 0.015
    assert called <= 3


def test_more_tried_variants_widen_the_best_ones_interval() -> None:
    y, p, layout = table(n_runs=3)
    each = {"a": influence(ACCURACY, y, p, 0, layout)}
    one, many = (multiplicity.best(each, 0.8, n_tried=n)["estimate"] for n in (1, 20))
    assert many["low"] < one["low"] < one["high"] < many["high"]
    assert "best of 20 tried" in many["target"]


def test_unknown_baseline_is_told() -> None:
    y, p, layout = table()
    each = {"onecycle": influence(ACCURACY, y, p, 0, layout)}
    with pytest.raises(ConfigError, match="Did you mean 'onecycle'"):
        multiplicity.against_baseline(each, "onecycl", margin=0.01)


def test_resamples_come_in_parts_that_change_nothing_much(monkeypatch: pytest.MonkeyPatch) -> None:
    y, p, layout = table(n_runs=1)
    each = {"accuracy": [influence(ACCURACY, y, p, 0, layout)]}
    whole = multiplicity.Resamples(layout, 2000).corrected(each, {"accuracy": 1})["accuracy"]
    monkeypatch.setattr(multiplicity, "_CELLS", 120 * 100)
    parts = multiplicity.Resamples(layout, 2000).corrected(each, {"accuracy": 1})["accuracy"]
    assert parts.mean() == pytest.approx(whole.mean(), abs=0.005)
    assert len(set(parts.tolist())) > 20


# --- budget and planning --------------------------------------------------------------------------


def made(person: float, model: float, seed: int, n: int = 400, n_runs: int = 4) -> Influence:
    """Rows with a person's, a fold model's and a residual part of known sizes."""
    rng = np.random.default_rng(seed)
    _, _, layout = table(seed, n=n, n_runs=n_runs)
    values = sqrt(person) * rng.standard_normal(n)[layout.person]
    values += sqrt(model) * rng.standard_normal(layout.n_models)[layout.model]
    values += rng.standard_normal(len(values))
    psi = values - np.bincount(layout.run, values)[layout.run] / n
    return Influence(0.5, psi / (n * n_runs), psi, np.zeros(n_runs), layout)


def test_fold_models_add_what_they_differ_by() -> None:
    found = made(0.1, 0.5, 0)
    psi, layout = found.psi, found.layout
    people, models, both = (
        sum(psi[code == c].sum() ** 2 for c in np.unique(code))
        for code in (layout.person, layout.model, layout.person * layout.n_models + layout.model)
    )
    parts = expected_error.parts(found)
    assert 20 / 16 * models > both  # J / (J - S): every run's values are centred
    assert parts.fold_model == pytest.approx(20 / 16 * models - both)
    assert parts.person == pytest.approx(people)


def test_components_are_recovered() -> None:
    found = [power.components(made(2.0, 0.1, seed)) for seed in range(40)]
    assert np.mean([each.person for each in found]) == pytest.approx(2.0, rel=0.1)
    assert np.mean([each.model for each in found]) == pytest.approx(0.1, rel=0.3)
    # A person meets another model in every run: what that adds is drawn anew, too.
    assert np.mean([each.residual for each in found]) == pytest.approx(1.0 + 0.1, rel=0.05)


@pytest.mark.parametrize("n_runs", [1, 2, 3])
def test_a_plan_for_the_design_of_a_run_has_the_runs_variance(n_runs: int) -> None:
    y, p, layout = table(n_runs=n_runs)
    found = influence(weighted, y, p, 0, layout)
    parts, design = power.components(found), power.Design(layout.n_persons, n_runs, 5)
    spread = expected_error.spread(found)
    assert spread is not None
    assert parts.variance(design) == pytest.approx(spread.variance)
    assert parts.df(design) == pytest.approx(spread.df)


def test_parts_of_the_variance_are_shares_and_what_doubling_leaves() -> None:
    y, p, layout = table(n=200, n_runs=2)
    found = influence(weighted, y, p, 0, layout)
    parts, shared = expected_error.parts(found), budget(found)
    assert shared is not None
    shares = shared["shares"]
    assert sum(each for each in shares.values() if each is not None) == pytest.approx(1)
    for name in ("class_shares", "reciprocal", "fold_model"):
        assert shares[name] == pytest.approx(getattr(parts, name) / parts.variance)
    assert shares["person"] + shares["residual"] == pytest.approx(parts.person / parts.variance)
    # Twice the people: half of all but what fold models add; class shares fall or do not.
    assert parts.class_shares > 0
    left = (parts.variance + parts.fold_model + parts.class_shares) / 2 / parts.variance
    assert shared["se_after"]["people"] == pytest.approx(sqrt(left))
    assert shared["at_most"] == ["people"]
    planned = power.components(found).variance(power.Design(2 * layout.n_persons, 2, 5))
    assert planned == pytest.approx(
        (parts.variance - parts.fold_model + parts.class_shares) / 2 + parts.fold_model
    )
    least = paired.compare(found.times(0.5), found, margin=0)["settle"]
    assert least is None or least["people_at_most"]
    drawn_anew = parts.person - parts.persistent + parts.fold_model
    left = 1 - drawn_anew / 2 / parts.variance
    assert shared["se_after"]["repeats"] == pytest.approx(sqrt(left))


def test_what_to_buy_follows_the_largest_part() -> None:
    people = budget(made(8.0, 0.0001, 0))
    repeats = budget(made(0.1, 0.5, 0))
    assert people is not None
    assert repeats is not None
    assert (people["buy"], repeats["buy"]) == ("people", "repeats")
    assert sum(share or 0 for share in people["shares"].values()) == pytest.approx(1)
    assert people["shares"]["seed"] is None
    one = budget(made(1.0, 0.1, 0, n_runs=1))
    assert one is not None
    assert one["shares"]["residual"] is None
    # From one run to two: at most what is left if nothing is residual.
    assert one["at_most"] == ["repeats"]
    parts = power.components(made(1.0, 0.1, 0, n_runs=1))
    ratio = parts.variance(power.Design(400, 2, 5)) / parts.variance(power.Design(400, 1, 5))
    assert one["se_after"]["repeats"] == pytest.approx(sqrt(ratio))
    assert "repeats" not in people["at_most"]
    seeds = budget(made(1.0, 0.5, 0), np.random.default_rng(0).standard_normal((3, 20)))
    assert seeds is not None
    assert seeds["shares"]["seed"] > 0


def test_power_is_that_of_the_t_test() -> None:
    # Cohen 1988, one-sample t: d = 0.5, n = 34 gives 0.81 two-sided at 5 % (R's power.t.test).
    assert power.power_of(0.5, 1 / sqrt(34), 33) == pytest.approx(0.8077775, abs=1e-5)
    least = power.detectable(1 / sqrt(34), 33)
    assert power.power_of(least, 1 / sqrt(34), 33) == pytest.approx(0.8, abs=1e-6)
    assert power.power_of(50, 0.1, 4) == 1
    # Many people and one repeat have many degrees of freedom: the z-test, 1.96 + 0.84 errors.
    assert power.detectable(1.0, 999_999) == pytest.approx(2.8016, abs=1e-3)
    assert power.power_of(2.8016, 1.0, 999_999) == pytest.approx(0.8, abs=1e-4)
    assert power.power_of(10, 1, 9) == pytest.approx(1)
    # One degree of freedom: the series of the far tail gives no number between 7 and 12.
    for difference in (7.54, 7.63, 9, 12):
        whole = 1 - special.nctdtr(1, difference, stats.t.ppf(0.975, 1))
        assert power.power_of(difference, 1, 1) == pytest.approx(whole)


def test_one_run_compares_by_twice_what_people_add() -> None:
    # Folds of 100 patients with the golden accuracies.
    fold = np.repeat(np.arange(5), 100)
    layout = Layout.of(np.zeros(500), fold, np.arange(500))
    a, b = (
        of(
            (np.tile(np.arange(100), 5) < np.round(100 * np.array(GOLDEN[name]))[fold]) * 1.0,
            layout,
        )
        for name in ("first", "second")
    )
    found = paired.compare(a, b, margin=0.01)
    # By fold the second is right for 2, 1, 3, 2 and -1 more of 100; 9 of 500 people differ.
    assert found["difference"]["value"] == pytest.approx(7 / 500)
    people = (9 - 500 * 0.014**2) / 500**2
    by_fold = np.array([2, 1, 3, 2, -1]) - 1.4
    models = 5 / 4 * (by_fold**2).sum() / 500**2 - people
    assert found["variance"] == pytest.approx(
        {"person": people, "class_shares": 0, "fold_model": models, "reciprocal": people,
         "sum": 2 * people + models}
    )  # fmt: skip
    se = sqrt(2 * people + models)
    df = se**4 / ((2 * people) ** 2 / 499 + models**2 / 4)  # Satterthwaite's
    assert found["difference"]["se"] == pytest.approx(se)
    assert found["p"] == pytest.approx(2 * stats.t.sf(0.014 / se, df))
    # The correlated t-test is less sure here.
    assert list(found["bayes"].values()) == pytest.approx(GOLDEN["two_on_single_rope"])
    assert found["verdict"] == "cannot tell"
    assert found["detectable"] > found["difference"]["value"]
    assert found["settle"]["at_most"]
    parts, n = power.components(b.minus(a)), found["settle"]["people"]
    chances = [
        power.power_of(7 / 500, sqrt(parts.variance(design)), parts.df(design))
        for design in (power.Design(n - 1, 1, 5), power.Design(n, 1, 5))
    ]
    assert chances[0] < 0.8 <= chances[1]
    assert "conservative: one repeat" in found["difference"]["method"]
