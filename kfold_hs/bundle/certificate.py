"""Who a bundle's models were trained on: persons by ids and by the samples of their recordings.

A patient is known when their id is that of a person's patient, when a person id that they are given
is that of a person, or when the samples of one of their recordings are. Patient ids and person ids
are two numberings: patient 7 is not person 7. Recordings without sound are like anybody's, and
identify nobody. Whoever is known is told only by models that trained on nothing of them; a model of
fold f of a repeat trained on everybody but the people of fold f and the hold-out test people.

    certificate.json    by, n_folds, n_repeats, split, fingerprint, salt (of an anonymous bundle),
                        people: person_id, patients: patient_id, folds (one a repeat), sha256
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from kfold_hs.splits.split import TEST, TRAIN, Split


@dataclass(frozen=True)
class Certificate:
    """The people of a split.

    Parameters
    ----------
    people : tuple of mappings
        person_id, and patients: each with patient_id, folds (from 0, or `TEST` or `TRAIN` of
        `kfold_hs.splits.split`; a text: `masked`) and the SHA-256 of the samples of every
        recording.
    n_folds, n_repeats : int
    split, fingerprint : str
        Digests of the split and of the cohort.
    only : tuple of int, optional
        Repeat and fold of the one model that is asked; by default all are.
    salt : str, optional
        Where nobody is named: ids are left out, and recordings are known by `again` of their
        SHA-256 (`kfold_hs.bundle.hub`).
    """

    people: tuple[Mapping[str, Any], ...]
    n_folds: int
    n_repeats: int
    split: str
    fingerprint: str
    only: tuple[int, int] | None = None
    salt: str | None = None

    @classmethod
    def of(cls, split: Split) -> Certificate:
        """Of a split, without the labels that it holds."""
        people = []
        for person in split.people:
            patients = []
            for patient in person["patients"]:
                unit = person["person_id"] if split.by == "person" else patient["patient_id"]
                patients.append(
                    {
                        "patient_id": patient["patient_id"],
                        "folds": list(split.folds[unit]),
                        "sha256": [each["sha256"] for each in patient["recordings"]],
                    }
                )
            people.append({"person_id": person["person_id"], "patients": patients})
        return cls(tuple(people), split.n_folds, split.n_repeats, split.digest, split.fingerprint)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Certificate:
        return cls(**{**values, "people": tuple(values["people"])})

    def to_dict(self) -> dict[str, Any]:
        return {
            "split": self.split,
            "fingerprint": self.fingerprint,
            "n_folds": self.n_folds,
            "n_repeats": self.n_repeats,
            "people": [dict(person) for person in self.people],
            **({} if self.salt is None else {"salt": self.salt}),
        }

    def known(
        self, patients: Iterable[str], digests: Iterable[str], persons: Iterable[str] = ()
    ) -> frozenset[int]:
        """Rows of `people` of whoever has one of these ids, or one of these recordings.

        Parameters
        ----------
        patients, persons : iterables of str
            Patient ids and person ids.
        digests : iterable of str
            SHA-256 of the samples of recordings that hold sound.
        """
        asked: tuple[tuple[Mapping[str, set[int]], Iterable[str]], ...] = (
            (self._rows_of_patient, patients),
            (self._rows_of_person, persons),
            (self._rows_of_digest, digests),
        )
        if self.salt is not None:
            found: set[int] = set()
            for digest in digests:
                rows = self._rows_of_digest.get(again(digest, self.salt), ())
                self._opened.update(dict.fromkeys(rows, digest))
                found |= set(rows)
            return frozenset(found) | {
                row for name in persons for row in self._rows_of_person.get(name, ())
            }
        return frozenset(
            row for rows, names in asked for name in names for row in rows.get(name, ())
        )

    def names(self, rows: Iterable[int]) -> list[str]:
        """person_id of each."""
        return [self.people[row]["person_id"] for row in rows]

    def untouched(self, rows: Iterable[int]) -> np.ndarray:
        """Which models that are asked trained on nothing of them: (n_repeats, n_folds) bool."""
        allowed = np.full((self.n_repeats, self.n_folds), self.only is None)
        if self.only is not None:
            allowed[self.only] = True
        for row in rows:
            for patient in self.people[row]["patients"]:
                folds = np.array(self._folds(row, patient["folds"]))[:, None]
                allowed &= (folds == np.arange(self.n_folds)) | (folds == TEST)
        return allowed

    def _folds(self, row: int, folds: Sequence[int] | str) -> Sequence[int]:
        if not isinstance(folds, str):
            return folds
        if row not in self._opened or self.salt is None:
            return [TRAIN] * self.n_repeats  # nobody has shown the recording
        return unmasked(folds, self._opened[row], self.salt)

    @cached_property
    def _opened(self) -> dict[int, str]:
        """SHA-256 of recordings that were asked about, by row: each opens its own folds."""
        return {}

    @cached_property
    def _rows_of_patient(self) -> dict[str, set[int]]:
        found: dict[str, set[int]] = {}
        for row, person in enumerate(self.people):
            for patient in person["patients"]:
                found.setdefault(patient["patient_id"], set()).add(row)
        return found

    @cached_property
    def _rows_of_person(self) -> dict[str, set[int]]:
        found: dict[str, set[int]] = {}
        for row, person in enumerate(self.people):
            found.setdefault(person["person_id"], set()).add(row)
        return found

    @cached_property
    def _rows_of_digest(self) -> dict[str, set[int]]:
        found: dict[str, set[int]] = {}
        for row, person in enumerate(self.people):
            for patient in person["patients"]:
                for digest in patient["sha256"]:
                    found.setdefault(digest, set()).add(row)
        return found


def again(digest: str, salt: str) -> str:
    """Digest of a digest (hex), which is on no other list."""
    return hashlib.sha256(f"{salt} {digest}".encode()).hexdigest()


def masked(folds: Sequence[int], digest: str, salt: str) -> str:
    """Folds (hex) that only the digest of their recording opens."""
    plain = b"".join((fold - TRAIN).to_bytes(2, "big") for fold in folds)
    return bytes(a ^ b for a, b in zip(plain, _mask(digest, salt, len(plain)), strict=True)).hex()


def unmasked(text: str, digest: str, salt: str) -> list[int]:
    """The folds."""
    hidden = bytes.fromhex(text)
    plain = bytes(a ^ b for a, b in zip(hidden, _mask(digest, salt, len(hidden)), strict=True))
    return [int.from_bytes(plain[at : at + 2], "big") + TRAIN for at in range(0, len(plain), 2)]


def _mask(digest: str, salt: str, n: int) -> bytes:
    return hashlib.shake_256(f"folds {salt} {digest}".encode()).digest(n)


@dataclass(frozen=True)
class Scored:
    """Names of whoever was scored out of fold: all but hold-out test persons."""

    certificate: Certificate

    def __contains__(self, name: object) -> bool:
        rows = self.certificate.known((), (), (str(name),))
        return any(not self.certificate.untouched([row]).all() for row in rows)
