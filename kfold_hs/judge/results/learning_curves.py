"""How the folds learnt: mean and spread of every column of the history, by epoch.

The band is the mean plus and minus the standard deviation over the folds (of all repeats and seeds)
that reached the epoch. It shows how folds differ; it is no interval of the mean.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from kfold_hs.predictions.epoch_rules import by_place


def learning(history: pd.DataFrame, tasks: Iterable[str]) -> dict[str, Any]:
    """Means and bands of the losses, the accuracies and the rate; where folds over-fit.

    Parameters
    ----------
    history : DataFrame
        See `results.run_record.RunRecord`.
    tasks : iterable of str

    Returns
    -------
    dict
        epochs (counted from 1), columns (by name mean, low, high: None where no fold, or for the
        band fewer than two, has a finite value), overfitting (repeat, seed, fold, since: the
        epoch from 1).
    """
    names = ["train_loss", "val_loss", *(f"acc.{task}" for task in tasks), "lr"]
    values = history[names].where(np.isfinite(history[names]))
    by_epoch = values.groupby(history["epoch"])
    mean, sd = by_epoch.mean(), by_epoch.std()
    columns = {
        name: {
            "mean": _numbers(mean[name]),
            "low": _numbers(mean[name] - sd[name]),
            "high": _numbers(mean[name] + sd[name]),
        }
        for name in names
    }
    overfitting = []
    for (repeat, seed, fold), rows in by_place(history):
        over = rows.loc[rows["overfitting"], "epoch"]
        if len(over):
            since = int(over.min()) + 1
            overfitting.append({"repeat": repeat, "seed": seed, "fold": fold, "since": since})
    return {
        "epochs": [int(epoch) + 1 for epoch in mean.index],
        "columns": columns,
        "overfitting": overfitting,
    }


def effort(folds: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Time and energy of a fold's training.

    Parameters
    ----------
    folds : sequence of mapping
        The summary's; seconds, and joules where they were measured.

    Returns
    -------
    dict
        seconds and joules, each with n_folds, total, mean, lowest and highest; joules is None where
        no fold's was measured.
    """
    found: dict[str, Any] = {}
    for what in ("seconds", "joules"):
        values = [fold[what] for fold in folds if fold.get(what) is not None]
        if not values:
            found[what] = None
            continue
        found[what] = {
            "n_folds": len(values),
            "total": sum(values),
            "mean": sum(values) / len(values),
            "lowest": min(values),
            "highest": max(values),
        }
    return found


def _numbers(values: pd.Series) -> list[float | None]:
    """JSON has no NaN."""
    return [float(value) if np.isfinite(value) else None for value in values]
