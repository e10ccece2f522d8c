"""Which columns of a table name patients or persons: by their words, or by how they group rows."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import pandas as pd

from kfold_hs.cohort.values import is_missing, number
from kfold_hs.config.names import clean_name
from kfold_hs.errors import counted, listing
from kfold_hs.workflows.init.labels import SITE, is_covariate_name, plain_name
from kfold_hs.workflows.init.recordings import patients_in, with_site
from kfold_hs.workflows.init.table import Table

_NUMBER = ("(?:ids?|identifiers?|nrs?|nos?|nums?|numbers?|nummern?|numeros?|n|codes?|keys?|refs?|"
           "names?)")  # fmt: skip
_WHICH = "(?:the|study|trial|anon|anonym|anonymi[sz]ed|unique|global|hospital|internal|original)"
_PATIENT = ("patients?", "patienten", "paci?entes?", "paziente", "pid", "mrn", "uhid",
            "medicalrecord", f"(?:pat|pt|px|nhs){_NUMBER}")  # fmt: skip
_PERSON = ("persons?", "personen", "people", "subjects?", "subj", "participants?", "individuals?",
           "proband(?:s|en)?", "pseudonyms?", "volunteers?", "donors?",
           f"(?:child|baby|infant|neonate|newborn|client|member|study){_NUMBER}")  # fmt: skip
_WEAK = ("cases?", "ids?", f"id{_NUMBER}", f"records?{_NUMBER}")
"""They may name the recording, too."""
_LINK = {"additional", "link", "linked", "links", "same", "alias", "aliases", "duplicate", "twin"}
_FEWEST, _MOST_ROWS, _LARGEST = 5, 10, 30
"""Of what may be people, where no name says it: values, mean rows of a value, and most."""


def _compiled(cores: Sequence[str]) -> list[re.Pattern[str]]:
    return [re.compile(f"{_WHICH}*(?:{core}){_NUMBER}*", re.ASCII) for core in cores]


_PATIENTS, _PERSONS, _WEAKS = _compiled(_PATIENT), _compiled(_PERSON), _compiled(_WEAK)


def _place(column: str, patterns: Sequence[re.Pattern[str]]) -> int | None:
    """The first pattern that a name fits: `Patient-Nr`, `PatientID` and `pat. no` are one word."""
    word = plain_name(column).replace("_", "")
    return next((i for i, each in enumerate(patterns) if each.fullmatch(word)), None)


def is_weak(column: str) -> bool:
    """Whether a name such as `ID` or `Case no` may be of the recording, too."""
    return _place(column, _WEAKS) is not None


def names_people(column: str) -> bool:
    """Whether a name says patient or person."""
    return _place(column, [*_PATIENTS, *_PERSONS, *_WEAKS]) is not None


def called_people(table: pd.DataFrame, columns: Sequence[str]) -> tuple[list[str], list[str]]:
    """Columns that name patients, and columns that name persons, the likeliest first.

    One with one or two different cells, such as `case` of yes and no, says something else.
    """
    many = [each for each in columns if len(table) < 5 or table[each].nunique() > 2]
    return _sorted(many, [*_PATIENTS, *_WEAKS]), _sorted(many, _PERSONS)


def _sorted(columns: Sequence[str], patterns: Sequence[re.Pattern[str]]) -> list[str]:
    places = {column: _place(column, patterns) for column in columns}
    known = {column: place for column, place in places.items() if place is not None}
    return sorted(known, key=lambda column: known[column])


def joins(table: pd.DataFrame, column: str, groups: str) -> bool:
    """Whether groups of rows have one value of a column each, and some groups the same."""
    known = table[~table[column].map(is_missing)]
    if (known.groupby(groups)[column].nunique() > 1).any():
        return False
    return bool((known.groupby(column)[groups].nunique() > 1).any())


def links(
    table: pd.DataFrame, patient: str, columns: Sequence[str]
) -> tuple[str, list[tuple[str, str]]] | None:
    """A column of ids of other patients, who are the same person, and the pairs; None: no such."""
    ids = {clean_name(each) for each in table[patient]}
    for column in columns:
        known = [
            (clean_name(own), clean_name(other))
            for own, other in zip(table[patient], table[column], strict=True)
            if not is_missing(other)
        ]
        is_link = set(plain_name(column).split("_")) & _LINK
        if is_link and known and all(other in ids and own != other for own, other in known):
            return column, sorted({(min(pair), max(pair)) for pair in known})
    return None


def like_people(
    table: pd.DataFrame, columns: Sequence[str], groups: str, labels: Sequence[str]
) -> Iterator[tuple[str, int]]:
    """Columns that group rows as people would, though no name says so; and how many values.

    Each value has few rows, all with the same labels, and some value joins several of `groups`.
    """
    for column in columns:
        cells = table[column]
        known = table[~cells.map(is_missing)]
        rows = known[column].value_counts()
        if is_covariate_name(column) or 2 * len(known) < len(table) or len(rows) < _FEWEST:
            continue
        if rows.mean() > _MOST_ROWS or rows.iloc[0] > min(_LARGEST, len(known) / 4):
            continue
        numbers = [number(cell) for cell in rows.index]
        if any(each is not None and each != int(each) for each in numbers):
            continue
        by_value = known.groupby(column)
        agree = all((by_value[each].nunique() == 1).all() for each in labels)
        if agree and (by_value[groups].nunique() > 1).any():
            yield column, len(rows)


class People(Table):
    """Which columns name patients and persons, or what the files' names say of them."""

    def patients(self) -> None:
        """Columns of patients and of persons, or what the files' names say of them."""
        found, named = self.found, self.named
        patients, persons = called_people(self.table, self.left)
        if named.person:
            persons = [named.person]
        known = [each for each in [*patients, *persons] if each != named.person or not patients]
        patient = named.patient or next(iter(known), None)
        if patient and not named.patient and is_weak(patient):
            patient = self._rather(patient, persons)
        if patient is None and not self._from_names():
            found.put("data.patient_column", self.recording, "no column names patients")
            found.put("data.persons_known", False)
            found.ask(
                "data.persons_known",
                "nothing says which recordings belong to one person, so that each counts as its "
                "own and scores may be too good: add a column of persons to the table, and name it "
                "as patient_column",
            )
            return
        if patient is not None:
            self.leave_out(~self.table[patient].map(is_missing), f"{patient} is empty", "data.path")
            n = self.table[patient].nunique()
            why = "named by you" if named.patient else "its name"
            found.put("data.patient_column", patient, f"{why}; {counted(n, 'patient')}")
            self.left.remove(patient)
            self.patient = patient
            if n == len(self.table) > 1 and is_weak(patient):
                found.ask(
                    "data.patient_column",
                    f"every row has another {patient}: is it the patient, or the recording? If a "
                    "patient has several recordings, another column must say so",
                )
            self._beside_names(patient)
        others = [each for each in [*persons, *patients] if each in self.left]
        joining = [each for each in others if joins(self.table, each, self.patient)]
        joining = [named.person] if named.person else joining
        self._persons(next((each for each in [*joining, *persons] if each in self.left), None))
        if patient is None or "data.person_column" in found.settings:
            found.notes.append(
                f"Reports and predictions call patients by {self.patient_column}; "
                "--patient COLUMN takes another."
            )

    def _rather(self, patient: str, persons: Sequence[str]) -> str | None:
        """What names patients where `patient` may name the recordings; None: their files' names."""
        if self.table[patient].nunique() < len(self.table):
            return patient
        for column in persons:
            if joins(self.table, column, patient):
                return column
        names = patients_in(self.table[self.recording])
        return None if names is not None and names.nunique() < len(names) else patient

    def _beside_names(self, patient: str) -> None:
        """Ask, where files that are named like one patient's are of several."""
        names = patients_in(self.table[self.recording])
        if names is None or self.named.patient:
            return
        several = self.table[patient].groupby(names).nunique()
        if (several > 1).any():
            found = several.index[several > 1]
            self.found.ask(
                "data.patient_column",
                f"files named like one patient's have several {patient} ({listing(found, 3)}): if "
                f"{patient} is not the patient, another column must say so",
            )

    def _persons(self, person: str | None) -> None:
        found = self.found
        if person is None or person not in self.left:
            self._linked()
            return
        missing = self.table[person].map(is_missing)
        known = self.table[~missing].groupby(self.patient)[person]
        if (known.nunique() > 1).any():
            found.ask(
                "data.patient_column",
                f"column {person} is no person: patients have several values of it",
            )
            return
        self.left.remove(person)
        if missing.any():
            of_patient = known.first().to_dict()
            self.table.loc[missing, person] = (
                self.table.loc[missing, self.patient]
                .map(lambda each: of_patient.get(each, f"patient {each}"))
                .to_numpy()
            )
            self.is_changed = True
            found.notes.append(
                f"{counted(int(missing.sum()), 'row')} without {person}: taken for the person of "
                "the patient's other rows, or for one of their own, in the table that is written."
            )
        n = self.table[person].nunique()
        found.put("data.person_column", person, f"its name; {counted(n, 'person', 'persons')}")
        if not self.named.person:
            found.ask("data.person_column", f"is {person} one value for each human being?")

    def _linked(self) -> None:
        """A column of ids of other patients, who are the same person."""
        if found := links(self.table, self.patient, self.left):
            column, pairs = found
            self.left.remove(column)
            self.found.aliases = pairs
            self.found.put("data.aliases", None, f"column {column} names other patients")
            self.found.ask(
                "data.aliases",
                f"column {column} links {counted(len(pairs), 'pair')} of patients: are these "
                "one person each? Otherwise remove the line",
            )
            return
        self.found.notes.append("Each patient counts as one person.")

    def _from_names(self) -> bool:
        """Patients and sites from names such as 85033_AV.wav, in all files."""
        names = with_site(self.table[self.recording])
        if not names:
            return False
        self.table["patient_id"] = [each["id"] for each in names]
        self.is_changed, self.patient = True, "patient_id"
        n = self.table["patient_id"].nunique()
        why = f"names such as {names[0][0]}; {n} patients"
        self.found.put("data.patient_column", "patient_id", why)
        if self.named.site is None and self.called(SITE) is None:
            self.table["site"] = [each["site"] for each in names]
            self.left.append("site")
        return True

    def unnamed(self, columns: Sequence[str]) -> None:
        """Ask about columns that group rows as people would."""
        found, named, groups = self.found, self.named, self.patient_column
        if named.person or {"data.person_column", "data.aliases"} & found.settings.keys():
            return
        tasks = [key.removeprefix("data.tasks.") for key in found.settings if "data.tasks." in key]
        labels = list(dict.fromkeys(each.rpartition(".")[0] for each in tasks))
        is_own = groups in self.columns and groups != self.recording
        key = "person_column" if is_own else "patient_column"
        change = f"write {key}: {{0}} {'below' if is_own else 'in its place'}"
        if "data.persons_known" in found.settings:
            change += ", and remove persons_known"
        n_groups = counted(
            self.table[groups].nunique(), "recording" if groups == self.recording else "patient"
        )
        for column, n in like_people(self.table, columns, groups, labels):
            found.ask(
                "data.patient_column",
                f"does {column} name people? It has {n} values for {n_groups}, and labels that "
                f"agree in each. If so, {change.format(column)}: else one person is on both sides "
                "of a fold",
            )
