"""ZCHSound, heart sounds of children with and without congenital heart disease.

    ROOT/Clean Heartsound Data Details.csv    fileName;gender;age(days);diagnosis
    ROOT/clean Heartsound Data/ZCH0001.wav    941 recordings
    ROOT/Noise Heartsound Data Details.csv    the same columns
    ROOT/Noise Heartsound Data Details/       318 recordings, disturbed by noise

Recordings are found by their names in any folder below the root. The diagnosis is NORMAL, ASD, VSD,
PDA (septal defects, open duct) or PFO (open oval foramen).

Nobody knows for sure whose the recordings are: the tables have no person, the paper counts 1259
participants, and the README of the release 685 children. Each recording is a person of its own,
except where files hold the same samples: these are of one heart, and become one person. (Six such
pairs are known, one of them labelled ASD and VSD.) Neither do the tables say where on the chest.

Jia et al., "ZCHSound: Open-Source ZJU Paediatric Heart Sound Database With Congenital Heart
Disease", IEEE Trans. Biomed. Eng. 71(8), 2024.
"""

from __future__ import annotations

import dataclasses
import re
from collections import defaultdict
from pathlib import Path
from typing import Any

from kfold_hs.cohort.aliases import link, of_patients
from kfold_hs.cohort.audio import Progress
from kfold_hs.cohort.build import Listing, assemble, label_columns, noted, tasks_of, unknown_persons
from kfold_hs.cohort.cohort import Cohort, Note
from kfold_hs.cohort.csv_file import CsvFile, read_csv
from kfold_hs.cohort.ids import Spelling, clean_name
from kfold_hs.cohort.values import is_missing, number, word
from kfold_hs.config.schema import ZchSoundData
from kfold_hs.errors import CohortError, listing
from kfold_hs.files.walk import find_files

DIAGNOSIS, ABNORMAL, OUTCOME = "diagnosis", "abnormal", "outcome"
"""Columns of labels. `outcome` says the same as `abnormal`, as CirCor and CinC 2016 call it."""
_NORMAL = "NORMAL"
_SEXES = {"m": "Male", "f": "Female"}
_AGE = re.compile(r"age[^a-z]*(?P<unit>day|month|year)s?[^a-z]*", re.IGNORECASE)
_PER_YEAR = {"day": 365.25, "month": 12.0, "year": 1.0}
_SUFFIXES = (".wav", ".flac")
_MISSING = "the tables list them, but there is no such file; left out"
_UNLISTED = "files that neither table lists; left out"
_JOINED = (
    "files of different names with the same samples: one heart, so that they are one person and "
    "never on two sides of a split"
)


def load(config: ZchSoundData, on_progress: Progress | None = None) -> Cohort:
    """Read the tables of `config.sets`; the set becomes the covariate `source`.

    Raises
    ------
    CohortError
        A table is missing or lacks a column, an age has no unit or is no number, a diagnosis is
        not one of the task's classes, or a name stands for several files.
    """
    files, spelling = _files_by_name(config.root), Spelling()
    columns = label_columns(config.tasks, [DIAGNOSIS, ABNORMAL, OUTCOME], "ZCHSound")
    patients: list[dict[str, Any]] = []
    recordings: list[dict[str, Any]] = []
    notes: list[Note] = []
    missing, listed = [], set()
    for name in config.sets:
        path = _table_of(config.root, name)
        file = read_csv(path)
        if file.note:
            notes.append(Note("encoding", 1, f"{file.note}; save it as UTF-8"))
        for row in _rows(file, path, spelling):
            stem = row.pop("stem")
            listed.add(stem.casefold())
            if (found := files.get(stem.casefold())) is None:
                missing.append(f"{stem} ({name})")
                continue
            labels = {task: row[column] for task, column in columns.items()}
            known = {each: row[each] for each in ("sex", "age_years")}
            patients.append(
                {"patient_id": stem, "person_id": stem, "source": name, **known, **labels}
            )
            recordings.append(
                {"recording_id": stem, "patient_id": stem, "path": str(found), "site": "unknown"}
            )
    notes += [unknown_persons(len(patients)), *spelling.notes()]
    notes += noted("recordings that are not there", missing, _MISSING)
    if set(config.sets) == {"clean", "noise"}:  # else the other table may list them
        unlisted = sorted(path.name for stem, path in files.items() if stem not in listed)
        notes += noted("recordings of nobody", unlisted, _UNLISTED)
    found_all = Listing(
        "zchsound",
        tasks_of(config.tasks),
        patients,
        recordings,
        ["sex", "age_years", "source"],
        notes=notes,
    )
    return _joined(assemble(found_all, on_progress))


