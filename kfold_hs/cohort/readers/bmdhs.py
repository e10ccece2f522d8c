"""BMD-HS, the BUET Multi-disease Heart Sound dataset, in its official layout.

    ROOT/train.csv                 one row a patient: patient_id, AS, AR, MR, MS, N (1 yes, 0 no),
                                   recording_1 ... recording_8: names of files without .wav
    ROOT/additional_metadata.csv   patient_id, Age, Gender (M, F), Smoker (1, 0), Lives (U, R)
    ROOT/train/MD_001_sup_Mit.wav  4000 Hz, 20 s: group, number, posture, valve

Four diseases of the valves, confirmed by echocardiography, that one patient can have at once: a
task each. `N` says that there is none, and follows from the four; the group in a file's name is the
disease, N for none and MD for several. Where they contradict each other, the patient is named.

Found in the releases: patient_022 has eight recordings but no label (N/A, or no row), or in a copy
of the tables N = 1 while its files are named MD. Ages are in years or in bands such as 30-39. The
README gives MD as a column, which the table lacks, and F for rural, which is R in the table.

Ali et al., "BUET Multi-disease Heart Sound Dataset: A Comprehensive Auscultation Dataset for
Developing Computer-Aided Diagnostic Systems", arXiv:2409.00724, 2024.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from kfold_hs.cohort.audio import Progress
from kfold_hs.cohort.build import Listing, assemble, label_columns, noted, tasks_of
from kfold_hs.cohort.cohort import Cohort, Note
from kfold_hs.cohort.csv_file import read_csv
from kfold_hs.cohort.ids import Spelling, clean_name
from kfold_hs.cohort.values import is_missing, number, word
from kfold_hs.cohort.wfdb import audio_path
from kfold_hs.config.schema import BmdHsData
from kfold_hs.errors import CohortError, listing
from kfold_hs.files.walk import is_hidden

DISEASES = ("AS", "AR", "MR", "MS")
"""Columns of train.csv: stenosis and regurgitation of the aortic and the mitral valve."""
DISEASE = "disease"
"""Made here: whether a patient has any of the four."""
PRESENT, ABSENT = "Present", "Absent"
_LABELS: dict[float | None, str] = {1.0: PRESENT, 0.0: ABSENT}
_RECORDING = re.compile(r"recording_\d+", re.IGNORECASE)
_NAME = re.compile(r"(?P<group>[a-z]+)_\d+_(?P<posture>sup|sit)_(?P<valve>mit|tri|pul|aor)", re.I)
# CirCor's names of the same places, so that a table of sites can hold both cohorts.
_VALVES = {"mit": "MV", "tri": "TV", "pul": "PV", "aor": "AV"}
_POSTURES = {"sup": "supine", "sit": "sitting"}
# Column of additional_metadata.csv -> covariate, and the words of its codes.
_COVARIATES: dict[str, tuple[str, dict[str, str]]] = {
    "Age": ("age_years", {}),
    "Gender": ("sex", {"M": "Male", "F": "Female"}),
    "Smoker": ("smoker", {"1": "yes", "0": "no"}),
    "Lives": ("lives", {"U": "urban", "R": "rural", "F": "rural"}),
}


def load(config: BmdHsData, on_progress: Progress | None = None) -> Cohort:
    """Read the patients with their labels, and the recordings that are there.

    Patients without any label, recordings that are listed and missing, and files that nobody lists
    are left out, each with a note that names them.

    Raises
    ------
    CohortError
        A table or the folder `train` is missing, a label is neither 1 nor 0, or a patient has a
        label for some of the tasks only.
    """
    spelling = Spelling()
    rows, labels, notes = _read_labels(config.root / "train.csv", spelling)
    columns = label_columns(config.tasks, [*labels, DISEASE], "train.csv")
    about, more = _read_metadata(config.root / "additional_metadata.csv", rows, spelling)
    is_labelled = {
        patient_id: any(row[column] is not None for column in columns.values())
        for patient_id, row in rows.items()
    }
    patients: list[dict[str, Any]] = [
        {
            "patient_id": patient_id,
            "person_id": patient_id,
            **{task: row[column] for task, column in columns.items()},
            **about.get(patient_id, dict.fromkeys(name for name, _ in _COVARIATES.values())),
        }
        for patient_id, row in rows.items()
        if is_labelled[patient_id]
    ]
    folder = config.root / "train"
    recordings, missing = _recordings(
        folder, {each: row["recordings"] for each, row in rows.items() if is_labelled[each]}
    )
    listed = {name.casefold() for row in rows.values() for name in row["recordings"]}
    unlabelled = [each for each, is_known in is_labelled.items() if not is_known]
    said = {each: _contradiction(row) for each, row in rows.items() if is_labelled[each]}
    contradictions = [f"{patient_id}: {text}" for patient_id, text in said.items() if text]
    found = Listing(
        "bmdhs",
        tasks_of(config.tasks),
        patients,
        recordings,
        [name for name, _ in _COVARIATES.values()],
        notes=[
            *notes,
            *spelling.notes(),
            *noted("patients without a label", unlabelled, _UNLABELLED),
            *noted("contradicting labels", contradictions, _CONTRADICTING),
            *more,
            *noted("recordings that are not there", missing, _MISSING),
            *noted("recordings of nobody", _unlisted(folder, listed), _UNLISTED),
        ],
    )
    return assemble(found, on_progress)


def _recordings(
    folder: Path, names: Mapping[str, Sequence[str]]
) -> tuple[list[dict[str, Any]], list[str]]:
    """Rows of the recordings that are there, from names by patient; names of those that are not.

    Raises
    ------
    CohortError
        None is there.
    """
    rows, missing = [], []
    for patient_id, of_patient in names.items():
        for name in of_patient:
            path = audio_path(folder, name)
            if not path.is_file():
                missing.append(name)
                continue
            row = {"recording_id": name, "patient_id": patient_id, "path": str(path)}
            rows.append({**row, "site": _site(name)})
    if not rows:
        raise CohortError(
            f"{folder} holds none of the {len(missing)} recordings that train.csv lists. data.root "
            "must be the folder that holds train.csv, additional_metadata.csv and train/."
        )
    return rows, missing


_UNLABELLED = "patients of train.csv without a label; left out, with their recordings"
_CONTRADICTING = "columns and names of files that say different things; the columns count"
_MISSING = "train.csv lists them, but there is no such file; left out"
_UNLISTED = "files in train/ that no patient of train.csv lists; left out"
_NO_METADATA = "patients that additional_metadata.csv does not have; their covariates are missing"
_NO_PATIENT = "rows of additional_metadata.csv of patients whom train.csv does not have; not used"


def _read_labels(
    path: Path, spelling: Spelling
) -> tuple[dict[str, dict[str, Any]], list[str], list[Note]]:
    """Rows by patient: a label by column, and `recordings`; the columns of labels; notes."""
    table, notes = _table(path, ["patient_id", *DISEASES], spelling)
    labels = [name for name in (*DISEASES, "MD", "N") if name in table]
    files = [column for column in table if _RECORDING.fullmatch(str(column))]
    if not files:
        raise CohortError(f"{path} has no column recording_1. It must name the recordings.")
    rows = {}
    for line, cells in zip(table.index, table.to_dict("records"), strict=True):
        names = [clean_name(cells[column]) for column in files]
        row: dict[str, Any] = {
            "recordings": [re.sub(r"\.wav$", "", name, flags=re.I) for name in names if name]
        }
        for column in labels:
            row[column] = _label(cells[column], f"{path}, line {line}: {column}")
        known = [row[each] for each in DISEASES]
        row[DISEASE] = PRESENT if PRESENT in known else None if None in known else ABSENT
        rows[str(cells["patient_id"])] = row
    return rows, labels, notes


def _table(path: Path, wanted: Sequence[str], spelling: Spelling) -> tuple[Any, list[Note]]:
    """A table with one row a patient, its ids cleaned."""
    if not path.is_file():
        raise CohortError(
            f"{path} is missing. data.root must be the folder that holds train.csv, "
            "additional_metadata.csv and train/."
        )
    file = read_csv(path)
    table = file.table
    if missing := [column for column in wanted if column not in table]:
        raise CohortError(f"{path} lacks the columns {listing(missing)}.")
    if empty := table.index[table["patient_id"].map(is_missing)].tolist():
        raise CohortError(f"{path}: patient_id is empty in line {listing(empty)}.")
    table["patient_id"] = [spelling(cell) for cell in table["patient_id"]]
    twice = table["patient_id"][table["patient_id"].duplicated()]
    if len(twice):
        raise CohortError(
            f"{path}: patient {listing(twice)} occurs more than once. Remove the repeated rows."
        )
    return table, [Note("encoding", 1, f"{file.note}; save it as UTF-8")] if file.note else []


def _label(cell: str, where: str) -> str | None:
    if is_missing(cell):
        return None
    found = _LABELS.get(number(cell))
    if found is None:
        raise CohortError(
            f"{where} is {cell!r:.80}. It must be 1 (present), 0 (absent) or blank (not known)."
        )
    return found


def _read_metadata(
    path: Path, rows: Mapping[str, Any], spelling: Spelling
) -> tuple[dict[str, dict[str, str | None]], list[Note]]:
    """Covariates by patient, and notes of the patients of one table only."""
    table, notes = _table(path, ["patient_id", *_COVARIATES], spelling)
    found = {
        str(cells["patient_id"]): {
            name: codes.get(word(cells[column]) or "", word(cells[column]))
            for column, (name, codes) in _COVARIATES.items()
        }
        for cells in table.to_dict("records")
    }
    labelled = [each for each, row in rows.items() if any(row[d] is not None for d in DISEASES)]
    without = [each for each in labelled if each not in found]
    unknown = [each for each in found if each not in rows]
    notes += noted("patients without metadata", without, _NO_METADATA)
    notes += noted("metadata without a patient", unknown, _NO_PATIENT)
    return found, notes


def _contradiction(row: Mapping[str, Any]) -> str:
    """What of a row, and the groups in its files' names, contradicts the four diseases; or ""."""
    if any(row[each] is None for each in DISEASES):
        return ""
    has = [each for each in DISEASES if row[each] == PRESENT]
    group = "N" if not has else has[0] if len(has) == 1 else "MD"
    said = " and ".join(has) or "no disease"
    faults = []
    if row.get("N") is not None and (row["N"] == PRESENT) != (group == "N"):
        faults.append(f"{said}, but N is {row['N']}")
    named = {m["group"].upper() for name in row["recordings"] if (m := _NAME.fullmatch(name))}
    if others := sorted(named - {group}):
        faults.append(f"{said}, but the files are named {', '.join(others)}")
    return "; ".join(faults)


def _site(name: str) -> str:
    """Such as "MV supine"; "unknown" where the file's name does not say it."""
    found = _NAME.fullmatch(name)
    if found is None:
        return "unknown"
    return f"{_VALVES[found['valve'].lower()]} {_POSTURES[found['posture'].lower()]}"


def _unlisted(folder: Path, listed: set[str]) -> list[str]:
    return [
        each.name
        for each in (sorted(folder.iterdir()) if folder.is_dir() else ())
        if each.suffix.lower() in {".wav", ".flac"}
        and not is_hidden(each.name)
        and clean_name(each.stem).casefold() not in listed
    ]
