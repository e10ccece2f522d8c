"""A user's own CSV, with one row for each recording and any tasks.

Labels, person and covariates belong to the patient, so that they must agree in all rows
of a patient. A column that is constant within every patient is a covariate; a column
that varies belongs to the recording and is not used.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from kfold_hs.cohort.audio import Progress
from kfold_hs.cohort.build import Listing, assemble, tasks_of, unknown_persons
from kfold_hs.cohort.cohort import Cohort, Note
from kfold_hs.cohort.columns import Columns
from kfold_hs.cohort.csv_file import CsvFile, read_csv
from kfold_hs.cohort.ids import Spelling, find_file
from kfold_hs.cohort.segmentation import TIMING, timings_of
from kfold_hs.cohort.values import is_missing, label_of, said, word
from kfold_hs.config.data import DataSettings
from kfold_hs.config.names import clean_name
from kfold_hs.config.schema import TableData
from kfold_hs.errors import CohortError, listing, nearest

_PERSON_ID = "person_id"


def load(config: TableData, on_progress: Progress | None = None, name: str = "table") -> Cohort:
    """Read the CSV; `kfold_hs.cohort.values` says which cells are missing.

    Raises
    ------
    CohortError
        A column is missing, a label is missing or unknown, the rows of a patient
        contradict each other, or a column `person_id` links patients, but the configuration
        does not use it.
    """
    return _cohort(config, *_read(config), name, on_progress)


def cohort_of_frame(
    frame: pd.DataFrame, data: DataSettings, on_progress: Progress | None = None
) -> Cohort:
    """As `load`, of what a plug-in's reader gave.

    Parameters
    ----------
    frame : DataFrame
        One row a recording: recording, patient_id, a column a task; person_id and site where there
        are any; all others as in a CSV.
    """
    columns = [clean_name(column) for column in frame.columns]
    if frame.empty:
        raise CohortError(f"data={data.kind} gave a table without a row: no recording was found.")
    wanted = ["recording", "patient_id", *(c.column or task for task, c in data.tasks.items())]
    if missing := [name for name in wanted if name not in columns]:
        raise CohortError(
            f"data={data.kind} gave a table with the columns {listing(map(repr, columns), 20)}, "
            f"and without {listing(map(repr, missing), 20)}: a reader names them so."
        )
    cells = frame.astype(object).where(frame.notna(), "").map(str)
    cells = cells.set_axis(pd.Index(columns, dtype=object), axis=1)
    file = CsvFile(cells.set_axis(pd.RangeIndex(1, len(cells) + 1), axis=0))
    config = TableData(
        kind="table",
        path=Path(f"data={data.kind}"),
        tasks=data.tasks,
        person_column=_PERSON_ID if _PERSON_ID in columns else None,
        site_column="site" if "site" in columns else None,
        timing_column="murmur_timing" if "murmur_timing" in columns else None,
    )
    return _cohort(config, file, _check(config, file), data.kind, on_progress)


def _cohort(
    config: TableData,
    file: CsvFile,
    notes: Sequence[Note],
    name: str,
    on_progress: Progress | None,
) -> Cohort:
    table = file.table
    columns, spelling = Columns.of(config, table.columns.tolist()), Spelling()
    of_row = [spelling(cell) for cell in table[config.patient_column]]
    person = config.person_column or config.patient_column
    person_of_row = [spelling(cell) for cell in table[person]]
    labels = {
        task: [label_of(cell, spec.classes) for cell in table[spec.column or task]]
        for task, spec in config.tasks.items()
    }
    for task, spec in config.tasks.items():
        _check_agreement(config, of_row, spec.column or task, labels[task])
    _check_agreement(config, of_row, person, person_of_row)
    if config.person_column is None and _PERSON_ID in columns.covariates:
        _check_joins_nobody(config, of_row, [spelling(cell) for cell in table[_PERSON_ID]])

    values = {name: file.values(column) for column, name in columns.covariates.items()}
    covariates = {
        name: cells
        for name, cells in values.items()
        if not _contradictions(of_row, [said(cell) for cell in cells])
    }
    first_row = {patient_id: i for i, patient_id in reversed(list(enumerate(of_row)))}
    patients: list[dict[str, Any]] = [
        {
            "patient_id": of_row[i],
            "person_id": person_of_row[i],
            **{task: each[i] for task, each in labels.items()},
            **{name: cells.iloc[i] for name, cells in covariates.items()},
        }
        for i in sorted(first_row.values())
    ]
    ids = [spelling(_recording_id(row, columns, config)) for row in table.to_dict("records")]
    if columns.recording_id and (
        twice := sorted({each for each, n in Counter(ids).items() if n > 1})
    ):
        raise CohortError(
            f"{config.path}: recording_id must be unique, but {listing(twice)} occurs more than "
            "once. Correct the ids, or rename the column: the path then is the id."
        )
    recordings: list[dict[str, Any]] = [
        {
            "recording_id": ids[i],
            "patient_id": of_row[i],
            "path": str(find_file(config.path.parent, row[config.recording_column])),
            "site": word(row[config.site_column]) if config.site_column else "unknown",
            **_timing(row, ids[i], config),
            **{
                task: label_of(row[spec.recording_column], spec.classes)
                for task, spec in config.tasks.items()
                if spec.recording_column
            },
        }
        for i, row in enumerate(table.to_dict("records"))
    ]
    of_persons = [] if config.persons_known else [unknown_persons(len(patients))]
    found = Listing(
        name,
        tasks_of(config.tasks),
        patients,
        recordings,
        list(covariates),
        notes=[*notes, *of_persons, *spelling.notes(), *columns.notes(list(covariates))],
        channel=config.channel,
    )
    return assemble(found, on_progress)


def _timing(
    row: Mapping[Hashable, str], recording_id: str, config: TableData
) -> dict[str, str | None]:
    """When the murmur of a recording is heard, if the table says so."""
    if config.timing_column is None:
        return {}
    text = word(row[config.timing_column])
    timings_of(text, f"{config.path}: recording {recording_id}")
    return {TIMING: text}


def column_of(config: TableData, column: str) -> list[Any] | None:
    """A column of the CSV, one value for each recording; None where there is no such column."""
    table = _read(config)[0].table
    return [word(cell) for cell in table[column]] if column in table else None


def _read(config: TableData) -> tuple[CsvFile, list[Note]]:
    file = read_csv(config.path)
    return file, _check(config, file)


def _check(config: TableData, file: CsvFile) -> list[Note]:
    """Notes about a table whose columns are there, and whose ids are not empty."""
    table = file.table
    wanted = {
        "data.recording_column": config.recording_column,
        "data.patient_column": config.patient_column,
        "data.person_column": config.person_column,
        "data.site_column": config.site_column,
        "data.timing_column": config.timing_column,
    }
    for task, spec in config.tasks.items():
        wanted[f"data.tasks.{task}.column"] = spec.column or task
        wanted[f"data.tasks.{task}.recording_column"] = spec.recording_column
    faults = []
    for key, column in wanted.items():
        if column is not None and column not in table:
            guess = nearest(column, table.columns)
            hint = f" (did you mean {guess!r:.80}?)" if guess else ""
            faults.append(f"{key}={column!r:.80}{hint}")
    if faults:
        raise CohortError(
            f"{config.path} has the columns {listing(map(repr, table), 20)}, but not "
            f"{'; '.join(faults)}."
        )
    for key in ("recording_column", "patient_column", "person_column"):
        column = getattr(config, key)
        if column and (empty := table.index[table[column].map(is_missing)].tolist()):
            value = table[column].loc[empty[0]]
            said = f" ({value!r:.80} counts as missing)" if value.strip() else ""
            raise CohortError(f"{config.path}: {column} is empty in line {listing(empty)}{said}.")
    return [Note("encoding", 1, f"{file.note}; save it as UTF-8")] if file.note else []


def _recording_id(row: Mapping[Hashable, str], columns: Columns, config: TableData) -> str:
    given = row[columns.recording_id] if columns.recording_id else None
    return row[config.recording_column] if given is None or is_missing(given) else given


def _contradictions(of_row: Sequence[str], values: Sequence[object]) -> dict[str, list[object]]:
    """Patients whose rows have several values, and these values."""
    found: dict[str, dict[object, None]] = defaultdict(dict)
    for patient_id, value in zip(of_row, values, strict=True):
        found[patient_id][value] = None
    return {patient_id: list(each) for patient_id, each in found.items() if len(each) > 1}


def _check_agreement(
    config: TableData, of_row: Sequence[str], column: str, values: Sequence[object]
) -> None:
    if several := _contradictions(of_row, values):
        patient_id, found = next(iter(several.items()))
        raise CohortError(
            f"{config.path}: patient {patient_id} has several values of {column}: "
            f"{listing(found)} ({len(several)} such patients). All rows of a patient must have the "
            "same value."
        )


def _check_joins_nobody(config: TableData, of_row: Sequence[str], persons: Sequence[str]) -> None:
    """Refuse to ignore a column of persons that links patients."""
    joined = _contradictions(
        [each for each in persons if not is_missing(each)],
        [patient for patient, each in zip(of_row, persons, strict=True) if not is_missing(each)],
    )
    if joined:
        person, patients = next(iter(joined.items()))
        raise CohortError(
            f"the column {_PERSON_ID} of {config.path} gives several patients one person "
            f"({person}: {listing(patients)}; {len(joined)} such persons), but data.person_column "
            f"is not set. Set data.person_column={_PERSON_ID}, or rename the column if it does not "
            "name persons."
        )
