"""The balance of a split: counts, deviations, and the limit that no split can pass.

For a level with n persons in K folds, m = n / K: the relative deviation is
max_f |c_f - m| / m, and the limit is the deviation by rounding (`local_search.limits`).
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from kfold_hs.cohort import Cohort
from kfold_hs.splits.local_search import limits
from kfold_hs.splits.split import Split
from kfold_hs.splits.strata import Strata, covariates_to_stratify, joint_label, strata


def balance(cohort: Cohort, split: Split, repeat: int = 0) -> list[dict[str, Any]]:
    """Counts in every fold of sizes, classes, joint classes and covariates.

    Persons are counted, or patients where `split.settings["by"]` is patient. A person counts
    for every level that one of their patients has. The sizes are in persons, patients and
    recordings. Test persons are not counted.

    Returns
    -------
    list of dict
        ``task`` (size, a task, the joint label or a covariate), ``class`` (the level),
        ``kind`` (size, label or covariate), ``counts`` (one for each fold), ``deviation`` and
        ``limit`` (relative; 0.1 is 10 %).
    """
    table = _strata_of(cohort, split)
    return _rows(table, _folds(split, table, repeat), split.n_folds)


def worst(rows: Sequence[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The row with the highest deviation above its limit, for label, covariate and size."""
    found: dict[str, dict[str, Any]] = {}
    for row in rows:
        kept = found.get(row["kind"])
        if kept is None or _rank(row) > _rank(kept):
            found[row["kind"]] = row
    return found


def compare(cohort: Cohort, split: Split, repeat: int = 0) -> list[dict[str, Any]]:
    """The largest deviation of this split and of scikit-learn's StratifiedGroupKFold.

    `StratifiedGroupKFold` stratifies patients on one label: here on the joint label and on each
    task, with the persons as groups and the split's seed (plus the repeat). A label is left out
    where every class is rarer than folds; all labels are left out where there is one fold. Where
    each fold is one source nothing is compared: nothing was to be balanced.

    Returns
    -------
    list of dict
        ``name``, and for label, covariate and size the largest ``deviation`` and the part of it
        ``above_limit``; the first row is this split, the last is the limit.
    """
    from sklearn.model_selection import StratifiedGroupKFold

    if split.sources:
        return []
    table = _strata_of(cohort, split)
    rows = _rows(table, _folds(split, table, repeat), split.n_folds)
    found = [_summary("this split", rows)]
    units = table.table.index
    unit = str(units.name)
    inside = set(units[_folds(split, table, repeat) >= 0])
    patients = cohort.patients[cohort.patients[unit].isin(inside)]
    names = [task.name for task in cohort.tasks]
    joint = joint_label(patients, names)
    choices = {"+".join(names): joint} | {name: patients[name] for name in names}
    for name, labels in choices.items():
        if split.n_folds < 2 or labels.value_counts().max() < split.n_folds:
            continue  # scikit-learn refuses one fold, and classes that are all rarer
        splitter = StratifiedGroupKFold(
            split.n_folds, shuffle=True, random_state=split.seed + repeat
        )
        fold_of = {}
        with warnings.catch_warnings():  # a joint class may be rarer than folds
            warnings.filterwarnings("ignore", "The least populated class", UserWarning)
            parts = list(splitter.split(patients, labels, patients[unit]))
        for fold, (_, held_out) in enumerate(parts):
            fold_of.update(dict.fromkeys(patients[unit].iloc[held_out], fold))
        folds = np.array([fold_of.get(each, -1) for each in units])
        other = _rows(table, folds, split.n_folds)
        found.append(_summary(f"StratifiedGroupKFold on {name}", other))
    at_limit = [{**row, "deviation": row["limit"]} for row in rows if row["kind"] != "size"]
    return [*found, _summary("integer limit", at_limit)]


def _rank(row: dict[str, Any]) -> tuple[float, float]:
    return (row["deviation"] - row["limit"], row["deviation"])


def _summary(name: str, rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    summary: dict[str, Any] = {"name": name}
    for kind in ("label", "covariate", "size"):
        mine = [row for row in rows if row["kind"] == kind]
        summary[kind] = {
            "deviation": max((row["deviation"] for row in mine), default=None),
            "above_limit": max((row["deviation"] - row["limit"] for row in mine), default=None),
        }
    return summary


def _strata_of(cohort: Cohort, split: Split) -> Strata:
    asked = split.settings.get("stratify", "auto")
    names = covariates_to_stratify(cohort, asked)
    return strata(cohort, names, split.by)


def _folds(split: Split, table: Strata, repeat: int) -> np.ndarray:
    return np.array([split.folds[unit][repeat] for unit in table.table.index], dtype=np.int64)


def _rows(table: Strata, folds: np.ndarray, n_folds: int) -> list[dict[str, Any]]:
    def counts(values: np.ndarray) -> np.ndarray:
        return np.stack([values[folds == fold].sum(axis=0) for fold in range(n_folds)])

    sizes = counts(table.sizes.to_numpy())
    levels = counts(table.table.to_numpy().astype(np.int64))
    kinds = ["label" if label else "covariate" for label in table.is_label]
    columns = [("size", name, "size") for name in table.sizes.columns]
    columns += list(zip(table.names, table.levels, kinds, strict=True))
    each = np.hstack([sizes, levels])
    totals = each.sum(axis=0)
    limit = limits(totals, n_folds)
    mean = np.where(totals > 0, totals / n_folds, 1)
    deviation = np.abs(each - totals / n_folds).max(axis=0) / mean
    return [
        {
            "task": name,
            "class": level,
            "kind": kind,
            "counts": [int(count) for count in each[:, i]],
            "deviation": float(deviation[i]),
            "limit": float(limit[i]),
        }
        for i, (name, level, kind) in enumerate(columns)
        if totals[i] > 0
    ]
