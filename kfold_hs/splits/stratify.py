"""Persons into folds, stratified on every task at once.

The labels of a person are those of all their patients. `iterative-stratification`
(Sechidis et al., "On the Stratification of Multi-label Data", ECML PKDD 2011) is
given the table of persons with one column for each class of each task and for each
joint class, e.g. murmur Present with outcome Normal.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from iterstrat.ml_stratifiers import MultilabelStratifiedKFold

from kfold_hs.cohort import Cohort
from kfold_hs.errors import SplitError
from kfold_hs.splits.split import Split

_MOST_DRAWS = 100
"""How often a split is drawn anew for a class that a fold lacks before giving up."""


def stratify(cohort: Cohort, n_folds: int, seed: int, n_repeats: int = 1) -> Split:
    """Draw a split of a cohort's persons; the order of its rows does not matter.

    Parameters
    ----------
    cohort : Cohort
    n_folds : int
        At least 2, at most the number of persons of the rarest class.
    seed : int
        Same seed, same split. Every repeat is drawn with a seed derived from it.
    n_repeats : int
        How many times the persons are split anew.

    Raises
    ------
    SplitError
        When a class has fewer persons than there are folds, or a class ends up missing
        from a fold.
    """
    labels = person_labels(cohort)
    single = labels[[name for name in labels.columns.astype(str) if " + " not in name]].sum()
    if len(rare := single[single < n_folds]):
        each = ", ".join(f"{name} occurs in {count} persons" for name, count in rare.items())
        raise SplitError(
            f"{each}, which cannot be split into {n_folds} folds that all hold it. Use at most "
            f"--folds {rare.min()}, or merge the class with another in the data."
        )
    drawn = [_draw(labels, n_folds, seed, repeat) for repeat in range(n_repeats)]
    split = Split(
        folds={
            person: tuple(int(folds[row]) for folds in drawn)
            for row, person in enumerate(labels.index)
        },
        n_folds=n_folds,
        n_repeats=n_repeats,
        seed=seed,
        fingerprint=cohort.fingerprint,
    )
    split.check(cohort)
    return split


def _draw(labels: pd.DataFrame, n_folds: int, seed: int, repeat: int) -> np.ndarray:
    """Fold of every person; drawn again when a rare class misses a fold by bad luck."""
    values = labels.to_numpy(dtype=np.int64)
    single = [i for i, column in enumerate(labels.columns.astype(str)) if " + " not in column]
    folds = np.zeros(len(values), dtype=np.int64)
    for attempt in range(_MOST_DRAWS):
        state = int(np.random.SeedSequence([seed, repeat, attempt]).generate_state(1)[0])
        splitter = MultilabelStratifiedKFold(n_splits=n_folds, shuffle=True, random_state=state)
        for fold, (_, held_out) in enumerate(splitter.split(np.zeros(len(values)), values)):
            folds[held_out] = fold
        if all(values[folds == fold][:, single].any(axis=0).all() for fold in range(n_folds)):
            break
    return folds


def person_labels(cohort: Cohort) -> pd.DataFrame:
    """One row a person (sorted by id), one bool column a class and a joint class.

    A person whose patients disagree has both labels. Columns are named
    ``murmur=Present`` and ``murmur=Present + outcome=Normal``.
    """
    patients = cohort.patients.sort_values("patient_id")
    columns = {
        f"{task.name}={name}": (patients[task.name] == name).to_numpy()
        for task in cohort.tasks
        for name in task.classes
    }
    if len(cohort.tasks) > 1:
        parts = [[f"{task.name}={label}" for label in patients[task.name]] for task in cohort.tasks]
        joint = pd.Series([" + ".join(row) for row in zip(*parts, strict=True)])
        columns |= {name: (joint == name).to_numpy() for name in sorted(joint.unique())}
    table = pd.DataFrame(columns)
    table["person_id"] = patients["person_id"].to_numpy()
    return table.groupby("person_id", sort=True).any()


def balance(cohort: Cohort, split: Split, repeat: int = 0) -> list[dict[str, object]]:
    """How many of everything each fold holds: persons, patients, recordings, classes.

    Returns
    -------
    list of dict
        ``{"task": ..., "class": ..., "counts": [one a fold]}``; patients are counted for
        classes, and the task of the three sizes is called "size".
    """
    patient_fold = split.fold_of_patients(cohort, repeat)
    fold_of_patient = dict(zip(cohort.patients["patient_id"], patient_fold, strict=True))
    recording_fold = cohort.recordings["patient_id"].map(fold_of_patient).to_numpy()
    person_fold = np.array([folds[repeat] for folds in split.folds.values()])

    def counts(folds: np.ndarray) -> list[int]:
        found = np.bincount(folds.astype(np.int64), minlength=split.n_folds)
        return [int(count) for count in found]

    rows: list[dict[str, object]] = [
        {"task": "size", "class": "persons", "counts": counts(person_fold)},
        {"task": "size", "class": "patients", "counts": counts(patient_fold)},
        {"task": "size", "class": "recordings", "counts": counts(recording_fold)},
    ]
    for task in cohort.tasks:
        for name in task.classes:
            here = (cohort.patients[task.name] == name).to_numpy()
            rows.append({"task": task.name, "class": name, "counts": counts(patient_fold[here])})
    if len(cohort.tasks) > 1:
        names = [task.name for task in cohort.tasks]
        joint = cohort.patients[names].agg(" + ".join, axis=1)
        for name in sorted(joint.unique()):
            here = (joint == name).to_numpy()
            row = {"task": "+".join(names), "class": name, "counts": counts(patient_fold[here])}
            rows.append(row)
    return rows
