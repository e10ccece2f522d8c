"""A user's own CSV, one row a recording, any tasks.

Labels, person and covariates belong to the patient, so they must agree in all rows of
a patient. A column that is constant within every patient is a covariate; one that
varies belongs to the recording and is left alone.
"""

from __future__ import annotations

from typing import Any

import pandas as pd

from kfold_hs.cohort.assemble import assemble, tasks_of
from kfold_hs.cohort.audio import Progress
from kfold_hs.cohort.cohort import Cohort
from kfold_hs.errors import CohortError, listing, nearest
from kfold_hs.settings import TableData


def load_table(
    config: TableData, on_progress: Progress | None = None, name: str = "table"
) -> Cohort:
    """Read the CSV; empty cells and `nan` are missing.

    Raises
    ------
    CohortError
        A column is missing, a label is missing or unknown, or the rows of a patient
        contradict each other.
    """
    table = _read(config)
    label_columns = {task: spec.column or task for task, spec in config.tasks.items()}
    owned = dict.fromkeys(label_columns.values(), config.patient_column)
    if config.person_column:
        owned[config.person_column] = config.patient_column
    _check_agreement(config, table, list(owned))

    used = {config.recording_column, config.patient_column, *owned, "recording_id"}
    used |= {c for c in (config.site_column,) if c}
    used |= {spec.recording_column for spec in config.tasks.values() if spec.recording_column}
    covariates = [
        column
        for column in table.columns.astype(str)
        if column not in used
        and (table.groupby(config.patient_column)[column].nunique(dropna=False) == 1).all()
    ]
    patients: list[dict[str, Any]] = [
        {
            "patient_id": row[config.patient_column],
            "person_id": row[config.person_column or config.patient_column],
            **{task: row[column] for task, column in label_columns.items()},
            **{column: row[column] for column in covariates},
        }
        for row in table.drop_duplicates(config.patient_column).to_dict("records")
    ]
    recordings: list[dict[str, Any]] = [
        {
            "recording_id": row.get("recording_id") or row[config.recording_column],
            "patient_id": row[config.patient_column],
            "path": str(config.path.parent / row[config.recording_column]),
            "site": row[config.site_column] if config.site_column else "unknown",
            **{
                task: row[spec.recording_column]
                for task, spec in config.tasks.items()
                if spec.recording_column
            },
        }
        for row in table.to_dict("records")
    ]
    return assemble(
        name,
        tasks_of(config.tasks),
        patients,
        recordings,
        covariates,
        channel=config.channel,
        on_progress=on_progress,
    )


def column_of(config: TableData, column: str) -> list[Any] | None:
    """A column of the CSV, one value a recording in the cohort's order; None: there is none."""
    table = _read(config)
    return table[column].tolist() if column in table else None


def _read(config: TableData) -> pd.DataFrame:
    if not config.path.is_file():
        raise CohortError(f"{config.path} is missing; data.path must name a CSV file.")
    try:
        table = pd.read_csv(config.path, dtype=object, keep_default_na=False)
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise CohortError(f"cannot read {config.path} as CSV: {error}.") from error
    table = table.where(~table.isin(["", "nan", "NaN", "NA"]), None)
    wanted = {
        "data.recording_column": config.recording_column,
        "data.patient_column": config.patient_column,
        "data.person_column": config.person_column,
        "data.site_column": config.site_column,
    }
    for task, spec in config.tasks.items():
        wanted[f"data.tasks.{task}.column"] = spec.column or task
        wanted[f"data.tasks.{task}.recording_column"] = spec.recording_column
    faults = []
    for key, column in wanted.items():
        if column is not None and column not in table:
            guess = nearest(column, table.columns.astype(str))
            hint = f" (did you mean {guess!r}?)" if guess else ""
            faults.append(f"{key}={column!r}{hint}")
    if faults:
        raise CohortError(
            f"{config.path} has the columns {list(table)}; it lacks {'; '.join(faults)}."
        )
    for key in ("recording_column", "patient_column", "person_column"):
        column = getattr(config, key)
        if column and (empty := table.index[table[column].isna()].tolist()):
            lines = listing([i + 2 for i in empty])
            raise CohortError(f"{config.path}: {column} is empty in line {lines}.")
    return table


def _check_agreement(config: TableData, table: pd.DataFrame, columns: list[str]) -> None:
    for column in columns:
        counts = table.groupby(config.patient_column)[column].nunique(dropna=False)
        if (counts > 1).any():
            patient_id = counts.index[counts > 1][0]
            values = table.loc[table[config.patient_column] == patient_id, column].unique()
            raise CohortError(
                f"{config.path}: patient {patient_id} has several values of {column}: "
                f"{listing(values)} ({int((counts > 1).sum())} such patients). It belongs to the "
                "patient, so all rows of a patient must agree."
            )
