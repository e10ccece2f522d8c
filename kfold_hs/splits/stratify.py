"""Put persons into folds, stratified on every task, the joint label and covariates.

`iterative-stratification` (Sechidis et al., "On the Stratification of Multi-label
Data", ECML PKDD 2011) makes the first split of the table of persons; `local_search` improves it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from kfold_hs.cohort import Cohort
from kfold_hs.cohort.whose import Whose
from kfold_hs.errors import CohortError, SplitError, counted
from kfold_hs.splits.local_search import Draws, even_sizes, improve
from kfold_hs.splits.split import TEST, Split
from kfold_hs.splits.strata import Strata, covariates_to_stratify, strata

# The balance of classes matters more than that of covariates.
_LABEL_WEIGHT, _COVARIATE_WEIGHT = 4.0, 1.0
_SIZE_WEIGHT = 400.0
"""Patients and recordings have large totals, so that relative deviations are small."""
PARTS = 20
"""Number of even parts that unequal parts are made of."""


@dataclass(frozen=True)
class SplitRule:
    """How people are put into folds.

    Parameters
    ----------
    covariates : sequence of str or "auto"
        What to stratify on beside the labels; see `kfold_hs.splits.strata`.
    by : "person" or "patient"
        "patient" ignores that two patient ids can be one person: to measure that damage.
    test : float or sequence of str
        Share of the persons, in [0, 0.9], drawn as hold-out test persons before all
        else, to the nearest whole person; or their ids (`kfold_hs.cohort.whose`). No fold ever
        trains on them.
    """

    covariates: Sequence[str] | Literal["auto"] = ()
    by: str = "person"
    test: float | Sequence[str] = 0.0


def stratify(
    cohort: Cohort,
    n_folds: int,
    seed: int,
    n_repeats: int = 1,
    rule: SplitRule = SplitRule(),
) -> Split:
    """Draw a split of a cohort's persons; the order of the cohort's rows does not matter.

    Parameters
    ----------
    cohort : Cohort
    n_folds : int
        At least 2, at most the number of persons of the rarest class.
    seed : int
        The same seed gives the same split. Every repeat has a seed derived from it.
    n_repeats : int
        Number of splits.
    rule : SplitRule

    Raises
    ------
    SplitError
        A class has fewer persons than there are folds, a name is unknown, or a fold lacks a
        class.
    """
    names = covariates_to_stratify(cohort, rule.covariates)
    by, test = rule.by, rule.test
    whole = strata(cohort, names, by)
    held = test_units(cohort, whole, rule, seed)
    rows = np.flatnonzero(~held)
    check_classes(whole, rows, n_folds)
    folds = np.full((len(whole.table), n_repeats), TEST, dtype=np.int64)
    for repeat in range(n_repeats):
        folds[rows, repeat] = draw_folds(whole, rows, n_folds, (seed, repeat))
    split = Split.of(
        cohort,
        {unit: tuple(map(int, row)) for unit, row in zip(whole.table.index, folds, strict=True)},
        n_folds=n_folds,
        seed=seed,
        settings={
            "by": by,
            "stratify": list(names),
            "test": test if isinstance(test, int | float) else sorted(test),
            "source": "drawn",
        },
    )
    split.check(cohort)
    return split


def draw_folds(whole: Strata, rows: np.ndarray, n_folds: int, key: tuple[int, ...]) -> np.ndarray:
    """Fold of every person in `rows`: first split, even sizes, local search."""
    from iterstrat.ml_stratifiers import MultilabelStratifiedKFold

    labels = whole.table.to_numpy()[rows]
    used = labels.any(axis=0)
    state = int(np.random.SeedSequence(key).generate_state(1)[0])
    splitter = MultilabelStratifiedKFold(n_splits=n_folds, shuffle=True, random_state=state)
    start = np.zeros(len(rows), dtype=np.int64)
    # It refuses a single level, as of people who are all of one class: then twice the same.
    levels = np.repeat(labels[:, used], 2 if used.sum() == 1 else 1, axis=1)
    split = splitter.split(np.zeros(len(rows)), levels.astype(np.int64))
    for fold, (_, held_out) in enumerate(split):
        start[held_out] = fold
    sizes = whole.sizes[["patients", "recordings"]].to_numpy()[rows]
    values = np.hstack([labels[:, used], sizes]).astype(np.float64)
    kinds = np.where(np.array(whole.is_label)[used], _LABEL_WEIGHT, _COVARIATE_WEIGHT)
    weights = np.concatenate([kinds, [_SIZE_WEIGHT] * sizes.shape[1]])
    return improve(even_sizes(start, n_folds), values, weights, n_folds, Draws(*key))


def test_units(cohort: Cohort, whole: Strata, rule: SplitRule, seed: int) -> np.ndarray:
    """Whether each row of the strata is a test person, bool of shape (n_units,)."""
    units, by, test = whole.table.index, rule.by, rule.test
    if not isinstance(test, int | float):
        patients = cohort.patients
        here = patients["patient_id"].isin(_patients_named(cohort, test))
        return np.asarray(units.isin(set(patients[f"{by}_id"][here])))
    held = np.zeros(len(units), dtype=bool)
    if test == 0:
        return held
    n_held = round(test * len(units))
    if n_held == 0:
        raise SplitError(
            f"split.test={test:g} of {len(units)} persons makes 0 test persons. Raise it."
        )
    held[draw_some(whole, np.arange(len(units)), n_held, (seed, 2**31))] = True
    return held


def _patients_named(cohort: Cohort, names: Sequence[str]) -> set[str]:
    whose = Whose(cohort)
    try:
        found = {name: whose.patients(name) for name in names}
    except CohortError as error:
        raise SplitError(f"split.test is ambiguous: {error}") from error
    if unknown := sorted(name for name, patients in found.items() if not patients):
        raise SplitError(
            f"split.test names {unknown[0]!r}, but this cohort has no such person or patient "
            f"({len(unknown)} such ids). Correct the ids."
        )
    return {patient for patients in found.values() for patient in patients}


def draw_some(whole: Strata, rows: np.ndarray, n: int, key: tuple[int, ...]) -> np.ndarray:
    """`n` of the persons in `rows`, stratified.

    `draw_folds` makes even parts. Whole parts are taken while they fit; the rest is drawn from the
    next part in the same way.
    """
    if n in (0, len(rows)):
        return rows[:n]
    parts = draw_folds(whole, rows, min(len(rows), PARTS), key)
    taken: list[np.ndarray] = []
    missing = n
    for part in range(int(parts.max()) + 1):
        mine = rows[parts == part]
        if len(mine) > missing:
            taken.append(draw_some(whole, mine, missing, (*key, part)))
            break
        taken.append(mine)
        missing -= len(mine)
    return np.concatenate(taken)


def check_classes(whole: Strata, rows: np.ndarray, n_folds: int) -> None:
    """Refuse fewer than 2 folds, or more folds than a class has persons in `rows`.

    Raises
    ------
    SplitError
        The number of folds does not fit.
    """
    if n_folds < 2:
        raise SplitError(
            f"a drawn split has at least 2 folds, but split.n_folds is {n_folds}. For a single "
            "split into training and validation, use a file: split.file=FILE."
        )
    counts = whole.table.iloc[rows].sum()[whole.is_class]
    refuse_rare({str(name): int(count) for name, count in counts.items()}, n_folds)


def refuse_rare(counts: Mapping[str, int], n_folds: int) -> None:
    """Refuse more folds than a class has persons.

    Parameters
    ----------
    counts : mapping
        Task and class, such as ``murmur=Unknown`` -> persons.

    Raises
    ------
    SplitError
        With every such class.
    """
    if rare := {name: count for name, count in counts.items() if count < n_folds}:
        each = ", ".join(f"{name} occurs in {counted(n, 'person')}" for name, n in rare.items())
        least = min(rare.values())
        fewer = f"Use at most --folds {least}, or merge" if least >= 2 else "Merge"
        raise SplitError(
            f"{each}, but {n_folds} folds need at least {n_folds}. "
            f"{fewer} the class with another in the data."
        )
