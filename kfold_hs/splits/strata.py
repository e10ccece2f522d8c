"""Strata: the table of persons by levels that a split balances.

A level is a class of a task, a joint class of two tasks, or a level of a covariate,
e.g. ``murmur=Present``, ``murmur+outcome=Present + Normal``, ``age=Child``. Of many labels most
combinations occur in few persons, and no split can balance them; pairs of labels it can
(second-order stratification: Szymanski & Kajdanowicz, "A Network Perspective on Stratification of
Multi-Label Data", PMLR 74, 2017). A person
belongs to every level that one of their patients has; a person with two patients and two
different labels counts for both.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from kfold_hs.cohort import Cohort
from kfold_hs.cohort.values import are_missing
from kfold_hs.errors import SplitError, unknown_name

AUTO = ("age", "age_years", "sex", "campaign", "source", "n_recordings", "site")
"""Covariates that `split.stratify=auto` uses where the cohort has them."""
MISSING = "missing"
"""The level of persons without a value."""
_MOST_LEVELS = 20
"""Most levels of a covariate of words; with more, it is a name or an id."""
_QUARTILES_FROM = 9
"""Number of values from which a covariate of numbers is cut at its quartiles."""


@dataclass(frozen=True)
class Strata:
    """Persons by levels.

    Parameters
    ----------
    table : DataFrame of bool, shape (n_units, n_levels)
        Index: person_id (or patient_id), sorted. Columns: ``<name>=<level>``.
    sizes : DataFrame of int, shape (n_units, 3)
        Persons (1), patients and recordings of each row.
    names : tuple of str, one for each column
        The task, the pair of tasks ("murmur+outcome") or the covariate it belongs to.
    levels : tuple of str, one for each column
    is_label : tuple of bool, one for each column
        Whether it is a class or a joint class; False for covariates.
    """

    table: pd.DataFrame
    sizes: pd.DataFrame
    names: tuple[str, ...]
    levels: tuple[str, ...]
    is_label: tuple[bool, ...]

    @property
    def is_class(self) -> np.ndarray:
        """Columns that are a class of a single task, shape (n_levels,)."""
        joint = np.array(["+" in name for name in self.names])
        return np.asarray(np.array(self.is_label) & ~joint)


def covariates_to_stratify(cohort: Cohort, asked: Sequence[str] | str) -> tuple[str, ...]:
    """Covariates of `split.stratify`; "auto" means those of `AUTO` that the cohort has.

    Raises
    ------
    SplitError
        A name is not a covariate of the cohort, n_recordings or site.
    """
    known = {*cohort.covariates, "n_recordings", "site"}
    if isinstance(asked, str):
        return tuple(name for name in AUTO if name in known)
    for name in asked:
        if name not in known:
            raise SplitError(unknown_name("covariate in split.stratify", name, known))
    return tuple(dict.fromkeys(asked))


def strata(cohort: Cohort, covariates: Sequence[str] = (), by: str = "person") -> Strata:
    """The strata of a cohort.

    Parameters
    ----------
    covariates : sequence of str
        Columns of `cohort.patients`, ``n_recordings`` (of a person: 1, 2, 3, 4, 5 or
        more) or ``site``. Numbers with nine values or more are cut at their quartiles.
    by : "person" or "patient"

    Raises
    ------
    SplitError
        A covariate of words has more than 20 levels.
    """
    unit = f"{by}_id"
    patients = cohort.patients.sort_values("patient_id", ignore_index=True)
    unit_of = dict(zip(patients["patient_id"], patients[unit], strict=True))
    classes = {task.name: task.classes for task in cohort.tasks}
    columns = label_levels(patients, classes, patients[unit])

    def add(name: str, values: pd.Series, units: pd.Series) -> None:
        columns.extend(Level(name, each, False, units[values == each]) for each in in_order(values))

    recording_unit = cohort.recordings["patient_id"].map(unit_of)
    for name in covariates:
        if name == "site":
            add(name, cohort.recordings["site"].fillna(MISSING).astype(str), recording_unit)
        elif name == "n_recordings":
            counts = recording_unit.value_counts().sort_index()
            words = counts.map(lambda n: str(n) if n < 5 else "5 or more")
            add(name, words, pd.Series(counts.index, index=counts.index))
        else:
            add(name, levels_of(patients[name]), patients[unit])

    index = pd.Index(sorted(set(patients[unit])), name=unit)
    sizes = {
        "persons": 1,
        "patients": patients[unit].value_counts().reindex(index),
        "recordings": recording_unit.value_counts().reindex(index),
    }
    return table_of(columns, pd.DataFrame(sizes, index=index))


def training_strata(cohort: Cohort, train: np.ndarray) -> tuple[Strata, np.ndarray]:
    """The strata of a cohort by its labels, and in them the persons of some training recordings.

    Parameters
    ----------
    train : ndarray of int64
        Rows of `cohort.recordings`: all recordings of these persons.

    Returns
    -------
    Strata
    ndarray of int64
        Rows of its table.
    """
    whole = strata(cohort)
    owners = cohort.recordings["patient_id"].iloc[train].map(cohort.person_of)
    return whole, np.flatnonzero(whole.table.index.isin(set(owners)))


@dataclass(frozen=True)
class Level:
    """A level: the name of what it is a value of, the value, whether it is a label, and who has it.

    `units` may name a unit several times.
    """

    name: str
    value: str
    is_label: bool
    units: pd.Series


def label_levels(
    labels: pd.DataFrame, classes: Mapping[str, Sequence[Any]], units: pd.Series
) -> list[Level]:
    """The classes of every task, and with several tasks those of each pair.

    Parameters
    ----------
    labels : DataFrame
        One column a task; row for row with `units`.
    classes : mapping
        Task -> its classes, in their order.
    units : Series
        The person (or patient) of every row.
    """
    found = [
        Level(name, str(each), True, units[labels[name] == each])
        for name, those in classes.items()
        for each in those
    ]
    for pair in itertools.combinations(classes, 2):
        joint, name = joint_label(labels, pair), "+".join(pair)
        found += [Level(name, each, True, units[joint == each]) for each in in_order(joint)]
    return found


def table_of(levels: Sequence[Level], sizes: pd.DataFrame) -> Strata:
    """The strata of these levels; the index of `sizes` holds the units in their order."""
    place = {each: i for i, each in enumerate(sizes.index)}
    member = np.zeros((len(sizes), len(levels)), dtype=bool)
    for column, level in zip(member.T, levels, strict=True):
        column[[place[each] for each in level.units]] = True
    titles = [f"{level.name}={level.value}" for level in levels]
    return Strata(
        table=pd.DataFrame(member, index=sizes.index, columns=titles),
        sizes=sizes,
        names=tuple(level.name for level in levels),
        levels=tuple(level.value for level in levels),
        is_label=tuple(level.is_label for level in levels),
    )


def joint_label(patients: pd.DataFrame, names: Sequence[str]) -> pd.Series:
    """The classes of several tasks as one, e.g. ``Present + Abnormal``."""
    joint = patients[names[0]].astype(str)
    for name in names[1:]:
        joint = joint + " + " + patients[name].astype(str)
    return joint


def levels_of(values: pd.Series) -> pd.Series:
    """A covariate as words: its value, its quartile, or "missing".

    Raises
    ------
    SplitError
        There are more than 20 different words.
    """
    missing = are_missing(values)
    numbers = pd.to_numeric(values.where(~missing), errors="coerce")
    if not missing.all() and numbers[~missing].notna().all() and _is_many(numbers):
        edges = np.unique(numbers.quantile([0, 0.25, 0.5, 0.75, 1]).to_numpy())
        place = np.clip(np.searchsorted(edges, numbers, side="right") - 1, 0, len(edges) - 2)
        words = [f"{edges[i]:g} to {edges[i + 1]:g}" for i in place]
        return pd.Series(words, index=values.index).where(~missing, MISSING)
    words_ = values.astype(str).where(~missing, MISSING)
    if words_.nunique() > _MOST_LEVELS:
        raise SplitError(
            f"{values.name} has {words_.nunique()} different values, e.g. {words_.iloc[0]!r}. A "
            f"covariate to stratify on may have at most {_MOST_LEVELS}. Remove it from "
            "split.stratify, or add a column of classes to the data."
        )
    return words_


def _is_many(numbers: pd.Series) -> bool:
    return bool(numbers.nunique() >= _QUARTILES_FROM)


def in_order(values: pd.Series) -> list[str]:
    """Levels in their order: numbers by size, words by the alphabet, missing last."""

    def key(level: str) -> tuple[bool, float, str]:
        first = level.split(" ")[0]
        try:
            return (level == MISSING, float(first), level)
        except ValueError:
            return (level == MISSING, float("inf"), level)

    return sorted(values.unique(), key=key)
