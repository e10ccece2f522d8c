"""`segment`: the heart cycles of recordings, by a bundle, as files that a run can train on.

    DIR/.../RECORDING.tsv   start (s), end (s), state: as CirCor has them; at the place below DIR
                            that the recording has below its input, so that with DIR the input
                            folder itself each lies beside its recording
    DIR/segmentation.csv    a row a recording: `bundle.segment`

Somebody's marks are not overwritten: segmentation.csv has the SHA-256 of every file, and a .tsv
that has none of these was made, or changed, by somebody else. It is written before the files are,
so that a command that was interrupted can be repeated.
"""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from kfold_hs.cohort.csv_file import read_csv
from kfold_hs.errors import ConfigError, counted, listing
from kfold_hs.files import stored
from kfold_hs.files.paths import write_text
from kfold_hs.orchestrator.progress import Progress

if TYPE_CHECKING:
    from kfold_hs.bundle.patients import Patient, Sound
    from kfold_hs.bundle.segment import Segmented

TABLE = "segmentation.csv"
_KEYS = ("file", "sha256")


@dataclass(frozen=True)
class SegmentOptions:
    """How recordings are segmented.

    Parameters
    ----------
    device : str
        "auto", "cpu", "cuda" or "cuda:N".
    confidence : float, optional
        The least of a beat that keeps its states, in [0, 1]; by default
        `bundle.segment.LEAST_CONFIDENCE`.
    force : bool
        Overwrite .tsv files that somebody else made.

    Raises
    ------
    ConfigError
        The confidence is out of its bounds.
    """

    device: str = "auto"
    confidence: float | None = None
    force: bool = False

    def __post_init__(self) -> None:
        if self.confidence is not None and not 0 <= self.confidence <= 1:
            raise ConfigError(
                f"--confidence {self.confidence:g} must lie between 0 (every beat) and 1, e.g. 0.5."
            )

    @property
    def least(self) -> float:
        from kfold_hs.bundle.segment import LEAST_CONFIDENCE

        return LEAST_CONFIDENCE if self.confidence is None else self.confidence


@dataclass(frozen=True)
class Written:
    """What `segment` came to: counts, and the same in words."""

    counts: dict[str, Any]
    sentences: list[str]


def segment(
    bundle_folder: Path,
    inputs: Sequence[Path],
    output: Path,
    progress: Progress,
    options: SegmentOptions = SegmentOptions(),
) -> Written:
    """Segment recordings by a bundle, and write a file for each.

    Parameters
    ----------
    inputs : sequence of Path
        What `bundle.inputs` takes.
    output : Path
        Folder; it may be that of the recordings.

    Raises
    ------
    KfoldHsError
        The bundle or an input cannot be used at all, or a file would be overwritten that somebody
        else made. What is wrong with one recording is told in its row.
    """
    from kfold_hs.bundle.format import Bundle
    from kfold_hs.bundle.inputs import find_patients
    from kfold_hs.bundle.segment import segment_patients
    from kfold_hs.learn.device import pick_device

    device = pick_device(options.device)
    bundle = Bundle.read(bundle_folder)
    given = find_patients(inputs, bundle.config.data)
    files = _Files.of(given.patients, inputs, output, options.force)
    for note in given.notes:
        progress.note(note)
    progress.stage("patients")
    found = segment_patients(bundle, given.patients, device, progress.step, options.least)
    for recordings in found:
        files.write(recordings)
    return files.finish()


