"""Do intervals cover, and do tests err, as often as they say: 300 simulated data sets.

Beside what must hold stand methods that are known to fail, so that the check can.
"""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import pytest
from scipy import stats
from support.simulation import World, draw, train, truth

from kfold_hs.judge.metrics.challenge2022 import metrics_for
from kfold_hs.judge.stats import expected_error
from kfold_hs.judge.stats.clusters import Layout
from kfold_hs.judge.stats.conditional_error import bayle
from kfold_hs.judge.stats.intervals import around
from kfold_hs.judge.stats.scored import influence

N_SETS, N, N_RUNS = 200, 400, 3
METRICS = [
    metric
    for metric in metrics_for(("Abnormal", "Normal"))
    if metric.name in {"accuracy", "weighted_accuracy", "auroc"}
]
Rates = dict[str, dict[str, float]]


@pytest.fixture(scope="module")
def rates() -> Rates:
    """Percentages by method and metric: of intervals that hold the truth, of tests that err."""
    world, rng = World(noise=0.8, offset_noise=0.6), np.random.default_rng(0)
    drawn = draw(world, rng, N_SETS, N, N_RUNS)
    one, two = (train(world, drawn, rng) for _ in range(2))  # one recipe, other random draws
    true = {name: float(value.mean()) for name, value in truth(world, one).items()}
    found: dict[str, dict[str, list[bool]]] = defaultdict(lambda: defaultdict(list))
    for i in range(N_SETS):
        layout = Layout.of(
            np.repeat(np.arange(N_RUNS), N), drawn.fold[i].ravel(), np.tile(np.arange(N), N_RUNS)
        )
        first = Layout.of(np.zeros(N), drawn.fold[i, 0], np.arange(N))
        y = np.tile(drawn.y[i], N_RUNS)
        for metric in METRICS:
            name = metric.name
            a, b = (influence(metric, y, t.prob[i].reshape(-1, 2), 0, layout) for t in (one, two))
            estimate = expected_error.recipe_estimate(a, 0.8, N)
            assert estimate.low is not None
            assert estimate.high is not None
            found["F1"][name].append(estimate.low <= true[name] <= estimate.high)
            found["width"][name].append(estimate.high - estimate.low)
            naive = a.models.std(ddof=1) / np.sqrt(15) * stats.t.ppf(0.975, 14)
            found["naive t"][name].append(abs(a.models.mean() - true[name]) <= naive)
            apart = b.minus(a)
            spread = expected_error.spread(apart)
            assert spread is not None
            found["F1 errs"][name].append(spread.p_value(apart.value) <= 0.05)
            a, b = (influence(metric, drawn.y[i], t.prob[i, 0], 0, first) for t in (one, two))
            corrected = expected_error.spread(a)
            assert corrected is not None
            low, high = around(a.value, corrected.se, corrected.quantile(), is_share=True)
            found["one run"][name].append(low <= true[name] <= high)
            apart = b.minus(a)
            far = abs(apart.value) > 1.96 * np.sqrt(bayle(apart))
            found["patients only, one run, errs"][name].append(bool(far))
    return {
        method: {name: float(100 * np.mean(each)) for name, each in by_metric.items()}
        for method, by_metric in found.items()
    }


@pytest.mark.parametrize("name", [metric.name for metric in METRICS])
def test_the_recipes_interval_covers(rates: Rates, name: str) -> None:
    assert 90 <= rates["F1"][name] <= 99.7
    assert rates["one run"][name] >= 93


@pytest.mark.parametrize("name", [metric.name for metric in METRICS])
def test_two_trainings_of_one_recipe_are_rarely_called_different(rates: Rates, name: str) -> None:
    assert rates["F1 errs"][name] <= 8


def test_methods_that_fail_are_seen_to_fail(rates: Rates) -> None:
    assert max(rates["naive t"].values()) < 85
    assert rates["patients only, one run, errs"]["accuracy"] > 12
