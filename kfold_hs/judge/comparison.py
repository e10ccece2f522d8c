"""Several variants of one recipe on the same people: every metric, every question at once.

Variants must have predicted the same patients in the same folds of the same repeats. Rows are
put into one order first, so that the order of the tables does not matter.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from kfold_hs.errors import PredictionsError
from kfold_hs.judge.influence import influence
from kfold_hs.judge.layout import Layout
from kfold_hs.judge.paired import ROPE
from kfold_hs.judge.results import metrics_of
from kfold_hs.judge.variants import Resamples, against_baseline, all_pairs, best
from kfold_hs.predictions import Predictions

_ORDER = ["repeat", "seed", "fold", "patient_id"]


def compare_variants(
    kept: Mapping[str, Predictions],
    positives: Mapping[str, int],
    split: Mapping[str, Any],
    *,
    baseline: str,
    margins: Mapping[str, float] | None = None,
    n_tried: int | None = None,
    n_resamples: int = 10_000,
    seed: int = 0,
) -> dict[str, Any]:
    """Comparison of all variants on all tasks and metrics.

    Parameters
    ----------
    kept : mapping
        Variant -> its patient rows of the epoch that counts, seeds averaged.
    positives : mapping
        Task -> index of its positive class.
    split : mapping
        n_folds, train_share.
    baseline : str
        The variant that was declared to be the one to beat.
    margins : mapping, optional
        Metric -> half the width of its region of practical equivalence; `paired.ROPE` otherwise.
    n_tried : int, optional
        Variants ever tried on this split, if more than these.

    Returns
    -------
    dict
        variants, baseline, n_tried, tasks: task -> metric -> against_baseline (by variant), pairs,
        best.

    Raises
    ------
    PredictionsError
        The variants are not of the same people in the same folds.
    """
    tables = {name: _ordered(each) for name, each in kept.items()}
    layout = _one_layout(tables, int(split["n_folds"]))
    resamples, margins = Resamples(layout, n_resamples, seed), {**ROPE, **(margins or {})}
    first = next(iter(tables.values()))
    tasks: dict[str, Any] = {}
    for task in first.tasks:
        metrics = {m.name: m for m in metrics_of(first, task)}
        found = {name: _influences(tables, task, positives[task], name, layout) for name in metrics}
        signs = {name: 1 if m.higher_is_better else -1 for name, m in metrics.items()}
        whole = {
            name: list(each.values())
            for name, each in found.items()
            if all(np.isfinite(one.value) for one in each.values())
        }
        resampled = resamples.corrected(whole, signs)
        tasks[task] = {}
        for name, metric in metrics.items():
            margin, up = margins[name], metric.higher_is_better
            tasks[task][name] = {
                "label": metric.label,
                "against_baseline": against_baseline(
                    found[name], baseline, margin=margin, higher_is_better=up, n_tried=n_tried
                ),
                "pairs": all_pairs(found[name], margin=margin, higher_is_better=up),
                "best": best(
                    found[name], float(split["train_share"]), n_tried=n_tried,
                    higher_is_better=up, resampled=resampled.get(name),
                ),
            }  # fmt: skip
    return {
        "variants": list(tables),
        "baseline": baseline,
        "n_tried": max(n_tried or 0, len(tables)),
        "tasks": tasks,
    }


def _influences(
    tables: Mapping[str, Predictions], task: str, positive: int, metric: str, layout: Layout
) -> dict[str, Any]:
    return {
        name: influence(
            next(m for m in metrics_of(table, task) if m.name == metric),
            table.y_true(task), table.y_prob(task), positive, layout,
        )
        for name, table in tables.items()
    }  # fmt: skip


def _ordered(kept: Predictions) -> Predictions:
    return Predictions(kept.table.sort_values(_ORDER, ignore_index=True), kept.classes)


def _one_layout(tables: Mapping[str, Predictions], n_folds: int) -> Layout:
    """The layout that all share, or a refusal that names who differs."""
    names = list(tables)
    if not names:
        raise PredictionsError("0 variants: a comparison needs at least one.")
    first = tables[names[0]].table
    for name in names[1:]:
        other = tables[name].table
        same = len(other) == len(first) and (other[_ORDER] == first[_ORDER]).all(axis=None)
        if not same or dict(tables[name].classes) != dict(tables[names[0]].classes):
            raise PredictionsError(
                f"{name} and {names[0]} did not predict the same patients in the same folds, and "
                "cannot be compared. Run both with one split, the same repeats and tasks."
            )
    return Layout.of_predictions(tables[names[0]], n_folds)
