"""The audit: what would let a model be scored on something it has heard.

A *leak* is a way for training data to reach the scored side; the audit of a split with
one fails. A *warning* is something to know that is no leak: labels that contradict, a
covariate that tells the label, a fold that lacks a class.
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
from kfold_hs.splits.near_duplicates import near_copies
from kfold_hs.splits.split import TEST
from kfold_hs.splits.telling import telling_covariates

_WHOLE = 0.9
"""Share of the shorter recording from which a match is a copy and not a segment."""


@dataclass(frozen=True)
class Finding:
    """One thing that the audit found.

    Parameters
    ----------
    kind : str
        A key of `KINDS`.
    is_leak : bool
    text : str
        What it is, with numbers.
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
    "person on two sides": "a person is held out in a fold that trains on them",
    "linked patients": "an alias table says that two ids are one person",
    "same recording": "the same samples under the names of different people",
    "near copy": "the same sound, altered, under the names of different people",
    "overlapping segments": "two recordings of different people share a stretch of sound",
    "copies within a person": "a person holds the same sound twice",
    "alike ids": "ids that differ only as spreadsheets and typists change them",
    "contradicting labels": "patients of one person have different labels",
    "telling covariate": "a covariate alone gives a label away",
    "fold lacks a class": "no score of that class can be told there",
}


def audit(
    cohort: Cohort,
    folds: pd.DataFrame | None = None,
    aliases: Sequence[tuple[str, str]] = (),
    on_progress: Progress | None = None,
) -> list[Finding]:
    """All findings, leaks first.

    Parameters
    ----------
    cohort : Cohort
    folds : DataFrame, optional
        Fold of every recording, one column a repeat (`foreign.read_folds`). Without it,
        everything that some split of these persons would put on two sides is a leak.
    aliases : sequence of pairs of ids
        People known to be the same.
    """
    sides = _Sides(cohort, folds)
    found: list[Finding] = []
    if folds is not None:
        found += _torn_persons(cohort, sides)
        found += _lacking_classes(cohort, folds)
    found += _linked(cohort, sides, aliases)
    found += _suspects(cohort)
    found += _copies(cohort, sides, near_copies(cohort, on_progress))
    found += _contradictions(cohort)
    found += _telling(cohort)
    return sorted(found, key=lambda finding: not finding.is_leak)


def refuse_leaks(findings: Iterable[Finding], allowed: Iterable[str] = ()) -> None:
    """Raise for the leaks among findings, but for the kinds that were asked for.

    Raises
    ------
    SplitError
        Naming every kind of leak, its first items and what to do.
    """
    leaks = [f for f in findings if f.is_leak and f.kind not in set(allowed)]
    if leaks:
        each = " ".join(f"{f.text} ({listing(f.items, 3)}). {f.advice}" for f in leaks)
        raise SplitError(
            f"this split leaks, and nothing was trained. {each} `kfold-hs audit` shows all of "
            "it; split.audit=false trains nevertheless."
        )


def same_people(findings: Iterable[Finding]) -> list[tuple[str, str]]:
    """The pairs of patients that findings say are one person."""
    return sorted({pair for finding in findings for pair in finding.same})


class _Sides:
    """Who is where: asked for two recordings, or for one to name its folds."""

    def __init__(self, cohort: Cohort, folds: pd.DataFrame | None) -> None:
        table = cohort.recordings.set_index("recording_id")
        self.patient = table["patient_id"]
        self.person = self.patient.map(cohort.person_of)
        self.path = table["path"]
        self.by_sha = cohort.recordings.groupby("sha256")["recording_id"].agg(list)
        self.folds = None if folds is None else folds.reindex(table.index)

    def differ(self, one: str, other: str) -> bool:
        """Whether a fold trains on the one and scores the other; True without a split."""
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
    text = f"{len(persons)} of {cohort.n_persons} persons on two sides of a fold"
    if n_linked:
        text += f", {n_linked} of them under two patient ids"
    advice = "Split by person: `kfold-hs split -o split.json`, or --fix here."
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
    text = f"{counted(len(items), 'time')} a fold lacks a class"
    advice = "Use fewer folds, or a stratified split; such a split cannot be trained on."
    return [Finding("fold lacks a class", False, text, tuple(items), advice)]


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
    text = f"{counted(len(items), 'person')} of the alias table in the data as several"
    advice = "Give the table as data.aliases=FILE, or --fix here."
    return [Finding("linked patients", is_leak, text, tuple(items), advice, tuple(same))]


def _suspects(cohort: Cohort) -> list[Finding]:
    """Ids of different people that may be one person's, e.g. 7 and 007."""
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
    text = f"{len(items)} groups of ids differ only in case, zeros, decimals, dashes or spaces"
    advice = (
        "If they are one person, correct the ids, or name the pairs in a table: data.aliases=FILE."
    )
    return [Finding("alike ids", False, text, items, advice)]


def _nobodys(cohort: Cohort, digests: Iterable[str]) -> set[str]:
    """Of digests, those of recordings that identify nobody; see `cohort.silence`."""
    first = cohort.recordings.drop_duplicates("sha256").set_index("sha256")
    wanted = first.loc[list(dict.fromkeys(digests))]
    return {
        str(digest)
        for digest, path, is_flat in zip(
            wanted.index, wanted["path"], wanted["is_flat"], strict=True
        )
        if is_flat or not identifies(read_samples(Path(path), cohort.channel)[0])
    }


def _copies(cohort: Cohort, sides: _Sides, near: pd.DataFrame) -> list[Finding]:
    length = cohort.recordings.drop_duplicates("sha256").set_index("sha256")["duration_s"]
    equal = [str(digest) for digest, ids in sides.by_sha.items() if len(ids) > 1]
    nobodys = _nobodys(cohort, [*equal, *near["sha256_a"], *near["sha256_b"]])
    pairs: list[tuple[str, str, str, str]] = []
    for digest in equal:
        if digest not in nobodys:
            ids = sides.by_sha[digest]
            pairs += [("same recording", ids[0], other, "sample for sample") for other in ids[1:]]
    for row in near.itertuples(index=False):
        a, b = str(row.sha256_a), str(row.sha256_b)
        if nobodys & {a, b}:
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
            "Listen to them: if they are one person, --fix joins the two; if one is a mistake, "
            "remove it."
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
        advice = "Harmless to the split; remove one if it should not count twice."
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
        advice = "Right where the two visits differ; they count with both labels."
        found.append(Finding("contradicting labels", False, text, tuple(items), advice))
    return found


def _telling(cohort: Cohort) -> list[Finding]:
    items = telling_covariates(cohort)
    if not items:
        return []
    text = f"{counted(len(items), 'time')} a covariate alone gives a label away"
    advice = (
        "A model can score by it without hearing a heart: stratify on it, report each of its "
        "levels apart, or leave a source out at a time."
    )
    return [Finding("telling covariate", False, text, tuple(items), advice)]
