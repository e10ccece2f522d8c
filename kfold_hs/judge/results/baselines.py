"""A run beside rules that hear nothing, and beside the official entries of the challenge.

always C       everybody is of class C: the positive class, and the most frequent one
prevalence     everybody gets the shares of the classes among the scored patients for probabilities,
               so that its Brier score is Murphy's uncertainty and its log loss the entropy
random         a share of the patients, drawn at random, is referred: the share of least expected
               cost of the 2022 challenge

The rules know the shares of the people whom they are scored on, which is in their favour. A
difference to one is of the same people, with the interval of a difference of two variants.

The official entries of the PhysioNet/CinC Challenge 2022, for orientation.

`official_2022.csv` beside this module holds what each of the 40 murmur and 39 outcome entries that
kept all the rules scored on the challenge's hidden test set: rank, team, AUROC, weighted accuracy
(by which murmur entries are ranked) and cost (by which outcome entries are). The figures are those
that the organisers publish, with their rounding.

No run of ours was scored on that test set, and none can be: its people are others, and the entries
were trained on all public patients.

Source: official_murmur_scores.tsv and official_outcome_scores.tsv of
https://moody-challenge.physionet.org/2022/results/; described in Reyna et al., PLOS Digital Health
2(9), 2023.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from importlib import resources
from typing import Any

import numpy as np
import pandas as pd

from kfold_hs.judge.metrics.challenge2022 import MURMUR, OUTCOME, cost_metric, cost_of_shares
from kfold_hs.judge.metrics.scores import Metric
from kfold_hs.judge.selection.choices import DECISIONS
from kfold_hs.judge.selection.crossfit import Choice
from kfold_hs.judge.selection.decisions import abnormal_of
from kfold_hs.judge.selection.selected import Selected
from kfold_hs.judge.stats.estimates import Basis, metrics_of, persons_of_rarest
from kfold_hs.judge.stats.influence import Influence
from kfold_hs.judge.stats.scored import influence

OF_CALLS = ("accuracy", "weighted_accuracy", "cost")
OF_PROBABILITIES = ("brier", "log_loss")
_SHARES = np.linspace(0, 1, 100_001)


def beside(
    selected: Selected,
    basis: Basis,
    tasks: Mapping[str, Mapping[str, Any]],
    choices: Sequence[Choice],
) -> dict[str, Any]:
    """What a run's values are to be held against.

    Parameters
    ----------
    selected : Selected
    basis : Basis
        Of the rows that are scored.
    tasks : mapping
        The summary's, with `decided`.
    choices : sequence of Choice
        See `choices.choices_of`.

    Returns
    -------
    dict
        Of each task: metrics (the names that are compared), rules (name, text, values by metric,
        None where a rule has none; run_above: the value of the run's most probable class minus the
        rule's, by metric; decided_above: the same of what was decided on the other folds) and
        official (see `official.beside_entries`).
    """
    return {
        task: _of_task(
            selected, task, basis, tasks[task],
            [each for each in choices if each.task == task and each.name in DECISIONS],
        )
        for task in selected.scored.tasks
    }  # fmt: skip


def best_referral(prevalence: float) -> tuple[float, float]:
    """Share of patients to refer at random, and its expected cost.

    Parameters
    ----------
    prevalence : float
        Share of patients whose outcome is Abnormal; as large a part of those referred.
    """
    costs = cost_of_shares(_SHARES, prevalence * _SHARES, prevalence * (1 - _SHARES))
    least = int(np.argmin(costs))
    return round(float(_SHARES[least]), 5), float(costs[least])


def _of_task(
    selected: Selected,
    task: str,
    basis: Basis,
    result: Mapping[str, Any],
    decisions: Sequence[Choice],
) -> dict[str, Any]:
    kept, positive = selected.scored, selected.positives[task]
    classes, y_true, y_prob = kept.classes[task], kept.y_true(task), kept.y_prob(task)
    metrics = {m.name: m for m in metrics_of(kept, task)}
    names = [name for name in (*OF_CALLS, *OF_PROBABILITIES) if name in metrics]
    calls = [name for name in OF_CALLS if name in metrics]
    smallest = persons_of_rarest(y_true, basis.layout.person)
    counts = np.bincount(y_true, minlength=len(classes))

    def influence_of(metric: Metric, probs: np.ndarray) -> Influence:
        return influence(metric, y_true, probs, positive, basis.layout)

    run = {name: influence_of(metrics[name], y_prob) for name in names}
    decided = {each.metric.name: influence_of(each.metric, each.crossfit) for each in decisions}

    def above(ours: Mapping[str, Influence], theirs: Mapping[str, Influence]) -> dict[str, Any]:
        return {
            name: dataclasses.asdict(basis.estimates(ours[name].minus(found), smallest)[0])
            for name, found in theirs.items()
            if name in ours
        }

    def compared(name: str, text: str, found: Mapping[str, Influence]) -> dict[str, Any]:
        return {
            "name": name,
            "text": text,
            "values": {n: found[n].value if n in found else None for n in names},
            "run_above": above(run, found),
            "decided_above": above(decided, found),
        }

    def rule(name: str, text: str, probs: np.ndarray, has: list[str]) -> dict[str, Any]:
        each = np.tile(probs, (len(y_true), 1))
        return compared(name, text, {n: influence_of(metrics[n], each) for n in has})

    one_hot, most = np.eye(len(classes)), int(counts.argmax())
    rules = [
        rule(
            f"always {classes[positive]}", "the positive class for everybody",
            one_hot[positive], calls,
        )
    ]  # fmt: skip
    if most != positive:
        rules.append(
            rule(
                f"always {classes[most]}", "the most frequent class for everybody",
                one_hot[most], calls,
            )
        )  # fmt: skip
    text = "the shares of the classes for everybody's probabilities"
    rules.append(rule("prevalence", text, counts / counts.sum(), names))
    if "cost" in metrics:
        abnormal = abnormal_of(kept, task)
        share, _ = best_referral(float(abnormal.mean()))
        found = {"cost": influence_of(_random_referral(abnormal, share), y_prob)}
        text = "refers by lot the share of patients of least expected cost"
        rules.append(compared("random referral", text, found) | {"share": share})
    estimates = {
        "most probable class": result["metrics"],
        "decided on the other folds": result.get("decided", {}),
    }
    return {"metrics": names, "rules": rules, "official": beside_entries(classes, estimates)}


def _random_referral(abnormal: np.ndarray, share: float) -> Metric:
    """Expected cost of referring this share by lot; it stays where the people are resampled."""

    def function(
        y_true: np.ndarray, y_prob: np.ndarray, positive: int, weights: np.ndarray
    ) -> np.ndarray:
        prevalence = weights @ abnormal / weights.sum(axis=1)
        referred = np.full(len(weights), share)
        return cost_of_shares(referred, prevalence * share, prevalence * (1 - share))

    def gradient(
        y_true: np.ndarray, y_prob: np.ndarray, positive: int, weights: np.ndarray
    ) -> np.ndarray:
        n = weights.sum(axis=1, keepdims=True)
        prevalence = (weights @ abnormal)[:, None] / n
        # Linear in the prevalence: its slope is what one more such patient costs.
        slope = float(
            cost_of_shares(np.array(share), np.array(share), np.array(1 - share))
            - cost_of_shares(np.array(share), np.array(0.0), np.array(0.0))
        )
        return np.asarray(slope * (abnormal - prevalence) / n)

    return cost_metric(function, gradient)


SOURCE = (
    "official entries of the PhysioNet/CinC Challenge 2022, "
    "moody-challenge.physionet.org/2022/results; Reyna et al., PLOS Digital Health 2(9), 2023"
)
CHALLENGE_DATA = "circor"
"""Kind of the data that the challenge was held on: beside other people its entries say nothing."""
_RANKED_BY = {"murmur": ("weighted_accuracy", True), "outcome": ("cost", False)}


def entries(classes: Sequence[str]) -> tuple[str, pd.DataFrame] | None:
    """The challenge's task with these classes, and its entries; None for other classes."""
    names = {"murmur": set(MURMUR), "outcome": set(OUTCOME)}
    task = next((name for name, theirs in names.items() if theirs == set(classes)), None)
    if task is None:
        return None
    text = resources.files("kfold_hs.judge.results").joinpath("official_2022.csv")
    with text.open(encoding="utf-8") as file:
        table = pd.read_csv(file)
    return task, table[table["task"] == task].drop(columns="task").reset_index(drop=True)


def beside_entries(
    classes: Sequence[str], estimates: Mapping[str, Mapping[str, Mapping[str, Any]]]
) -> dict[str, Any] | None:
    """Where values of a run would lie among the entries, by the metric that ranked them.

    Parameters
    ----------
    classes : sequence of str
        Of the task.
    estimates : mapping
        Name -> metric -> value, low and high.

    Returns
    -------
    dict or None
        source, metric, higher_is_better, n_entries, best, median, worst, entries, standing (name,
        value, low, high, n_better: entries with a better value, and the same for the ends, with
        n_better_low of `low`). None for classes that are not the challenge's.
    """
    found = entries(classes)
    if found is None:
        return None
    task, table = found
    metric, higher = _RANKED_BY[task]
    theirs = table[metric].to_numpy(dtype=np.float64)

    def better(value: float | None) -> int | None:
        if value is None:
            return None
        return int((theirs > value if higher else theirs < value).sum())

    standing = []
    for name, by_metric in estimates.items():
        if metric in by_metric:
            ends = {end: by_metric[metric][end] for end in ("value", "low", "high")}
            counts = {
                "n_better": better(ends["value"]),
                "n_better_low": better(ends["low"]),
                "n_better_high": better(ends["high"]),
            }
            standing.append({"name": name, **ends, **counts})
    best, worst = (theirs.max(), theirs.min()) if higher else (theirs.min(), theirs.max())
    return {
        "source": SOURCE,
        "task": task,
        "metric": metric,
        "higher_is_better": higher,
        "n_entries": len(table),
        "best": float(best),
        "median": float(np.median(theirs)),
        "worst": float(worst),
        "entries": table.to_dict(orient="records"),
        "standing": standing,
    }
