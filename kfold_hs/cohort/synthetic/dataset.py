"""Synthetic cohort: people whose hearts are simulated, so that everything works at once.

    FOLDER/table.csv                       one row a recording
    FOLDER/recordings/PATIENT_SITE.wav     4000 Hz, 16 bit, mono, 8 to 12 s
    FOLDER/recordings/PATIENT_SITE.tsv     its true heart cycles, as in `segments`

Its shares follow CirCor (Oliveira et al., IEEE J. Biomed. Health Inform. 26(6), 2022):
murmur Present 20 %, Unknown 8 %, Absent 72 %; outcome Abnormal about half, and mostly so
where a murmur is present; one recording in five of a Present patient at a site where the
murmur is not heard; 7 % of the persons in the table under two patient ids. It is made
for trying things out, and says nothing about medicine.
"""

from __future__ import annotations

import csv
import hashlib
import itertools
import json
from collections.abc import Callable
from pathlib import Path

import soundfile

from kfold_hs.cohort.synthetic.people import Patient, Recording, draw_patients, render
from kfold_hs.cohort.synthetic.phonocardiogram import SAMPLE_RATE_HZ, Beats
from kfold_hs.errors import CohortError, ConfigError, StorageError
from kfold_hs.files.atomic import discard, sweep, writing_folder
from kfold_hs.files.cache import cache_folder, is_whole, keeping

SIMULATOR_VERSION = 3
"""Raised by every change that alters a file."""
S1_S, S2_S = 0.12, 0.10
"""Marked length of the sounds, which fade out."""
MIN_PATIENTS, MAX_PATIENTS = 10, 100_000

COLUMNS = (
    *("recording", "recording_id", "patient_id", "person_id", "site", "murmur", "outcome"),
    *("murmur_at_site", "age", "sex", "height_cm", "weight_kg", "campaign"),
    *("murmur_timing", "murmur_shape", "murmur_pitch", "murmur_grade"),
)


def write_cohort(
    folder: Path,
    n_patients: int,
    seed: int,
    on_progress: Callable[[int, int], None] | None = None,
) -> Path:
    """Write `table.csv` and its recordings under `folder`, whole or not at all.

    Parameters
    ----------
    folder : Path
        New or empty.
    n_patients : int
        Patient ids, 10 to 100000; the same seed with fewer gives the first of them.
    seed : int
        0 or above. The same seed gives the same files, byte for byte.
    on_progress : callable, optional
        Called with (recordings written, recordings in all).

    Returns
    -------
    Path
        The table.

    Raises
    ------
    ConfigError
        `n_patients` or `seed` out of bounds.
    StorageError
        `folder` holds something already, or cannot be written.
    """
    _check(n_patients, seed)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise StorageError(f"{folder} exists and is not empty. Name a new folder.")
    return _write(folder, n_patients, seed, on_progress)


def cohort_folder(n_patients: int, seed: int) -> Path:
    """Folder of this cohort in the cache, whether it is there yet or not."""
    key = json.dumps([SIMULATOR_VERSION, n_patients, seed])
    return cache_folder() / "synthetic" / hashlib.sha256(key.encode()).hexdigest()[:16]


def ensure_cohort(
    n_patients: int, seed: int, on_progress: Callable[[int, int], None] | None = None
) -> Path:
    """Path of the cohort's table in the cache, written on first use.

    Raises
    ------
    ConfigError, StorageError
        As `write_cohort`.
    CohortError
        The cache holds a part of the cohort only.
    """
    _check(n_patients, seed)
    folder = cohort_folder(n_patients, seed)
    table = folder / "table.csv"
    sweep(folder.parent, ours=False)
    if table.is_file() and not is_whole(folder, "the sounds of the built-in cohort"):
        discard(folder)
    if not table.is_file():
        with keeping():
            _write(folder, n_patients, seed, on_progress)
    if not table.is_file():  # something else was in the way, and it stays
        raise CohortError(f"{folder} has no table.csv. Delete the folder and repeat the command.")
    return table


def _check(n_patients: int, seed: int) -> None:
    if not MIN_PATIENTS <= n_patients <= MAX_PATIENTS:
        raise ConfigError(
            f"data.n_patients={n_patients} must be from {MIN_PATIENTS} to {MAX_PATIENTS}."
        )
    if seed < 0:
        raise ConfigError(f"data.seed={seed} must be 0 or more.")


def _write(
    folder: Path, n_patients: int, seed: int, on_progress: Callable[[int, int], None] | None
) -> Path:
    patients = draw_patients(n_patients, seed)
    rows = [(patient, recording) for patient in patients for recording in patient.recordings]
    with writing_folder(folder, sums=True) as temporary:
        (temporary / "recordings").mkdir()
        for done, (_, recording) in enumerate(rows, start=1):
            path = temporary / _file_name(recording)
            sound = render(recording)
            soundfile.write(path, sound.samples, SAMPLE_RATE_HZ, subtype="PCM_16")
            segmentation = _segmentation(sound.beats, recording.duration_s)
            path.with_suffix(".tsv").write_bytes(segmentation.encode())
            if on_progress:
                on_progress(done, len(rows))
        with (temporary / "table.csv").open("w", newline="", encoding="utf-8") as file:
            table = csv.DictWriter(file, COLUMNS, restval="", lineterminator="\n")
            table.writeheader()
            table.writerows(_row(patient, recording) for patient, recording in rows)
    return folder / "table.csv"


def _file_name(recording: Recording) -> str:
    return f"recordings/{recording.recording_id}.wav"


def _segmentation(beats: Beats, duration_s: float) -> str:
    """Rows of start, end and state of the beats that lie whole within the recording."""
    rows: list[tuple[float, float, int]] = []
    end = 0.0
    for s1, s2, next_s1 in zip(beats.s1_s[:-1], beats.s2_s, beats.s1_s[1:], strict=True):
        if s1 < 0 or next_s1 > duration_s:
            continue
        if not rows:
            rows.append((0.0, s1, 0))
        # At a high rate a sound takes half of what there is until the next one.
        s1_end, s2_end = min(s1 + S1_S, (s1 + s2) / 2), min(s2 + S2_S, (s2 + next_s1) / 2)
        phases = (s1, s1_end, s2, s2_end, next_s1)
        rows += [(*pair, state) for state, pair in enumerate(itertools.pairwise(phases), start=1)]
        end = next_s1
    rows.append((end, duration_s, 0))
    return "".join(f"{start:.4f}\t{stop:.4f}\t{state}\n" for start, stop, state in rows)


def _row(patient: Patient, recording: Recording) -> dict[str, str]:
    row = {
        "recording": _file_name(recording),
        "recording_id": recording.recording_id,
        "patient_id": patient.patient_id,
        "person_id": patient.person_id,
        "site": recording.site,
        "murmur": patient.murmur,
        "outcome": patient.outcome,
        "murmur_at_site": recording.murmur_at_site,
        **patient.covariates,
    }
    if recording.murmur_at_site == "Present" and recording.murmur is not None:
        for part in ("timing", "shape", "pitch"):
            row[f"murmur_{part}"] = getattr(recording.murmur, part)
        row["murmur_grade"] = recording.grade
    return row
