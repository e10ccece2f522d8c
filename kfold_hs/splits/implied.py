"""The audit of the split that a table of predictions implies: who is where, as far as it says.

What needs recordings (copies, near copies) cannot be looked for, and neither can training sets: a
table names the fold in which a person was scored, not whom its model was trained on.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import pandas as pd

from kfold_hs.cohort.ids import suspects
from kfold_hs.errors import SplitError, counted, listing
from kfold_hs.predictions.table import label_column
from kfold_hs.splits.audit import Finding

KINDS = {
    "person on two sides": "a person is scored by two folds of one repeat",
    "predicted twice": "a patient is predicted several times in one repeat",
    "contradicting labels": "patients of one person, or rows of one patient, differ in their label",
    "missing in a repeat": "people who are not predicted in every repeat",
    "alike ids": "ids that differ only as spreadsheets and typists change them",
    "fold lacks a class": "the fold cannot score that class",
}
_MOST = 1000
"""Most items of a finding; its text has the count."""


def audit_rows(
    rows: pd.DataFrame, classes: Mapping[str, tuple[str, ...]], known: Iterable[str]
) -> list[Finding]:
    """All findings, leaks first.

    Parameters
    ----------
    rows : DataFrame
        Columns repeat, seed, fold, person_id, patient_id and y.<task>; a row a patient and model.
    classes : mapping
        Task -> its classes.
    known : iterable of str
        "fold" where the folds are known; without them nobody can be on two sides.
    """
    known = set(known)
    found = [
        *(_two_sides(rows) if "fold" in known else []),
        *_twice(rows),
        *_contradictions(rows, classes),
        *_missing(rows),
        *_alike(rows),
        *(_lacking(rows, classes) if "fold" in known else []),
    ]
    return sorted(found, key=lambda finding: not finding.is_leak)


def refuse_implied_leaks(findings: Iterable[Finding], source: str) -> None:
    """Raise an error for leaks.

    Raises
    ------
    SplitError
        There are leaks; the message names every kind, its first items and what to do.
    """
    if leaks := [finding for finding in findings if finding.is_leak]:
        each = " ".join(f"{f.text} ({listing(f.items, 3)}). {f.advice}" for f in leaks)
        raise SplitError(
            f"{source} leaks, so that nothing was judged. {each} --no-audit makes the report in "
            "spite of it, and says so on the page."
        )


def _two_sides(rows: pd.DataFrame) -> list[Finding]:
    each = rows[["repeat", "seed", "person_id", "fold"]].drop_duplicates()
    whose = ["repeat", "seed", "person_id"]
    torn = each[each.duplicated(whose, keep=False)].sort_values([*whose, "fold"])
    if not len(torn):
        return []
    several = rows["repeat"].nunique() > 1
    items = [
        f"person {person} in folds {listing(folds, 10)}" + (f" of repeat {repeat}" * several)
        for (repeat, person), folds in torn.groupby(["repeat", "person_id"])["fold"]
    ]
    n_torn, n = torn["person_id"].nunique(), rows["person_id"].nunique()
    text = f"{n_torn} of {n} persons are scored by several folds of one repeat"
    advice = (
        "The models of these folds were trained on people whom they are scored on, unless they are "
        "of several repeats: then name the column of the repeat (--repeat COLUMN). Else split by "
        "person and predict anew."
    )
    return [Finding("person on two sides", True, text, tuple(items[:_MOST]), advice)]


def _twice(rows: pd.DataFrame) -> list[Finding]:
    keys = ["repeat", "seed", "patient_id"]
    again = rows.duplicated(keys)
    if not again.any():
        return []
    counts = rows[rows.duplicated(keys, keep=False)].groupby("patient_id").size()
    items = [f"patient {patient}: {n} rows" for patient, n in counts.items()]
    text = (
        f"{counted(len(items), 'patient is', 'patients are')} predicted several times in one "
        f"repeat ({counted(int(again.sum()), 'row')} too many)"
    )
    advice = (
        "Give each prediction once. If the rows are of several repeats, seeds or recordings, name "
        "the column: --repeat, --seed or --recording COLUMN. If they are several patients of one "
        "person, name both: --person and --patient."
    )
    return [Finding("predicted twice", True, text, tuple(items[:_MOST]), advice)]


def _contradictions(rows: pd.DataFrame, classes: Mapping[str, tuple[str, ...]]) -> list[Finding]:
    found = []
    for task in classes:
        column = label_column(task)
        each = rows[["person_id", "patient_id", column]].drop_duplicates()
        torn = each[each.groupby("person_id")[column].transform("nunique") > 1]
        if not len(torn):
            continue
        items = [
            f"person {person}: "
            + ", ".join(f"{p} {y}" for p, y in zip(mine["patient_id"], mine[column], strict=True))
            for person, mine in torn.groupby("person_id")
        ]
        of_patient = each[each.duplicated(["person_id", "patient_id"])]["patient_id"].nunique()
        text = f"{counted(len(items), 'person has', 'persons have')} several values of {task}"
        if of_patient:
            text += f", {counted(of_patient, 'of them as one patient', 'of them as one patient')}"
        advice = "Correct if two visits differ; a patient counts with the label of each row."
        found.append(Finding("contradicting labels", False, text, tuple(items[:_MOST]), advice))
    return found


def _missing(rows: pd.DataFrame) -> list[Finding]:
    n_runs = len(rows[["repeat", "seed"]].drop_duplicates())
    if n_runs < 2:
        return []
    each = rows[["repeat", "seed", "patient_id"]].drop_duplicates()
    counts = each.groupby("patient_id").size()
    few = counts[counts < n_runs]
    if not len(few):
        return []
    items = tuple(f"patient {patient}: {n} of {n_runs}" for patient, n in few.items())[:_MOST]
    text = (
        f"{len(few)} of {counted(len(counts), 'patient is', 'patients are')} not predicted in all "
        f"{n_runs} repeats and seeds"
    )
    advice = "A repeat scores those whom it has. Predict everybody in every repeat."
    return [Finding("missing in a repeat", False, text, items, advice)]


def _alike(rows: pd.DataFrame) -> list[Finding]:
    pairs = rows[["person_id", "patient_id"]].drop_duplicates()
    of = dict(zip(pairs["patient_id"], pairs["person_id"], strict=True))
    groups = [group for group in suspects(of) if len({of[each] for each in group}) > 1]
    if (pairs["person_id"] != pairs["patient_id"]).any():
        groups += suspects(pairs["person_id"].unique())
    items = tuple(dict.fromkeys(" and ".join(map(repr, group)) for group in groups))
    if not items:
        return []
    text = (
        f"{counted(len(items), 'group')} of ids that differ only in case, zeros, decimals, dashes "
        "or spaces"
    )
    advice = "If they are one person, correct the ids: a person may be in one fold only."
    return [Finding("alike ids", False, text, items[:_MOST], advice)]


def _lacking(rows: pd.DataFrame, classes: Mapping[str, tuple[str, ...]]) -> list[Finding]:
    items = []
    number = rows.groupby(["repeat", "seed", "fold"]).ngroup().to_numpy()
    keys = rows[["repeat", "fold"]].to_numpy()[np.unique(number, return_index=True)[1]].tolist()
    for task, names in classes.items():
        code = pd.Categorical(rows[label_column(task)], names).codes
        counts = np.bincount(number * len(names) + code, minlength=len(keys) * len(names))
        for m, c in np.argwhere(counts.reshape(-1, len(names)) == 0).tolist():
            repeat, fold = keys[m]
            items.append(
                f"{task}={names[c]} in fold {fold}" + (f" of repeat {repeat}" if repeat else "")
            )
    if not items:
        return []
    text = f"a class is missing from a fold {counted(len(items), 'time')}"
    advice = "Metrics that are taken by fold and need that class are not known. Use fewer folds."
    return [Finding("fold lacks a class", False, text, tuple(items[:_MOST]), advice)]
