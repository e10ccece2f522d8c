"""PhysioNet/CinC Challenge 2016 in its official layout.

    ROOT/training-c/REFERENCE.csv    c0001,1    (1 abnormal, -1 normal)
    ROOT/training-c/c0001.wav        2000 Hz, mono
    ROOT/training-c/c0001.hea        rate and length; training-a also has an ECG, in a0001.dat

Liu et al., "An open access database for the evaluation of heart sound algorithms",
Physiol. Meas. 37(12), 2016.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence, Set
from pathlib import Path

from kfold_hs.cohort.audio import Progress
from kfold_hs.cohort.build import Listing, assemble, tasks_of, unknown_persons
from kfold_hs.cohort.cohort import Cohort, Note
from kfold_hs.cohort.csv_file import read_rows
from kfold_hs.cohort.ids import Spelling
from kfold_hs.cohort.values import number
from kfold_hs.cohort.wfdb import Header, audio_of, header_path, read_header
from kfold_hs.config.schema import Cinc2016Data
from kfold_hs.errors import CohortError
from kfold_hs.files.walk import is_hidden

_PART = re.compile("training-", re.IGNORECASE)
_LABELS = {1.0: "Abnormal", -1.0: "Normal"}


def load(config: Cinc2016Data, on_progress: Progress | None = None) -> Cohort:
    """Read every part below the root; the part becomes the covariate `source`.

    Raises
    ------
    CohortError
        There is no `REFERENCE.csv`, a label is neither 1 nor -1, or a header does not fit.
    """
    root = config.root
    parts = [root]
    if _reference(root) is None and root.is_dir():
        parts = [each for each in sorted(root.iterdir()) if _PART.match(each.name)]
    references = {part: file for part in parts if (file := _reference(part)) is not None}
    if not references:
        raise CohortError(
            f"neither {root} nor a folder training-* in it has a REFERENCE.csv. data.root must be "
            "the folder of the challenge's training data."
        )
    spelling = Spelling()
    patients, recordings, bare = [], [], []
    announced: dict[str, Header] = {}
    for part, file in references.items():
        for name, label in _read_reference(file, spelling):
            patients.append(
                {"patient_id": name, "person_id": name, "outcome": label, "source": part.name}
            )
            header = header_path(part, name)
            if header.is_file():
                announced[name] = read_header(header)
            else:
                bare.append(name)
            recordings.append(
                {
                    "recording_id": name,
                    "patient_id": name,
                    "path": str(audio_of(part, name, announced.get(name))),
                    "site": "unknown",
                }
            )
    notes = [unknown_persons(len(patients)), *spelling.notes()]
    if bare:
        text = "audio without a .hea file; nobody can check whether it is complete"
        notes.append(Note("recordings without a header", len(bare), text, tuple(bare)))
    notes += _left_out(parts, {Path(row["path"]).stem for row in recordings}, references)
    found = Listing(
        "cinc2016",
        tasks_of(config.tasks),
        patients,
        recordings,
        ["source"],
        announced=announced,
        notes=notes,
    )
    return assemble(found, on_progress)


def _reference(part: Path) -> Path | None:
    """The part's REFERENCE.csv, in small letters or capitals."""
    if not part.is_dir():
        return None
    found = [each for each in part.iterdir() if each.name.casefold() == "reference.csv"]
    return next((each for each in sorted(found) if each.is_file()), None)


def _left_out(parts: Sequence[Path], used: Set[str], references: Collection[Path]) -> list[Note]:
    """A note of the recordings without a label."""
    unlabelled = [
        f"{part.name}/{each.name}"
        for part in parts
        for each in sorted(part.iterdir() if part.is_dir() else ())
        if each.suffix.lower() in {".wav", ".flac"}
        and not is_hidden(each.name)
        and (part not in references or each.stem not in used)
    ]
    text = "recordings that no REFERENCE.csv gives a label; left out"
    found = Note("recordings without a label", len(unlabelled), text, tuple(unlabelled))
    return [found] if unlabelled else []


def _read_reference(path: Path, spelling: Spelling) -> list[tuple[str, str]]:
    rows = []
    lines, *_ = read_rows(path)
    for line, cells in lines:
        label = _LABELS.get(number(cells[1]) or 0.0) if len(cells) > 1 else None
        if label is None:
            shown = cells[1] if len(cells) > 1 else ""
            raise CohortError(
                f"{path}, line {line}: the label of {cells[0]:.80} is {shown!r:.80}. It must be 1 "
                "(abnormal) or -1 (normal)."
            )
        name = spelling(cells[0].strip())
        rows.append((re.sub(r"\.wav$", "", name, flags=re.IGNORECASE), label))
    return rows
