"""What every frame of a recording may be, as far as somebody marked it.

A frame's target is the set of classes that its annotation allows, so that what is not known costs
nothing: within a systole of which nobody says whether it murmurs, both of its classes are right.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from kfold_hs.cohort import Cohort
from kfold_hs.cohort.segmentation import (
    DIASTOLE,
    SYSTOLE,
    TIMING,
    Segmentation,
    segmentations_of,
    timings_of,
)
from kfold_hs.config.schema import Config
from kfold_hs.errors import CohortError
from kfold_hs.learn.frames.sojourn import no_times

STATE_NAMES = ("S1", "systole", "S2", "diastole")
LEAST_RECORDINGS = 2
"""That a frame branch is trained on: a batch of one has no variance."""
CLASSES = (*STATE_NAMES, "systolic murmur", "diastolic murmur")
"""Of a frame; the first four alone where nobody says who has a murmur (frames.task=null)."""
MURMUR_OF = {SYSTOLE: 4, DIASTOLE: 5}
"""State, from 1 -> class of that state with a murmur."""


@dataclass(frozen=True, eq=False)
class FrameTargets:
    """Targets of some recordings of a cohort.

    Parameters
    ----------
    recordings : ndarray of int64, shape (n,)
        Rows of `cohort.recordings`, those in which any frame is marked.
    allowed : list of ndarray of uint8, each (n_frames,)
        Of each of them: bit c is set where a frame may be of class c; 0: not annotated.
    segmentations : list of Segmentation
        Of each of them.
    n_classes : int
        4 or 6 of `CLASSES`.
    """

    recordings: np.ndarray
    allowed: list[np.ndarray]
    segmentations: list[Segmentation]
    n_classes: int

    @classmethod
    def of(
        cls, config: Config, cohort: Cohort, recordings: np.ndarray, n_frames: np.ndarray
    ) -> FrameTargets:
        """Of some rows of `cohort.recordings`, and of no other.

        A murmur is looked for in recordings whose own label is the positive class of
        `frames.task`, or, where a recording has none, whose patient's is. Patients of the task's
        uncertain class may have one or not.

        Parameters
        ----------
        n_frames : ndarray of int64, shape (n_recordings of the cohort,)

        Raises
        ------
        CohortError
            No recording of the cohort is segmented; a timing is not known.
        """
        marked = segmentations_of(cohort, _asked_by(config))
        name, frame_s = config.frames.task, config.features.frame_s
        assert frame_s is not None  # `Config` refuses it
        rows = [int(row) for row in recordings if not marked[row].is_empty]
        murmurs = _murmurs(cohort, name)
        found = [_allowed(marked[row], int(n_frames[row]), frame_s, murmurs[row]) for row in rows]
        kept = [k for k, each in enumerate(found) if each.any()]
        return cls(
            np.array([rows[k] for k in kept], dtype=np.int64),
            [found[k] for k in kept],
            [marked[rows[k]] for k in kept],
            len(STATE_NAMES) if name is None else len(CLASSES),
        )

    def among(self, recordings: np.ndarray) -> FrameTargets:
        """Those of some rows of `cohort.recordings`, as `of` gives them."""
        kept = np.flatnonzero(np.isin(self.recordings, recordings)).tolist()
        return replace(
            self,
            recordings=self.recordings[kept],
            allowed=[self.allowed[k] for k in kept],
            segmentations=[self.segmentations[k] for k in kept],
        )

    def check(self, n_recordings: int, where: str) -> None:
        """Refuse what no frame branch can be trained on.

        Parameters
        ----------
        n_recordings : int
            How many the fold is trained on.
        where : str
            Begins the message.

        Raises
        ------
        CohortError
            Too few are segmented, or none of them has all four states.
        """
        if len(self.recordings) < LEAST_RECORDINGS:
            raise CohortError(
                f"{where}: {len(self.recordings)} of {n_recordings} training recordings are "
                f"segmented, and a frame branch takes {LEAST_RECORDINGS} at the least. Set "
                "frames=none."
            )
        if not any(each.is_whole for each in self.segmentations):
            raise CohortError(f"{where}: {no_times(len(self.recordings))}")

    @cached_property
    def digest(self) -> str:
        """SHA-256 (hex) of which frames may be what, and of the marks."""
        content = hashlib.sha256()
        for allowed, each in zip(self.allowed, self.segmentations, strict=True):
            content.update(f"{len(allowed)} {len(each.state)} ".encode() + allowed.tobytes())
            content.update(each.start_s.tobytes() + each.end_s.tobytes() + each.state.tobytes())
        return content.hexdigest()


Murmur = tuple[tuple[int, float, float], ...] | None
"""Of a recording: states and shares of them in which it sounds, none: it has none; None: nobody
says whether."""
ANYWHERE: Murmur = ((SYSTOLE, -1.0, -1.0), (DIASTOLE, -1.0, -1.0))
"""It has one, and nobody says when."""


def _murmurs(cohort: Cohort, name: str | None) -> list[Murmur]:
    """Of every recording of the cohort."""
    table = cohort.recordings
    if name is None:
        return [()] * len(table)
    task = next(each for each in cohort.tasks if each.name == name)
    of_patient = dict(zip(cohort.patients["patient_id"], cohort.patients[name], strict=True))
    labels = [of_patient[each] for each in table["patient_id"]]
    if name in table:
        own = table[name]
        labels = [each if isinstance(each, str) else labels[k] for k, each in enumerate(own)]
    timings = table[TIMING] if TIMING in table else [None] * len(table)
    found: list[Murmur] = []
    for label, said, recording_id in zip(labels, timings, table["recording_id"], strict=True):
        if label == task.uncertain:
            found.append(None)
        elif label != task.positive:
            found.append(())
        else:
            text = said if isinstance(said, str) else None
            found.append(timings_of(text, f"recording {recording_id}") or ANYWHERE)
    return found


def _allowed(marked: Segmentation, n_frames: int, frame_s: float, murmur: Murmur) -> np.ndarray:
    """Of every frame of a recording, (n_frames,) uint8; frames are centred at multiples of one."""
    found = np.zeros(n_frames, dtype=np.uint8)
    for start, end, state in zip(marked.start_s, marked.end_s, marked.state, strict=True):
        # Rounded: 0.14 / 0.02 is a little above 7.
        first, last = (min(n_frames, int(np.ceil(round(e / frame_s, 6)))) for e in (start, end))
        if state == 0:
            continue
        plain = 1 << (int(state) - 1)
        found[first:last] = plain
        if state not in MURMUR_OF:
            continue
        other = 1 << MURMUR_OF[int(state)]
        if murmur is None or murmur == ANYWHERE:
            found[first:last] = plain | other
            continue
        share = ((np.arange(first, last) * frame_s - start) / (end - start)).round(6)
        for phase, low, high in murmur:
            if phase == state:
                inside = (share >= low) & (share <= high)
                found[first:last] = np.where(inside, other, found[first:last])
    return found


def marks_digest(config: Config, cohort: Cohort) -> dict[str, str]:
    """SHA-256 (hex) of all that is marked, for what a run stands on; empty without a frame branch.

    Raises
    ------
    CohortError
        No recording of the cohort is segmented; a timing is not known.
    """
    if not config.frames.is_on:
        return {}
    content = hashlib.sha256(json.dumps(_murmurs(cohort, config.frames.task)).encode())
    for each in segmentations_of(cohort, _asked_by(config)):
        content.update(f"{len(each.state)} ".encode())
        content.update(each.start_s.tobytes() + each.end_s.tobytes() + each.state.tobytes())
    return {"marks": content.hexdigest()}


def _asked_by(config: Config) -> str:
    return f"frames.epochs={config.frames.epochs} frames=none"
