"""What a class of few people adds to the variance, at the least."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import pytest
from scipy import stats

from kfold_hs.judge.metrics.challenge2022 import metrics_for
from kfold_hs.judge.metrics.scores import METRICS
from kfold_hs.judge.stats.clusters import Layout
from kfold_hs.judge.stats.conditional_error import fixed_estimate
from kfold_hs.judge.stats.expected_error import recipe_estimate, spread
from kfold_hs.judge.stats.influence import Influence, mean_of
from kfold_hs.judge.stats.intervals import NOTHING_VARIES, wilson
from kfold_hs.judge.stats.scored import Scored, influence

N = 100
ONE_MODEL = Layout.of(np.zeros(N), np.zeros(N), np.arange(N))
FIVE_FOLDS = Layout.of(np.zeros(N), np.arange(N) % 5, np.arange(N))


def with_positives(n: int, separation: float, rng: np.random.Generator) -> tuple[np.ndarray, ...]:
    """Labels and probabilities of two classes, normal scores."""
    y = (np.arange(N) < n).astype(int)
    p = 1 / (1 + np.exp(-(rng.normal(size=N) + separation * (y - 0.5))))
    return y, np.column_stack([1 - p, p])


def of(name: str, y: np.ndarray, p: np.ndarray, layout: Layout = ONE_MODEL) -> Influence:
    return influence(METRICS[name], y, p, 1, layout)


def test_intervals_of_models_hold_the_truth_for_a_class_of_a_few() -> None:
    """Without what a class of few people lacks 34 to 92 % of them did."""
    rng, hits = np.random.default_rng(0), defaultdict(list)
    for separation in (0.5, 1.5):
        truth = {
            "balanced_accuracy": stats.norm.cdf(separation / 2),
            "auroc": stats.norm.cdf(separation / np.sqrt(2)),
        }
        for n in (2, 3, 5):
            for _ in range(60):
                y, p = with_positives(n, separation, rng)
                for name, true in truth.items():
                    found = fixed_estimate(of(name, y, p), n)
                    is_in = found.low is None or found.low <= true <= (found.high or 0)
                    hits[name, n].append(is_in)
    assert min(np.mean(each) for each in hits.values()) > 0.91


@pytest.mark.parametrize("name", ["balanced_accuracy", "macro_f1", "auroc", "auprc"])
def test_one_person_of_a_class_gives_no_interval(name: str) -> None:
    y, p = with_positives(1, 1.0, np.random.default_rng(3))
    found = Scored(y, p, 1, ONE_MODEL, names=("well", "ill")).influence(METRICS[name])
    for estimate in (fixed_estimate(found, 1), recipe_estimate(found, 0.8, 1)):
        assert estimate.low is None
    assert "1 person of class ill" in fixed_estimate(found, 1).method
    assert "at least 2" in fixed_estimate(found, 1).method


def test_a_rate_of_one_person_has_wilsons_interval() -> None:
    y, p = with_positives(1, 1.0, np.random.default_rng(3))
    p[0] = 0.2, 0.8
    assert fixed_estimate(of("sensitivity", y, p), 1).low == pytest.approx(wilson(1, 1)[0])


def test_alike_people_of_a_class_add_what_one_called_otherwise_would() -> None:
    """3 positives, all right: their part of V is (1/2)^2 (1/3)^2."""
    rng = np.random.default_rng(0)
    y, p = with_positives(3, 1.0, rng)
    p[:3] = 0.1, 0.9
    found = of("balanced_accuracy", y, p)
    negatives = y == 0
    right = p[negatives].argmax(axis=1) == 0
    expected = 1 / 36 + right.mean() * (1 - right.mean()) / negatives.sum() / 4
    assert found.of_people == pytest.approx(expected)
    # Equal scores of two positives: v (1 - v) / n^2, and DeLong's part of the negatives.
    y, p = with_positives(2, 1.0, rng)
    p[:2] = 0.4, 0.6
    found = of("auroc", y, p)
    of_negatives = found.layout.by_person(found.within)[2:]
    expected = found.value * (1 - found.value) / 4 + (of_negatives**2).sum()
    assert found.of_people == pytest.approx(expected)


def test_a_class_that_is_hardly_called_adds_a_count_of_one() -> None:
    rng = np.random.default_rng(0)
    y = np.repeat([0, 1, 2], [8, 5, 87])
    p = np.eye(3)[np.where(rng.random(N) < 0.9, 2, 1)] * 0.8 + 0.2 / 3
    metric = METRICS["macro_f1"]
    found = influence(metric, y, p, 0, ONE_MODEL)
    # The first person of class 0, who is nowhere called right, were called so.
    moved = p.copy()
    moved[0] = 1, 0, 0
    gain = metric(y, moved, 0)[0] - metric(y, p, 0)[0]
    psi = found.layout.by_person(found.within)
    assert (psi[:8] ** 2).sum() < gain**2  # what the class shows of itself
    assert found.of_people >= (psi[8:] ** 2).sum() + 0.99 * gain**2


def test_folds_with_one_person_of_a_class_are_held_against_each_other() -> None:
    """10 positives over 10 folds: the models' AUROC has the variance of placements over them."""
    rng = np.random.default_rng(4)
    y, p = with_positives(10, 1.0, rng)
    found = of("auroc", y, p, Layout.of(np.zeros(N), np.arange(N) % 10, np.arange(N)))
    of_folds = [METRICS["auroc"](y[k::10], p[k::10], 1)[0] for k in range(10)]
    of_positives = (found.layout.by_person(found.within)[:10] ** 2).sum()
    assert of_positives == pytest.approx(np.var(of_folds, ddof=1) / 10)
    assert np.abs(found.layout.by_run(found.psi)).max() < 1e-12


