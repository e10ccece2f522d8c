"""What is to be predicted: files, folders, CirCor folders or a CSV -> patients with recordings.

    FILE.wav              a recording (WAV, FLAC or AIFF)
    FOLDER                with <id>.txt headers, or training_data/ that has them: CirCor's layout,
                          labels not needed; recordings that no header lists, and those of any
                          other folder, are as if each were given by itself
    FILE.csv              one row a recording: the columns recording and, where there are,
                          patient_id, person_id and site (or what the run's data configuration
                          calls these, where it does); all others are covariates of the patient

Whose a recording is, where no header and no column patient_id says so: a file named
<patient>_<site>, with a site AV, PV, TV, MV or Phc and maybe a number after it, as CirCor's are,
is that patient's; any other is a patient of one recording. Names count within a folder: P1/rec1.wav
and P2/rec1.wav are the patients P1/rec1 and P2/rec1, by the folders below the one that holds all.
The same file given twice, or twice in the rows of a patient, counts once.
"""

from __future__ import annotations

import functools
import os
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from kfold_hs.bundle.patients import UNKNOWN, Patient, Sound, headers_of, named, of_header
from kfold_hs.cohort import Cohort
from kfold_hs.cohort.columns import Columns
from kfold_hs.cohort.csv_file import read_csv
from kfold_hs.cohort.ids import clean_name, find_file
from kfold_hs.cohort.values import are_same, is_missing, word
from kfold_hs.config.schema import DataConfig, TableData
from kfold_hs.errors import CohortError, listing
from kfold_hs.files.walk import RECORDINGS, find_files, plain


@dataclass
class Inputs:
    """What was found.

    Parameters
    ----------
    patients : list of Patient
        In the order of the inputs, by name within a folder.
    notes : list of str
        What was left out, counted and named.
    """

    patients: list[Patient] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def find_patients(inputs: Sequence[Path], data: DataConfig) -> Inputs:
    """All patients of the inputs.

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
    found = Inputs()
    loose: dict[Path, _Loose] = {}
    for path in inputs:
        if not os.path.exists(path):  # noqa: PTH110 - Path's raises for a name that is too long
            raise CohortError(
                f"{path} does not exist. An input is a WAV, FLAC or AIFF file, a folder, or a CSV."
            )
        before = len(found.patients), len(loose)
        _add(path, data, found, loose)
        if before == (len(found.patients), len(loose)) and not _all_given(path, loose):
            raise CohortError(
                f"{path} holds no recording: no .wav, .flac or .aiff, and no <id>.txt. "
                + " ".join(found.notes)
            )
    found.patients += _of_files(_without_links(loose, found))
    again: list[str] = []
    found.patients = [_each_once(patient, again) for patient in found.patients]
    if again:
        found.notes.append(
            f"{len(again)} left out (a recording that the patient has already): {listing(again)}"
        )
    if twice := _twice([patient.patient_id for patient in found.patients]):
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


@dataclass(frozen=True)
class _Loose:
    """A recording whose patient its name tells, and what its row says of that patient."""

    sound: Sound
    covariates: Mapping[str, Any] = field(default_factory=dict)
    persons: tuple[str, ...] = ()


def _by_itself(path: Path) -> _Loose:
    return _Loose(Sound(clean_name(path.stem), path, named(path)[1]))


def _add(path: Path, data: DataConfig, found: Inputs, loose: dict[Path, _Loose]) -> None:
    """Patients of one input; recordings of which nobody says whose they are go to `loose`."""
    if path.is_dir():
        _add_folder(path, found, loose)
    elif path.suffix.lower() == ".csv":
        patients, files = _of_table(path, data)
        found.patients += patients
        if files:
            found.notes.append(
                f"{path} has no column of patients: whose each recording is, its name says"
            )
        for file in files:
            loose.setdefault(_resolved(file.sound.path), file)
    else:
        loose.setdefault(_resolved(path), _by_itself(path))


def _add_folder(path: Path, found: Inputs, loose: dict[Path, _Loose]) -> None:
    inside = path / "training_data"
    folder = inside if inside.is_dir() and headers_of(inside) else path
    headers = headers_of(folder)
    files = find_files(folder, RECORDINGS | {".txt", ".hea", ".tsv"} if headers else RECORDINGS)
    mine = {clean_name(header.stem) for header in headers}
    listed = set()
    of_nobody = []
    for patient in map(of_header, headers):
        found.patients.append(patient)
        listed |= {sound.path for sound in patient.sounds}
    for file in files.files:
        if file.suffix.lower() not in RECORDINGS or file in listed:
            continue
        if file.parent == folder and named(file)[0] in mine:
            of_nobody.append(file)
        else:
            loose.setdefault(_resolved(file), _by_itself(file))
    listless = [
        each for each in files.files if each.suffix.lower() == ".txt" and each not in headers
    ]
    if listless:
        files.left_out["no header of a patient in this folder"] = listless
    if of_nobody:
        files.left_out["recordings that their patient's header does not list"] = of_nobody
    found.notes += files.notes(folder)


def _resolved(path: Path) -> Path:
    try:
        return Path(os.path.realpath(path.parent)) / path.name
    except ValueError:  # a NUL, which is in no file's name: its row says that it is missing
        return path


def _without_links(loose: dict[Path, _Loose], found: Inputs) -> dict[Path, _Loose]:
    """Without links to a recording that is given itself, or by an earlier link."""
    # Of os.path, which takes any name: a table may hold one that is too long for a disk.
    seen = {str(path) for path in loose if not os.path.islink(path)}  # noqa: PTH114
    kept, again = {}, []
    for path, file in loose.items():
        if os.path.islink(path):  # noqa: PTH114
            if (real := os.path.realpath(path)) in seen:
                again.append(path)
                continue
            seen.add(real)
        kept[path] = file
    if again:
        names = listing(plain(str(path)) for path in again)
        found.notes.append(
            f"{len(again)} left out (a link to a file or folder that was found): {names}"
        )
    return kept


def _each_once(patient: Patient, again: list[str]) -> Patient:
    """A patient none of whose files is heard twice; `again` gets those that are left out."""
    seen, kept = set(), []
    for sound in patient.sounds:
        try:
            real = os.path.realpath(sound.path)
        except ValueError:  # a NUL, which is in no file's name: its row says that it is missing
            real = str(sound.path)
        if real in seen:
            again.append(plain(str(sound.path)))
        else:
            seen.add(real)
            kept.append(sound)
    return replace(patient, sounds=tuple(kept))


def _all_given(path: Path, loose: Mapping[Path, _Loose]) -> bool:
    """Whether an input adds nothing because all of it was given before."""
    return bool(loose) and (path.is_file() or bool(find_files(path).files))


def _of_files(files: Mapping[Path, _Loose]) -> list[Patient]:
    """By the files' names and folders; patients of one name in two folders are two."""
    groups: dict[tuple[Path, str], list[_Loose]] = {}
    for path, file in files.items():
        groups.setdefault((path.parent, clean_name(named(path)[0])), []).append(file)
    again = set(_twice([patient for _, patient in groups]))
    root = os.path.commonpath([folder for folder, _ in groups]) if groups else ""
    found = []
    for (folder, patient), each in groups.items():
        name = (folder.relative_to(root) / patient).as_posix() if patient in again else patient
        rows = [
            Patient(name, (file.sound,), (name,), file.covariates, persons=file.persons)
            for file in each
        ]
        found.append(functools.reduce(_with_row, rows))
    return found


