"""What is to be predicted: files, folders, CirCor folders or a CSV -> patients with recordings.

    FILE.wav, FILE.flac   a recording
    FOLDER                with <id>.txt headers, or training_data/ that has them: CirCor's layout,
                          labels not needed; else every WAV and FLAC below it
    FILE.csv              one row a recording: the columns recording and, where there are,
                          patient_id, person_id and site (or those that the run's data
                          configuration names); all others are covariates of the patient

A file by itself is named <patient>_<site>, with a site AV, PV, TV, MV or Phc and maybe a number
after it, as CirCor's are; any other name is a patient of one recording.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pandas as pd

from kfold_hs.cohort import Cohort
from kfold_hs.cohort.circor import covariates_of, read_patient
from kfold_hs.cohort.wfdb import audio_path
from kfold_hs.errors import CohortError, listing
from kfold_hs.settings import DataConfig, TableData

_AUDIO = {".wav", ".flac"}
_NAME = re.compile(r"(?P<patient>.+)_(?P<site>AV|PV|TV|MV|Phc)(_\d+)?", re.IGNORECASE)
_UNKNOWN = "unknown"


@dataclass(frozen=True)
class Sound:
    """One recording to be heard."""

    recording_id: str
    path: Path
    site: str = _UNKNOWN


@dataclass(frozen=True)
class Patient:
    """One row of what comes out.

    Parameters
    ----------
    patient_id : str
    sounds : tuple of Sound
    ids : tuple of str
        All patient ids that this person goes by.
    covariates : mapping
        What is known beside the sound.
    problem : str
        Why nothing of the patient can be read, or "".
    persons : tuple of str
        Person ids that the inputs give: a numbering of its own.
    """

    patient_id: str
    sounds: tuple[Sound, ...]
    ids: tuple[str, ...]
    covariates: Mapping[str, Any] = field(default_factory=dict)
    problem: str = ""
    persons: tuple[str, ...] = ()


def find_patients(inputs: Sequence[Path], data: DataConfig) -> list[Patient]:
    """All patients of the inputs, in their order, by name within a folder.

    Parameters
    ----------
    inputs : sequence of Path
    data : DataConfig
        Of the run: names the columns of a CSV where the run had one.

    Raises
    ------
    CohortError
        An input does not exist, holds no recording, or two hold the same patient.
    """
    found: list[Patient] = []
    for path in inputs:
        if not path.exists():
            raise CohortError(
                f"{path} does not exist. An input is a WAV or FLAC file, a folder, or a CSV."
            )
        new = list(_patients_of(path, data))
        if not new:
            raise CohortError(f"{path} holds no recording: no .wav, no .flac, no <id>.txt.")
        found += new
    if twice := _twice([patient.patient_id for patient in found]):
        raise CohortError(
            f"patient {listing(twice)} stands in the inputs more than once. Give each once, or a "
            "CSV that says which recordings are whose."
        )
    return found


def of_cohort(cohort: Cohort, patient_ids: Collection[str]) -> list[Patient]:
    """Patients of a cohort, as they would be found on the disk."""
    found = []
    recordings = dict(iter(cohort.recordings.groupby("patient_id")))
    for row in cohort.patients.to_dict("records"):
        if row["patient_id"] in patient_ids:
            sounds = tuple(
                Sound(each["recording_id"], Path(each["path"]), each["site"])
                for each in recordings[row["patient_id"]].to_dict("records")
            )
            beside = {name: row[name] for name in cohort.covariates}
            found.append(Patient(row["patient_id"], sounds, (row["patient_id"],), beside))
    return found


def _patients_of(path: Path, data: DataConfig) -> Iterator[Patient]:
    if path.is_file():
        if path.suffix.lower() == ".csv":
            return iter(_of_table(path, data))
        return iter(_of_files([path], path.parent))
    for folder in (path / "training_data", path):
        headers = sorted(folder.glob("*.txt"), key=lambda each: (len(each.stem), each.stem))
        headers = [each for each in headers if _is_header(each)]
        if headers:
            return (_of_header(header) for header in headers)
    files = [each for each in sorted(path.rglob("*")) if each.suffix.lower() in _AUDIO]
    return iter(_of_files(files, path))


def _is_header(path: Path) -> bool:
    """Whether a .txt begins as a patient's header does, with their id."""
    with path.open(encoding="utf-8", errors="replace") as file:
        return file.readline().split()[:1] == [path.stem]


