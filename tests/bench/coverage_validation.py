"""How often the intervals of an external validation hold the truth.

    python tests/bench/coverage_validation.py

Of people whose log odds are 0.5 + 0.7 x where the model says x, with a standard deviation of 1.2;
in the cross-validation 200 people of standard deviation 1.5, for whom the model is right. Truths
are those of a large draw.
"""

from __future__ import annotations

import numpy as np
from scipy.special import expit

from kfold_hs.judge.metrics.scores import METRICS
from kfold_hs.judge.results.validation import change
from kfold_hs.judge.stats.clusters import Layout
from kfold_hs.judge.stats.conditional_error import fixed_estimate
from kfold_hs.judge.stats.intervals import Estimate
from kfold_hs.judge.stats.recalibration import calibration_model
from kfold_hs.judge.stats.scored import influence

SIZES, N_DRAWS, N_INTERNAL, N_TRUTH = (50, 100, 300), 1000, 200, 100_000
THERE, HERE = (0.5, 0.7, 1.2), (0.0, 1.0, 1.5)
CHANGES = ("accuracy", "auroc", "brier")
Draw = tuple[np.ndarray, np.ndarray, Layout]


def draw(rng: np.random.Generator, n: int, world: tuple[float, float, float]) -> Draw:
    """Outcomes, what the model says, and who they are: intercept, slope and spread of a world."""
    a, b, sd = world
    x, same = rng.normal(0, sd, n), np.zeros(n, dtype=int)
    return rng.random(n) < expit(a + b * x), expit(x), Layout.of(same, same, np.arange(n))


def metrics(people: Draw) -> dict[str, Estimate]:
    y, p, layout = people
    y_true, y_prob = np.where(y, 0, 1), np.column_stack([p, 1 - p])
    found = {}
    for name in CHANGES:
        one = influence(METRICS[name], y_true, y_prob, 0, layout)
        found[name] = fixed_estimate(one, layout.n_persons, METRICS[name].is_proportion)
    return found


def holds(estimate: Estimate, truth: float) -> bool:
    low, high = estimate.low, estimate.high
    return low is not None and high is not None and low <= truth <= high


def main() -> None:
    rng = np.random.default_rng(0)
    there, here = draw(rng, N_TRUTH, THERE), draw(rng, N_TRUTH, HERE)
    truth = {name: each.value or 0.0 for name, each in calibration_model(*there).items()}
    sides = metrics(there), metrics(here)
    apart = {name: (sides[0][name].value or 0) - (sides[1][name].value or 0) for name in CHANGES}
    print("| people |", " | ".join([*truth, *(f"change of {name}" for name in CHANGES)]), "|")
    for n in SIZES:
        counts = dict.fromkeys([*truth, *CHANGES], 0)
        for _ in range(N_DRAWS):
            people = draw(rng, n, THERE)
            for name, each in calibration_model(*people).items():
                counts[name] += holds(each, truth[name])
            external, internal = metrics(people), metrics(draw(rng, N_INTERNAL, HERE))
            for name in CHANGES:
                moved = change(external[name], internal[name], METRICS[name])
                counts[name] += holds(moved, apart[name])
        print(f"| {n} |", " | ".join(f"{k / N_DRAWS:.3f}" for k in counts.values()), "|")


if __name__ == "__main__":
    main()
