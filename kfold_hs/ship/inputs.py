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

from kfold_hs.cohort import Cohort
from kfold_hs.cohort.circor import covariates_of, other_id, read_patient
from kfold_hs.cohort.columns import Columns
from kfold_hs.cohort.csv_file import read_csv, read_text
from kfold_hs.cohort.ids import clean_name, find_file
from kfold_hs.cohort.values import are_same, is_missing, word
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
    try:
        text, _ = read_text(path)
    except CohortError:
        return False
    return clean_name(text[:1000]).split(" ")[0] == clean_name(path.stem).split(" ")[0]


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
    other = other_id(fields)
    ids = (patient_id,) if other is None else (patient_id, other)
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
    table = read_csv(path).table
    names = _names(path, data, table.columns.tolist())
    recording, patient = names.recording_column, names.patient_column
    if recording not in table:
        raise CohortError(
            f"{path} has the columns {listing(map(repr, table), 20)}; it lacks {recording!r:.80}, "
            "a recording's path."
        )
    for column in (recording, patient):
        if column in table and (empty := table.index[table[column].map(is_missing)].tolist()):
            raise CohortError(f"{path}: {column} is empty in line {listing(empty)}.")
    columns = Columns.of(names, table.columns.tolist())
    found: dict[str, Patient] = {}
    for row in table.to_dict("records"):
        file = find_file(path.parent, row[recording])
        name = clean_name(row[patient] if patient in row else Path(row[recording]).stem)
        given = row[columns.recording_id] if columns.recording_id else None
        site = word(row.get(names.site_column or "site"))
        sound = Sound(
            clean_name(row[recording] if given is None or is_missing(given) else given),
            file, site or _UNKNOWN,
        )  # fmt: skip
        person = row.get(names.person_column) if names.person_column else None
        persons = () if person is None or is_missing(person) else (clean_name(person),)
        beside = {ours: row[column] for column, ours in columns.covariates.items()}
        known = found.get(name)
        if known is None:
            found[name] = Patient(name, (sound,), (name,), beside, persons=persons)
            continue
        found[name] = replace(
            known,
            sounds=(*known.sounds, sound),
            persons=tuple(dict.fromkeys(known.persons + persons)),
            covariates=_in_all_rows(known.covariates, beside),
        )
    return list(found.values())


def _in_all_rows(known: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """Covariates of a patient from one more row; values that contradict each other are both kept,
    and no model can read them."""
    found = dict(known)
    for name, value in new.items():
        if is_missing(found[name]):
            found[name] = value
        elif not is_missing(value) and not are_same(found[name], value):
            found[name] = f"{found[name]} and {value}"
    return found


def _names(path: Path, data: DataConfig, columns: Sequence[str]) -> TableData:
    """What the columns are called: as in the run's table, or by our names where it had none."""
    if isinstance(data, TableData):
        return data
    person = "person_id" if "person_id" in columns else None
    site = "site" if "site" in columns else None
    return TableData(
        kind="table", path=path, tasks=data.tasks, person_column=person, site_column=site
    )


def _twice(names: Sequence[str]) -> list[str]:
    seen: set[str] = set()
    again: dict[str, None] = {}
    for name in names:
        if name in seen:
            again[name] = None
        seen.add(name)
    return list(again)
