"""CirCor DigiScope Phonocardiogram Dataset 1.0.3 in its official layout.

    ROOT/training_data.csv           one row for each patient
    ROOT/training_data/ID.txt        the same, and the list of recordings
    ROOT/training_data/ID_LOC.hea    rate and number of samples
    ROOT/training_data/ID_LOC.wav    or ID_LOC.flac: the samples

The CSV and the `.txt` headers are compared field by field. `Additional ID` links
the two entries of a person who was seen in both campaigns.

Oliveira et al., "The CirCor DigiScope Dataset: From Murmur Detection to Murmur
Classification", IEEE J. Biomed. Health Inform. 26(6), 2022.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from scipy.cluster.hierarchy import DisjointSet

from kfold_hs.cohort.audio import Progress
from kfold_hs.cohort.build import Listing, assemble, tasks_of
from kfold_hs.cohort.cohort import Cohort, Note
from kfold_hs.cohort.csv_file import read_csv, read_text
from kfold_hs.cohort.ids import Spelling, clean_name
from kfold_hs.cohort.segmentation import TIMING
from kfold_hs.cohort.values import are_same, is_missing, number, word
from kfold_hs.cohort.wfdb import Header, audio_of, header_path, read_header
from kfold_hs.config.schema import CircorData
from kfold_hs.errors import CohortError, listing
from kfold_hs.files.walk import is_hidden

LOCATIONS = "Recording locations:"
# Column of the CSV -> covariate; the text after the unit is the column's own.
_COVARIATES = {
    "Age": "age",
    "Sex": "sex",
    "Height": "height_cm",
    "Weight": "weight_kg",
    "Pregnancy status": "pregnant",
    "Campaign": "campaign",
}
# The description of the murmur: part of the label, not covariates.
_ANNOTATIONS = {
    "Murmur locations": "murmur_locations",
    "Most audible location": "most_audible_location",
    **{
        f"{phase} murmur {part}": f"{phase.lower()}_murmur_{part}"
        for phase in ("Systolic", "Diastolic")
        for part in ("timing", "shape", "grading", "pitch", "quality")
    },
}
_NUMBERS = {"height_cm", "weight_kg"}
COLUMNS = ("Murmur", "Outcome", "Additional ID", *_COVARIATES, *_ANNOTATIONS)
"""Columns of training_data.csv, besides the patient and the locations."""
MOST_ENTRIES = 2
"""Most entries of a person: there were two campaigns."""
COVARIATES = tuple(_COVARIATES.values())


def load(config: CircorData, on_progress: Progress | None = None) -> Cohort:
    """Read the patients, link the persons, and check every header against its audio.

    Raises
    ------
    CohortError
        A file is missing, a label is unknown, or the CSV and a `.txt` header, or a `.hea`
        header and its audio, disagree.
    """
    spelling = Spelling()
    table, notes = _read_csv(config.root / "training_data.csv", spelling)
    folder = config.root / "training_data"
    headers = {pid: read_patient(folder / f"{pid}.txt") for pid in table["Patient ID"]}
    _cross_check(table, headers)

    person_of = link_persons(table["Patient ID"], table["Additional ID"])
    patients: list[dict[str, Any]] = []
    recordings: list[dict[str, Any]] = []
    announced: dict[str, Header] = {}
    columns = _COVARIATES | _ANNOTATIONS
    for row in table.to_dict("records"):
        patient_id = row["Patient ID"]
        patients.append(
            {
                "patient_id": patient_id,
                "person_id": person_of[patient_id],
                "murmur": row["Murmur"],
                "outcome": row["Outcome"],
                **{name: _value(name, row[column]) for column, name in columns.items()},
            }
        )
        murmur, audible = clean_name(row["Murmur"]), row["Murmur locations"]
        for site, stem in headers[patient_id][1]:
            announced[stem] = read_header(header_path(folder, stem))
            recordings.append(
                {
                    "recording_id": stem,
                    "patient_id": patient_id,
                    "path": str(audio_of(folder, stem, announced[stem])),
                    "site": site,
                    "murmur": _murmur_at(site, murmur, audible),
                    TIMING: _timing(row),
                }
            )
    found = Listing(
        "circor",
        tasks_of(config.tasks),
        patients,
        recordings,
        list(_COVARIATES.values()),
        announced=announced,
        notes=[*notes, *spelling.notes(), *_notes(person_of), *_left_out(folder, recordings)],
        annotations=[f"systolic_murmur_{part}" for part in ("grading", "timing", "pitch")],
    )
    return assemble(found, on_progress)


def link_persons(patient_ids: Iterable[str], additional_ids: Iterable[str]) -> dict[str, str]:
    """person_id of every patient: the smallest patient id among those linked to it.

    Links are followed through any number of steps, and through ids that the table does not
    have.

    Raises
    ------
    CohortError
        Several patients have the same word in place of an id, such as "unknown".
    """
    ids, others = list(patient_ids), list(additional_ids)
    _check_links(ids, others)
    linked = DisjointSet(ids)
    for patient_id, other in zip(ids, others, strict=True):
        if not is_missing(other):
            linked.add(other)
            linked.merge(patient_id, other)
    known = set(ids)
    return {
        member: min(known & group, key=lambda name: (len(name), name))
        for group in linked.subsets()
        for member in group & known
    }


def _check_links(ids: Sequence[str], others: Sequence[str]) -> None:
    """Refuse a word for "none" in place of an id: it would link all patients who have it."""
    known = set(ids)
    numbered = all(each.isdecimal() for each in ids)
    shared = Counter(each for each in others if not is_missing(each) and each not in known)
    for other, n in shared.items():
        no_id = number(other) == 0 or (numbered and not other.isdecimal())
        if n > MOST_ENTRIES or (n > 1 and no_id):
            raise CohortError(
                f"Additional ID is {other!r:.80} for {n} patients, but no patient has that id. The "
                "patients would become one person. Leave the cell blank where there is no link."
            )


def _read_csv(path: Path, spelling: Spelling) -> tuple[pd.DataFrame, list[Note]]:
    if not path.is_file():
        raise CohortError(
            f"{path} is missing. data.root must be the folder that holds training_data.csv and "
            "training_data/."
        )
    file = read_csv(path)
    table = file.table
    wanted = ["Patient ID", LOCATIONS, *COLUMNS]
    if missing := [column for column in wanted if column not in table]:
        raise CohortError(f"{path} lacks the columns {listing(missing)}.")
    if empty := table.index[table["Patient ID"].map(is_missing)].tolist():
        raise CohortError(f"{path}: Patient ID is empty in line {listing(empty)}.")
    for column in ("Patient ID", "Additional ID"):
        table[column] = [_id(spelling(cell)) for cell in table[column]]
    twice = table["Patient ID"][table["Patient ID"].duplicated()]
    if len(twice):
        raise CohortError(
            f"{path}: patient {listing(twice)} occurs more than once. Remove the repeated rows."
        )
    return table, [Note("encoding", 1, f"{file.note}; save it as UTF-8")] if file.note else []


def _id(name: str) -> str:
    """The id without the decimals that a spreadsheet added."""
    return re.sub(r"(?<=\d)[.,]0+$", "", name)


def other_id(fields: Mapping[str, str]) -> str | None:
    """The other id of a header's person, if there is one."""
    found = fields.get("Additional ID")
    return None if is_missing(found) else _id(clean_name(found))


