"""Alias table: ids that are known to be the same human being, joined into one person.

A CSV with two columns; the two ids of a row are one person. The columns' names say whether they
hold patient ids or person ids (`whose.kind_of_column`). Under any other name, an id must mean one
person only. `kfold-hs audit --fix` writes such a table; `data.aliases=FILE` reads it.
"""

from __future__ import annotations

import csv
import dataclasses
import io
from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from kfold_hs.cohort.cohort import Cohort
from kfold_hs.cohort.csv_file import read_csv
from kfold_hs.cohort.ids import clean_name
from kfold_hs.cohort.values import is_missing
from kfold_hs.cohort.whose import PATIENT, RECORDING, Whose, kind_of_column, qualified
from kfold_hs.errors import CohortError, listing

_OURS = ("patient_id", "same_person_as")
"""Columns of the tables that `audit --fix` writes; both hold patient ids."""


def read_aliases(path: Path) -> list[tuple[str, str]]:
    """Pairs of ids, with ``patient:`` or ``person:`` before them where the column says so.

    Raises
    ------
    CohortError
        No such file, not two columns, a column of recordings, or a row with one id.
    """
    table = read_csv(path).table
    if table.shape[1] < 2:
        raise CohortError(
            f"{path} has {table.shape[1]} column, but an alias table has two. Each row holds two "
            "ids of one person; the first line names the columns."
        )
    names = tuple(str(name).lower() for name in table.columns[:2])
    kinds = [PATIENT, PATIENT] if names == _OURS else [kind_of_column(name) for name in names]
    if RECORDING in kinds:
        raise CohortError(
            f"{path} has the columns {', '.join(names)}; an alias table holds ids of patients or "
            "of persons, not of recordings."
        )
    pairs = []
    for line, row in zip(table.index, table.to_numpy().tolist(), strict=True):
        one, other = map(clean_name, row[:2])
        if is_missing(one) or is_missing(other):
            raise CohortError(f"{path}: line {line} holds only one id. Write two.")
        pairs.append((_said(kinds[0], one), _said(kinds[1], other)))
    return pairs


def write_aliases(pairs: Iterable[tuple[str, str]]) -> str:
    """The text of an alias table of pairs of patient ids."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerows([_OURS, *pairs])
    return text.getvalue()


def of_patients(pairs: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """Pairs of patient ids, written so that `link` takes them for nothing else."""
    return [(qualified(PATIENT, one), qualified(PATIENT, other)) for one, other in pairs]


def joined(cohort: Cohort) -> list[tuple[str, str]]:
    """Pairs of patient ids that link the patients of every person who has several."""
    groups = cohort.patients.groupby("person_id")["patient_id"].agg(sorted)
    return [(str(each[0]), str(other)) for each in groups for other in each[1:]]


def _said(kind: str | None, name: str) -> str:
    return name if kind is None else qualified(kind, name)


def link(cohort: Cohort, pairs: Iterable[tuple[str, str]]) -> Cohort:
    """The cohort with the persons of every pair joined, under the first of their ids.

    Raises
    ------
    CohortError
        An id is neither a patient nor a person of the cohort, or could be either.
    """
    found = union(cohort, pairs)
    patients = cohort.patients.assign(person_id=cohort.patients["person_id"].map(found))
    persons = pd.DataFrame({"person_id": sorted(set(patients["person_id"]))})
    return dataclasses.replace(cohort, patients=patients, persons=persons)


def union(cohort: Cohort, pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Map every person_id to the person_id that all linked persons get.

    Raises
    ------
    CohortError
        As `link`.
    """
    pairs, whose = list(pairs), Whose(cohort)
    try:
        patients = {each: whose.patients(each) for pair in pairs for each in pair}
    except CohortError as error:
        raise CohortError(
            f"the alias table is ambiguous: {error} Or name its columns patient_id or person_id."
        ) from error
    if unknown := [each for each, found in patients.items() if not found]:
        raise CohortError(
            f"the alias table names {listing(sorted(unknown))}. This cohort has no such patients "
            "or persons. Correct the ids or remove the rows."
        )
    person_of = {each: cohort.person_of[min(found)] for each, found in patients.items()}
    root = {person: person for person in cohort.persons["person_id"]}

    def top(person: str) -> str:
        while root[person] != person:
            root[person] = root[root[person]]
            person = root[person]
        return person

    for one, other in pairs:
        first, second = sorted((top(person_of[one]), top(person_of[other])))
        root[second] = first
    return {person: top(person) for person in root}
