"""Variations of a fake run."""

from __future__ import annotations

from typing import Any

import pandas as pd

from kfold_hs.judge.results.run import summarise
from kfold_hs.judge.results.run_record import RunRecord
from kfold_hs.predictions.table import Predictions
from support.fake_run import COHORT, PROVENANCE, SPLIT


def twice(predictions: Predictions, history: pd.DataFrame) -> tuple[Predictions, pd.DataFrame]:
    """The run again as a second repeat."""
    tables = [predictions.table, predictions.table.assign(repeat=1)]
    again = Predictions(pd.concat(tables, ignore_index=True), predictions.classes)
    return again, pd.concat([history, history.assign(repeat=1)], ignore_index=True)


def summary_with(predictions: Predictions, history: pd.DataFrame, **split: Any) -> dict[str, Any]:
    config = {"select": "last", "target": 0.95, "seed": 0}
    record = RunRecord(predictions, history, COHORT, {**SPLIT, **split}, config, PROVENANCE)
    return summarise(record).to_json()


def without(
    predictions: Predictions, history: pd.DataFrame, fold: int, from_epoch: int = 0
) -> tuple[Predictions, pd.DataFrame]:
    gone = (predictions.table["fold"] == fold) & (predictions.table["epoch"] >= from_epoch)
    left = Predictions(predictions.table[~gone].reset_index(drop=True), predictions.classes)
    late = (history["fold"] == fold) & (history["epoch"] >= from_epoch)
    return left, history[~late].reset_index(drop=True)
