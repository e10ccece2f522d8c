"""What a fold's epochs report: the rows of history.csv, and which of them is the best."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from kfold_hs.cohort import Cohort
from kfold_hs.files.paths import FoldPaths, write_text
from kfold_hs.learn.prediction.held_out import overfitting_since

History = list[dict[str, float]]
"""epoch, train_loss, val_loss, acc.<task>, lr, seconds; a row an epoch. With select=inner also
inner.val_loss and inner.acc.<task>; joules where the processor's energy can be read."""

INNER = "inner."


def best_epoch(history: History, cohort: Cohort, of: str = "") -> int:
    """Highest mean accuracy; ties by the lower validation loss, then by the earlier epoch.

    `of` is "" for the held-out people and `INNER` for those who were set aside.
    """

    def rank(row: Mapping[str, float]) -> tuple[float, float, float]:
        return (-mean_accuracy(row, cohort, of), row[f"{of}val_loss"], row["epoch"])

    return int(min(history, key=rank)["epoch"])


def mean_accuracy(row: Mapping[str, float], cohort: Cohort, of: str = "") -> float:
    """Mean of the tasks' accuracies; `of` as in `best_epoch`."""
    return float(np.mean([row[f"{of}acc.{task.name}"] for task in cohort.tasks]))


def is_over(history: History, cohort: Cohort, epochs: int, patience: int | None) -> bool:
    """All epochs are trained, or the inner people heard no better for `patience` of them."""
    if len(history) == epochs or not history or patience is None:
        return len(history) == epochs
    return len(history) - 1 - best_epoch(history, cohort, INNER) >= patience


def write_history(
    paths: FoldPaths, history: History, keep: int, best: int, inner: int | None
) -> int | None:
    """history.csv of a fold; the epoch (from 0) from which it over-fits, if it does."""
    table = pd.DataFrame(history)
    since = overfitting_since(table["train_loss"].tolist(), table["val_loss"].tolist())
    table["kept"] = table["epoch"] == keep
    table["best"] = table["epoch"] == best
    if inner is not None:
        table["inner"] = table["epoch"] == inner
    table["overfitting"] = False if since is None else table["epoch"] >= since
    write_text(paths.history, table.to_csv(index=False), True)
    return since
