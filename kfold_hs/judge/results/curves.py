"""Curves of a run: what a table of metrics leaves out.

roc, pr       means over the fold models at every place, as AUROC and AUPRC are
calibration   of the positive class: as configured, and after temperature and Platt scaling that
              were fitted on the other folds of the repeat (see `crossfit`)
decision      net benefit over the threshold probability, beside treating all and none
cost          of the 2022 challenge over the referral threshold, with the thresholds that the other
              folds chose

All bands are of these models (see `bands`); places are few and values rounded, so that
summary.json stays small.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np

from kfold_hs.judge.metrics.challenge2022 import cost_of_shares
from kfold_hs.judge.metrics.counts import ratio
from kfold_hs.judge.metrics.curves import (  # fmt: skip
    GRID,
    N_PLACES,
    PROBABILITIES,
    net_benefit,
    net_benefit_of_all,
    rates,
    reaching,
)
from kfold_hs.judge.selection.calibration import N_BINS, calibration, platt, platt_of
from kfold_hs.judge.selection.choices import temperature
from kfold_hs.judge.selection.crossfit import choose, obstacle
from kfold_hs.judge.selection.decisions import abnormal_of, referral_classes, referral_score
from kfold_hs.judge.selection.selected import Selected
from kfold_hs.judge.stats.bands import METHOD, Band, Statistic, bands, by_model, by_run
from kfold_hs.judge.stats.clusters import Layout
from kfold_hs.judge.stats.estimates import metrics_of, places_of
from kfold_hs.judge.stats.intervals import LEVEL, TARGET
from kfold_hs.judge.stats.recalibration import calibrated
from kfold_hs.predictions.table import SCORES, Predictions

_SHORTEST = 5  # places, a hundredth apart
CONFIGURED, TEMPERATURE, PLATT = "as configured", "temperature", "Platt"


def curves(selected: Selected, choices: Mapping[str, Any], n_resamples: int) -> dict[str, Any]:
    """The curves of every task.

    Parameters
    ----------
    selected : Selected
    choices : mapping
        See `choices.summary_of_choices`: the referral thresholds are there.
    n_resamples : int
        Of the people, for the bands; 0 for none.

    Returns
    -------
    dict
        n_resamples, level, method, target, n_bins, tasks: of each task positive, roc, pr (x, value,
        low, high, n_undefined, folds; the ends None where no resample differs), calibration
        (obstacle, versions by name), decision (x, all, versions by name, each with above_both:
        thresholds at which the band lies above treating all and none) and cost (None, or the curve
        with refer, share_referred, folds, chosen, crossfit). Of scores, calibration and decision
        are None.
    """
    return {
        "n_resamples": n_resamples,
        "level": LEVEL,
        "method": METHOD,
        "target": TARGET,
        "n_bins": N_BINS,
        "tasks": {
            task: _of_task(selected, task, choices, n_resamples) for task in selected.scored.tasks
        },
    }


def cost_at(
    score: np.ndarray, abnormal: np.ndarray, weights: np.ndarray, grid: np.ndarray = GRID
) -> np.ndarray:
    """Cost of the challenge when patients are referred from each score on, (B, G)."""
    n = weights.sum(axis=1, keepdims=True)
    n = np.where(n > 0, n, np.nan)
    treated = reaching(score, weights * abnormal, grid) / n
    missed = weights @ abnormal[:, None] / n - treated
    return cost_of_shares(reaching(score, weights, grid) / n, treated, missed)


def _of_task(
    selected: Selected, task: str, choices: Mapping[str, Any], n_resamples: int
) -> dict[str, Any]:
    kept, layout, positive = selected.scored, selected.layout, selected.positives[task]
    y, score = kept.y_true(task) == positive, kept.y_prob(task)[:, positive]
    is_rank = kept.kind(task) == SCORES
    versions, why = ({}, None) if is_rank else _versions(kept, task, positive, layout)
    statistics: dict[str, Statistic] = {
        "rates": by_model(lambda rows, w: np.hstack(rates(y[rows], score[rows], w)), layout)
    }
    for name, probability in versions.items():
        statistics[f"decision {name}"] = by_run(partial(_benefits, y, probability), layout)
    costly = "cost" in {metric.name for metric in metrics_of(kept, task)}
    if costly:
        classes, abnormal = kept.classes[task], abnormal_of(kept, task)
        refer = referral_score(kept.y_prob(task), classes)
        statistics["cost"] = by_run(lambda rows, w: cost_at(refer[rows], abnormal[rows], w), layout)
    found = bands(statistics, layout, n_resamples)
    places = places_of(kept)

    def folds(function: Any) -> list[dict[str, Any]]:
        return [
            {**place, "value": _numbers(function(rows, np.ones((1, len(rows))))[0])}
            for place, rows in places
        ]

    result: dict[str, Any] = {
        "positive": kept.classes[task][positive],
        "roc": _curve(GRID, found["rates"].part(0, N_PLACES))
        | {"folds": folds(lambda rows, w: rates(y[rows], score[rows], w)[0])},
        "pr": _curve(GRID, found["rates"].part(N_PLACES, None))
        | {
            "folds": folds(lambda rows, w: rates(y[rows], score[rows], w)[1]),
            "share": float(y.mean()),
        },
        "calibration": None,
        "decision": None,
        "cost": None,
    }
    if is_rank:
        return result
    result |= {
        "calibration": {
            "obstacle": why,
            "versions": {
                name: calibration(y, each, layout) | {"model": calibrated(y, each, layout)}
                for name, each in versions.items()
            },
        },
        "decision": {
            "x": _numbers(PROBABILITIES),
            "all": _numbers(net_benefit_of_all(np.array([y.mean()]))[0]),
            "versions": {name: _decision(found[f"decision {name}"]) for name in versions},
        },
    }
    if costly:
        result["cost"] = _curve(GRID, found["cost"], digits=1) | {
            "refer": referral_classes(classes),
            "share_referred": _numbers((refer[:, None] >= GRID).mean(axis=0)),
            "folds": folds(lambda rows, w: cost_at(refer[rows], abnormal[rows], w)),
            **_chosen(choices, task, [place for place, _ in places]),
        }
    return result


def _versions(
    kept: Predictions, task: str, positive: int, layout: Layout
) -> tuple[dict[str, np.ndarray], str | None]:
    """Probabilities of the positive class before and after scaling, and why none are scaled."""
    y, probability = kept.y_true(task) == positive, kept.y_prob(task)[:, positive]
    found = {CONFIGURED: probability}
    if (why := obstacle(layout)) is not None:
        return found, why
    found[TEMPERATURE] = temperature(kept, task, layout).crossfit[:, positive]
    scaled, _, _ = choose(
        layout,
        lambda rows: platt_of(y[rows], probability[rows]),
        lambda ab, rows: platt(probability[rows], ab)[:, None],
    )
    return found | {PLATT: scaled[:, 0]}, None


def _benefits(
    y: np.ndarray, probability: np.ndarray, rows: np.ndarray, weights: np.ndarray
) -> np.ndarray:
    """Net benefit, and how far it lies above the better of treating all and none, (B, 2 G)."""
    found = net_benefit(y[rows], probability[rows], weights)
    every = net_benefit_of_all(ratio(weights @ y[rows], weights.sum(axis=1)))
    return np.hstack([found, found - np.maximum(every, 0)])


def _decision(both: Band) -> dict[str, Any]:
    """Of `_benefits`."""
    half = len(PROBABILITIES)
    above = both.part(half, None)
    return _curve(None, both.part(0, half)) | {"above_both": _stretches(above.low > 0)}


def _chosen(choices: Mapping[str, Any], task: str, places: list[dict[str, int]]) -> dict[str, Any]:
    """What the other folds chose, and what it costs; None and nothing where they could not."""
    for each in choices["each"]:
        if each["task"] == task and each["name"] == "referral threshold":
            chosen = [
                # A threshold above 1 refers nobody.
                {**place, "threshold": min(float(model["value"]), 1.0)}
                for place, model in zip(places, each["chosen"], strict=True)
            ]
            crossfit = {name: each["crossfit"][name] for name in ("value", "low", "high")}
            return {"chosen": chosen, "crossfit": crossfit}
    return {"chosen": [], "crossfit": None}


def _curve(x: np.ndarray | None, band: Band, digits: int = 4) -> dict[str, Any]:
    named = {} if x is None else {"x": _numbers(x)}
    ends = {name: _numbers(getattr(band, name), digits) for name in ("value", "low", "high")}
    for place, (low, high) in enumerate(zip(ends["low"], ends["high"], strict=True)):
        if low is None or high is None or not low < high:  # no resample differs there
            ends["low"][place] = ends["high"][place] = None
    return {**named, **ends, "n_undefined": band.n_undefined}


def _numbers(values: np.ndarray, digits: int = 4) -> list[float | None]:
    """JSON has no NaN."""
    return [round(v, digits) if np.isfinite(v) else None for v in values.tolist()]


def _stretches(holds: np.ndarray) -> list[list[float]]:
    """First and last threshold of stretches on which something holds, if 0.05 long or longer.

    Shorter ones come and go with single patients.
    """
    edges = np.diff(np.r_[0, holds.astype(int), 0])
    starts, stops = np.flatnonzero(edges == 1), np.flatnonzero(edges == -1) - 1
    return [
        [float(PROBABILITIES[a].round(2)), float(PROBABILITIES[b].round(2))]
        for a, b in zip(starts, stops, strict=True)
        if b - a >= _SHORTEST
    ]
