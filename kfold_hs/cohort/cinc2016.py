"""PhysioNet/CinC Challenge 2016 in its official layout.

    ROOT/training-c/REFERENCE.csv    c0001,1    (1 abnormal, -1 normal)
    ROOT/training-c/c0001.wav        2000 Hz, mono; c0001.hea with rate and length

Liu et al., "An open access database for the evaluation of heart sound algorithms",
Physiol. Meas. 37(12), 2016.
"""

from __future__ import annotations

from pathlib import Path

from kfold_hs.cohort.assemble import assemble, tasks_of
from kfold_hs.cohort.audio import Progress
from kfold_hs.cohort.cohort import Cohort, Note
from kfold_hs.cohort.wfdb import audio_path, read_header
from kfold_hs.errors import CohortError
from kfold_hs.settings import Cinc2016Data

_LABELS = {"1": "Abnormal", "-1": "Normal"}


def load_cinc2016(config: Cinc2016Data, on_progress: Progress | None = None) -> Cohort:
    """Read every part below the root; the part is kept as the covariate `source`.

    Raises
    ------
    CohortError
        No `REFERENCE.csv`, a label other than 1 and -1, a header that does not fit.
    """
    root = config.root
    parts = [root] if (root / "REFERENCE.csv").is_file() else sorted(root.glob("training-*"))
    parts = [part for part in parts if (part / "REFERENCE.csv").is_file()]
    if not parts:
        raise CohortError(
            f"no REFERENCE.csv in {root} or in a folder training-* of it. data.root must be "
            "the folder of the challenge's training data."
        )
    patients, recordings, announced = [], [], {}
    for part in parts:
        for name, label in _read_reference(part / "REFERENCE.csv"):
            patients.append(
                {"patient_id": name, "person_id": name, "outcome": label, "source": part.name}
            )
            recordings.append(
                {
                    "recording_id": name,
                    "patient_id": name,
                    "path": str(audio_path(part, name)),
                    "site": "unknown",
                }
            )
            announced[name] = read_header(part / f"{name}.hea")
    note = Note(
        "unknown persons",
        len(patients),
        "the challenge does not say which recordings are of one person; each counts as a "
        "person of its own, so scores may be too good",
    )
    return assemble(
        "cinc2016",
        tasks_of(config.tasks),
        patients,
        recordings,
        ["source"],
        announced=announced,
        notes=[note],
        on_progress=on_progress,
    )


def _read_reference(path: Path) -> list[tuple[str, str]]:
    rows = []
    for number, line in enumerate(path.read_text().splitlines(), start=1):
        if not line.strip():
            continue
        name, _, label = line.partition(",")
        if label.strip() not in _LABELS:
            raise CohortError(
                f"{path}, line {number}: the label of {name} is {label!r}; 1 (abnormal) or -1 "
                "(normal) is expected."
            )
        rows.append((name.strip(), _LABELS[label.strip()]))
    return rows
