"""Heart cycles of a recording, where somebody has marked them.

    RECORDING.tsv   beside RECORDING.wav or .flac: start (s), end (s), state; tab-separated
                    state 0: not annotated, 1: S1, 2: systole, 3: S2, 4: diastole

This is CirCor's format (Oliveira et al., IEEE J. Biomed. Health Inform. 26(6), 2022). Some of its
files have overlapping rows, rows of length 0, or only an unknown state. Only the start of S1 is
used.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np

from kfold_hs.cohort.cohort import Cohort, Note
from kfold_hs.cohort.csv_file import read_text
from kfold_hs.errors import CohortError

S1 = 1


def s1_onsets(recording: Path, duration_s: float) -> np.ndarray:
    """Starts of S1, in s from the start of the recording, ascending; shape (n,).

    Empty when there is no file, or no S1 in it. Rows of length 0 and rows that begin after the end
    of the recording do not count.

    Raises
    ------
    CohortError
        A line of the file is not three numbers.
    """
    path = recording.with_suffix(".tsv")
    if not path.is_file():
        return np.empty(0)
    onsets = set()
    for number, line in enumerate(read_text(path)[0].splitlines(), start=1):
        if not line.strip():
            continue
        try:
            start_s, end_s, state = (float(word) for word in line.split())
        except ValueError as error:
            raise CohortError(
                f"{path}, line {number}: {line!r} is not start (s), end (s) and state. Correct the "
                "line, or remove the file: the recording then has no segmentation."
            ) from error
        if state == S1 and start_s < end_s and 0 <= start_s < duration_s:
            onsets.add(start_s)
    return np.array(sorted(onsets))


def cycles_of(cohort: Cohort) -> list[np.ndarray]:
    """`s1_onsets` of every recording, in the order of `cohort.recordings`.

    Raises
    ------
    CohortError
        No recording has an S1 to align crops with.
    """
    table = cohort.recordings
    paths = [Path(path) for path in table["path"]]
    found = [s1_onsets(*each) for each in zip(paths, table["duration_s"], strict=True)]
    if not any(len(each) for each in found):
        raise CohortError(
            f"train.align=cycle needs segmentations, but none of the {len(found)} recordings of "
            f"the cohort {cohort.name} has one. Set train.align=none, or add files such as "
            f"{paths[0].with_suffix('.tsv')} with rows of start (s), end (s) and state (1 is S1)."
        )
    return found


def with_segmentation_note(cohort: Cohort) -> Cohort:
    """The cohort with a note that counts the recordings without a segmentation."""
    ids = cohort.recordings["recording_id"]
    without = tuple(i for i, each in zip(ids, cycles_of(cohort), strict=True) if not len(each))
    if not without:
        return cohort
    text = "recordings without a marked S1; with train.align=cycle their crops start anywhere"
    note = Note("recordings without a segmentation", len(without), text, without)
    return dataclasses.replace(cohort, notes=(*cohort.notes, note))
