"""The person that an id names: patient ids and person ids are two numberings that may overlap.

``2`` can be patient 2 and also person 2, who is somebody else. ``patient:2``, ``person:2`` or the
name of a column says which is meant. A plain id is allowed where it can mean one person only.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from kfold_hs.cohort.cohort import Cohort
from kfold_hs.cohort.ids import clean_name
from kfold_hs.errors import CohortError

PATIENT, PERSON, RECORDING = "patient", "person", "recording"
_COLUMNS = {
    "patient_id": PATIENT, "patient": PATIENT, "patients": PATIENT,
    "person_id": PERSON, "person": PERSON, "persons": PERSON,
    "recording_id": RECORDING, "recording": RECORDING, "recordings": RECORDING,
}  # fmt: skip


def kind_of_column(name: str) -> str | None:
    """`PATIENT`, `PERSON` or `RECORDING`, by the name of a column of ids; None: unknown."""
    text = re.sub(r"[ _-]+", "_", clean_name(name).lower())
    return _COLUMNS.get(re.sub(r"_?\d+$", "", text))  # patient_id_2 is a second column of them


def qualified(kind: str, name: str) -> str:
    """An id with its kind, such as ``patient:2``."""
    return f"{kind}:{name}"


@dataclass(frozen=True)
class Whose:
    """The people of a cohort, by any of their ids."""

    cohort: Cohort

    def patients(self, name: str) -> frozenset[str]:
        """Ids of the patients that an id names: one patient, or all patients of a person.

        Parameters
        ----------
        name : str
            ``patient:ID``, ``person:ID``, or a plain id that can mean one person only.

        Returns
        -------
        frozenset of str
            Empty for an unknown id.

        Raises
        ------
        CohortError
            The id can mean two different people.
        """
        name = clean_name(name)
        kind, _, rest = (each.strip() for each in name.partition(":"))
        # Before any plain id: somebody's may be spelled `patient:2`, and is `patient:patient:2`.
        if kind == PATIENT and rest in self.cohort.person_of:
            return frozenset([rest])
        if kind == PERSON and rest in self._of_person:
            return self._of_person[rest]
        meanings: dict[str, frozenset[str]] = {}
        if name in self.cohort.person_of:
            meanings[qualified(PATIENT, name)] = frozenset([name])
        if name in self._of_person:
            meanings[qualified(PERSON, name)] = self._of_person[name]
        people = {self.cohort.person_of[each] for found in meanings.values() for each in found}
        if len(people) > 1:
            raise CohortError(
                f"{name!r} is the patient id of one person and the person id of another. Write "
                f"{' or '.join(sorted(meanings))}."
            )
        return frozenset(each for found in meanings.values() for each in found)

    @cached_property
    def _of_person(self) -> Mapping[str, frozenset[str]]:
        found: dict[str, set[str]] = {}
        for patient, person in self.cohort.person_of.items():
            found.setdefault(person, set()).add(patient)
        return {person: frozenset(patients) for person, patients in found.items()}
