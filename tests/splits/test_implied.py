"""The audit of what a table of predictions implies."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from kfold_hs.errors import SplitError
from kfold_hs.splits.implied import KINDS, audit_rows, refuse_implied_leaks

CLASSES = {"t": ("a", "b")}


def rows(n: int = 12, n_repeats: int = 1) -> pd.DataFrame:
    parts = [
        pd.DataFrame(
            {
                "repeat": repeat, "seed": 0, "fold": (np.arange(n) + repeat) % 3,
                "person_id": [f"q{i}" for i in range(n)], "patient_id": [f"p{i}" for i in range(n)],
                "y.t": np.where(np.arange(n) < n // 2, "a", "b"),
            }
        )
        for repeat in range(n_repeats)
    ]  # fmt: skip
    return pd.concat(parts, ignore_index=True)


def kinds(table: pd.DataFrame, known: tuple[str, ...] = ("fold",)) -> dict[str, bool]:
    found = audit_rows(table, CLASSES, known)
    assert all(each.kind in KINDS for each in found)
    return {each.kind: each.is_leak for each in found}


def test_a_sound_table_has_no_finding() -> None:
    assert kinds(rows(n_repeats=2)) == {}


def test_a_person_in_two_folds_of_a_repeat_is_a_leak() -> None:
    table = rows()
    table.loc[1, "person_id"] = "q0"
    assert kinds(table) == {"person on two sides": True}
    assert kinds(table, known=()) == {}  # nothing can be said without folds
    (found,) = audit_rows(table, CLASSES, ["fold"])
    assert found.items == ("person q0 in folds 0, 1",)
    with pytest.raises(SplitError, match=r"t.csv leaks.*1 of 11 persons.*--repeat.*--no-audit"):
        refuse_implied_leaks([found], "t.csv")
    table.loc[1, "fold"] = 0
    assert kinds(table) == {}


def test_a_person_in_two_folds_of_two_repeats_is_none() -> None:
    table = rows(n_repeats=2)
    assert table.groupby("person_id")["fold"].nunique().max() == 2
    assert kinds(table) == {}


def test_a_patient_predicted_twice_is_a_leak() -> None:
    table = pd.concat([rows(), rows().iloc[[3]]], ignore_index=True)
    assert kinds(table, known=()) == {"predicted twice": True}
    assert audit_rows(table, CLASSES, [])[0].items == ("patient p3: 2 rows",)


def test_labels_that_differ_are_named() -> None:
    table = rows(n_repeats=2)
    table.loc[0, "y.t"] = "b"
    (found,) = audit_rows(table, CLASSES, ["fold"])
    assert found.kind == "contradicting labels"
    assert not found.is_leak
    assert "1 of them as one patient" in found.text
    assert found.items == ("person q0: p0 b, p0 a",)


def test_people_who_are_missing_in_a_repeat_and_classes_missing_in_a_fold() -> None:
    table = rows(n_repeats=2).drop(index=0)
    assert kinds(table) == {"missing in a repeat": False}
    table = rows()
    table.loc[table["fold"] == 2, "y.t"] = "a"
    (found,) = audit_rows(table, CLASSES, ["fold"])
    assert found.items == ("t=b in fold 2",)


def test_ids_that_look_alike_are_named() -> None:
    table = rows()
    table.loc[0, "patient_id"] = "P01"
    assert kinds(table) == {"alike ids": False}
