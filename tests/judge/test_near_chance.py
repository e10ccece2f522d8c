"""The recipe's interval where models know nothing: 200 data sets of 200 people, exact truth.

Here the two parts of the variance that no spread of folds shows are most of it: people who test
models trained on each other (AUROC), and class shares (weighted accuracy). Each is needed.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from math import sqrt

import numpy as np
import pytest
from support.simulation import World, draw, train, truth

from kfold_hs.judge.metrics.challenge2022 import metrics_for
from kfold_hs.judge.stats.clusters import Layout
from kfold_hs.judge.stats.expected_error import recipe_estimate, spread
from kfold_hs.judge.stats.influence import Influence
from kfold_hs.judge.stats.intervals import around
from kfold_hs.judge.stats.scored import influence

N_SETS, N, N_RUNS, N_FOLDS = 200, 200, 3, 5
NAMES = ("weighted_accuracy", "auroc")
METRICS = {m.name: m for m in metrics_for(("Abnormal", "Normal")) if m.name in NAMES}


def ends(found: Influence) -> Iterator[tuple[str, float, float]]:
    """Of today's interval, of the two-way one times K / (K - 1), and of today's without a part."""
    estimate = recipe_estimate(found, 0.8, N)
    assert estimate.low is not None
    assert estimate.high is not None
    yield f"{found.layout.n_runs} runs", estimate.low, estimate.high
    now = spread(found)
    assert now is not None
    t, parts = now.quantile(), now.parts
    former = N_FOLDS / (N_FOLDS - 1) * (parts.person + parts.fold_model)
    for name, variance in (
        ("two-way", former),
        ("not reciprocal", replace(parts, reciprocal=0).variance),
        ("no class shares", replace(parts, class_shares=0).variance),
    ):
        yield name, *around(found.value, sqrt(variance), t, is_share=True)


@pytest.fixture(scope="module")
def covered() -> dict[tuple[str, str], float]:
    """Percentages of intervals that hold the truth, by method and metric."""
    world, rng = World(shares=(0.5, 0.5), distance=0.0, noise=0.0), np.random.default_rng(0)
    drawn = draw(world, rng, N_SETS, N, N_RUNS, N_FOLDS)
    trained = train(world, drawn, rng)
    true = {name: float(value.mean()) for name, value in truth(world, trained).items()}
    hits: dict[tuple[str, str], list[bool]] = defaultdict(list)
    for i in range(N_SETS):
        for name, metric in METRICS.items():
            for n_runs in (1, N_RUNS):
                layout = Layout.of(
                    np.repeat(np.arange(n_runs), N), drawn.fold[i, :n_runs].ravel(),
                    np.tile(np.arange(N), n_runs),
                )  # fmt: skip
                p = trained.prob[i, :n_runs].reshape(-1, 2)
                found = influence(metric, np.tile(drawn.y[i], n_runs), p, 0, layout)
                for method, low, high in ends(found):
                    if n_runs == N_RUNS or method == "1 runs":
                        hits[method, name].append(low <= true[name] <= high)
    return {key: float(100 * np.mean(each)) for key, each in hits.items()}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("method", ["1 runs", "3 runs"])
def test_the_interval_holds_where_models_know_nothing(
    covered: dict[tuple[str, str], float], name: str, method: str
) -> None:
    assert covered[method, name] >= 93


def test_neither_part_can_be_left_out(covered: dict[tuple[str, str], float]) -> None:
    assert covered["two-way", "auroc"] < 93
    assert covered["not reciprocal", "auroc"] < 91
    assert covered["two-way", "weighted_accuracy"] < 83
    assert covered["no class shares", "weighted_accuracy"] < 88