def _table_of(root: Path, name: str) -> Path:
    """The table of a set, in small letters or capitals."""
    wanted = f"{name} heartsound data details.csv"
    found = [p for p in (root.iterdir() if root.is_dir() else ()) if p.name.casefold() == wanted]
    if not found:
        raise CohortError(
            f"{root} has no table {wanted.capitalize()!r}. data.root must be the folder that holds "
            "the tables of ZCHSound; data.sets=[clean] or data.sets=[noise] reads one of them."
        )
    return sorted(found)[0]


def _files_by_name(root: Path) -> dict[str, Path]:
    """Every recording below the root, by its name without the suffix, in small letters."""
    found: dict[str, Path] = {}
    for path in find_files(root, _SUFFIXES).files if root.is_dir() else []:
        name = clean_name(path.stem).casefold()
        if (other := found.setdefault(name, path)) is not path:
            raise CohortError(
                f"{path} and {other} have the same name, so that nobody knows which one the table "
                "means. Keep one of them below data.root."
            )
    return found


def _rows(file: CsvFile, path: Path, spelling: Spelling) -> list[dict[str, Any]]:
    """Rows with stem, sex, age_years and the columns of labels."""
    columns = {re.sub(r"\s", "", str(name)).casefold(): str(name) for name in file.table}
    age = next((m for name in columns if (m := _AGE.fullmatch(name))), None)
    wanted = {"filename": "fileName", "gender": "gender", "diagnosis": "diagnosis"}
    lacking = [shown for name, shown in wanted.items() if name not in columns]
    lacking += ["age(days)"] if age is None else []
    if lacking or age is None:
        raise CohortError(
            f"{path} lacks the columns {listing(lacking)}; it has {listing(columns.values(), 10)}. "
            "The column of ages must name its unit: age(days), age(months) or age(years)."
        )
    per_year = _PER_YEAR[age["unit"].lower()]
    ages = file.values(columns[age.string])
    rows = []
    for line, cells, cell in zip(
        file.table.index, file.table.to_dict("records"), ages, strict=True
    ):
        name = cells[columns["filename"]]
        if is_missing(name):
            raise CohortError(f"{path}: fileName is empty in line {line}.")
        diagnosis = (word(cells[columns["diagnosis"]]) or "").upper() or None
        sex = word(cells[columns["gender"]])
        normal = None if diagnosis is None else diagnosis == _NORMAL
        rows.append(
            {
                "stem": re.sub(r"\.(wav|flac)$", "", spelling(name), flags=re.IGNORECASE),
                "sex": _SEXES.get((sex or "").casefold(), sex),
                "age_years": _years(cell, per_year, f"{path}, line {line}"),
                DIAGNOSIS: diagnosis,
                ABNORMAL: None if normal is None else "no" if normal else "yes",
                OUTCOME: None if normal is None else "Normal" if normal else "Abnormal",
            }
        )
    return rows


def _years(cell: str, per_year: float, where: str) -> float | None:
    if is_missing(cell):
        return None
    found = number(cell)
    if found is None or found < 0:
        raise CohortError(
            f"{where}: the age is {cell!r:.80}. It must be a number, at least 0, or blank."
        )
    return round(found / per_year, 3)


def _joined(cohort: Cohort) -> Cohort:
    """One person for all recordings of the same samples, and a note of them."""
    groups: dict[str, list[str]] = defaultdict(list)
    sounding = cohort.recordings[~cohort.recordings["is_flat"].astype(bool)]
    for sha, patient_id in zip(sounding["sha256"], sounding["patient_id"], strict=True):
        groups[sha].append(str(patient_id))
    same = [sorted(each) for each in groups.values() if len(each) > 1]
    joined = link(cohort, of_patients((each[0], other) for each in same for other in each[1:]))
    note = noted("joined persons", [" = ".join(each) for each in same], _JOINED)
    return dataclasses.replace(joined, notes=(*joined.notes, *note))
