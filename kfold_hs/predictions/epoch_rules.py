"""Which epoch of a fold counts, and what the choice does to the score.

last       the last epoch: nothing is chosen
inner      the epoch that did best on training people who were set aside to choose it
crossfit   the epoch that did best on the *other* folds of the same repeat and seed
best       the epoch that did best on the scored fold itself: what is often reported, and
           too good by construction (Cawley & Talbot, JMLR 11, 2010)

"Best" is the highest mean of the tasks' accuracies. Ties go to the lower validation loss in
`best`, as training chose its checkpoint, and to the earlier epoch in `crossfit`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import pandas as pd

from kfold_hs.files.paths import FoldId
from kfold_hs.predictions.table import Predictions

RULES = {
    "last": "the last epoch",
    "inner": "the epoch that did best on training people who were set aside",
    "crossfit": "the epoch that did best on the other folds",
    "best": "the best epoch on the scored fold itself (optimistic)",
}
HONEST = {"last": True, "inner": True, "crossfit": True, "best": False}


def chosen_epochs(predictions: Predictions, history: pd.DataFrame) -> dict[str, dict[FoldId, int]]:
    """Epoch (from 0) of every (repeat, seed, fold), by rule.

    Parameters
    ----------
    predictions : Predictions
        Patient rows of all epochs.
    history : DataFrame
        Columns repeat, seed, fold, epoch, val_loss and best; `inner` where people were set aside
        to choose the epoch, and only then is that rule among the result.
    """
    rules = [rule for rule in RULES if rule != "inner" or "inner" in history]
    chosen: dict[str, dict[FoldId, int]] = {rule: {} for rule in rules}
    right = _right(predictions)
    for place, rows in by_place(history):
        repeat, seed, fold = place
        chosen["last"][place] = int(rows["epoch"].max())
        chosen["best"][place] = int(rows.loc[rows["best"], "epoch"].iloc[0])
        if "inner" in chosen:
            chosen["inner"][place] = int(rows.loc[rows["inner"], "epoch"].iloc[0])
        others = (right["repeat"] == repeat) & (right["seed"] == seed) & (right["fold"] != fold)
        both = others & right["epoch"].isin(rows["epoch"])  # epochs that this fold has, too
        score = right[both].groupby("epoch")["right"].mean()
        chosen["crossfit"][place] = (
            int(score.index[int(np.argmax(score.to_numpy()))])
            if len(score)
            else int(rows["epoch"].max())
        )
    return chosen


def by_place(table: pd.DataFrame) -> Iterator[tuple[FoldId, pd.DataFrame]]:
    """Rows of every (repeat, seed, fold), ascending."""
    for key, rows in table.groupby(["repeat", "seed", "fold"]):
        repeat, seed, fold = np.asarray(key, dtype=int).tolist()
        yield FoldId(repeat, seed, fold), rows


def kept_epochs(history: pd.DataFrame) -> dict[FoldId, int]:
    """The epoch that `select` keeps, from the column `kept`."""
    kept = history.loc[history["kept"], ["repeat", "seed", "fold", "epoch"]]
    return {
        FoldId(repeat, seed, fold): epoch
        for repeat, seed, fold, epoch in kept.to_numpy(dtype=int).tolist()
    }


def _right(predictions: Predictions) -> pd.DataFrame:
    """Share of tasks that are right for every patient and epoch."""
    patients = predictions.where(level="patient")
    table = patients.table[["repeat", "seed", "fold", "epoch"]].copy()
    hits: Mapping[str, np.ndarray] = {
        task: patients.y_prob(task).argmax(axis=1) == patients.y_true(task)
        for task in patients.tasks
    }
    table["right"] = np.mean(list(hits.values()), axis=0)
    return table
