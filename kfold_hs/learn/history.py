"""What a fold's epochs report: the rows of history.csv, and which of them is the best."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from kfold_hs.cohort import Cohort
from kfold_hs.learn.outcome import overfitting_since
from kfold_hs.paths import FoldPaths, write_text

History = list[dict[str, float]]
"""epoch, train_loss, val_loss, acc.<task>, lr, seconds; a row an epoch."""


def best_epoch(history: History, cohort: Cohort) -> int:
    """Highest mean accuracy; ties by the lower validation loss, then by the earlier epoch."""

    def rank(row: Mapping[str, float]) -> tuple[float, float, float]:
        return (-mean_accuracy(row, cohort), row["val_loss"], row["epoch"])

    return int(min(history, key=rank)["epoch"])


def mean_accuracy(row: Mapping[str, float], cohort: Cohort) -> float:
    return float(np.mean([row[f"acc.{task.name}"] for task in cohort.tasks]))


def write_history(paths: FoldPaths, history: History, keep: int, best: int) -> int | None:
    """history.csv of a fold; the epoch (from 0) from which it over-fits, if it does."""
    table = pd.DataFrame(history)
    since = overfitting_since(table["train_loss"].tolist(), table["val_loss"].tolist())
    table["kept"] = table["epoch"] == keep
    table["best"] = table["epoch"] == best
    table["overfitting"] = False if since is None else table["epoch"] >= since
    write_text(paths.history, table.to_csv(index=False))
    return since