def covariates_of(fields: Mapping[str, str]) -> dict[str, str | float | None]:
    """Covariates, by the names of kfold-hs, from the fields of a patient's header; None: unknown.

    A text in place of a number stays text.
    """
    return {name: _value(name, fields.get(column)) for column, name in _COVARIATES.items()}


def read_patient(path: Path) -> tuple[dict[str, str], list[tuple[str, str]]]:
    """Fields ("#Age: Child") and recordings as (site, stem) of one patient's header."""
    if not path.is_file():
        raise CohortError(f"{path} is missing, but training_data.csv lists the patient.")
    return parse_patient(read_text(path)[0], str(path))


def parse_patient(text: str, path: str) -> tuple[dict[str, str], list[tuple[str, str]]]:
    """`read_patient` for the text of a header; errors name it `path`."""
    fields, recordings = {}, []
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    for line in lines[1:]:
        if line.startswith("#"):
            key, _, value = line[1:].partition(":")
            fields[clean_name(key)] = value.strip()
        else:
            parts = clean_name(line).split()
            if len(parts) < 3 or not parts[1].lower().endswith(".hea"):
                raise CohortError(f"{path}: cannot read the line {line!r:.80}.")
            recordings.append((parts[0], parts[1][: -len(".hea")]))
    return fields, recordings


def _cross_check(
    table: pd.DataFrame, headers: dict[str, tuple[dict[str, str], list[tuple[str, str]]]]
) -> None:
    faults = []
    for row in table.to_dict("records"):
        patient_id = row["Patient ID"]
        fields, recordings = headers[patient_id]
        for key, value in fields.items():
            if key in row and not are_same(_id(row[key]), _id(value)):
                faults.append(
                    f"patient {patient_id}: {key} is {row[key]!r} in training_data.csv and "
                    f"{value!r} in {patient_id}.txt"
                )
        sites = {site for site, _ in recordings}
        if sites != set(_sites(row[LOCATIONS])):
            faults.append(
                f"patient {patient_id}: the sites are {row[LOCATIONS]} in training_data.csv and "
                f"{'+'.join(sorted(sites)) or 'none'} in {patient_id}.txt"
            )
    if faults:
        more = f"; and {len(faults) - 5} more" if len(faults) > 5 else ""
        raise CohortError("; ".join(faults[:5]) + more + ". Correct the file that is wrong.")


def _sites(cell: str) -> list[str]:
    return [clean_name(site) for site in cell.split("+")]


def _murmur_at(site: str, murmur: str, audible: str) -> str | None:
    """The label of one recording: Absent at the sites of a Present patient without a murmur."""
    if murmur != "Present" or is_missing(audible):
        return None
    return "Present" if site in _sites(audible) else "Absent"


def _timing(row: Mapping[Any, str]) -> str | None:
    """When a patient's murmur is heard, e.g. "Holosystolic+Early-diastolic"."""
    said = [word(row[f"{phase} murmur timing"]) for phase in ("Systolic", "Diastolic")]
    return "+".join(each for each in said if each) or None


def _value(name: str, cell: str | None) -> str | float | None:
    found = number(cell) if name in _NUMBERS else None
    return word(cell) if found is None else found


def _left_out(folder: Path, recordings: Sequence[Mapping[str, Any]]) -> list[Note]:
    """A note of recordings that belong to no patient of training_data.csv."""
    listed = {clean_name(Path(row["path"]).stem) for row in recordings}
    found = [
        each.name
        for each in sorted(folder.iterdir())
        if each.suffix.lower() in {".wav", ".flac"} and not is_hidden(each.name)
        if clean_name(each.stem) not in listed
    ]
    text = "recordings in training_data/ that no patient's header lists; left out"
    return [Note("recordings of nobody", len(found), text, tuple(found))] if found else []


def _notes(person_of: dict[str, str]) -> list[Note]:
    counts = pd.Series(person_of).value_counts()
    several = counts[counts > 1]
    if not len(several):
        return []
    text = "people with several patient ids (Additional ID), who are split as one person each"
    text += " unless split.by=patient"
    return [Note("linked patients", len(several), text, tuple(several.index))]