def _of_header(path: Path) -> Patient:
    try:
        fields, recordings = read_patient(path)
    except CohortError as error:
        return Patient(path.stem, (), (path.stem,), problem=str(error))
    return patient_of(path.stem, fields, recordings, path.parent)


def patient_of(
    patient_id: str,
    fields: Mapping[str, str],
    recordings: Sequence[tuple[str, str]],
    folder: Path,
) -> Patient:
    """From what a header in CirCor's layout says; recordings are (site, name without suffix)."""
    sounds = tuple(Sound(stem, audio_path(folder, stem), site) for site, stem in recordings)
    other = fields.get("Additional ID", "nan").removesuffix(".0")
    ids = (patient_id,) if other == "nan" else (patient_id, other)
    return Patient(patient_id, sounds, ids, covariates_of(fields))


def named(path: Path) -> tuple[str, str]:
    """Patient and site, as a file by itself is named."""
    match = _NAME.fullmatch(path.stem)
    return (match["patient"], match["site"]) if match else (path.stem, _UNKNOWN)


def _of_files(files: Sequence[Path], root: Path) -> list[Patient]:
    """By the files' names; patients of one name in two folders are two."""
    sounds: dict[tuple[Path, str], list[Sound]] = {}
    for path in files:
        patient, site = named(path)
        sounds.setdefault((path.parent, patient), []).append(Sound(path.stem, path, site))
    again = set(_twice([patient for _, patient in sounds]))
    found = []
    for (folder, patient), each in sounds.items():
        name = (folder.relative_to(root) / patient).as_posix() if patient in again else patient
        found.append(Patient(name, tuple(each), (patient,)))
    return found


def _of_table(path: Path, data: DataConfig) -> list[Patient]:
    try:
        table = pd.read_csv(path, dtype=object, keep_default_na=False)
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise CohortError(f"cannot read {path} as CSV: {error}.") from error
    table = table.where(~table.isin(["", "nan", "NaN", "NA"]), None)
    names = (
        data
        if isinstance(data, TableData)
        else TableData(kind="table", path=path, tasks=data.tasks)
    )
    recording, patient = names.recording_column, names.patient_column
    person = names.person_column or "person_id"
    site = names.site_column or "site"
    if recording not in table:
        raise CohortError(
            f"{path} has the columns {list(table)}; it lacks {recording!r}, a recording's path."
        )
    if empty := table.index[table[recording].isna()].tolist():
        raise CohortError(f"{path}: {recording} is empty in line {listing(i + 2 for i in empty)}.")
    if patient not in table:
        table[patient] = [Path(each).stem for each in table[recording]]
    if empty := table.index[table[patient].isna()].tolist():
        raise CohortError(f"{path}: {patient} is empty in line {listing(i + 2 for i in empty)}.")
    rest = [c for c in table.columns.astype(str) if c not in {recording, patient, person, site}]
    found: dict[str, Patient] = {}
    for row in table.to_dict("records"):
        name = str(row[patient])
        sound = Sound(
            str(row.get("recording_id") or row[recording]), path.parent / row[recording],
            str(row.get(site) or _UNKNOWN),
        )  # fmt: skip
        persons: tuple[str, ...] = (str(row[person]),) if row.get(person) else ()
        known = found.get(name)
        if known is None:
            beside = {column: row[column] for column in rest}
            found[name] = Patient(name, (sound,), (name,), beside, persons=persons)
        else:
            persons = tuple(dict.fromkeys(known.persons + persons))
            found[name] = replace(known, sounds=(*known.sounds, sound), persons=persons)
    return list(found.values())


def _twice(names: Sequence[str]) -> list[str]:
    seen: set[str] = set()
    again: dict[str, None] = {}
    for name in names:
        if name in seen:
            again[name] = None
        seen.add(name)
    return list(again)
