"""Patients whom one variant has right and another wrong: where a difference comes from."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from kfold_hs.errors import PredictionsError
from kfold_hs.predictions.table import Predictions

_ROW = ["repeat", "seed", "fold", "patient_id"]


def flips(
    first: Predictions, second: Predictions, task: str, same_folds: bool = True
) -> dict[str, Any]:
    """Rows that only one of two variants has right, and the patients they are of.

    Parameters
    ----------
    first, second : Predictions
        Patient rows of one epoch a fold, of the same patients.
    task : str
    same_folds : bool
        Whether other folds are refused; a patient is out of fold in any.

    Returns
    -------
    dict
        n_rows (a row a patient and repeat), only_first, only_second (rows that one alone has
        right), both, neither; patients: those of whom either has more rows right, the most
        one-sided first, each with patient_id, person_id, label, n_rows, first_right,
        second_right, and what each variant called most often.

    Raises
    ------
    PredictionsError
        The variants are not of the same rows.
    """
    row = _ROW if same_folds else [name for name in _ROW if name != "fold"]
    one, two = (_judged(each, task).sort_values(row, ignore_index=True) for each in (first, second))
    if len(one) != len(two) or not (one[row] == two[row]).all(axis=None):
        raise PredictionsError(
            f"{len(one)} and {len(two)} rows are not of the same patients in the same folds: only "
            "variants that share them can be set side by side."
        )
    right = one["right"].to_numpy(), two["right"].to_numpy()
    table = one.assign(second_right=right[1], second_called=two["called"])
    differ = table["patient_id"].isin(table["patient_id"][right[0] != right[1]])
    people = table[differ].groupby("patient_id").agg(
        person_id=("person_id", "first"), label=("label", "first"), n_rows=("right", "size"),
        first_right=("right", "sum"), second_right=("second_right", "sum"),
    )  # fmt: skip
    people = people[people["first_right"] != people["second_right"]]
    for name, column in (("first_called", "called"), ("second_called", "second_called")):
        people = people.join(_most_often(table, column).rename(name))
    numbers = {"n_rows", "first_right", "second_right"}
    one_sided: list[dict[str, Any]] = [
        {str(k): int(v) if k in numbers else str(v) for k, v in row.items()}
        for row in people.reset_index().to_dict("records")
    ]
    one_sided.sort(key=lambda p: (-abs(p["first_right"] - p["second_right"]), p["patient_id"]))
    return {
        "n_rows": len(table),
        "only_first": int(np.sum(right[0] & ~right[1])),
        "only_second": int(np.sum(~right[0] & right[1])),
        "both": int(np.sum(right[0] & right[1])),
        "neither": int(np.sum(~right[0] & ~right[1])),
        "patients": one_sided,
    }


def _most_often(table: pd.DataFrame, column: str) -> pd.Series:
    """The most frequent value of every patient, of equally frequent ones the first by name."""
    counts = table.groupby(["patient_id", column]).size().reset_index(name="n")
    ordered = counts.sort_values(["n", column], ascending=[False, True])
    return ordered.drop_duplicates("patient_id").set_index("patient_id")[column]


def _judged(kept: Predictions, task: str) -> pd.DataFrame:
    """Who, their label, what was called, and whether that is right."""
    names = np.array(kept.classes[task])
    y_true, called = kept.y_true(task), kept.y_prob(task).argmax(axis=1)
    return kept.table[[*_ROW, "person_id"]].assign(
        label=names[y_true], called=names[called], right=y_true == called
    )
