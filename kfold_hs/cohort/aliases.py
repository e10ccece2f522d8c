"""Alias table: ids that are known to be the same human being, joined into one person.

A CSV with two columns of ids, each row saying "these two are the same". Ids are patient
ids or person ids. `kfold-hs audit --fix` writes such a table; `data.aliases=FILE` reads it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from kfold_hs.cohort.cohort import Cohort
from kfold_hs.cohort.csv_file import read_csv
from kfold_hs.cohort.ids import clean_name
from kfold_hs.cohort.values import is_missing
from kfold_hs.errors import CohortError, listing


def read_aliases(path: Path) -> list[tuple[str, str]]:
    """Pairs of ids.

    Raises
    ------
    CohortError
        No such file, not two columns, or a row with one id.
    """
    table = read_csv(path).table
    if table.shape[1] < 2:
        raise CohortError(
            f"{path} has {table.shape[1]} column; an alias table has two, of ids that are the "
            "same person, and a first line with their names."
        )
    pairs = [(clean_name(a), clean_name(b)) for a, b in table.iloc[:, :2].to_numpy()]
    for line, pair in zip(table.index, pairs, strict=True):
        if any(is_missing(each) for each in pair):
            raise CohortError(f"{path}: line {line} holds one id only; it takes two.")
    return pairs


def link(cohort: Cohort, pairs: Iterable[tuple[str, str]]) -> Cohort:
    """The cohort with the persons of every pair joined, under the first of their ids.

    Raises
    ------
    CohortError
        An id that is neither a patient nor a person of the cohort.
    """
    found = union(cohort, pairs)
    patients = cohort.patients.assign(person_id=cohort.patients["person_id"].map(found))
    persons = pd.DataFrame({"person_id": sorted(set(patients["person_id"]))})
    return dataclasses.replace(cohort, patients=patients, persons=persons)


def union(cohort: Cohort, pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """person_id -> the person_id that stands for all who are linked to it.

    Raises
    ------
    CohortError
        As `link`.
    """
    person_of = {**{p: p for p in cohort.persons["person_id"]}, **cohort.person_of}
    pairs = list(pairs)
    if unknown := {each for pair in pairs for each in pair if each not in person_of}:
        raise CohortError(
            f"the alias table names {listing(sorted(unknown))}, which are neither patients nor "
            "persons of this cohort. Correct the ids or remove the rows."
        )
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