def test_classes_that_vary_are_left_as_they_are() -> None:
    rng = np.random.default_rng(5)
    for layout in (ONE_MODEL, FIVE_FOLDS):
        y, p = with_positives(30, 1.0, rng)
        y, p = y[order := rng.permutation(N)], p[order]
        other = with_positives(30, 1.0, rng)[1][order]
        for metric in metrics_for(("a", "b")):
            first, second = (influence(metric, y, each, 1, layout) for each in (p, other))
            for found in (first, first.minus(second), mean_of([first, second]), first.times(2)):
                assert found.unseen(found.within) == 0


def test_differences_of_a_class_of_a_few_have_its_part() -> None:
    """Both variants get all 3 positives right, and differ among the negatives."""
    rng = np.random.default_rng(1)
    y, p = with_positives(3, 1.0, rng)
    q = with_positives(3, 1.0, rng)[1]
    p[:3] = q[:3] = 0.1, 0.9
    apart = of("balanced_accuracy", y, p, FIVE_FOLDS).minus(
        of("balanced_accuracy", y, q, FIVE_FOLDS)
    )
    assert apart.unseen(apart.psi) == pytest.approx(1 / 36)
    # Of ranks at most 3 / n^2 of the variance of the others.
    y, p = with_positives(2, 1.0, rng)
    nearly = p.copy()
    nearly[2:] += rng.normal(size=(98, 1)) * [[0.1, -0.1]]
    apart = of("auroc", y, p).minus(of("auroc", y, nearly))
    moved = apart.layout.by_person(apart.within)[2:] * 98
    shown = (apart.layout.by_person(apart.within)[:2] ** 2).sum()
    assert apart.sides is not None
    assert apart.sides.least[0] == pytest.approx(3 / 4 * (moved**2).mean())
    assert apart.unseen(apart.within) == pytest.approx(max(0, 3 / 4 * (moved**2).mean() - shown))
    # Nothing at all differs.
    same = of("auroc", y, p).minus(of("auroc", y, p))
    assert same.of_people == 0


@pytest.mark.parametrize("name", ["accuracy", "balanced_accuracy", "sensitivity", "brier"])
def test_class_shares_alone_make_no_interval(name: str) -> None:
    """Two patients a person, one right and one wrong: only class shares are left."""
    y = np.repeat(np.arange(50) % 2, 2)
    p = np.where(np.arange(N) % 2, 0.2 + 0.6 * y, 0.8 - 0.6 * y)
    probs = np.column_stack([1 - p, p])
    layout = Layout.of(np.zeros(N), np.repeat(np.arange(50) % 5, 2), np.repeat(np.arange(50), 2))
    found = influence(METRICS[name], y, probs, 1, layout)
    told = spread(found)
    assert told is not None
    assert told.parts.person == pytest.approx(0, abs=1e-25)
    for each in (found, found.minus(influence(METRICS[name], y, 1 - probs, 1, layout))):
        assert recipe_estimate(each, 0.8, 25).method == NOTHING_VARIES
        assert fixed_estimate(each, 25).method == NOTHING_VARIES


def test_undefined_says_which_class_is_lacking_in_how_many_folds() -> None:
    y, p = with_positives(3, 1.0, np.random.default_rng(0))
    scored = Scored(y, p, 1, FIVE_FOLDS, names=("well", "ill"))
    found = scored.influence(METRICS["auroc"])
    for estimate in (fixed_estimate(found, 3), recipe_estimate(found, 0.8, 3)):
        assert estimate.value is None
        assert "2 of 5 folds have nobody of class ill" in estimate.method
        assert "pooled" in estimate.method
