"""What choosing a threshold, a temperature or a pooling rule brings, and what it would claim.

temperature   p^(1/T), normalised, with the T of least log loss (Guo et al., ICML 2017)
pooling       of a patient's recordings: the configured rule, or the one of
              `kfold_hs.predictions.aggregation` that is most often right; of the network's own
              probabilities, before any stacking
class weights, referral threshold    see `decide`

Every choice is scored as it is configured, chosen on the other folds, and chosen on the scored
fold itself (see `crossfit`).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy.optimize import minimize_scalar

from kfold_hs.config.poolings import POOLS
from kfold_hs.judge.metrics.counts import SMALLEST
from kfold_hs.judge.metrics.scores import ACCURACY, METRICS
from kfold_hs.judge.selection.crossfit import Choice, choose, obstacle
from kfold_hs.judge.selection.decisions import decisions
from kfold_hs.judge.selection.selected import Selected
from kfold_hs.judge.stats.clusters import Layout
from kfold_hs.judge.stats.estimates import Basis, persons_of_rarest
from kfold_hs.judge.stats.scored import influence
from kfold_hs.predictions.aggregation import pool_groups
from kfold_hs.predictions.table import Predictions

_MOST = np.log(20)  # of |log T|
CONFIGURED = "as configured"
# Choices of who is called what; the others change probabilities.
DECISIONS = ("class weights", "referral threshold")


def choices_of(selected: Selected) -> list[Choice]:
    """Every choice of every task; none where nothing can be chosen on other folds.

    Parameters
    ----------
    selected : Selected
    """
    kept, layout = selected.scored, selected.layout
    if obstacle(layout) is not None:
        return []
    found = []
    for task in kept.tasks:
        found += decisions(kept, task, layout)
        found.append(temperature(kept, task, layout))
        if pooled := by_rule(selected, task):
            found.append(pooling(kept, task, pooled, layout))
    return found


def summary_of_choices(
    choices: Sequence[Choice], positives: Mapping[str, int], basis: Basis
) -> dict[str, Any]:
    """Choices, scored three ways.

    Parameters
    ----------
    choices : sequence of Choice
    positives : mapping
        Task -> index of its positive class.
    basis : Basis
        Of the rows that are scored.

    Returns
    -------
    dict
        obstacle : why nothing could be chosen, or None
        each : list; name, text, task, metric, label, higher_is_better, is_share; plain, crossfit
        and scored (estimates), crossfit_above_plain, scored_above_plain and scored_above_crossfit
        (estimates of the difference; the last is the optimism), chosen (repeat, model, value: what
        the other folds chose)
    """
    return {
        "obstacle": obstacle(basis.layout),
        "each": [score_choice(choice, positives[choice.task], basis) for choice in choices],
    }


def decided(choices: Mapping[str, Any], task: str) -> dict[str, Any]:
    """The cross-fitted decisions of a task, by metric."""
    return {
        each["metric"]: {
            "label": each["label"],
            "higher_is_better": each["higher_is_better"],
            "text": each["text"],
            **each["crossfit"],
            "chosen": each["chosen"],
        }
        for each in choices["each"]
        if each["task"] == task and each["name"] in DECISIONS
    }


def temperature_of(y_true: np.ndarray, y_prob: np.ndarray) -> float:
    """T in [1/20, 20] with which p^(1/T), normalised, has the least log loss."""

    def loss(log_t: float) -> float:
        p = tempered(y_prob, float(np.exp(log_t)))[np.arange(len(y_true)), y_true]
        return float(-np.log(np.maximum(p, SMALLEST)).mean())

    found = minimize_scalar(loss, bounds=(-_MOST, _MOST), method="bounded")
    return float(np.exp(found.x))


def tempered(y_prob: np.ndarray, temperature: float) -> np.ndarray:
    """p^(1/T), normalised, (n, C)."""
    logits = np.log(np.maximum(y_prob, SMALLEST)) / temperature
    raised = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(raised / raised.sum(axis=1, keepdims=True))


def temperature(kept: Predictions, task: str, layout: Layout) -> Choice:
    """Of a task, chosen by its log loss."""
    y_true, y_prob = kept.y_true(task), kept.y_prob(task)
    crossfit, scored, chosen = choose(
        layout,
        lambda rows: temperature_of(y_true[rows], y_prob[rows]),
        lambda t, rows: tempered(y_prob[rows], t),
    )
    words = "probabilities are raised to 1/T"
    metric = METRICS["log_loss"]
    return Choice("temperature", words, task, metric, y_true, y_prob, crossfit, scored, chosen)


def pooling(
    kept: Predictions, task: str, pooled: Mapping[str, np.ndarray], layout: Layout
) -> Choice:
    """The rule from recordings to a patient, chosen by accuracy; the configured one wins ties."""
    y_true, names = kept.y_true(task), list(pooled)
    right = np.stack([each.argmax(axis=1) == y_true for each in pooled.values()])
    crossfit, scored, chosen = choose(
        layout,
        lambda rows: names[int(right[:, rows].sum(axis=1).argmax())],
        lambda name, rows: pooled[name][rows],
    )
    words = "recordings are pooled by the rule that is most often right"
    return Choice(
        "pooling of recordings", words, task, ACCURACY, y_true, pooled[CONFIGURED],
        crossfit, scored, chosen,
    )  # fmt: skip


def by_rule(selected: Selected, task: str) -> dict[str, np.ndarray]:
    """Probabilities of the rows that are scored by every pooling rule, each (N, C).

    Of the network itself, seeds averaged, with the configured rule first. Empty where the
    recordings of a scored patient are not kept.
    """
    if selected.recordings is None:
        return {}
    table, configured = selected.recordings.table, selected.unstacked
    keys = ["repeat", "patient_id", "seed"]
    owner = table.groupby(keys, sort=True).ngroup().to_numpy()
    groups = table.iloc[np.unique(owner, return_index=True)[1]][keys]
    wanted = pd.MultiIndex.from_frame(configured.table[["repeat", "patient_id"]])
    y_prob, positive = selected.recordings.y_prob(task), selected.positives[task]
    found = {CONFIGURED: configured.y_prob(task)}
    for rule in POOLS:
        whole = pool_groups(y_prob, owner, len(groups), rule, positive) if len(groups) else y_prob
        of_seeds = pd.DataFrame(whole, index=pd.MultiIndex.from_frame(groups[keys[:2]]))
        means = of_seeds.groupby(level=[0, 1]).mean()
        at = means.index.get_indexer(wanted)
        if (at < 0).any():
            return {}
        found[rule] = means.to_numpy()[at]
    return found


def score_choice(choice: Choice, positive: int, basis: Basis) -> dict[str, Any]:
    """One entry of `each` of `summary_of_choices`."""
    metric, y_true = choice.metric, choice.y_true
    smallest = persons_of_rarest(y_true, basis.layout.person)
    optimistic = dataclasses.replace(basis, honest=False)
    plain, crossfit, scored = (
        influence(metric, y_true, y_prob, positive, basis.layout)
        for y_prob in (choice.plain, choice.crossfit, choice.scored)
    )
    estimates = {
        "plain": basis.estimates(plain, smallest),
        "crossfit": basis.estimates(crossfit, smallest),
        "scored": optimistic.estimates(scored, smallest),
        "crossfit_above_plain": basis.estimates(crossfit.minus(plain), smallest),
        "scored_above_plain": optimistic.estimates(scored.minus(plain), smallest),
        "scored_above_crossfit": optimistic.estimates(scored.minus(crossfit), smallest),
    }
    return {
        "name": choice.name,
        "text": choice.text,
        "task": choice.task,
        "metric": metric.name,
        "label": metric.label,
        "higher_is_better": metric.higher_is_better,
        **{name: dataclasses.asdict(recipe) for name, (recipe, _) in estimates.items()},
        "chosen": [
            {"repeat": int(run), "model": model, "value": value}
            for model, (run, value) in enumerate(
                zip(basis.layout.run_of_model, choice.chosen, strict=True)
            )
        ],
    }
