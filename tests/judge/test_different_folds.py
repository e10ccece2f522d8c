"""Variants on different folds: paired by person, fold models of both, leaks named and looked at."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from support.fake_comparison import POSITIVES
from support.fake_run import SPLIT, fake_run
from support.simulation import World, draw, train

from kfold_hs.errors import PredictionsError
from kfold_hs.judge.metrics.scores import METRICS, Metric
from kfold_hs.judge.results.comparison import Terms, Variants, compare_variants
from kfold_hs.judge.results.different_folds import (
    Folds,
    different_folds,
    leaks,
    mark_leaks,
    said_of,
)
from kfold_hs.judge.results.discordant import flips
from kfold_hs.judge.results.sentences import beside, to_decide, verdict, verdict_of
from kfold_hs.judge.stats import expected_error, paired
from kfold_hs.judge.stats.clusters import Layout
from kfold_hs.judge.stats.influence import Influence
from kfold_hs.judge.stats.power import Design, components
from kfold_hs.judge.stats.scored import influence
from kfold_hs.predictions.table import Predictions

ACCURACY = METRICS["accuracy"]
N, N_RUNS = 120, 3


# --- the variance ---------------------------------------------------------------------------------


def by_hand(psi: np.ndarray, folds: list[np.ndarray]) -> Influence:
    """A difference: psi (2, S, n) of either variant, whose folds are (S, n) each."""
    n_runs, n = psi.shape[1:]
    layouts = [
        Layout.of(np.repeat(np.arange(n_runs), n), fold.ravel(), np.tile(np.arange(n), n_runs))
        for fold in folds
    ]
    values = [
        Influence(0.5, each.ravel(), each.ravel(), np.full(n_runs, 0.5), layout)
        for each, layout in zip(psi, layouts, strict=True)
    ]
    return values[0].minus_on_other_folds(values[1])


def test_the_parts_are_those_of_the_formula() -> None:
    rng = np.random.default_rng(0)
    n_folds, n_runs, n = 4, 3, 40
    psi = rng.normal(size=(2, n_runs, n))
    psi -= psi.mean(axis=2, keepdims=True)
    folds = [rng.permuted(np.tile(np.arange(n) % n_folds, (n_runs, 1)), axis=1) for _ in range(2)]
    found = expected_error.parts(by_hand(psi, folds))
    person = psi[0].sum(axis=0) - psi[1].sum(axis=0)
    assert found.person == pytest.approx((person**2).sum())
    of_models = of_both = 0.0
    for variant in (0, 1):
        # What the other variant says of the same people is taken out of what a model moved.
        own = psi[variant] - psi[1 - variant].sum(axis=0) / n_runs
        of_both += (own**2).sum()
        for run, fold in zip(own, folds[variant], strict=True):
            of_models += sum(run[fold == k].sum() ** 2 for k in range(n_folds))
    n_models = 2 * n_runs * n_folds
    expected = n_models / (n_models - 2 * n_runs) * of_models - of_both
    assert found.fold_model == pytest.approx(max(0, expected))
    sd = (n_runs * psi).std(axis=1, ddof=1)
    alike = n * ((sd.mean(axis=1) / expected_error.c4(n_runs)) ** 2).sum()
    persistent = max(0.0, found.person - (sd**2).sum() / n_runs)
    assert found.persistent == pytest.approx(persistent)
    assert found.reciprocal == pytest.approx(
        min((n_folds - 1) * alike, persistent) + alike / n_runs
    )


def test_what_is_the_same_of_everybody_in_both_cancels() -> None:
    """Only the people differ: nothing is left, in whatever folds they are."""
    rng = np.random.default_rng(1)
    of_person = rng.normal(size=40)
    psi = np.broadcast_to(of_person - of_person.mean(), (2, 3, 40)).copy()
    folds = [rng.permuted(np.tile(np.arange(40) % 4, (3, 1)), axis=1) for _ in range(2)]
    found = expected_error.parts(by_hand(psi, folds))
    assert found.variance == pytest.approx(0, abs=1e-20)


def test_one_repeat_counts_twice_what_people_add_and_has_few_degrees_of_freedom() -> None:
    rng = np.random.default_rng(2)
    psi = rng.normal(size=(2, 1, 40))
    folds = [rng.permutation(np.arange(40) % 4)[None] for _ in range(2)]
    apart = by_hand(psi, folds)
    found = expected_error.spread(apart)
    assert found is not None
    assert found.parts.reciprocal == pytest.approx(found.parts.person)
    assert found.df <= 39 + 3
    assert "two layouts of folds" in found.method


def test_a_design_of_its_own_size_has_the_variance_of_the_interval() -> None:
    a, b = two(0, True)
    apart = b.minus_on_other_folds(a)
    found = expected_error.spread(apart)
    parts = components(apart)
    assert found is not None
    assert parts.variance(Design(N, N_RUNS, 5)) == pytest.approx(found.parts.variance)
    assert parts.df(Design(N, N_RUNS, 5)) == found.df == 5 * N_RUNS - 1


def test_layouts_of_other_sizes_are_refused() -> None:
    a, b = two(0, True)
    fewer = Layout.of(b.layout.run, b.layout.model % 4, b.layout.person, 4)
    with pytest.raises(PredictionsError, match="Give both variants the same --folds"):
        replace(b, layout=fewer).minus_on_other_folds(a)
    with pytest.raises(PredictionsError, match="only results of the same people in the same"):
        b.minus(a)


# --- coverage -------------------------------------------------------------------------------------


def two(seed: int, other_features: bool, metric: Metric = ACCURACY) -> tuple[Influence, Influence]:
    """Of a data set and two recipes of equal worth, each on folds of its own."""
    world, rng = World(noise=0.8, offset_noise=0.6), np.random.default_rng(seed)
    first = draw(world, rng, 1, N, N_RUNS)
    keys = first.y[:, None] + rng.random(first.fold.shape)
    second = replace(first, fold=keys.argsort(axis=2).argsort(axis=2) % 5)
    half = world.n_features // 2
    seen = (slice(0, half), slice(half, None)) if other_features else (None, None)
    found = []
    for drawn, features in zip((first, second), seen, strict=True):
        prob = train(world, drawn, rng, features).prob[0].reshape(-1, 2)
        run = np.repeat(np.arange(N_RUNS), N)
        layout = Layout.of(run, drawn.fold[0].ravel(), np.tile(np.arange(N), N_RUNS))
        found.append(influence(metric, np.tile(drawn.y[0], N_RUNS), prob, 0, layout))
    return found[0], found[1]


@pytest.mark.parametrize(("name", "other_features"), [("accuracy", False), ("auroc", True)])
def test_recipes_of_equal_worth_are_rarely_called_different(
    name: str, other_features: bool
) -> None:
    errs, by_people_alone, sizes = [], [], []
    for seed in range(120):
        a, b = two(seed, other_features, METRICS[name])
        apart = b.minus_on_other_folds(a)
        found = expected_error.spread(apart)
        assert found is not None
        errs.append(found.p_value(apart.value) <= 0.05)
        by_people_alone.append(abs(apart.value) > 1.96 * np.sqrt(found.parts.person))
        sizes.append((apart.value, found.variance))
    assert 100 * np.mean(errs) <= 7
    # People alone do not do: the models that they make differ, too.
    assert np.mean(by_people_alone) > 1.5 * np.mean(errs)
    assert 100 * np.mean(by_people_alone) >= 8
    value, variance = np.array(sizes).T
    assert np.sqrt(variance.mean()) < 1.7 * value.std()


# --- results --------------------------------------------------------------------------------------


def variant(seed: int, skill: float, linked: int = 50, in_leak: float = 0.0) -> Predictions:
    """Two repeats in folds drawn by the seed; `linked` persons have two patients each.

    `in_leak` is added to the logit of the right class of linked persons.
    """
    rng = np.random.default_rng(seed)
    first = fake_run(n_patients=200, n_epochs=1, skill=skill, seed=0)[0]
    tables = []
    for repeat in range(2):
        made = fake_run(n_patients=200, n_epochs=1, skill=skill, seed=100 * seed + repeat)[0]
        table = made.table.copy()
        i = np.arange(200)
        table["person_id"] = [f"q{k % 100 if k % 100 < linked else k}" for k in i]
        table["fold"] = rng.permutation(i % 5)
        table["repeat"] = repeat
        is_linked = i % 100 < linked
        for task, names in first.classes.items():
            table[f"y.{task}"] = first.table[f"y.{task}"]
            columns = [f"p.{task}.{name}" for name in names]
            right = np.array(columns)[[list(names).index(y) for y in table[f"y.{task}"]]]
            p = rng.dirichlet(np.ones(len(names)), 200)
            at = np.array([columns.index(c) for c in right])
            p[i, at] += skill + in_leak * is_linked
            table[columns] = p / p.sum(axis=1, keepdims=True)
        tables.append(table)
    return Predictions(pd.concat(tables, ignore_index=True), first.classes)


PERSON = Folds({"split.by": "person", "seed": 0}, "aa", [0, 0])
PATIENT = Folds({"split.by": "patient", "seed": 0}, "bb", [40, 38])
TERMS = Terms("split.by=person", n_resamples=50)


def compared(
    linked: int = 50, in_leak: float = 3.0, names: tuple[str, str] = ("split.by=person", "leaky")
) -> tuple[Variants, dict, dict]:
    tables = {names[0]: variant(1, 0.3, linked), names[1]: variant(2, 0.3, linked, in_leak)}
    variants = Variants.of(tables, POSITIVES, SPLIT, may_differ=True)
    return variants, compare_variants(variants, replace(TERMS, baseline=names[0])), tables


def test_a_leak_looks_better_and_is_called_one() -> None:
    variants, found, tables = compared()
    folds = {"split.by=person": PERSON, "leaky": PATIENT}
    leaking = leaks(variants, folds)
    assert leaking["leaky"]["torn"] == [40, 38]
    assert leaking["leaky"]["text"] == (
        "leaky is LEAKING: of 50 people with several patient ids it puts 40 and 38 on two sides of "
        "a fold in repeats 0 and 1, and scores them by models that were trained on them."
    )
    mark_leaks(found, leaking)
    one = found["headline"]["against_baseline"]["leaky"]
    assert (one["verdict"], one["winner"], one["leaking"]) == ("better", "second", "leaky")
    assert one["bayes"] is None
    assert one["variance"]["fold_model"] >= 0
    assert verdict_of(one, "split.by=person", "leaky") == "leaky looks better, and leaks"
    assert "leaky looks better than split.by=person, and leaks (" in verdict(
        "Accuracy", "split.by=person", "leaky", one
    )
    assert beside(one).startswith("These models: +")
    assert found["headline"]["best"]["name"] == "leaky"
    assert found["headline"]["pairs"][0]["leaking"] == "leaky"
    different = different_folds(variants, TERMS, folds)
    assert different is not None
    json.dumps([found, different, leaking], allow_nan=False)
    assert different["differ"] == {"split.by": {"split.by=person": "person", "leaky": "patient"}}
    assert "split.by is person in split.by=person and patient in leaky" in different["text"]
    linked = different["linked"]
    assert (linked["n_linked"], linked["n_others"]) == (50, 100)
    inside, outside = (
        linked["headline"]["against_baseline"]["leaky"][g] for g in ("linked", "others")
    )
    assert inside["difference"]["low"] > 0.1
    assert outside["difference"]["low"] < 0 < outside["difference"]["high"]
    # Row by row: what the linked people are worth in either variant.
    for name, key in (("split.by=person", "first"), ("leaky", "second")):
        table = tables[name]
        rows = table.table["person_id"].str[1:].astype(int) < 50
        right = [
            (table.y_true(t) == table.y_prob(t).argmax(axis=1))[rows].mean() for t in table.tasks
        ]
        assert inside["values"][key] == pytest.approx(np.mean(right))
    said = said_of(different, leaking)
    assert len(said) == 3
    assert "among the 50 people with several patient ids alone +" in said[2]
    assert "among the 100 others" in said[2]


def test_few_linked_people_are_counted_and_not_told() -> None:
    variants, found, _ = compared(linked=7)
    folds = {"split.by=person": PERSON, "leaky": replace(PATIENT, torn=[6, 5])}
    different = different_folds(variants, TERMS, folds)
    assert different is not None
    assert different["linked"]["headline"] is None
    assert said_of(different, leaks(variants, folds))[-1] == (
        "What the leak does to people with several patient ids is unknown: there are 7, and "
        "186 others; a group takes at least 20."
    )
    assert found["headline"]["against_baseline"]["leaky"]["difference"]["low"] is not None


def test_names_that_say_what_differs_are_not_said_again() -> None:
    names = ("seed=0", "seed=1")
    variants, _, _ = compared(in_leak=0, names=names)
    folds = {name: Folds({"seed": k}, str(k), [0, 0]) for k, name in enumerate(names)}
    different = different_folds(variants, replace(TERMS, baseline="seed=0"), folds)
    assert different is not None
    assert different["text"].startswith(
        "The variants are on different folds: they differ in seed. Every patient is predicted out"
    )
    assert different["linked"] is None
    assert said_of(different, leaks(variants, folds)) == [different["text"]]


def test_variants_that_share_folds_are_compared_as_ever_beside_one_that_does_not() -> None:
    one, two, other = variant(1, 0.3), variant(1, 0.6), variant(2, 0.3)
    tables = {"a": one, "b": two, "c": other}
    both = compare_variants(
        Variants.of(tables, POSITIVES, SPLIT, may_differ=True), Terms("a", n_resamples=50)
    )
    alone = compare_variants(
        Variants.of({"a": one, "b": two}, POSITIVES, SPLIT), Terms("a", n_resamples=50)
    )
    mine, theirs = (each["headline"]["against_baseline"]["b"] for each in (both, alone))
    assert mine["difference"] == theirs["difference"]
    assert mine["bayes"] is not None
    assert both["headline"]["against_baseline"]["c"]["bayes"] is None
    assert both["n_tried"] == 3
    assert len(both["headline"]["pairs"]) == 3
    order = compare_variants(
        Variants.of({k: tables[k] for k in ("c", "a", "b")}, POSITIVES, SPLIT, may_differ=True),
        Terms("a", n_resamples=50),
    )  # fmt: skip
    again = order["headline"]["against_baseline"]["c"]["difference"]
    assert again == both["headline"]["against_baseline"]["c"]["difference"]


def test_other_people_are_refused_and_other_folds_where_nobody_asked() -> None:
    one, other = variant(1, 0.3), variant(2, 0.3)
    fewer = Predictions(other.table.iloc[1:].reset_index(drop=True), other.classes)
    with pytest.raises(PredictionsError, match="b and a did not predict the same patients in the"):
        Variants.of({"a": one, "b": fewer}, POSITIVES, SPLIT, may_differ=True)
    with pytest.raises(PredictionsError, match="in the same folds"):
        Variants.of({"a": one, "b": other}, POSITIVES, SPLIT)
    with pytest.raises(PredictionsError, match="in the same folds"):
        flips(one, other, "murmur")
    found = flips(one, other, "murmur", same_folds=False)
    assert found["n_rows"] == 400
    of_patient = [
        (t.y_true("murmur") == t.y_prob("murmur").argmax(axis=1)).sum() for t in (one, other)
    ]
    assert found["only_second"] - found["only_first"] == of_patient[1] - of_patient[0]


def test_more_repeats_are_a_bound_and_the_words_say_so() -> None:
    a, b = two(3, False)
    found = paired.compare(a, b, margin=0.001)
    assert found["verdict"] == "cannot tell"
    assert found["settle"]["at_most"]
    text = to_decide(found, N_RUNS)
    assert "at most" in text or "would see it is not known;" in text
    assert "from one" not in text