class _Files:
    """The folder that segmentations are written to.

    Parameters
    ----------
    output : Path
    names : dict
        Of every recording, its file relative to the folder, without those that cannot have one.
    before : DataFrame
        segmentation.csv as it was.
    """

    def __init__(self, output: Path, names: Mapping[Sound, Path], before: pd.DataFrame) -> None:
        self.output, self.names, self.before = output, names, before
        self.rows: list[dict[str, Any]] = []

    @classmethod
    def of(
        cls, patients: Sequence[Patient], inputs: Sequence[Path], output: Path, force: bool
    ) -> _Files:
        """Refuses two recordings of one file, and files that somebody else made."""
        roots = [_real(path if path.is_dir() else path.parent) for path in inputs]
        sounds = dict.fromkeys(sound for patient in patients for sound in patient.sounds)
        names = {sound: _name(sound.path, roots) for sound in sounds}
        if twice := [name for name, n in Counter(names.values()).items() if n > 1]:
            both = [str(sound.path) for sound, name in names.items() if name == twice[0]]
            raise ConfigError(
                f"{listing(both)} would all be segmented in {output / twice[0]}. Give the folder "
                "that holds them, or segment them into folders of their own."
            )
        before = _read(output / TABLE)
        ours = set(before["sha256"])
        paths = [output / name for name in names.values()]
        not_ours = [path for path in paths if path.is_file() and _digest(path) not in ours]
        if not_ours and not force:
            raise ConfigError(
                f"{counted(len(not_ours), 'file is', 'files are')} not what kfold-hs segment "
                f"wrote: {listing(map(str, not_ours))}. Somebody marked these recordings, or "
                "changed the files since. Write to another folder with -o, or overwrite them with "
                "--force."
            )
        return cls(output, names, before)

    def write(self, recordings: Iterable[Segmented]) -> None:
        """The files of some recordings; what they replace is in the table until they are there."""
        texts: dict[Path, str] = {}
        for each in recordings:
            row = dict(each.row)
            if each.segmentation is not None and each.sound is not None:
                name, text = self.names[each.sound], each.segmentation.text()
                texts[name] = text
                digest = hashlib.sha256(text.encode()).hexdigest()
                row |= {"file": name.as_posix(), "sha256": digest}
            self.rows.append(row)
        self._write_table(self.before)
        for name, text in texts.items():
            write_text(self.output / name, text)

    def finish(self) -> Written:
        """The table without what was replaced, and what to say of it."""
        mine, ours = {row["file"] for row in self.rows}, set(self.before["sha256"])
        asked = {name.as_posix() for name in self.names.values()}
        for name in sorted(asked - mine):  # of an earlier bundle, which could say something of it
            path = self.output / name
            if path.is_file() and _digest(path) in ours:
                path.unlink()
        self._write_table(self.before[~self.before["file"].isin({*asked, ""})])
        segmented = [row for row in self.rows if row["file"]]
        known = sum(row["known"] == "yes" for row in segmented)
        empty = sum(row["segmented"] == 0 for row in segmented)
        n_without = len(self.rows) - len(segmented)
        counts = {
            "segmented": len(segmented), "known": known, "empty": empty, "not_segmented": n_without,
        }  # fmt: skip
        sentences = [
            f"{counted(len(segmented), 'recording')} segmented, {known} of people known to the "
            f"bundle, each only by models that did not train on them: {self.output / TABLE}."
        ]
        if empty:
            sentences.append(
                f"{counted(empty, 'recording has', 'recordings have')} no beat that is sure enough."
            )
        if n_without:
            sentences.append(f"{n_without} could not be segmented; `problem` says why.")
        return Written(counts, sentences)

    def _write_table(self, others: pd.DataFrame) -> None:
        from kfold_hs.bundle.segment import COLUMNS

        table = pd.concat([others, pd.DataFrame(self.rows, columns=list(COLUMNS), dtype=object)])
        write_text(self.output / TABLE, table.to_csv(index=False))


def _name(path: Path, roots: Sequence[Path]) -> Path:
    """Of a recording's file, below the first input that holds it; else without its folder."""
    folder = _real(path.parent)
    for root in roots:
        if folder.is_relative_to(root):
            return folder.relative_to(root) / f"{path.stem}.tsv"
    return Path(f"{path.stem}.tsv")


def _real(path: Path) -> Path:
    try:
        return Path(os.path.realpath(path))
    except ValueError:  # a NUL, which is in no file's name: its row says that it is missing
        return path


def _read(path: Path) -> pd.DataFrame:
    """An earlier segmentation.csv, every cell a text; an empty one where there is none.

    Raises
    ------
    ConfigError
        It is some other table.
    """
    from kfold_hs.bundle.segment import COLUMNS

    if not path.is_file():
        return pd.DataFrame(columns=list(COLUMNS), dtype=str)
    found = read_csv(path).table.reset_index(drop=True)
    if missing := [name for name in _KEYS if name not in found]:
        raise ConfigError(
            f"{path} is no table of kfold-hs segment: it has no column {missing[0]}. Write to "
            "another folder with -o, or give it another name."
        )
    return found


def _digest(path: Path) -> str:
    raw = stored.read_bytes(path, "the segmentation", stored.MOST_TEXT)
    return hashlib.sha256(raw).hexdigest()
