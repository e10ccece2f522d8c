"""What a table of recordings means, guessed from the names of its columns and from their cells.

Every guess is a setting with its reason; what could be otherwise is a question, too. Nothing is
read but the table and the headers of recordings.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from kfold_hs.cohort.csv_file import CsvFile
from kfold_hs.cohort.ids import find_file
from kfold_hs.cohort.segmentation import TIMINGS
from kfold_hs.cohort.values import is_missing, word
from kfold_hs.config.features import FeatureConfig
from kfold_hs.config.names import clean_name
from kfold_hs.errors import CohortError, counted, listing, unknown_name
from kfold_hs.workflows.init.labels import FOLD, GENERIC, MOST_CLASSES, SOURCE, Labels, plain_name
from kfold_hs.workflows.init.recordings import Headers, files_of, one_a_row

MOST_TASKS = 8
_PATIENT = ("patient_id", "patient", "patientid", "patient_nr", "patient_no", "pid", "case_id",
            "case", "id", "record_id")  # fmt: skip
_PERSON = ("person_id", "person", "subject_id", "subject", "subjectid", "participant_id",
           "participant", "individual", "proband", "pseudonym")  # fmt: skip
_SITE = ("site", "location", "position", "recording_site", "recording_location", "valve_position",
         "auscultation_site", "auscultation_location", "auscultation_point", "auscultation_area",
         "area", "loc")  # fmt: skip
_SITES = {"av", "pv", "tv", "mv", "phc", "aortic", "pulmonary", "pulmonic", "tricuspid", "mitral",
          "apex", "erb", "a", "p", "t", "m", "lusb", "llsb", "rusb"}  # fmt: skip
_LINK = {"additional", "link", "linked", "links", "same", "alias", "aliases", "duplicate", "twin"}
_WITH_SITE = re.compile(r"(?P<id>.+?)[_-](?P<site>AV|PV|TV|MV|Phc)(?:[_-]?\d+)?", re.IGNORECASE)


@dataclass(frozen=True)
class Named:
    """Columns that the user named; what is not named is guessed."""

    recording: str | None = None
    patient: str | None = None
    person: str | None = None
    site: str | None = None
    labels: tuple[str, ...] = ()


@dataclass
class Guess:
    """Settings with their reasons, and questions.

    Parameters
    ----------
    settings : dict
        Dotted key -> value, in the order of the file; below `data.tasks.NAME` of each task.
    reasons : dict
        Key -> from what it was guessed.
    questions : list of (key, text)
        What may be otherwise; the key is the setting that is to be changed.
    notes : list of str
        What else was seen, a sentence each.
    table : DataFrame or None
        Rows to be read in place of the user's table, where that cannot be read as it is.
    aliases : list of (str, str)
        Ids of patients who are one person.
    """

    settings: dict[str, Any] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)
    questions: list[tuple[str, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    table: pd.DataFrame | None = None
    aliases: list[tuple[str, str]] = field(default_factory=list)

    def put(self, key: str, value: Any, reason: str = "") -> None:
        """A setting, and from what it was guessed."""
        self.settings[key] = value
        if reason:
            self.reasons[key] = reason

    def ask(self, key: str, text: str) -> None:
        """A question about a setting."""
        self.questions.append((key, text))


def guess_table(path: Path, file: CsvFile, named: Named) -> Guess:
    """What a user's table means.

    Raises
    ------
    CohortError
        No column names recordings, or none holds labels; a named column is not there.
    """
    return _Table(path, file.table.copy(), named).guess()


class _Table:
    """The columns of a table that were not understood yet, and what the others are."""

    def __init__(self, path: Path, table: pd.DataFrame, named: Named) -> None:
        self.path, self.table, self.named, self.found = path, table, named, Guess()
        self.left = list(table.columns)
        self.is_changed = False
        for what, column in vars(named).items():
            for name in column if isinstance(column, tuple) else [column] if column else []:
                if name not in self.left:
                    raise CohortError(
                        f"--{what.removesuffix('s')} {name}: {path} has no such column; "
                        + unknown_name("column", name, self.left)
                    )

    def guess(self) -> Guess:
        found = self.found
        if self.table.empty:
            raise CohortError(f"{self.path} has no row below its first line, which names columns.")
        self.recordings()
        self.patients()
        self.places()
        self.tasks()
        others = [each for each in self.left if plain_name(each) != "recording_id"]
        if others:
            found.notes.append(f"Covariates, kept by their names: {listing(others, 20)}.")
        for column in (each for each in others if plain_name(each) in SOURCE):
            values = self._values(column)
            if 2 <= len(values) <= 10:
                found.ask(
                    "split.n_folds",
                    f"column {column} has {len(values)} values: to measure on sources that no "
                    f"model has met, put hold_out: {column} in place of n_folds",
                )
        if self.is_changed:
            found.table = self.table
        return found

    def recordings(self) -> None:
        """The column of files; where only its names fit, the table gets their paths."""
        if self.named.recording is None:
            self.table, several = one_a_row(self.table, self.path)
            if several:
                self.is_changed, self.left = True, list(self.table.columns)
                self.found.notes.append(f"A row for each recording of {listing(several, 10)}.")
        column, cells, are_paths = files_of(self.table, self.path, self.named.recording)
        if not are_paths:
            source, column = column, "recording" if "recording" not in self.left else "path_found"
            self.table[column], self.is_changed = cells, True
            self.found.notes.append(
                f"Column {source} holds names of files; in the table that is written, {column} has "
                "their paths."
            )
            if plain_name(source) not in (*_PATIENT, *_PERSON):
                self.left.remove(source)
        else:
            self.left.remove(column)
        paths = self.table[column].map(lambda cell: find_file(self.path.parent, cell))
        self._leave_out(paths.map(Path.is_file), f"{column} names no file", "data.path")
        headers = Headers.of([find_file(self.path.parent, cell) for cell in self.table[column]])
        broken = pd.Series(headers.unreadable, index=self.table.index)
        self._leave_out(~broken, "the recording cannot be read", "data.path")
        n = counted(len(self.table), "file")
        self.found.put("data.recording_column", column, f"{n} that are there")
        self.recording = column
        if headers.n_channels > 1:
            self.found.put("data.channel", 0, f"files have {headers.n_channels} channels")
            self.found.ask("data.channel", "which channel has the heart sound? 0 is the first")
        if headers.least_rate_hz < 2 * FeatureConfig.model_fields["f_max_hz"].default:
            rate = headers.least_rate_hz
            self.found.put("features.f_max_hz", rate / 2, f"half of the lowest rate, {rate} Hz")

    def patients(self) -> None:
        """Columns of patients and of persons, or what the files' names say of them."""
        found, named = self.found, self.named
        patient = named.patient or self._called(_PATIENT)
        person = named.person or self._called(_PERSON)
        if patient is None:
            patient, person = person, named.person if named.person != person else None
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
            self._leave_out(
                ~self.table[patient].map(is_missing), f"{patient} is empty", "data.path"
            )
            n = self.table[patient].nunique()
            why = "named by you" if named.patient else "its name"
            found.put("data.patient_column", patient, f"{why}; {counted(n, 'patient')}")
            self.left.remove(patient)
            self.patient = patient
            if n == len(self.table) > 1 and plain_name(patient) in ("id", "case", "record_id"):
                found.ask(
                    "data.patient_column",
                    f"every row has another {patient}: is it the patient, or the recording? If a "
                    "patient has several recordings, another column must say so",
                )
        self._persons(person)

    def _persons(self, person: str | None) -> None:
        found = self.found
        if person is None or person not in self.left:
            self._linked()
            return
        groups = self.table.groupby(self.patient)[person].nunique()
        if (groups > 1).any():
            found.ask(
                "data.patient_column",
                f"column {person} is no person: patients have several values of it",
            )
            return
        self.left.remove(person)
        missing = self.table[person].map(is_missing)
        if missing.any():
            fill = self.table.loc[missing, self.patient].map(lambda each: f"patient {each}")
            self.table.loc[missing, person] = fill
            self.is_changed = True
            found.notes.append(
                f"{counted(int(missing.sum()), 'row')} without {person}: taken for persons of "
                "their own, in the table that is written."
            )
        n = self.table[person].nunique()
        found.put("data.person_column", person, f"its name; {counted(n, 'person', 'persons')}")
        if not self.named.person:
            found.ask("data.person_column", f"is {person} one value for each human being?")

    def _linked(self) -> None:
        """A column of ids of other patients, who are the same person."""
        ids = {clean_name(each) for each in self.table[self.patient]}
        for column in self.left:
            known = [
                (clean_name(own), clean_name(other))
                for own, other in zip(self.table[self.patient], self.table[column], strict=True)
                if not is_missing(other)
            ]
            is_link = set(plain_name(column).split("_")) & _LINK
            if is_link and known and all(other in ids and own != other for own, other in known):
                pairs = sorted({(min(pair), max(pair)) for pair in known})
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
        names = [_WITH_SITE.fullmatch(Path(cell).stem) for cell in self.table[self.recording]]
        if not all(names):
            return False
        self.table["patient_id"] = [each["id"] for each in names if each]
        self.is_changed, self.patient = True, "patient_id"
        n = self.table["patient_id"].nunique()
        self.found.put(
            "data.patient_column",
            "patient_id",
            f"names such as {names[0][0]}; {n} patients",  # type: ignore[index]
        )
        if self.named.site is None and self._called(_SITE) is None:
            self.table["site"] = [each["site"] for each in names if each]
            self.left.append("site")
        return True

    def places(self) -> None:
        """Columns of sites, timings of murmurs, and folds."""
        found = self.found
        site = self.named.site or self._called(_SITE) or self._of_values(_SITES)
        if site in self.left:
            self.left.remove(site)
            values = listing(self._values(site), 6)
            found.put("data.site_column", site, f"its values: {values}")
        if timing := self._of_values(set(TIMINGS)):
            self.left.remove(timing)
            found.put("data.timing_column", timing, "when a murmur sounds; for frames=cycle")
        if fold := self._called(FOLD):
            found.ask(
                "split.n_folds",
                f"column {fold} may hold folds: file: 'column:{fold}' below split uses them",
            )

    def _called(self, names: Iterable[str]) -> str | None:
        by_name = {plain_name(column): column for column in reversed(self.left)}
        return next((by_name[name] for name in names if name in by_name), None)

    def _of_values(self, words: set[str]) -> str | None:
        for column in self.left:
            values = {each.casefold() for each in self._values(column)}
            if len(values) > 1 and values <= words and not values <= GENERIC:
                return column
        return None

    def _values(self, column: str) -> list[str]:
        return [w for cell in self.table[column].unique() if (w := word(cell)) is not None]

    def _leave_out(self, kept: pd.Series, why: str, key: str) -> None:
        if kept.all():
            return
        n = int((~kept).sum())
        lines = f"line{'s' * (n > 1)} {listing(self.table.index[~kept])}"
        if not kept.any():
            raise CohortError(f"{self.path}: in all {n} rows {why}.")
        self.found.ask(
            key,
            f"{counted(n, 'row')} left out of the table that is written, since there {why}: "
            f"{lines} of {self.path.name}",
        )
        self.table, self.is_changed = self.table[kept], True

    def tasks(self) -> None:
        """Columns of labels: those that were named, else those that look like it."""
        tasks = [
            Labels.of(column, self.table[column], self.table[self.patient_column])
            for column in self.left
        ]
        known = {each.column: each for each in tasks if each is not None}
        if self.named.labels:
            chosen = [known.get(each) or self._no_labels(each) for each in self.named.labels]
        else:
            chosen = self._chosen(list(known.values()))
        whole = [each for each in chosen if not each.n_missing]
        if not whole or self.named.labels:
            whole = chosen if self.named.labels else [min(chosen, key=lambda each: each.n_missing)]
            for each in whole:
                kept = ~self.table[each.column].map(is_missing)
                self._leave_out(kept, f"{each.column} is empty", "data.path")
        for each in chosen:
            if each not in whole:
                self.found.ask(
                    "data.tasks",
                    f"column {each.column} may be a label, but is empty in "
                    f"{counted(each.n_missing, 'row')}; all patients of a task need one: "
                    f"`kfold-hs init --label {each.column}` leaves those out",
                )
        for each in whole[:MOST_TASKS]:
            self.left.remove(each.column)
            self._put_task(each)
        self._put_folds([each.column for each in whole[:MOST_TASKS]])

    def _no_labels(self, column: str) -> Labels:
        n = len(self._values(column))
        raise CohortError(
            f"--label {column}: a task has 2 to {MOST_CLASSES} classes, the same in all rows of a "
            f"patient, and {column} of {self.path} has {n} values"
            + ("." if not 2 <= n <= MOST_CLASSES else ", several for one patient, or numbers.")
        )

    def _chosen(self, known: Sequence[Labels]) -> list[Labels]:
        ranked = {rank: [each for each in known if each.rank == rank] for rank in (0, 1, 2)}
        rank = next((rank for rank, each in ranked.items() if each), None)
        if rank is None:
            raise CohortError(
                f"no column of {self.path} looks like a label (2 to {MOST_CLASSES} different "
                f"values, the same in all rows of a patient): it has {listing(self.left, 20)}. "
                "Name it with --label COLUMN."
            )
        chosen = ranked[rank] if rank < 2 else ranked[rank][:1]
        for each in chosen if rank else ():
            self.found.ask(
                f"data.tasks.{each.column}", f"is {each.column} a label, or a covariate?"
            )
        for each in ranked[1] if rank == 0 else ():
            self.found.notes.append(
                f"Column {each.column} ({listing(each.classes)}) may be a label: --label adds it."
            )
        return chosen

    def _put_task(self, labels: Labels) -> None:
        column, found = labels.column, self.found
        if labels.other_spellings:
            self.table[column] = self.table[column].map(lambda c: labels.spelled(c) or c)
            self.is_changed = True
            found.notes.append(
                f"Column {column}: {counted(labels.other_spellings, 'cell')} spelled as the other "
                "cells of the class are, in the table that is written."
            )
        people = self._people(column)
        for name in [each for each in labels.classes if people[each] < 2 < len(labels.classes)]:
            self._leave_out(self.table[column] != name, f"{column} is {name}, as one person is",
                            f"data.tasks.{column}.classes")  # fmt: skip
            labels = labels.without(name)
        counts = ", ".join(f"{people[each]} {each}" for each in labels.classes)
        found.put(f"data.tasks.{column}.classes", labels.classes, f"persons: {counts}")
        found.put(f"data.tasks.{column}.positive", labels.classes[0],
                  "what AUROC and sensitivity are about")  # fmt: skip
        if labels.uncertain and len(labels.classes) > 2:
            found.put(f"data.tasks.{column}.uncertain", labels.uncertain)
        if not labels.is_order_known:
            found.ask(
                f"data.tasks.{column}.positive",
                f"which class of {column} is the positive one? The rarest was taken",
            )

    def _people(self, column: str) -> Counter[str]:
        who = self.found.settings.get("data.person_column") or self.patient_column
        rows = self.table.drop_duplicates([who, column])
        return Counter(clean_name(each) for each in rows[column])

    @property
    def patient_column(self) -> str:
        return str(self.found.settings["data.patient_column"])

    def _put_folds(self, columns: Sequence[str]) -> None:
        least = min(min(self._people(column).values()) for column in columns)
        n_folds = max(2, min(5, least))
        reason = "each class in each fold"
        if n_folds < 5:
            reason = f"the rarest class has {counted(least, 'person', 'persons')}"
        self.found.put("split.n_folds", n_folds, reason)
