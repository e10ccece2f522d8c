"""Heart cycles of a recording, where somebody has marked them.

    RECORDING.tsv   beside RECORDING.wav or .flac: start (s), end (s), state; tab-separated
                    state 0: not annotated, 1: S1, 2: systole, 3: S2, 4: diastole

That is how CirCor keeps them (Oliveira et al., IEEE J. Biomed. Health Inform. 26(6), 2022).
Of its files some hold overlapping rows, rows of no length, or nothing but a state that does
not exist: what counts here is where S1 begins.
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
    """Where S1 begins, in s from the start of the recording, ascending; shape (n,).

    Empty when there is no file, or no S1 in it; rows of no length and rows that begin after the
    recording's end do not count.

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
                f"{path}, line {number}: {line!r} is not start (s), end (s) and state. Correct it, "
                "or remove the file to leave the recording without a segmentation."
            ) from error
        if state == S1 and start_s < end_s and 0 <= start_s < duration_s:
            onsets.add(start_s)
    return np.array(sorted(onsets))


def cycles_of(cohort: Cohort) -> list[np.ndarray]:
    """`s1_onsets` of every recording, in the order of `cohort.recordings`.

    Raises
    ------
    CohortError
        No recording has any: there is nothing to align crops to.
    """
    table = cohort.recordings
    paths = [Path(path) for path in table["path"]]
    found = [s1_onsets(*each) for each in zip(paths, table["duration_s"], strict=True)]
    if not any(len(each) for each in found):
        raise CohortError(
            f"train.align=cycle starts crops at an S1, and none of the {len(found)} recordings of "
            f"the cohort {cohort.name} has a segmentation: {paths[0].with_suffix('.tsv')} would "
            "hold rows of start (s), end (s) and state, 1 for S1. Set train.align=none."
        )
    return found


def with_segmentation_note(cohort: Cohort) -> Cohort:
    """The cohort with a note that counts recordings without a segmentation, if there are any."""
    ids = cohort.recordings["recording_id"]
    without = tuple(i for i, each in zip(ids, cycles_of(cohort), strict=True) if not len(each))
    if not without:
        return cohort
    text = "no S1 is marked in them; with train.align=cycle their crops start anywhere"
    note = Note("recordings without a segmentation", len(without), text, without)
    return dataclasses.replace(cohort, notes=(*cohort.notes, note))
