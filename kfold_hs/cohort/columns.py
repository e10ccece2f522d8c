"""The meaning of each column of a user's table.

The configuration says what a column is. `recording_id` holds the recordings' ids, unless the
configuration uses it for something else. No other name has a meaning: a covariate with the name of
a task or of a column that kfold-hs makes becomes ``covariate.<name>``.
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
        The column of the recordings' ids; None: the paths are the ids.
    covariates : mapping
        All other columns, in their order -> the names of their covariates.
    """

    recording_id: str | None
    covariates: Mapping[str, str]

    @classmethod
    def of(cls, config: TableData, columns: Sequence[str]) -> Columns:
        """The meaning of the columns of a table.

        Raises
        ------
        CohortError
            A column has the new name of another column.
        """
        named: set[str | None] = {config.recording_column, config.patient_column}
        named |= {config.person_column, config.site_column, config.timing_column}
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
                f"{config.path} has the columns {listing(clash)}. kfold-hs needs these names for "
                "other columns. Rename them."
            )
        return cls(recording_id, covariates)

    def notes(self, covariates: Sequence[str]) -> list[Note]:
        """A note of the covariates that have another name than their column."""
        found = [
            f"{column} is {name}"
            for column, name in self.covariates.items()
            if name != column and name in covariates
        ]
        text = (
            f"columns with the name of a task or of a column that kfold-hs makes; kept as "
            f"{PREFIX}<name>. If a column says who the person is, set data.person_column"
        )
        return [Note("renamed covariates", len(found), text, tuple(found))] if found else []
