"""Choices on other folds: the best by brute force, blind to who is scored, with intervals."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.fake_run import SPLIT, fake_run, summary_of
from support.fake_run_parts import summary_with, twice, without

from kfold_hs.errors import PredictionsError
from kfold_hs.files.paths import FoldId
from kfold_hs.judge.metrics.challenge2022 import MURMUR, class_costs, cost
from kfold_hs.judge.selection.choices import CONFIGURED, by_rule, temperature_of, tempered
from kfold_hs.judge.selection.decisions import called, class_weights, decisions, referral_threshold
from kfold_hs.judge.selection.selected import Selected
from kfold_hs.judge.selection.stacking import Stacking
from kfold_hs.judge.stats.estimates import Basis
from kfold_hs.predictions.aggregation import POOLS, pool_groups
from kfold_hs.predictions.epoch_rules import kept_epochs
from kfold_hs.predictions.table import Predictions


def patients(seed: int, n: int, n_classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Labels and probabilities with ties, from models that know a little."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, n_classes, n)
    logits = rng.standard_normal((n, n_classes)) + 1.5 * np.eye(n_classes)[y]
    p = np.round(np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True), 2) + 0.01
    return y, p / p.sum(axis=1, keepdims=True)


def worth(y: np.ndarray, p: np.ndarray, weights: np.ndarray, costs: list[float]) -> float:
    right = called(p, weights).argmax(axis=1) == y
    return float(np.asarray(costs)[y] @ right)


@pytest.mark.parametrize("seed", range(5))
def test_two_class_weights_are_the_best_threshold_there_is(seed: int) -> None:
    y, p = patients(seed, 80, 2)
    found = class_weights(y, p, [5.0, 1.0])
    ratios = p[:, 1] / p[:, 0]
    every = np.r_[np.sort(ratios) * (1 - 1e-9), ratios.max() + 1]
    best = max(worth(y, p, np.array([r, 1.0]), [5.0, 1.0]) for r in every)
    assert worth(y, p, found, [5.0, 1.0]) == best


@pytest.mark.parametrize("seed", range(5))
def test_three_class_weights_beat_a_fine_grid_nearly_always(seed: int) -> None:
    y, p = patients(seed, 150, 3)
    costs = [5.0, 3.0, 1.0]
    steps = np.exp(np.linspace(-3, 3, 41))
    grid = max(worth(y, p, np.array([a, b, 1.0]), costs) for a in steps for b in steps)
    found = worth(y, p, class_weights(y, p, costs), costs)
    assert found >= worth(y, p, np.array(costs), costs)
    assert found >= 0.98 * grid


@pytest.mark.parametrize("seed", range(5))
def test_the_referral_threshold_is_the_cheapest_there_is(seed: int) -> None:
    y, p = patients(seed, 70, 2)
    abnormal = y == 0
    ones = np.ones((1, 70))
    found = cost(p[:, 0] >= referral_threshold(p[:, 0], abnormal), abnormal, ones)[0]
    every = np.r_[0, np.unique(p[:, 0]), 1.1]
    assert found == pytest.approx(min(cost(p[:, 0] >= t, abnormal, ones)[0] for t in every))


def test_all_or_nobody_may_be_referred() -> None:
    score = np.array([0.0, 0.2, 1.0])
    assert (score >= referral_threshold(score, np.ones(3, bool))).all()
    assert not (score >= referral_threshold(score, np.zeros(3, bool))).any()


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1000))
def test_order_of_patients_does_not_matter(seed: int) -> None:
    y, p = patients(seed, 60, 3)
    order = np.random.default_rng(seed).permutation(60)
    costs = [5.0, 3.0, 1.0]
    np.testing.assert_allclose(
        class_weights(y, p, costs), class_weights(y[order], p[order], costs), rtol=1e-9
    )
    first, second = (referral_threshold(p[o, 0], y[o] == 0) for o in (np.arange(60), order))
    assert first == second


def test_temperature_undoes_a_known_one() -> None:
    rng = np.random.default_rng(0)
    p = rng.dirichlet(np.ones(3), 20_000)
    y = (p.cumsum(axis=1) < rng.random((20_000, 1))).sum(axis=1).clip(max=2)
    assert temperature_of(y, p) == pytest.approx(1, abs=0.03)
    assert temperature_of(y, tempered(p, 0.5)) == pytest.approx(2, abs=0.06)
    np.testing.assert_allclose(tempered(tempered(p, 0.5), 2), p, atol=1e-9)


def test_who_is_scored_has_no_part_in_what_the_other_folds_choose() -> None:
    predictions, history = fake_run(skill=1.0)
    kept = predictions.at(kept_epochs(history))
    layout = Basis.of(kept, SPLIT, honest=True).layout
    table = kept.table.copy()
    here = (table["fold"] == 2).to_numpy()
    table.loc[here, "y.murmur"] = np.roll(table.loc[here, "y.murmur"], 3)
    table.loc[here, "y.outcome"] = np.roll(table.loc[here, "y.outcome"], 3)
    other = Predictions(table, kept.classes)
    changed = 0
    for task in kept.tasks:
        pairs = zip(decisions(kept, task, layout), decisions(other, task, layout), strict=True)
        for before, after in pairs:
            np.testing.assert_array_equal(before.crossfit[here], after.crossfit[here])
            assert before.chosen[2] == after.chosen[2]
            changed += int((before.scored[here] != after.scored[here]).any())
    assert changed > 0


def test_choices_are_told_with_their_optimism() -> None:
    summary = summary_of(*fake_run(skill=0.6))
    json.dumps(summary, allow_nan=False)
    each = {(c["task"], c["name"]): c for c in summary["choices"]["each"]}
    assert {name for _, name in each} == {"class weights", "referral threshold", "temperature"}
    for choice in each.values():
        sign = 1 if choice["higher_is_better"] else -1
        assert sign * choice["scored"]["value"] >= sign * choice["crossfit"]["value"]
        gap = choice["crossfit"]["value"] - choice["plain"]["value"]
        assert choice["crossfit_above_plain"]["value"] == pytest.approx(gap)
        optimism = choice["scored_above_crossfit"]
        assert optimism["low"] <= optimism["value"] <= optimism["high"]
        gap = choice["scored"]["value"] - choice["crossfit"]["value"]
        assert optimism["value"] == pytest.approx(gap)
        assert "(optimistic)" in optimism["target"]
        assert "(optimistic)" in choice["scored"]["target"]
        assert "(optimistic)" not in choice["crossfit"]["target"]
        assert len(choice["chosen"]) == 5
    decided = summary["tasks"]["murmur"]["decided"]
    assert set(decided) == {"weighted_accuracy", "cost"}
    assert decided["cost"]["value"] == each["murmur", "referral threshold"]["crossfit"]["value"]
    assert set(decided["weighted_accuracy"]["chosen"][0]["value"]) == set(MURMUR)


def test_class_weights_help_a_model_that_calls_everybody_healthy() -> None:
    predictions, history = fake_run(skill=1.0, n_patients=300)
    table = predictions.table.copy()
    for task, names in predictions.classes.items():
        columns = [f"p.{task}.{name}" for name in names]
        skewed = table[columns].to_numpy() * np.r_[0.05, np.ones(len(names) - 1)]
        table[columns] = skewed / skewed.sum(axis=1, keepdims=True)
    summary = summary_of(Predictions(table, predictions.classes), history)
    for choice in summary["choices"]["each"]:
        if choice["name"] == "class weights":
            assert choice["crossfit_above_plain"]["low"] > 0.02


def test_repeats_choose_on_their_own_folds() -> None:
    summary = summary_with(*twice(*fake_run()))
    for choice in summary["choices"]["each"]:
        values = [c["value"] for c in choice["chosen"]]
        assert len(values) == 10
        assert values[:5] == values[5:]


def with_recordings(predictions: Predictions, n: int = 3) -> Predictions:
    """Recordings of the last epoch, and patients who are their mean."""
    rng, last = np.random.default_rng(0), predictions.table["epoch"].max()
    table = predictions.table.copy()
    of_last = table["epoch"] == last
    parts = []
    for k in range(n):
        part = table[of_last].assign(level="recording")
        part["recording_id"] = part["patient_id"] + f"_{k}"
        for task, names in predictions.classes.items():
            columns = [f"p.{task}.{name}" for name in names]
            noisy = part[columns].to_numpy() * rng.uniform(0.2, 1, (len(part), len(names)))
            part[columns] = noisy / noisy.sum(axis=1, keepdims=True)
        parts.append(part)
    for columns in (
        [f"p.{task}.{name}" for name in names] for task, names in predictions.classes.items()
    ):
        table.loc[of_last, columns] = np.mean([part[columns].to_numpy() for part in parts], axis=0)
    return Predictions(pd.concat([table, *parts], ignore_index=True), predictions.classes)


def selected(predictions: Predictions, epochs: dict[FoldId, int]) -> Selected:
    return Selected.of(predictions, epochs, {"murmur": 0, "outcome": 0}, 5, Stacking())


def test_pooling_rules_are_those_of_training() -> None:
    predictions, history = fake_run()
    whole = with_recordings(predictions)
    whole = Predictions(whole.table.sample(frac=1, random_state=0), whole.classes)
    epochs = kept_epochs(history)
    kept = whole.at(epochs)
    found = by_rule(selected(whole, epochs), "murmur")
    assert set(found) == {CONFIGURED, *POOLS}
    np.testing.assert_allclose(found["mean"], found[CONFIGURED])
    recordings = whole.where(level="recording")
    at = {patient: row for row, patient in enumerate(kept.table["patient_id"])}
    owner = recordings.table["patient_id"].map(at).to_numpy()
    for rule in POOLS:
        expected = pool_groups(recordings.y_prob("murmur"), owner, len(kept), rule, 0)
        np.testing.assert_allclose(found[rule], expected)
    summary = summary_of(whole, history)
    assert "pooling of recordings" in {c["name"] for c in summary["choices"]["each"]}
    assert by_rule(selected(predictions, epochs), "murmur") == {}


def test_seeds_are_pooled_apart_and_then_averaged() -> None:
    predictions, history = fake_run()
    whole = with_recordings(predictions)
    again = with_recordings(Predictions(predictions.table.copy(), predictions.classes), n=2)
    table = pd.concat([whole.table, again.table.assign(seed=1)], ignore_index=True)
    both = Predictions(table, predictions.classes)
    histories = pd.concat([history, history.assign(seed=1)], ignore_index=True)
    found = by_rule(selected(both, kept_epochs(histories)), "outcome")
    np.testing.assert_allclose(found["mean"], found[CONFIGURED])


def test_one_fold_has_nothing_to_choose_on() -> None:
    predictions, history = fake_run()
    for fold in range(1, 5):
        predictions, history = without(predictions, history, fold)
    summary = summary_of(predictions, history)
    assert summary["choices"]["obstacle"] == "repeat 0 has one fold, and none to choose on"
    assert summary["tasks"]["murmur"]["decided"] == {}


def test_other_tasks_have_no_decisions_but_a_temperature() -> None:
    assert class_costs(("af", "sinus")) is None


def test_one_person_says_nothing_of_others() -> None:
    predictions, _ = fake_run()
    alone = Predictions(predictions.table.assign(person_id="q"), predictions.classes)
    with pytest.raises(PredictionsError, match="at least 2 must be scored"):
        Basis.of(alone.where(epoch=5), SPLIT, honest=True)
