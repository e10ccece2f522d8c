"""Who is to be heard: a patient with recordings, by the name of a file or by a header.

A header is a patient's `<id>.txt` in CirCor's layout; labels are not needed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kfold_hs.cohort.csv_file import read_text
from kfold_hs.cohort.ids import clean_name
from kfold_hs.cohort.readers.circor import covariates_of, other_id, read_patient
from kfold_hs.cohort.wfdb import audio_path
from kfold_hs.errors import CohortError
from kfold_hs.files.walk import RECORDINGS, is_hidden

UNKNOWN = "unknown"
_NAME = re.compile(r"(?P<patient>.+)_(?P<site>AV|PV|TV|MV|Phc)(_\d+)?", re.IGNORECASE)
_COUNTS = re.compile(r" \d+( \d.*)?")


@dataclass(frozen=True)
class Sound:
    """One recording to be heard."""

    recording_id: str
    path: Path
    site: str = UNKNOWN


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


def named(path: Path) -> tuple[str, str]:
    """Patient and site, as a file by itself is named."""
    stem = clean_name(path.stem)
    match = _NAME.fullmatch(stem)
    return (match["patient"], match["site"]) if match else (stem, UNKNOWN)


def headers_of(folder: Path) -> list[Path]:
    """Patients' headers in CirCor's layout, by number.

    One begins as `_is_header` says. One that does not, since it is damaged, is known by its name:
    a number, with recordings of that patient beside it.
    """
    texts = [each for each in folder.glob("*") if each.suffix.lower() == ".txt"]
    texts = [each for each in texts if not is_hidden(each.name) and each.is_file()]
    patients = {
        named(each)[0] for each in folder.iterdir() if each.suffix.lower() in {*RECORDINGS, ".hea"}
    }
    headers = [
        each
        for each in texts
        if _is_header(each) or (each.stem.isdecimal() and clean_name(each.stem) in patients)
    ]
    return sorted(headers, key=lambda each: (len(each.stem), each.stem))


def _is_header(path: Path) -> bool:
    """Whether a .txt begins as a patient's header does: ``<id> <number of recordings> <rate>``.

    A note beside the recordings may begin with its own name, too.
    """
    try:
        text, _ = read_text(path)
    except CohortError:
        return False
    first, patient_id = clean_name(text[:1000].lstrip().split("\n")[0]), clean_name(path.stem)
    return first.startswith(patient_id) and bool(_COUNTS.fullmatch(first, len(patient_id)))


def of_header(path: Path) -> Patient:
    """The patient of a header; if it cannot be read, with the recordings that bear their name."""
    patient_id = clean_name(path.stem)
    try:
        fields, recordings = read_patient(path)
        if not _is_header(path):
            raise CohortError(
                f"{path} does not begin with the id {path.stem}, how many recordings, and a rate."
            )
        if not recordings:
            raise CohortError(f"{path} lists no recording.")
        return patient_of(patient_id, fields, recordings, path.parent)
    except (CohortError, OSError, ValueError) as error:
        files = sorted(
            each for each in path.parent.iterdir() if named(each)[0] == clean_name(path.stem)
        )
        sounds = tuple(
            Sound(clean_name(each.stem), each, named(each)[1])
            for each in files
            if each.suffix.lower() in RECORDINGS and not is_hidden(each.name)
        )
        why = error if isinstance(error, CohortError) else f"{path} cannot be read: {error}."
        problem = f"{why} Nothing is known of the patient but the recordings."
        return Patient(patient_id, sounds, (patient_id,), problem=problem)


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
