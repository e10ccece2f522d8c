"""The audit: would a model be scored on people or recordings that it was trained on?

A *leak* is a way for training data to reach the held-out side; the audit of such a split
fails. A *note* is no leak, but worth knowing: contradicting labels, a covariate that
predicts the label, a fold that lacks a class.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from kfold_hs.cohort import Cohort
from kfold_hs.cohort.aliases import union
from kfold_hs.cohort.audio import Progress, read_samples
from kfold_hs.cohort.ids import suspects
from kfold_hs.cohort.silence import identifies
from kfold_hs.errors import SplitError, counted, listing
from kfold_hs.splits.hold_out import mixed_sources
from kfold_hs.splits.near_duplicates import near_duplicates
from kfold_hs.splits.predictive_covariates import predictive_covariates
from kfold_hs.splits.split import TEST

_WHOLE = 0.9
"""Share of the shorter recording from which a match is a copy, not a segment."""


@dataclass(frozen=True)
class Finding:
    """One finding of the audit.

    Parameters
    ----------
    kind : str
        A key of `KINDS`.
    is_leak : bool
    text : str
        The finding in words, with numbers.
    items : tuple of str
        The files, recordings or persons, with their folds.
    advice : str
        What to do.
    same : tuple of pairs of str
        Patients that belong to one person, for `--fix`.
    """

    kind: str
    is_leak: bool
    text: str
    items: tuple[str, ...]
    advice: str
    same: tuple[tuple[str, str], ...] = ()

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


KINDS = {
    "person on two sides": "a person is held out in a fold that is trained on the same person",
    "linked patients": "an alias table says that two ids are one person",
    "same recording": "the same samples under ids of different people",
    "near copy": "the same sound, altered, under ids of different people",
    "overlapping segments": "two recordings of different people share a stretch of sound",
    "copies within a person": "a person has the same sound twice",
    "alike ids": "ids that differ only as spreadsheets and typists change them",
    "contradicting labels": "patients of one person have different labels",
    "telling covariate": "a covariate alone predicts a label",
    "source on two sides": "a fold is trained on the source that it holds out",
    "fold lacks a class": "the fold cannot score that class",
}


def audit(
    cohort: Cohort,
    folds: pd.DataFrame | None = None,
    aliases: Sequence[tuple[str, str]] = (),
    on_progress: Progress | None = None,
    hold_out: str | None = None,
) -> list[Finding]:
    """All findings, leaks first.

    Parameters
    ----------
    cohort : Cohort
    folds : DataFrame, optional
        Fold of every recording, one column for each repeat (`imported.read_folds`). Without
        it, everything that some split could put on two sides is a leak.
    aliases : sequence of pairs of ids
        Ids that are known to be one person.
    hold_out : str, optional
        The column whose values are the folds, as the split says.
    """
    sides = _Sides(cohort, folds)
    found: list[Finding] = []
    if folds is not None:
        found += _torn_persons(cohort, sides)
        found += _lacking_classes(cohort, folds)
        found += _mixed_sources(cohort, folds, hold_out)
    found += _linked(cohort, sides, aliases)
    found += _suspects(cohort)
    found += _duplicates(cohort, sides, near_duplicates(cohort, on_progress))
    found += _contradictions(cohort)
    found += _predictive(cohort)
    return sorted(found, key=lambda finding: not finding.is_leak)


def refuse_leaks(findings: Iterable[Finding], allowed: Iterable[str] = ()) -> None:
    """Raise an error for leaks, except for the allowed kinds.

    Raises
    ------
    SplitError
        There are leaks; the message names every kind, its first items and what to do.
    """
    leaks = [f for f in findings if f.is_leak and f.kind not in set(allowed)]
    if leaks:
        each = " ".join(f"{f.text} ({listing(f.items, 3)}). {f.advice}" for f in leaks)
        raise SplitError(
            f"this split leaks, so that nothing was trained. {each} `kfold-hs audit` shows all "
            "leaks; split.audit=false trains in spite of them."
        )


def same_people(findings: Iterable[Finding]) -> list[tuple[str, str]]:
    """The pairs of patients who are one person according to the findings."""
    return sorted({pair for finding in findings for pair in finding.same})


class _Sides:
    """The folds of recordings, and their names in messages."""

    def __init__(self, cohort: Cohort, folds: pd.DataFrame | None) -> None:
        table = cohort.recordings.set_index("recording_id")
        self.patient = table["patient_id"]
        self.person = self.patient.map(cohort.person_of)
        self.path = table["path"]
        self.by_sha = cohort.recordings.groupby("sha256")["recording_id"].agg(list)
        self.folds = None if folds is None else folds.reindex(table.index)

    def differ(self, one: str, other: str) -> bool:
        """Whether a fold trains on one and holds out the other; True without a split."""
        if self.folds is None:
            return True
        return bool((self.folds.loc[one] != self.folds.loc[other]).any())

    def patients_of(self, one: str, other: str) -> tuple[str, str]:
        first, second = sorted((str(self.patient[one]), str(self.patient[other])))
        return first, second

    def name_person(self, person: str, recordings: pd.Index) -> str:
        """person p: patient a (2 recordings) in fold 0, patient b (1 recordings) in fold 3."""
        if self.folds is None:
            return f"person {person}: {listing(recordings)}"
        where = self.folds.loc[recordings].apply(
            lambda row: " then ".join(_word(int(fold)) for fold in row), axis=1
        )
        counts = where.groupby([self.patient[recordings], where]).size()
        each = [
            f"patient {place[0]} ({counted(n, 'recording')}) in {place[1]}"
            for place, n in zip(counts.index.tolist(), counts.tolist(), strict=True)
        ]
        return f"person {person}: " + ", ".join(each)

    def name(self, recording: str) -> str:
        if self.folds is None:
            return f"{recording} of person {self.person[recording]}"
        each = ", ".join(_word(int(fold)) for fold in self.folds.loc[recording].to_numpy())
        return f"{recording} of person {self.person[recording]} in {each}"


def _word(fold: int) -> str:
    return f"fold {fold}" if fold >= 0 else ("the test part" if fold == TEST else "training")


def _torn_persons(cohort: Cohort, sides: _Sides) -> list[Finding]:
    assert sides.folds is not None
    torn = sides.folds.groupby(sides.person.to_numpy()).nunique()
    persons = torn.index[(torn > 1).any(axis=1)]
    if len(persons) == 0:
        return []
    items, same = [], []
    for person in persons:
        mine = sides.person.index[sides.person == person]
        items.append(sides.name_person(person, mine))
        patients = sorted(set(sides.patient[mine]))
        same += [(patients[0], other) for other in patients[1:]]
    n_linked = sum(len(set(sides.patient[sides.person == person])) > 1 for person in persons)
    text = f"{len(persons)} of {cohort.n_persons} persons are on two sides of a fold"
    if n_linked:
        text += f", {n_linked} of them under two patient ids"
    advice = "Split by person: `kfold-hs split -o split.json`, or `kfold-hs audit --fix`."
    return [Finding("person on two sides", True, text, tuple(items), advice, tuple(same))]


def _lacking_classes(cohort: Cohort, folds: pd.DataFrame) -> list[Finding]:
    patients = cohort.recordings.set_index("recording_id")["patient_id"].reindex(folds.index)
    labels = cohort.patients.set_index("patient_id").reindex(patients)
    items = [
        f"{task.name}={name} in fold {fold}" + (f" of repeat {repeat}" if repeat else "")
        for repeat in range(folds.shape[1])
        for task in cohort.tasks
        for name in task.classes
        for fold in range(int(folds.to_numpy().max()) + 1)
        if not ((folds.iloc[:, repeat] == fold).to_numpy() & (labels[task.name] == name)).any()
    ]
    if not items:
        return []
    text = f"a class is missing from a fold {counted(len(items), 'time')}"
    advice = "Use fewer folds, or a stratified split. This split cannot be used for training."
    return [Finding("fold lacks a class", False, text, tuple(items), advice)]


def _mixed_sources(cohort: Cohort, folds: pd.DataFrame, column: str | None) -> list[Finding]:
    if column is None or not (items := mixed_sources(cohort, column, folds)):
        return []
    each = counted(len(items), "value is", "values are")
    text = f"every fold should be one {column}, and {each} on two sides of a fold"
    advice = f"The data changed since the split was made. Make it anew: split.hold_out={column}."
    return [Finding("source on two sides", True, text, tuple(items), advice)]


def _linked(cohort: Cohort, sides: _Sides, aliases: Sequence[tuple[str, str]]) -> list[Finding]:
    if not aliases:
        return []
    top = union(cohort, aliases)
    groups = cohort.patients.groupby(cohort.patients["person_id"].map(top))
    items, same, is_leak = [], [], False
    for _, rows in groups:
        if rows["person_id"].nunique() < 2:
            continue
        patients = sorted(rows["patient_id"])
        same += [(patients[0], other) for other in patients[1:]]
        mine = sides.patient.index[sides.patient.isin(patients)]
        is_leak |= any(sides.differ(mine[0], other) for other in mine[1:])
        items.append(sides.name_person(" = ".join(sorted(set(rows["person_id"]))), mine))
    if not items:
        return []
    text = f"{counted(len(items), 'person has', 'persons have')} several ids by the alias table"
    advice = "Give the table as data.aliases=FILE, or use `kfold-hs audit --fix`."
    return [Finding("linked patients", is_leak, text, tuple(items), advice, tuple(same))]


def _suspects(cohort: Cohort) -> list[Finding]:
    """Ids of different people that may be one person, e.g. 7 and 007."""
    groups = []
    for kind, ids in (("patient", cohort.person_of), ("person", cohort.persons["person_id"])):
        of = cohort.person_of if kind == "patient" else {each: each for each in ids}
        groups += [
            f"{kind}s " + " and ".join(repr(each) for each in group)
            for group in suspects(ids)
            if len({of[each] for each in group}) > 1
        ]
    if not groups:
        return []
    items = tuple(dict.fromkeys(groups))
    text = (
        f"{counted(len(items), 'group')} of ids that differ only in case, zeros, decimals, dashes "
        "or spaces"
    )
    advice = (
        "If they are one person, correct the ids, or list the pairs in a table: data.aliases=FILE."
    )
    return [Finding("alike ids", False, text, items, advice)]


def _uninformative(cohort: Cohort, digests: Iterable[str]) -> set[str]:
    """The digests of recordings that identify nobody; see `cohort.silence`."""
    first = cohort.recordings.drop_duplicates("sha256").set_index("sha256")
    wanted = first.loc[list(dict.fromkeys(digests))]
    return {
        str(digest)
        for digest, path, is_flat in zip(
            wanted.index, wanted["path"], wanted["is_flat"], strict=True
        )
        if is_flat or not identifies(read_samples(Path(path), cohort.channel)[0])
    }


def _duplicates(cohort: Cohort, sides: _Sides, near: pd.DataFrame) -> list[Finding]:
    length = cohort.recordings.drop_duplicates("sha256").set_index("sha256")["duration_s"]
    equal = [str(digest) for digest, ids in sides.by_sha.items() if len(ids) > 1]
    uninformative = _uninformative(cohort, [*equal, *near["sha256_a"], *near["sha256_b"]])
    pairs: list[tuple[str, str, str, str]] = []
    for digest in equal:
        if digest not in uninformative:
            ids = sides.by_sha[digest]
            pairs += [("same recording", ids[0], other, "sample for sample") for other in ids[1:]]
    for row in near.itertuples(index=False):
        a, b = str(row.sha256_a), str(row.sha256_b)
        if uninformative & {a, b}:
            continue
        whole = row.overlap_s >= _WHOLE * min(length[a], length[b]) - 0.2
        kind = "near copy" if whole else "overlapping segments"
        how = f"correlation {row.correlation:.2f} over {row.overlap_s:.1f} s"
        pairs.append((kind, sides.by_sha[a][0], sides.by_sha[b][0], how))
    found = []
    for kind in ("same recording", "near copy", "overlapping segments"):
        across = [p for p in pairs if p[0] == kind and sides.person[p[1]] != sides.person[p[2]]]
        if not across:
            continue
        leaks = [p for p in across if sides.differ(p[1], p[2])]
        items = [f"{sides.name(a)} and {sides.name(b)} ({how})" for _, a, b, how in across]
        same = [sides.patients_of(a, b) for _, a, b, _ in across]
        text = f"{counted(len(across), 'pair')} of recordings: {KINDS[kind]}"
        if leaks and len(leaks) < len(across):
            text += f", {len(leaks)} of them on two sides"
        advice = (
            "Listen to both recordings. If they are of one person, `kfold-hs audit --fix` joins "
            "the ids. If one is a mistake, remove it."
        )
        found.append(Finding(kind, bool(leaks), text, tuple(items), advice, tuple(same)))
    inside = [p for p in pairs if sides.person[p[1]] == sides.person[p[2]]]
    if inside:
        items = [
            f"{one} and {other} of person {sides.person[one]} ({how})"
            for _, one, other, how in inside
        ]
        text = (
            f"{counted(len(inside), 'pair')} of recordings of the same person with the same sound"
        )
        advice = "No harm to the split. Remove one of them if the sound should not count twice."
        found.append(Finding("copies within a person", False, text, tuple(items), advice))
    return found


def _contradictions(cohort: Cohort) -> list[Finding]:
    found = []
    for task in cohort.tasks:
        counts = cohort.patients.groupby("person_id")[task.name].nunique()
        persons = counts.index[counts > 1]
        if len(persons) == 0:
            continue
        rows = cohort.patients[cohort.patients["person_id"].isin(persons)]
        items = [
            f"person {person}: " + ", ".join(group["patient_id"] + " " + group[task.name])
            for person, group in rows.groupby("person_id")
        ]
        text = (
            f"{counted(len(persons), 'person has', 'persons have')} several values of {task.name}"
        )
        advice = "Correct if two visits differ; the person counts with both labels."
        found.append(Finding("contradicting labels", False, text, tuple(items), advice))
    return found


def _predictive(cohort: Cohort) -> list[Finding]:
    items = predictive_covariates(cohort)
    if not items:
        return []
    text = f"a covariate alone predicts a label {counted(len(items), 'time')}"
    advice = (
        "A model can reach its score without the heart sound. Stratify on the covariate, look at "
        "the scores of each of its levels, or hold out one source at a time."
    )
    return [Finding("telling covariate", False, text, tuple(items), advice)]
