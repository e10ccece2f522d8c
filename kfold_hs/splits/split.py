"""Split: which fold holds each person out, in every repeat; a file that can be checked.

A split belongs to one cohort: it carries the cohort's fingerprint, and is refused
for any other. Folds count from 0. Persons are split, never patient ids, so that the
two ids of one person are always on the same side.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from kfold_hs.cohort import Cohort
from kfold_hs.errors import SplitError, listing
from kfold_hs.paths import write_json

SCHEMA = 1


@dataclass(frozen=True)
class Split:
    """Person -> fold for every repeat.

    Parameters
    ----------
    folds : mapping
        person_id -> tuple of folds, one a repeat, each in [0, n_folds).
    n_folds, n_repeats : int
        At least 2 and 1.
    seed : int
        What the split was drawn with.
    fingerprint : str
        `Cohort.fingerprint` of the cohort it belongs to.

    Raises
    ------
    SplitError
        When a person has not one fold a repeat, or a fold is empty.
    """

    folds: Mapping[str, tuple[int, ...]]
    n_folds: int
    n_repeats: int
    seed: int
    fingerprint: str

    def __post_init__(self) -> None:
        if self.n_folds < 2 or self.n_repeats < 1:
            raise SplitError(
                f"n_folds={self.n_folds} and n_repeats={self.n_repeats}: at least 2 folds and "
                "1 repeat are needed."
            )
        for person_id, folds in self.folds.items():
            if len(folds) != self.n_repeats or not all(0 <= f < self.n_folds for f in folds):
                raise SplitError(
                    f"person {person_id} has the folds {list(folds)}; one fold from 0 to "
                    f"{self.n_folds - 1} for each of {self.n_repeats} repeats is expected."
                )
        for repeat in range(self.n_repeats):
            used = {folds[repeat] for folds in self.folds.values()}
            if empty := set(range(self.n_folds)) - used:
                raise SplitError(f"repeat {repeat}: fold {listing(sorted(empty))} holds nobody.")

    @cached_property
    def digest(self) -> str:
        """SHA-256 (hex) over everything that `split.json` says of who is where."""
        content = {
            "folds": {person: list(folds) for person, folds in sorted(self.folds.items())},
            "n_folds": self.n_folds,
            "n_repeats": self.n_repeats,
            "seed": self.seed,
            "fingerprint": self.fingerprint,
        }
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()

    def fold_of_patients(self, cohort: Cohort, repeat: int) -> np.ndarray:
        """Fold of every row of `cohort.patients`, shape (n_patients,), int64."""
        persons = cohort.patients["person_id"]
        return np.array([self.folds[person][repeat] for person in persons], dtype=np.int64)

    def check(self, cohort: Cohort) -> None:
        """Refuse unless this split is of this cohort and every class is in every fold.

        Raises
        ------
        SplitError
            With both fingerprints, the persons that do not match, or the class and fold.
        """
        if self.fingerprint != cohort.fingerprint:
            raise SplitError(
                f"the split was made for a cohort with the fingerprint {self.fingerprint[:16]}, "
                f"and this cohort has {cohort.fingerprint[:16]}: people, labels or recordings "
                "differ. Draw a new split, or use the data that the split was made for."
            )
        known = set(cohort.persons["person_id"])
        if odd := known ^ set(self.folds):
            raise SplitError(f"split and cohort do not hold the same persons: {listing(odd)}.")
        for repeat in range(self.n_repeats):
            folds = self.fold_of_patients(cohort, repeat)
            for task in cohort.tasks:
                for name in task.classes:
                    present = set(folds[(cohort.patients[task.name] == name).to_numpy()])
                    if lacking := set(range(self.n_folds)) - present:
                        raise SplitError(
                            f"{task.name}={name} does not occur in fold "
                            f"{listing(sorted(lacking))} of repeat {repeat}: no score of that "
                            f"class could be told there. Use fewer folds than "
                            f"{self.n_folds} or another seed."
                        )

    def to_dict(self) -> dict[str, Any]:
        return {
            "schema": SCHEMA,
            "digest": self.digest,
            "fingerprint": self.fingerprint,
            "n_folds": self.n_folds,
            "n_repeats": self.n_repeats,
            "seed": self.seed,
            "folds": {person: list(folds) for person, folds in sorted(self.folds.items())},
        }

    def write(self, path: Path) -> None:
        """Write `split.json`, whole or not at all."""
        write_json(path, self.to_dict())

    @classmethod
    def read(cls, path: Path) -> Split:
        """Read a `split.json`; refused when its digest does not fit its content."""
        try:
            values = json.loads(path.read_text())
            split = cls(
                folds={person: tuple(folds) for person, folds in values["folds"].items()},
                n_folds=values["n_folds"],
                n_repeats=values["n_repeats"],
                seed=values["seed"],
                fingerprint=values["fingerprint"],
            )
            digest = values["digest"]
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise SplitError(f"cannot read the split {path}: {error!r}.") from error
        if digest != split.digest:
            raise SplitError(
                f"{path} was changed after it was written: it says digest {digest[:16]}, its "
                f"content gives {split.digest[:16]}. Draw the split again."
            )
        return split