def _of_table(path: Path, data: DataConfig) -> tuple[list[Patient], list[_Loose]]:
    """Patients of a table that names them; without that column its recordings, one by one."""
    listed = read_csv(path)
    table = listed.table
    names = _names(path, data, table.columns.tolist())
    recording, patient = names.recording_column, names.patient_column
    if recording not in table:
        raise CohortError(
            f"{path} has the columns {listing(map(repr, table), 20)}; it lacks {recording!r:.80}, "
            "a recording's path."
        )
    for column in (recording, patient):
        if column in table and (empty := table.index[table[column].map(is_missing)].tolist()):
            value = table[column].loc[empty[0]]
            said = f" ({value!r:.80} counts as missing)" if value.strip() else ""
            raise CohortError(f"{path}: {column} is empty in line {listing(empty)}{said}.")
    columns = Columns.of(names, table.columns.tolist())
    found: dict[str, Patient] = {}
    loose = []
    values = {ours: listed.values(column).to_dict() for column, ours in columns.covariates.items()}
    for line, row in zip(table.index, table.to_dict("records"), strict=True):
        file = find_file(path.parent, row[recording])
        given = row[columns.recording_id] if columns.recording_id else None
        site = word(row.get(names.site_column or "site"))
        sound = Sound(
            clean_name(row[recording] if given is None or is_missing(given) else given),
            file,
            site or (UNKNOWN if patient in table else named(file)[1]),
        )
        person = row.get(names.person_column) if names.person_column else None
        persons = () if person is None or is_missing(person) else (clean_name(person),)
        beside = {ours: cells[line] for ours, cells in values.items()}
        if patient not in table:
            loose.append(_Loose(sound, beside, persons))
            continue
        name = clean_name(row[patient])
        new = Patient(name, (sound,), (name,), beside, persons=persons)
        found[name] = _with_row(found[name], new) if name in found else new
    return list(found.values()), loose


def _with_row(known: Patient, new: Patient) -> Patient:
    """A patient with what one more row says."""
    return replace(
        known,
        sounds=(*known.sounds, *new.sounds),
        persons=tuple(dict.fromkeys(known.persons + new.persons)),
        covariates=_in_all_rows(known.covariates, new.covariates),
    )


def _in_all_rows(known: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """Covariates of a patient from one more row; values that contradict each other are both kept,
    and no model can read them."""
    found = dict(known)
    for name, value in new.items():
        if is_missing(found.get(name)):
            found[name] = value
        elif not is_missing(value) and not are_same(found[name], value):
            found[name] = f"{found[name]} and {value}"
    return found


def _names(path: Path, data: DataConfig, columns: Sequence[str]) -> TableData:
    """What the columns are called: as in the run's table, or by our names where it had none, and
    where the columns that it names are not here."""
    if isinstance(data, TableData):
        ours = {"recording_column": "recording", "patient_column": "patient_id"}
        ours |= {"person_column": "person_id", "site_column": "site"}
        theirs = {key: getattr(data, key) for key in ours}
        absent = {key for key, name in theirs.items() if name is not None and name not in columns}
        found = {key: ours[key] for key in absent if ours[key] in {*columns} - {*theirs.values()}}
        return data.model_copy(update=found)
    person = "person_id" if "person_id" in columns else None
    site = "site" if "site" in columns else None
    return TableData(
        kind="table", path=path, tasks=data.tasks, person_column=person, site_column=site
    )


def _twice(names: Sequence[str]) -> list[str]:
    return [name for name, n in Counter(names).items() if n > 1]
