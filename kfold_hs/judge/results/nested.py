"""Nested cross-validation: what was chosen, and how much better it looked than it was.

In every outer fold an inner cross-validation of its training people picked a variant. `claimed` is
the picked one's inner value, `corrected` the same by BBC-CV, `delivered` its value on the outer
fold, whom no part of the choice has heard.

picking         claimed less corrected: the luck of the best of many (the winner's curse), as the
                inner people themselves tell it
winners_curse   claimed less delivered, mean over the outer folds: all that the claim was too good
                by. Inner models are trained on fewer people, which works against it

Its interval is Nadeau-Bengio's over the outer folds (`judge.stats.expected_error.corrected`).
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Mapping, Sequence
from math import sqrt
from typing import Any

import numpy as np
from scipy import stats

from kfold_hs.judge.metrics.bounds import Bounds
from kfold_hs.judge.results.comparison import ordered
from kfold_hs.judge.results.sentences import UNKNOWN_INTERVAL, counted, ends, number
from kfold_hs.judge.selection.objective import Objective
from kfold_hs.judge.stats.clusters import Layout
from kfold_hs.judge.stats.expected_error import (
    CORRECTED,
    FOLDS_AGREE,
    ONE_MODEL,
    UNDEFINED,
    corrected,
    recipe_estimate,
)
from kfold_hs.judge.stats.intervals import LEVEL, Estimate, apart, possible_ends
from kfold_hs.predictions.table import Predictions


def nested_result(
    chosen: Sequence[Mapping[str, Any]],
    scored: Predictions,
    objective: Objective,
    positives: Mapping[str, int],
    split: Mapping[str, Any],
) -> dict[str, Any]:
    """The choices of all outer folds, and what they were worth.

    Parameters
    ----------
    chosen : sequence of mapping
        Of every outer fold: repeat, fold, name, params, claimed, corrected and whatever else is to
        be kept.
    scored : Predictions
        What the headline scores, of all outer folds.
    objective : Objective
    positives : mapping
        Task -> index of its positive class.
    split : mapping
        n_folds, train_share: of the outer split.

    Returns
    -------
    dict
        objective, label, folds (with delivered), frequency (by variant, and by_key), delivered (an
        estimate of choosing and training), claimed, picking, winners_curse (an estimate; the sign
        is that of too good), sentence. null where it is undefined.
    """
    kept = ordered(scored)
    n_folds = int(split["n_folds"])
    layout = Layout.of_predictions(kept, n_folds)
    whole = objective.influence(kept, positives, layout)
    delivered = recipe_estimate(whole, float(split["train_share"]), layout.n_persons)
    delivered = dataclasses.replace(delivered, target=f"choosing included: {delivered.target}")
    folds = []
    for each in chosen:
        mine = kept.where(repeat=each["repeat"], fold=each["fold"])
        alone = objective.influence(mine, positives, Layout.of_predictions(mine, n_folds)).value
        folds.append({**each, "delivered": alone if np.isfinite(alone) else None})
    claims = [float(each["claimed"]) for each in folds]
    luck = [objective.sign * (each["claimed"] - each["corrected"]) for each in folds]
    keys = list(chosen[0]["params"])
    found: dict[str, Any] = {
        "objective": objective.name,
        "label": objective.label,
        "higher_is_better": objective.higher_is_better,
        "folds": folds,
        "frequency": _counts([each["name"] for each in chosen]),
        "by_key": {key: _counts([str(each["params"][key]) for each in chosen]) for key in keys},
        "delivered": dataclasses.asdict(delivered),
        "claimed": float(np.mean(claims)),
        "picking": float(np.mean(luck)),
        "winners_curse": _curse(folds, objective.sign, n_folds, apart(whole.bounds, whole.bounds)),
    }
    return {**found, "sentence": sentence(found, len(folds))}


def sentence(found: Mapping[str, Any], n_folds: int) -> str:
    """What nested cross-validation says of the choice, in words."""
    most, times = next(iter(found["frequency"].items()))
    curse, real = found["winners_curse"], found["delivered"]
    text = (
        f"Chosen inside every fold: {found['label']} {_span(real, False)}. The inner "
        f"cross-validations claimed {number(found['claimed'])}"
    )
    if curse["value"] is not None:
        text += f", {_too_good(curse)}"
    return (
        f"{text}; the luck of picking accounts for {number(found['picking'])}. Most often chosen: "
        f"{most}, in {times} of {counted(n_folds, 'fold')}."
    )


def _span(each: Mapping[str, Any], signed: bool) -> str:
    """A value with its interval, where it has one."""
    text = ends(each, signed)
    return number(each["value"], signed) + (f" (interval {text})" if text == UNKNOWN_INTERVAL
                                            else f" ({text})")  # fmt: skip


def _too_good(curse: Mapping[str, Any]) -> str:
    """By how much the claims were too good, or too modest; the interval is of the first."""
    value = curse["value"]
    words = "too good" if value >= 0 else "too modest"
    text = ends(curse, signed=True)
    interval = f"interval {text}" if text == UNKNOWN_INTERVAL else f"{text} too good"
    if number(value) == number(0.0):
        return f"which is what the outer folds showed ({interval})"
    return f"{words} by {number(abs(value))} ({interval})"


def _curse(
    folds: Sequence[Mapping[str, Any]], sign: int, n_folds: int, bounds: Bounds
) -> dict[str, Any]:
    text = "what the inner cross-validation claims above what the outer fold shows"
    if any(each["delivered"] is None for each in folds):
        return dataclasses.asdict(Estimate(None, None, None, method=UNDEFINED, target=text))
    values = np.array([sign * (each["claimed"] - each["delivered"]) for each in folds])
    value, df = float(values.mean()), len(values) - 1
    if df < 1:
        return dataclasses.asdict(Estimate(value, None, None, method=ONE_MODEL, target=text))
    se = sqrt(corrected(values, 1 / (n_folds - 1)))
    half = float(stats.t.ppf((1 + LEVEL) / 2, df)) * se
    estimate = Estimate(
        value, value - half, value + half, method=CORRECTED.format(df=df), target=text, se=se, df=df
    )
    return dataclasses.asdict(possible_ends(estimate, bounds, FOLDS_AGREE))


def _counts(names: Sequence[str]) -> dict[str, int]:
    """How often each was chosen, the most frequent first."""
    return dict(Counter(names).most_common())
