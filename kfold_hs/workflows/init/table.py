"""The user's table while `kfold-hs init` guesses what it means."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from kfold_hs.cohort.csv_file import CsvFile
from kfold_hs.cohort.values import word
from kfold_hs.config.names import clean_name
from kfold_hs.errors import CohortError, counted, known_names, listing
from kfold_hs.workflows.init.guess import Guess, Named
from kfold_hs.workflows.init.labels import GENERIC, plain_name


class Table:
    """The columns of a table that were not understood yet, and what the others are.

    Parameters
    ----------
    path : Path
        Of the table.
    file : CsvFile
    named : Named

    Raises
    ------
    CohortError
        A column that the user named is not there.
    """

    recording: str
    patient: str

    def __init__(self, path: Path, file: CsvFile, named: Named) -> None:
        self.path, self.named, self.found = path, named, Guess()
        self.table, self.delimiter = file.table.copy(), file.delimiter
        self.left, self.columns = list(self.table.columns), list(self.table.columns)
        self.is_changed = False
        for what, column in vars(named).items():
            for name in column if isinstance(column, tuple) else [column] if column else []:
                if name not in self.left:
                    raise CohortError(
                        f"--{what.removesuffix('s').replace('_', '-')} {name}: {path} has no such "
                        f"column; {known_names(name, self.left)}"
                    )

    def called(self, names: Iterable[str]) -> str | None:
        """The column that is called by the first of these names."""
        by_name = {plain_name(column): column for column in reversed(self.left)}
        return next((by_name[name] for name in names if name in by_name), None)

    def of_values(self, words: set[str]) -> str | None:
        """The first column that has only these words, and several of them."""
        for column in self.left:
            values = {each.casefold() for each in self.values_of(column)}
            if len(values) > 1 and values <= words and not values <= GENERIC:
                return column
        return None

    def values_of(self, column: str) -> list[str]:
        """Different cells of a column."""
        return [w for cell in self.table[column].unique() if (w := word(cell)) is not None]

    def leave_out(self, kept: pd.Series, why: str, key: str) -> None:
        """Leave out rows, and say how many and why, as a question about a setting.

        Raises
        ------
        CohortError
            No row is left.
        """
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

    def people_of(self, column: str) -> Counter[str]:
        """Persons of each class of a column."""
        who = self.found.settings.get("data.person_column") or self.patient_column
        rows = self.table.drop_duplicates([who, column])
        return Counter(clean_name(each) for each in rows[column])

    @property
    def patient_column(self) -> str:
        """The column that names patients."""
        return str(self.found.settings["data.patient_column"])
