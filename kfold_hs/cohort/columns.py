"""Which column of a user's table is what: theirs and ours never mean each other.

The columns that the configuration names are what it says; `recording_id`, where it is there and
named for nothing else, is the recordings' id. No other name means anything: a covariate that is
called like a column of ours or like a task is kept as ``covariate.<name>``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from kfold_hs.cohort.cohort import OUR_COLUMNS, Note
from kfold_hs.config.schema import TableData
from kfold_hs.errors import CohortError, listing

PREFIX = "covariate."
_RECORDING_ID = "recording_id"


@dataclass(frozen=True)
class Columns:
    """Names of the user's columns.

    Parameters
    ----------
    recording_id : str, optional
        The column of the recordings' ids; None: their paths are their ids.
    covariates : mapping
        Columns that nothing else is made of, in their order -> the names that we give them.
    """

    recording_id: str | None
    covariates: Mapping[str, str]

    @classmethod
    def of(cls, config: TableData, columns: Sequence[str]) -> Columns:
        """Of a table with these columns.

        Raises
        ------
        CohortError
            A column has the name that another would be kept under.
        """
        named: set[str | None] = {config.recording_column, config.patient_column}
        named |= {config.person_column, config.site_column}
        for task, spec in config.tasks.items():
            named |= {spec.column or task, spec.recording_column}
        recording_id = None
        if _RECORDING_ID in columns and _RECORDING_ID not in named:
            recording_id = _RECORDING_ID
        covariates = {}
        for column in columns:
            if column not in named and column != recording_id:
                is_taken = column in OUR_COLUMNS or column in config.tasks
                covariates[column] = f"{PREFIX}{column}" if is_taken else column
        kept = [name for column, name in covariates.items() if name != column]
        if clash := [name for name in kept if name in columns]:
            raise CohortError(
                f"{config.path} has the columns {listing(clash)}, whose names are kept for "
                "columns called like one of ours. Rename them."
            )
        return cls(recording_id, covariates)

    def notes(self, covariates: Sequence[str]) -> list[Note]:
        """Which of the covariates have another name than their column."""
        found = [
            f"{column} is {name}"
            for column, name in self.covariates.items()
            if name != column and name in covariates
        ]
        text = (
            f"columns that are called like one of ours or like a task; kept as {PREFIX}<name>. If "
            "one says whose a row is, name it: data.person_column, data.site_column"
        )
        return [Note("renamed covariates", len(found), text, tuple(found))] if found else []
