"""Heart cycles of a recording, where somebody has marked them.

    RECORDING.tsv   beside RECORDING.wav or .flac: start (s), end (s), state; tab-separated
                    state 0: not annotated, 1: S1, 2: systole, 3: S2, 4: diastole

This is CirCor's format (Oliveira et al., IEEE J. Biomed. Health Inform. 26(6), 2022). Some of its
files have overlapping rows, rows of length 0, or only an unknown state.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from kfold_hs.cohort.cohort import Cohort, Note
from kfold_hs.cohort.csv_file import read_text
from kfold_hs.errors import CohortError, listing

S1, SYSTOLE, S2, DIASTOLE = STATES = (1, 2, 3, 4)
TIMING = "murmur.timing"
"""Column of a cohort's recordings: when a murmur is heard, e.g. "Early-systolic"; where known."""
TIMINGS = {
    f"{when}{'' if when == 'holo' else '-'}{name}": (phase, *share)
    for when, share in {
        "holo": (0.0, 1.0), "early": (0.0, 0.5), "mid": (0.25, 0.75), "late": (0.5, 1.0),
    }.items()
    for name, phase in (("systolic", SYSTOLE), ("diastolic", DIASTOLE))
}  # fmt: skip
"""Its words -> the state in which a murmur sounds, and from which to which share of that state."""


@dataclass(frozen=True, eq=False)
class Segmentation:
    """States of a recording: rows as the file has them, without those of length 0.

    Parameters
    ----------
    start_s, end_s : ndarray of float64, shape (n,)
        0 <= start_s < end_s; both within the recording.
    state : ndarray of int64, shape (n,)
        0 to 4, as above.
    """

    start_s: np.ndarray
    end_s: np.ndarray
    state: np.ndarray

    @cached_property
    def s1_onsets(self) -> np.ndarray:
        """Starts of S1 in s, ascending."""
        return self.onsets(S1)

    def onsets(self, state: int) -> np.ndarray:
        """Starts of a state in s, ascending, each once."""
        return np.unique(self.start_s[self.state == state])

    @property
    def is_whole(self) -> bool:
        """Whether all four states are marked."""
        return set(STATES) <= set(self.state.tolist())

    @property
    def is_empty(self) -> bool:
        """Whether no state is marked."""
        return not (self.state > 0).any()

    def text(self) -> str:
        """The file's content."""
        rows = zip(self.start_s.tolist(), self.end_s.tolist(), self.state.tolist(), strict=True)
        return "".join(f"{start:.4f}\t{end:.4f}\t{state}\n" for start, end, state in rows)


def read_segmentation(recording: Path, duration_s: float) -> Segmentation:
    """The segmentation beside a recording; an empty one where there is no file.

    Rows of length 0 and rows that begin after the end of the recording do not count; what goes on
    after the end is cut there.

    Raises
    ------
    CohortError
        A line of the file is not a start, an end that is no earlier, and a state.
    """
    path, rows = recording.with_suffix(".tsv"), []
    for number, line in enumerate(
        read_text(path)[0].splitlines() if path.is_file() else (), start=1
    ):
        if not line.strip():
            continue
        try:
            start, end, state = (float(word) for word in line.split())
            if not 0 <= start <= end < np.inf or (start < end and state not in (0, *STATES)):
                raise ValueError(state)
        except ValueError as error:
            raise CohortError(
                f"{path}, line {number}: {line!r:.80} is not start (s), end (s, no earlier) and "
                "state (0 to 4). Correct the line, or remove the file: the recording then has no "
                "segmentation."
            ) from error
        if start < min(end, duration_s):
            rows.append((start, min(end, duration_s), state))
    starts, ends, states = np.array(rows, dtype=float).reshape(-1, 3).T
    return Segmentation(starts, ends, states.astype(np.int64))


def segmentations_of(
    cohort: Cohort, asked_by: str = "train.align=cycle train.align=none"
) -> list[Segmentation]:
    """`read_segmentation` of every recording, in the order of `cohort.recordings`.

    Parameters
    ----------
    asked_by : str
        The setting that needs them, and the one that does not, separated by a space.

    Raises
    ------
    CohortError
        No recording has an S1.
    """
    table, (setting, instead) = cohort.recordings, asked_by.split()
    paths = [Path(path) for path in table["path"]]
    found = [read_segmentation(*each) for each in zip(paths, table["duration_s"], strict=True)]
    if not any(len(each.s1_onsets) for each in found):
        raise CohortError(
            f"{setting} needs segmentations, but none of the {len(found)} recordings of "
            f"the cohort {cohort.name} has one. Set {instead}, let `kfold-hs segment` write them, "
            f"or add files such as {paths[0].with_suffix('.tsv')} with rows of start (s), end (s) "
            "and state (1 is S1)."
        )
    return found


def with_segmentation_note(cohort: Cohort, asked_by: str, text: str) -> Cohort:
    """The cohort with a note that counts the recordings without a segmentation.

    Parameters
    ----------
    asked_by : str
        As of `segmentations_of`, which raises.
    text : str
        What becomes of these recordings.
    """
    found = segmentations_of(cohort, asked_by)
    ids = cohort.recordings["recording_id"]
    without = tuple(i for i, each in zip(ids, found, strict=True) if not len(each.s1_onsets))
    if not without:
        return cohort
    text = f"recordings without a marked S1; {text}"
    note = Note("recordings without a segmentation", len(without), text, without)
    return dataclasses.replace(cohort, notes=(*cohort.notes, note))


def timings_of(text: str | None, where: str) -> tuple[tuple[int, float, float], ...]:
    """When a murmur is heard, as `TIMINGS`; several words are joined by a plus.

    Parameters
    ----------
    text : str or None
        E.g. "Early-systolic", "Holosystolic+Early-diastolic"; None: nobody says.

    Raises
    ------
    CohortError
        A word is not known; the message begins with `where`.
    """
    words = [word.strip() for word in (text or "").split("+") if word.strip()]
    if unknown := [word for word in words if word.lower() not in TIMINGS]:
        raise CohortError(
            f"{where}: the timing of the murmur is {listing(unknown)}, and known are "
            f"{', '.join(TIMINGS)}; several are joined by a plus. Correct it, or leave it empty."
        )
    return tuple(TIMINGS[word.lower()] for word in words)
