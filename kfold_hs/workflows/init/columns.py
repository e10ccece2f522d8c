"""What a table of recordings means, guessed from the names of its columns and from their cells.

Every guess is a setting with its reason; what could be otherwise is a question, too. Nothing is
read but the table and the headers of recordings.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from kfold_hs.cohort.csv_file import CsvFile
from kfold_hs.cohort.ids import find_file
from kfold_hs.cohort.segmentation import TIMINGS
from kfold_hs.cohort.values import is_missing
from kfold_hs.config.features import FeatureConfig
from kfold_hs.config.names import clean_name
from kfold_hs.errors import CohortError, counted, listing
from kfold_hs.workflows.init.guess import Guess, Named, folds_for
from kfold_hs.workflows.init.labels import (
    FOLD,
    MOST_CLASSES,
    SITE,
    SOURCE,
    Labels,
    covariates,
    plain_name,
)
from kfold_hs.workflows.init.people import People, names_people
from kfold_hs.workflows.init.recordings import (
    Headers,
    files_of,
    one_a_row,
)

MOST_TASKS = 8
_SITES = {"av", "pv", "tv", "mv", "phc", "aortic", "pulmonary", "pulmonic", "tricuspid", "mitral",
          "apex", "erb", "a", "p", "t", "m", "lusb", "llsb", "rusb"}  # fmt: skip


def guess_table(path: Path, file: CsvFile, named: Named) -> Guess:
    """What a user's table means.

    Raises
    ------
    CohortError
        No column names recordings, or none holds labels; a named column is not there.
    """
    return _Table(path, file, named).guess()


class _Table(People):
    """The columns of a table, from its recordings to its tasks."""

    def guess(self) -> Guess:
        found = self.found
        if self.table.empty:
            raise CohortError(f"{self.path} has no row below its first line, which names columns.")
        self.recordings()
        for column in self.left:  # as the reader will: `p1` and `p1 ` are one patient
            cells = self.table[column]
            self.table[column] = cells.where(cells.map(is_missing), cells.map(clean_name))
        self.patients()
        self.places()
        self.tasks()
        others = [each for each in self.left if plain_name(each) != "recording_id"]
        self.unnamed(others)
        others = self._covariates(others)
        for column in (each for each in others if plain_name(each) in SOURCE):
            values = self.values_of(column)
            if 2 <= len(values) <= 10:
                found.ask(
                    "split.n_folds",
                    f"column {column} has {len(values)} values: to measure on sources that no "
                    f"model has met, put hold_out: {column} in place of n_folds",
                )
        if self.is_changed:
            found.table = self.table
        return found

    def _covariates(self, columns: Sequence[str]) -> list[str]:
        """Those of the columns that the reader keeps; notes say which and what it leaves out."""
        file = CsvFile(self.table, delimiter=self.delimiter)
        for column in columns:  # the table that is written has other separators
            self.table[column] = file.values(column)
        kept, left_out = covariates(self.table, self.patient_column, columns)
        if kept:
            self.found.notes.append(f"Covariates, kept by their names: {listing(kept, 20)}.")
        if left_out:
            self.found.notes.append(f"No covariates: {listing(left_out, 20)}.")
        return kept

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
            if not names_people(source):
                self.left.remove(source)
        else:
            self.left.remove(column)
        paths = self.table[column].map(lambda cell: find_file(self.path.parent, cell))
        self.leave_out(paths.map(Path.is_file), f"{column} names no file", "data.path")
        headers = Headers.of([find_file(self.path.parent, cell) for cell in self.table[column]])
        broken = pd.Series(headers.unreadable, index=self.table.index)
        self.leave_out(~broken, "the recording cannot be read", "data.path")
        n = counted(len(self.table), "file")
        self.found.put("data.recording_column", column, f"{n} that are there")
        self.recording = column
        if headers.n_channels > 1:
            self.found.put("data.channel", 0, f"files have {headers.n_channels} channels")
            self.found.ask("data.channel", "which channel has the heart sound? 0 is the first")
        if headers.least_rate_hz < 2 * FeatureConfig.model_fields["f_max_hz"].default:
            rate = headers.least_rate_hz
            self.found.put("features.f_max_hz", rate / 2, f"half of the lowest rate, {rate} Hz")

    def places(self) -> None:
        """Columns of sites, timings of murmurs, and folds."""
        found = self.found
        site = self.named.site or self.called(SITE) or self.of_values(_SITES)
        if site in self.left:
            self.left.remove(site)
            values = listing(self.values_of(site), 6)
            found.put("data.site_column", site, f"its values: {values}")
        if timing := self.of_values(set(TIMINGS)):
            self.left.remove(timing)
            found.put("data.timing_column", timing, "when a murmur sounds; for frames=cycle")
        if fold := self.called(FOLD):
            found.ask(
                "split.n_folds",
                f"column {fold} may hold folds: file: 'column:{fold}' below split uses them",
            )

    def tasks(self) -> None:
        """Columns of labels: those that were named, else those that look like it."""
        tasks = [
            Labels.of(column, self.table[column], self.table[self.patient_column])
            for column in self.left
        ]
        known = {each.column: each for each in tasks if each is not None}
        wanted = [known.get(each) or self._no_labels(each) for each in self.named.labels]
        guessed = self._chosen([known[each] for each in known if each not in self.named.labels])
        whole = [*wanted, *(each for each in guessed if not each.n_missing)]
        if not whole:
            whole = [min(guessed, key=lambda each: each.n_missing)]
        rest = [each.column for each in whole[max(MOST_TASKS, len(wanted)) :]]
        whole = [each for each in whole if each.column not in rest]
        for each in whole:
            kept = ~self.table[each.column].map(is_missing)
            self.leave_out(kept, f"{each.column} is empty", "data.path")
        for each in guessed:
            if each.n_missing and each not in whole:
                self.found.ask(
                    "data.tasks",
                    f"column {each.column} may be a label, but is empty in "
                    f"{counted(each.n_missing, 'row')}; all patients of a task need one: "
                    f"`kfold-hs init --label {shlex.quote(each.column)}` leaves those out",
                )
        if rest:
            self.found.ask("data.tasks", f"{MOST_TASKS} tasks are guessed, and others may be labels"
                           f" too: --label COLUMN adds one of {listing(rest, 20)}")  # fmt: skip
        for each in whole:
            self.left.remove(each.column)
            self._put_task(each)
        self._put_folds([each.column for each in whole])

    def _no_labels(self, column: str) -> Labels:
        n = len(self.values_of(column))
        raise CohortError(
            f"--label {column}: a task has 2 to {MOST_CLASSES} classes, the same in all rows of a "
            f"patient, and {column} of {self.path} has {n} values"
            + ("." if not 2 <= n <= MOST_CLASSES else ", several for one patient, or numbers.")
        )

    def _chosen(self, known: Sequence[Labels]) -> list[Labels]:
        """Besides labels that are named, only what is surely a label."""
        known = [each for each in known if each.column not in self.named.no_labels]
        ranked = {rank: [each for each in known if each.rank == rank] for rank in (0, 1, 2)}
        ranks = (0,) if self.named.labels else (0, 1, 2)
        rank = next((rank for rank in ranks if ranked[rank]), None)
        if rank is None and not self.named.labels:
            raise CohortError(
                f"no column of {self.path} looks like a label (2 to {MOST_CLASSES} different "
                f"values, the same in all rows of a patient): it has {listing(self.left, 20)}. "
                "Name it with --label COLUMN."
            )
        chosen = [] if rank is None else ranked[rank] if rank < 2 else ranked[rank][:1]
        for each in chosen:
            if rank:
                text = f"is {each.column} a label, or a covariate?"
            elif self.named.labels:
                text = f"{each.column} is a label by its name or classes, besides those of --label"
            else:
                continue
            name = shlex.quote(each.column)
            self.found.ask(f"data.tasks.{each.column}", f"{text}; --no-label {name} leaves it out")
        for each in ranked[1] if rank != 1 else ():
            self.found.notes.append(
                f"Column {each.column} ({listing(each.classes)}) may be a label: "
                f"--label {shlex.quote(each.column)} adds it."
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
        people = self.people_of(column)
        for name in [each for each in labels.classes if people[each] < 2 < len(labels.classes)]:
            self.leave_out(self.table[column] != name, f"{column} is {name}, as one person is",
                            f"data.tasks.{column}.classes")  # fmt: skip
            labels = labels.without(name)
        counts = ", ".join(f"{people[each]} {each}" for each in labels.classes)
        found.put(f"data.tasks.{column}.classes", labels.classes, f"persons: {counts}")
        found.put(f"data.tasks.{column}.positive", labels.classes[0],
                  "what AUROC and sensitivity are about")  # fmt: skip
        if labels.uncertain and len(labels.classes) > 2:
            found.put(f"data.tasks.{column}.uncertain", labels.uncertain)
        if not labels.is_order_known:
            first, second = labels.classes[:2]
            why = "first by name" if people[first] == people[second] else "rarest"
            found.ask(
                f"data.tasks.{column}.positive",
                f"which class of {column} is the positive one? The {why} was taken: {first}",
            )

    def _put_folds(self, columns: Sequence[str]) -> None:
        least = min(min(self.people_of(column).values()) for column in columns)
        self.found.put("split.n_folds", *folds_for(least))
