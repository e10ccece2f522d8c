"""Is it as good for everybody: metrics by age, sex and any other covariate of the patients.

Words are groups as they are; numbers are cut into terciles of the scored patients, from three
different values on; patients of whom a covariate is not known are a group of their own. Every
group has the interval of the recipe, and so has its difference to all other people, whose p is
adjusted by Holm over all groups of all covariates, for each task and metric. Where two groups are
all there is, their differences are one test.

What was written down of a murmur, its grade say, is known of those who have one: such groups are
set beside the others of whom it is known, and not beside everybody, which would compare labels.

A covariate of words with more than `MOST_LEVELS` of them tells no groups apart: every word would be
a group of its own, and their tests would share the error. It is named, with their number, and
left out.

A group, or its rest, of fewer than `FEWEST` persons is named and left out. AUROC is taken in each
fold, as everywhere, and undefined where a group lacks a class in some fold.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from kfold_hs.cohort.values import are_missing
from kfold_hs.judge.metrics.scores import Metric
from kfold_hs.judge.selection.selected import Selected
from kfold_hs.judge.stats.clusters import Layout
from kfold_hs.judge.stats.estimates import Basis, metrics_of, persons_of_rarest
from kfold_hs.judge.stats.expected_error import spread
from kfold_hs.judge.stats.influence import Influence
from kfold_hs.judge.stats.multiplicity import holm
from kfold_hs.judge.stats.recalibration import calibrated
from kfold_hs.judge.stats.scored import Scored
from kfold_hs.predictions.table import PROBABILITIES

FEWEST = 20
MOST_LEVELS = 12
SHOWN = ("accuracy", "weighted_accuracy", "sensitivity", "specificity", "auroc")
NOT_KNOWN = "not known"
_TERCILES_FROM = 3


def subgroups(
    selected: Selected, basis: Basis, patients: pd.DataFrame, described: Sequence[str] = ()
) -> dict[str, Any]:
    """Metrics of every group of every covariate.

    Parameters
    ----------
    selected : Selected
    basis : Basis
        Of the rows that are scored.
    patients : DataFrame
        patient_id, and a column for each covariate.
    described : sequence of str
        Columns whose groups are set beside the others of whom they are known.

    Returns
    -------
    dict
        fewest_persons, most_levels; covariates: name -> kind ("words", "terciles" or "too many"),
        n_levels (different words), among_known (whether it is `described`), left_out (name,
        n_persons) and groups: name, n_persons, n_patients, tasks -> metric -> an estimate, and
        `above_rest` (an estimate of the difference, with p and p_holm); calibration: task ->
        intercept, slope and o_e, each an estimate of these models.
    """
    kept = selected.scored
    whose = patients.set_index("patient_id").reindex(kept.table["patient_id"])
    scored = {
        task: Scored(
            kept.y_true(task),
            kept.y_prob(task),
            selected.positives[task],
            basis.layout,
            names=kept.classes[task],
        )
        for task in kept.tasks
    }
    shown = {task: [m for m in metrics_of(kept, task) if m.name in SHOWN] for task in kept.tasks}
    found: dict[str, Any] = {}
    for name in whose.columns.astype(str):
        groups_of, kind = levels(whose[name])
        n_levels = len([each for each in groups_of.categories if each != NOT_KNOWN])
        groups, left_out = [], []
        if kind == "words" and n_levels > MOST_LEVELS:
            found[name] = {
                "kind": "too many", "n_levels": n_levels, "among_known": name in described,
                "left_out": [], "groups": [],
            }  # fmt: skip
            continue
        among_known = name in described
        is_known = np.asarray(groups_of != NOT_KNOWN) if among_known else np.ones(len(whose), bool)
        for level in groups_of.categories:
            rows = np.asarray(groups_of == level) & is_known
            rest = is_known & ~rows
            n_persons, n_others = (len(np.unique(basis.layout.person[r])) for r in (rows, rest))
            if n_persons and min(n_persons, n_others) < FEWEST:
                left_out.append({"name": str(level), "n_persons": n_persons})
            if min(n_persons, n_others) < FEWEST:
                continue
            groups.append(
                {
                    "name": str(level),
                    "n_persons": n_persons,
                    "n_patients": int(kept.table["patient_id"][rows].nunique()),
                    "tasks": {
                        task: _of_group(whole, shown[task], rows, rest, basis)
                        for task, whole in scored.items()
                    },
                    "calibration": {
                        task: _calibration(whole.among(rows))
                        for task, whole in scored.items()
                        if kept.kind(task) == PROBABILITIES
                    },
                }
            )
        found[name] = {
            "kind": kind,
            "n_levels": n_levels,
            "among_known": among_known,
            "left_out": left_out,
            "groups": groups,
        }
    for task in kept.tasks:
        for metric in SHOWN:
            _adjust(found, task, metric)
    return {"fewest_persons": FEWEST, "most_levels": MOST_LEVELS, "covariates": found}


def levels(values: pd.Series) -> tuple[pd.Categorical, str]:
    """Group of every row, in the order to show them, and whether they are "words" or "terciles".

    Terciles are of the patients (the index), each counted once whatever the number of their rows.
    """
    text = values.astype(str).str.strip()
    known = ~are_missing(values)
    numbers = pd.to_numeric(text.where(known), errors="coerce")
    if not known.any() or numbers[known].isna().any() or numbers.nunique() < _TERCILES_FROM:
        names = list(dict.fromkeys([*sorted(text[known].unique()), NOT_KNOWN]))
        return pd.Categorical(text.where(known, NOT_KNOWN), names), "words"
    once = numbers[~numbers.index.duplicated()]
    low, high = (float(cut) for cut in once.quantile([1 / 3, 2 / 3]))
    names = [f"up to {low:g}", f"above {low:g}, up to {high:g}", f"above {high:g}", NOT_KNOWN]
    place = np.where(known, (numbers > low).astype(int) + (numbers > high), 3)
    return pd.Categorical([names[i] for i in place], names), "terciles"


def _of_group(
    whole: Scored, metrics: Sequence[Metric], rows: np.ndarray, rest: np.ndarray, basis: Basis
) -> dict[str, Any]:
    found = {}
    smallest = persons_of_rarest(whole.y_true[rows], basis.layout.person[rows])
    n_persons = len(np.unique(basis.layout.person[rows]))
    parts = [(some, whole.among(some)) for some in (rows, rest)]
    for metric in metrics:
        mine, others = (
            among(part.influence(metric), some, basis.layout, metric.by_fold)
            for some, part in parts
        )
        n_smallest = n_persons if metric.is_proportion else smallest
        apart = mine.minus(others)
        difference = spread(apart) if np.isfinite(apart.value) else None
        found[metric.name] = {
            "label": metric.label,
            **dataclasses.asdict(basis.estimates(mine, n_smallest)[0]),
            "above_rest": {
                **dataclasses.asdict(basis.estimates(apart, n_smallest)[0]),
                "p": None if difference is None else difference.p_value(apart.value),
            },
        }
    return found


def _calibration(rows: Scored) -> dict[str, Any]:
    """Of the positive class: intercept, slope and O:E, each as an estimate."""
    positive = rows.positive
    return calibrated(rows.y_true == positive, rows.y_prob[:, positive], rows.layout)


def among(found: Influence, rows: np.ndarray, layout: Layout, by_fold: bool) -> Influence:
    """What was found of some rows, as of all of them: the influence of the others is 0.

    Undefined where a run, or for metrics taken by fold a fold, has none of the rows.
    """
    part = found.layout
    whole = part.n_models == layout.n_models if by_fold else part.n_runs == layout.n_runs
    if not whole or not np.isfinite(found.value):
        none = np.full(len(rows), np.nan)
        return Influence(np.nan, none, none, np.full(layout.n_runs, np.nan), layout)
    psi, within = np.zeros(len(rows)), np.zeros(len(rows))
    psi[rows], within[rows] = found.psi, found.within
    sides = found.sides
    if sides is not None:
        sides = sides.among(np.unique(layout.person[rows]), layout.n_persons)
    return dataclasses.replace(found, psi=psi, within=within, layout=layout, sides=sides)


def _adjust(covariates: dict[str, Any], task: str, metric: str) -> None:
    """Put Holm's p into the differences of a task and metric."""
    tests: list[list[dict[str, Any]]] = []
    for each in covariates.values():
        of_groups = [group["tasks"][task] for group in each["groups"]]
        found = [one[metric]["above_rest"] for one in of_groups if metric in one]
        # Two groups that are all there is stand on the two sides of one difference.
        is_one = len(found) == 2 and not each["left_out"]
        tests += [found] if is_one else [[difference] for difference in found]
    known = [same for same in tests if same[0]["p"] is not None]
    adjusted = {
        id(same): p for same, p in zip(known, holm([s[0]["p"] for s in known]), strict=True)
    }
    for same in tests:
        p = adjusted.get(id(same))
        for difference in same:
            difference["p_holm"] = None if p is None else float(p)
