"""A run's intervals of the recipe as they were (former.py) and as they are, with both verdicts.

    python tests/bench/before_and_after.py reports/RUN [--target 0.95]

Formerly: Nadeau & Bengio's with one repeat, two-way clustered with more. The predictions are those
that the headline scores.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import former
from measure import table

from kfold_hs.files.stored import read_json
from kfold_hs.judge.metrics.challenge2022 import metrics_for
from kfold_hs.judge.results.headline import verdict
from kfold_hs.judge.stats.clusters import Layout
from kfold_hs.judge.stats.expected_error import recipe_estimate
from kfold_hs.judge.stats.influence import Influence, mean_of
from kfold_hs.judge.stats.scored import Scored
from kfold_hs.predictions.table import Predictions

SHARES = {"accuracy", "balanced_accuracy", "macro_f1", "auroc", "auprc", "weighted_accuracy"}


def row(name: str, now: Influence, then: Influence, target: float) -> dict[str, str]:
    """A row of the table; the target is of shares alone."""
    is_share = now.is_share
    low, high = former.ends(then)
    before = f"{low:.3f} to {high:.3f}" if is_share else f"{low:,.0f} to {high:,.0f}"
    told = recipe_estimate(now, 1 - 1 / now.layout.n_folds, now.layout.n_persons)
    after = "unknown"
    if told.low is not None and told.high is not None:
        after = (
            f"{told.low:.3f} to {told.high:.3f}"
            if is_share
            else f"{told.low:,.0f} to {told.high:,.0f}"
        )
    was = "reached" if low >= target else "not reached" if high < target else "cannot tell"
    return {
        "metric": name,
        "value": f"{now.value:.3f}" if is_share else f"{now.value:,.0f}",
        "before": before,
        "now": after,
        f"{target:g}, before": was if is_share else "",
        f"{target:g}, now": verdict(told, target) if is_share else "",
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path, help="the folder of a run's report")
    parser.add_argument("--target", type=float, default=0.95)
    arguments = parser.parse_args()
    kept = Predictions.read(arguments.run / "scored.parquet")
    tasks = read_json(arguments.run / "summary.json", "the summary")["cohort"]["tasks"]
    layout = Layout.of_predictions(kept)
    rows, accuracies = [], []
    for task in tasks:
        name, classes = task["name"], tuple(task["classes"])
        positive = classes.index(task["positive"])
        scored = Scored(kept.y_true(name), kept.y_prob(name), positive, layout, names=classes)
        for metric in metrics_for(classes):
            if metric.name not in SHARES | {"cost"}:
                continue
            now = scored.influence(metric)
            is_positive = scored.y_true == positive
            then = former.without_delong(now, is_positive) if now.unbiased else now
            rows.append(row(f"{name}, {metric.label}", now, then, arguments.target))
            if metric.name == "accuracy":
                accuracies.append(now)
    both = mean_of(accuracies)
    rows.append(row("mean accuracy", both, both, arguments.target))
    print("\n".join(table(rows)))


if __name__ == "__main__":
    main()
