"""Split: the fold that holds each person out, in every repeat; and its certificate.

A split belongs to one cohort. It holds the cohort's fingerprint, the persons, their
patients and labels, their recordings with the SHA-256 of the samples, and one digest
over all of it. Folds count from 0. Persons are split, not patient ids, so that the two
ids of one person are always on the same side.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from kfold_hs.cohort import Cohort
from kfold_hs.errors import DamagedFileError, SplitError, listing
from kfold_hs.files import stored
from kfold_hs.files.paths import write_json

SCHEMA = 2
TEST = -1
"""In place of a fold: a test person; no fold trains on them or is scored on them."""
TRAIN = -2
"""In place of a fold: always trained on, never held out (a split with one validation part)."""
_WORDS = {"test": TEST, "train": TRAIN}


@dataclass(frozen=True)
class Split:
    """Person -> fold for every repeat.

    Parameters
    ----------
    folds : mapping
        person_id -> tuple of folds, one for each repeat, in [0, n_folds), `TEST` or `TRAIN`.
        Where `settings["by"]` is "patient", the keys are patient ids.
    n_folds, n_repeats : int
        At least 2 and 1; at least 1 fold where some persons are always trained on.
    seed : int
        The seed of the draw.
    fingerprint : str
        `Cohort.fingerprint` of the split's cohort.
    settings : mapping
        ``by``, ``stratify``, ``test`` and ``source`` (drawn, or the file); where one source is
        held out at a time ``hold_out`` (the column), ``values`` (one a fold) and ``in_several``;
        where a splitter of scikit-learn made it ``splitter``.
    people : sequence of mappings
        ``person_id`` and the person's ``patients`` with labels and recordings.
    versions : mapping
        Versions of the libraries that drew the split.

    Raises
    ------
    SplitError
        A person does not have one fold for each repeat, or a fold is empty.
    """

    folds: Mapping[str, tuple[int, ...]]
    n_folds: int
    n_repeats: int
    seed: int
    fingerprint: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    people: Sequence[Mapping[str, Any]] = ()
    versions: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        cohort: Cohort,
        folds: Mapping[str, tuple[int, ...]],
        n_folds: int,
        seed: int,
        settings: Mapping[str, Any],
    ) -> Split:
        """The split of a cohort, with its people written into it."""
        packages = ("kfold-hs", "iterative-stratification", "scikit-learn", "numpy")
        n_repeats = len(next(iter(folds.values())))
        return cls(
            folds, n_folds, n_repeats, seed, cohort.fingerprint, settings, people_of(cohort),
            {name: metadata.version(name) for name in packages},
        )  # fmt: skip

    def __post_init__(self) -> None:
        is_single = any(f == TRAIN for folds in self.folds.values() for f in folds)
        if self.n_folds < (1 if is_single else 2) or self.n_repeats < 1:
            raise SplitError(
                f"n_folds={self.n_folds} and n_repeats={self.n_repeats}: a split needs at least 2 "
                "folds and 1 repeat."
            )
        for person_id, folds in self.folds.items():
            if len(folds) != self.n_repeats or not all(TRAIN <= f < self.n_folds for f in folds):
                raise SplitError(
                    f"person {person_id} has the folds {list(folds)}. There must be one fold from "
                    f"0 to {self.n_folds - 1} for each of {self.n_repeats} repeats."
                )
            if TEST in folds and set(folds) != {TEST}:
                raise SplitError(
                    f"person {person_id} is a test person in some repeats, but not in all: "
                    f"{list(folds)}. A test person is one in every repeat."
                )
        for repeat in range(self.n_repeats):
            used = {folds[repeat] for folds in self.folds.values()}
            if empty := set(range(self.n_folds)) - used:
                raise SplitError(f"repeat {repeat}: fold {listing(sorted(empty))} is empty.")

    @property
    def by(self) -> str:
        """person; or patient, where linked ids are ignored on purpose."""
        return str(self.settings.get("by", "person"))

    @property
    def sources(self) -> tuple[str, ...]:
        """The value that each fold holds out; empty where folds are not those of a column."""
        return tuple(self.settings.get("values", ()))

    @property
    def in_several(self) -> tuple[str, ...]:
        """Persons with recordings of several sources, who are in no fold."""
        return tuple(self.settings.get("in_several", ()))

    def fold_name(self, fold: int) -> str:
        """Such as ``fold 1``, and what it holds out where that is a source."""
        if not self.sources:
            return f"fold {fold}"
        return f"fold {fold} ({self.settings['hold_out']}={self.sources[fold]})"

    @cached_property
    def digest(self) -> str:
        """SHA-256 (hex) over the content of `split.json`."""
        return _digest(self._content())

    @cached_property
    def assignment(self) -> str:
        """SHA-256 (hex) over folds and cohort; the same for any library version."""
        return _digest([self._folds_as_json(), self.n_folds, self.fingerprint, self.by])

    def fold_of_patients(self, cohort: Cohort, repeat: int) -> np.ndarray:
        """Fold (or `TEST`, `TRAIN`) of every row of `cohort.patients`, (n_patients,), int64."""
        units = cohort.patients[f"{self.by}_id"]
        return np.array([self.folds[unit][repeat] for unit in units], dtype=np.int64)

    def scored_patients(self, cohort: Cohort) -> list[str]:
        """Ids of the patients that some fold holds out."""
        folds = self.fold_of_patients(cohort, 0)
        return [str(each) for each in cohort.patients["patient_id"][folds >= 0]]

    @property
    def train_share(self) -> float:
        """Share of the persons that a fold is trained on, mean over the folds."""
        table = np.array(list(self.folds.values()))
        trained = [
            ((table[:, repeat] != fold) & (table[:, repeat] != TEST)).mean()
            for repeat in range(self.n_repeats)
            for fold in range(self.n_folds)
        ]
        return float(np.mean(trained))

    def persons_on_two_sides(self, cohort: Cohort) -> list[str]:
        """Persons with one patient held out and another trained on in the same fold."""
        return sorted(set().union(*self.torn(cohort)))

    def torn(self, cohort: Cohort) -> list[set[str]]:
        """The same of every repeat, (n_repeats,)."""
        found = []
        for repeat in range(self.n_repeats):
            table = cohort.patients.assign(fold=self.fold_of_patients(cohort, repeat))
            sides = table.groupby("person_id")["fold"].nunique()
            found.append(set(sides.index[sides > 1]))
        return found

    def check_cohort(self, cohort: Cohort) -> None:
        """Refuse unless this split is of this cohort.

        Raises
        ------
        SplitError
            It belongs to another cohort.
        """
        if self.fingerprint != cohort.fingerprint:
            raise SplitError(
                f"the split was made for a cohort with the fingerprint {self.fingerprint[:16]}, "
                f"but this cohort has {cohort.fingerprint[:16]}: people, labels or recordings "
                "differ. Draw a new split, or use the data that the split was made for."
            )
        known = set(cohort.patients[f"{self.by}_id"])
        if odd := known ^ set(self.folds):
            raise SplitError(
                f"split and cohort hold different persons: {listing(odd)}. Draw a new split."
            )

    def check(self, cohort: Cohort) -> None:
        """Refuse unless this split is of this cohort and every class is in every fold.

        Raises
        ------
        SplitError
            The split belongs to another cohort, or a fold lacks a class.
        """
        self.check_cohort(cohort)
        for repeat in range(self.n_repeats):
            folds = self.fold_of_patients(cohort, repeat)
            for task in cohort.tasks:
                for name in task.classes:
                    present = set(folds[(cohort.patients[task.name] == name).to_numpy()])
                    if lacking := set(range(self.n_folds)) - present:
                        raise SplitError(self._lacks(f"{task.name}={name}", lacking, repeat))

    def _lacks(self, label: str, folds: set[int], repeat: int) -> str:
        names = listing(self.fold_name(fold).removeprefix("fold ") for fold in sorted(folds))
        text = f"{label} does not occur in fold {names} of repeat {repeat}, which therefore cannot "
        if self.sources:
            return (
                f"{text}score that class. Join this {self.settings['hold_out']} with another in "
                "the data, merge the class with another, or remove its people."
            )
        fewer = "fewer folds or " if self.n_folds > 2 else ""
        return (
            f"{text}score that class. Use {fewer}another seed; in a split of your own, move people."
        )

    def to_dict(self) -> dict[str, Any]:
        return {"schema": SCHEMA, "digest": self.digest, **self._content()}

    def write(self, path: Path | str) -> None:
        """Write `split.json`, whole or not at all."""
        write_json(Path(path), self.to_dict(), checksum=False)  # it has a digest of its own

    @classmethod
    def read(cls, path: Path | str) -> Split:
        """Read a `split.json`, and check its digest.

        Raises
        ------
        SplitError
            The file is no split, has another schema, or was changed after it was written.
        """
        try:
            values = stored.read_json(Path(path), "the split")
            if (schema := values["schema"]) != SCHEMA:
                raise SplitError(
                    f"{path} has schema {schema}, but this version of kfold-hs reads {SCHEMA}. "
                    "Draw the split again."
                )
            split = cls(
                folds={person: _from_json(folds) for person, folds in values["folds"].items()},
                n_folds=values["n_folds"],
                n_repeats=values["n_repeats"],
                seed=values["seed"],
                fingerprint=values["fingerprint"],
                settings=values["settings"],
                people=values["people"],
                versions=values["versions"],
            )
            digest = str(values["digest"])
            stated = split.digest
        except DamagedFileError as error:
            raise SplitError(str(error)) from error
        except SplitError:
            raise
        except Exception as error:  # any value may be of a wrong type
            raise SplitError(f"cannot read the split {path}: {stored.words(error)}.") from error
        if digest != stated:
            raise SplitError(
                f"{path} was changed after it was written: its digest is {digest[:16]}, but its "
                f"content gives {stated[:16]}. Draw the split again."
            )
        return split

    def _folds_as_json(self) -> dict[str, list[int | str]]:
        words: dict[int, str] = {code: word for word, code in _WORDS.items()}
        return {
            person: [words.get(fold, fold) for fold in folds]
            for person, folds in sorted(self.folds.items())
        }

    def _content(self) -> dict[str, Any]:
        return {
            "fingerprint": self.fingerprint,
            "n_folds": self.n_folds,
            "n_repeats": self.n_repeats,
            "seed": self.seed,
            "settings": dict(self.settings),
            "versions": dict(self.versions),
            "folds": self._folds_as_json(),
            "people": [dict(person) for person in self.people],
        }


def people_of(cohort: Cohort) -> list[dict[str, Any]]:
    """Persons with their patients and labels, and their recordings with their digests."""
    tasks = [task.name for task in cohort.tasks]
    recordings: dict[str, list[dict[str, str]]] = {}
    ordered = cohort.recordings.sort_values("recording_id")
    columns = ("patient_id", "recording_id", "sha256")
    for patient, recording, sha in zip(*(ordered[name] for name in columns), strict=True):
        recordings.setdefault(patient, []).append({"recording_id": recording, "sha256": sha})
    people: dict[str, list[dict[str, Any]]] = {}
    for row in cohort.patients.sort_values("patient_id").to_dict("records"):
        entry = {
            "patient_id": row["patient_id"],
            "labels": {task: row[task] for task in tasks},
            "recordings": recordings[row["patient_id"]],
        }
        people.setdefault(row["person_id"], []).append(entry)
    return [{"person_id": person, "patients": people[person]} for person in sorted(people)]


def _from_json(folds: Sequence[int | str]) -> tuple[int, ...]:
    return tuple(_WORDS[fold] if isinstance(fold, str) else fold for fold in folds)


def _digest(content: object) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
