"""Heart cycles of new recordings by the frame branches of a bundle: states, and a row of numbers.

recording, patient_id   as in the input; recording is empty where a patient lists none
file                    the recording's .tsv, relative to the folder it was written to, or empty
known                   "yes" when the bundle's certificate knows the person, else "no"
scored_by, n_models     frame branches that were asked, as `predict` has them, and how many
confidence              mean probability of the state that a frame was found to be in
segmented               share of the recording in beats that are sure enough; the rest is state 0
heart_rate_bpm          60 / median interval from S1 to S1, of all beats; this and the next two are
                        empty for a silent recording
murmur                  log likelihood of the best path with a murmur of systole less that of the
                        healthy path, a frame
murmur_share            share of systole that murmurs
quality                 ok, or its flags (see `data_quality`)
problem                 why there is no segmentation, or empty
sha256                  of the .tsv, by which it is known again

Whoever the bundle knows is segmented only by models that did not train on them. Several models
answer with the mean of their probabilities, which is decoded once, by the mean of their times.

A beat, from S1 to S1, is sure enough if the mean probability of its states is `confidence` at the
least. The others become state 0, not annotated, as CirCor's annotators left out what they could not
tell: whoever trains on these files then trains on beats that are right most of the time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from kfold_hs.bundle.audio_reader import AudioReader, PatientAudio, bank_of
from kfold_hs.bundle.data_quality import OK, SILENT
from kfold_hs.bundle.format import Bundle
from kfold_hs.bundle.patients import Patient, Sound
from kfold_hs.bundle.rows import places_text
from kfold_hs.cohort.segmentation import Segmentation
from kfold_hs.errors import BundleError
from kfold_hs.files.walk import plain
from kfold_hs.learn.features.bank import Bank
from kfold_hs.learn.frames.beats import beat_confidence
from kfold_hs.learn.frames.branch import FrameBranch, HeartCycles
from kfold_hs.learn.frames.sojourn import Sojourn
from kfold_hs.predictions.segmentation import segmentation_of

LEAST_CONFIDENCE = 0.5
"""Of a beat, by default; docs/segmentation.md has what is right above and below it."""
COLUMNS: dict[str, type] = {
    "recording": str, "patient_id": str, "file": str, "known": str, "scored_by": str,
    "n_models": int, "confidence": float, "segmented": float, "heart_rate_bpm": float,
    "murmur": float, "murmur_share": float, "quality": str, "problem": str, "sha256": str,
}  # fmt: skip
_NOBODY = "every model was trained on this person"


@dataclass(frozen=True, eq=False)
class Segmented:
    """A recording of a patient, with its row and, where there could be one, its segmentation."""

    patient: Patient
    sound: Sound | None
    row: dict[str, Any]
    segmentation: Segmentation | None = None


def segment_patients(
    bundle: Bundle,
    patients: Sequence[Patient],
    device: torch.device,
    on_progress: Callable[[int, int], None],
    least_confidence: float = LEAST_CONFIDENCE,
) -> Iterator[list[Segmented]]:
    """Recordings of the patients, in their order, some at a time.

    Parameters
    ----------
    on_progress : callable
        Called with (patients done, patients in all).
    least_confidence : float
        Of a beat, in [0, 1].

    Raises
    ------
    BundleError
        The run of the bundle had no frame branch.
    """
    segmenter = Segmenter(bundle, device, least_confidence)
    reader = AudioReader(bundle.config, bundle.channel, bundle.content["typical"])
    done = 0
    # While one chunk is decoded, which takes one thread, the next is read and asked about.
    with ThreadPoolExecutor(1, thread_name_prefix="decoding") as pool:
        waiting: list[tuple[int, Future[list[Segmented]]]] = []
        for audio in reader.chunks(patients):
            waiting.append((len(audio), pool.submit(segmenter.decoded, segmenter.ask(audio))))
            if len(waiting) > 1:
                n, found = waiting.pop(0)
                yield found.result()
                on_progress(done := done + n, len(patients))
        for n, found in waiting:
            yield found.result()
            on_progress(done := done + n, len(patients))


@dataclass(frozen=True, eq=False)
class _Asked:
    """Some patients, and what was said of their recordings.

    allowed : (n_patients, n_repeats, n_folds) of those with recordings
    known : whether the certificate knows them
    log_probs : of every recording, in the order of the bank; None: nobody may be asked
    sojourns : of every recording, the times by which it is decoded
    """

    audio: Sequence[PatientAudio]
    bank: Bank | None
    allowed: Sequence[np.ndarray]
    known: Sequence[bool]
    log_probs: Sequence[np.ndarray | None]
    sojourns: Sequence[Sojourn | None]


class Segmenter:
    """The frame branches of a bundle, loaded.

    Parameters
    ----------
    bundle : Bundle
    device : torch.device
    least_confidence : float

    Raises
    ------
    BundleError
        The run of the bundle had no frame branch.
    """

    def __init__(self, bundle: Bundle, device: torch.device, least_confidence: float) -> None:
        if not bundle.has_branch:
            raise BundleError(
                f"{bundle.folder} knows nothing of the heart cycle: its run had frames=none. "
                "Export a run that was trained with frames=cycle."
            )
        self.bundle, self.device, self.least_confidence = bundle, device, least_confidence
        self._branches: dict[str, FrameBranch] = {}
        for member in bundle.members:
            if member.file not in self._branches:
                branch = bundle.branch(member, device)
                assert branch is not None  # `has_branch`
                self._branches[member.file] = branch
        self._any = next(iter(self._branches.values()))

    def ask(self, audio: Sequence[PatientAudio]) -> _Asked:
        """Ask the branches that may be asked about every recording of some patients."""
        certificate = self.bundle.certificate
        audible = [one for one in audio if one.sounds]
        if not audible:
            return _Asked(audio, None, [], [], [], [])
        config = self.bundle.config
        bank = bank_of(audible, config.features.normalise == "recording", self.device)
        allowed, known = [], []
        log_probs: list[np.ndarray | None] = []
        sojourns: list[Sojourn | None] = []
        for one in audible:
            people = certificate.known(one.patient.ids, one.digests, one.patient.persons)
            may = certificate.untouched(people)
            allowed.append(may)
            known.append(bool(people))
            asked = self._asked(may)
            for _ in one.sounds:
                log_probs.append(self._of(asked, bank, len(log_probs)))
                sojourns.append(_mean_sojourn([each.sojourn for each in asked]))
        return _Asked(audio, bank, allowed, known, log_probs, sojourns)

    def _asked(self, may: np.ndarray) -> list[FrameBranch]:
        """Those at the places that may be asked, each once."""
        files = dict.fromkeys(m.file for m in self.bundle.members if may[m.repeat, m.fold])
        return [self._branches[file] for file in files]

    def _of(self, asked: Sequence[FrameBranch], bank: Bank, row: int) -> np.ndarray | None:
        """Log of the mean probability of every frame's classes; of one branch its own bits."""
        found = [branch.log_probs(bank, row) for branch in asked]
        if len(found) < 2:
            return found[0] if found else None
        mean: np.ndarray = np.logaddexp.reduce(found) - np.float32(np.log(len(found)))
        return mean

    def decoded(self, asked: _Asked) -> list[Segmented]:
        """Every recording of these patients, and what could not be read."""
        cycles = self._cycles(asked)
        found, row, number = list[Segmented](), 0, 0
        for one in asked.audio:
            mine = {}
            if one.sounds:
                place = asked.allowed[number], asked.known[number]
                number += 1
                for sound, flags in zip(one.sounds, one.quality, strict=True):
                    mine[sound] = self._segmented(one, sound, flags, cycles.get(row), *place)
                    row += 1
            for sound in one.patient.sounds:
                found.append(mine.get(sound) or _unusable(one, sound))
            if not one.patient.sounds:
                found.append(_unusable(one, None))
        return found

    def _cycles(self, asked: _Asked) -> dict[int, tuple[HeartCycles, np.ndarray]]:
        """Decoded together: those that the same times are for."""
        groups: dict[Sojourn, list[int]] = {}
        for row, sojourn in enumerate(asked.sojourns):
            if sojourn is not None:
                groups.setdefault(sojourn, []).append(row)
        found = {}
        for sojourn, rows in groups.items():
            assert asked.bank is not None
            said = [each for row in rows if (each := asked.log_probs[row]) is not None]
            branch = replace(self._any, sojourn=sojourn)
            cycles = HeartCycles.of(asked.bank, rows, said, branch)
            for k, row in enumerate(rows):
                one = HeartCycles(cycles.decoded[k : k + 1], cycles.measures.iloc[k : k + 1])
                found[row] = one, said[k]
        return found

    def _segmented(
        self,
        one: PatientAudio,
        sound: Sound,
        flags: Sequence[str],
        heart: tuple[HeartCycles, np.ndarray] | None,
        allowed: np.ndarray,
        known: bool,
    ) -> Segmented:
        row = _row(one, sound) | {
            "known": "yes" if known else "no",
            "scored_by": places_text(allowed),
            "n_models": int(allowed.sum()),
            "quality": "; ".join(flags) or OK,
        }
        if heart is None:
            return Segmented(one.patient, sound, row | {"problem": _NOBODY})
        cycles, log_probs = heart
        numbers, states = cycles.measures.iloc[0], cycles.decoded[0].states
        sure = beat_confidence(states, log_probs) >= self.least_confidence
        row |= {"confidence": float(numbers["quality"]), "segmented": float(sure.mean())}
        for name in ("heart_rate_bpm", "murmur", "murmur_share"):
            # In silence a path is found as well, and its rate is nobody's.
            is_known = name in numbers and SILENT not in flags
            row[name] = float(numbers[name]) if is_known else None
        whole = segmentation_of(np.where(sure, states, 0), self._any.frame_s)
        # The last frame is centred at the end of the recording, or before.
        end_s = np.minimum(whole.end_s, (len(states) - 1) * self._any.frame_s)
        kept = whole.start_s < end_s
        cut = Segmentation(whole.start_s[kept], end_s[kept], whole.state[kept])
        return Segmented(one.patient, sound, row, cut)


def _mean_sojourn(sojourns: Sequence[Sojourn]) -> Sojourn | None:
    """Each number the mean of several; of one its own."""
    if not sojourns:
        return None
    return Sojourn(
        *(
            tuple(np.mean([getattr(each, name) for each in sojourns], axis=0).tolist())
            for name in ("at_zero_s", "slope", "sd_s")
        )
    )


def _row(one: PatientAudio, sound: Sound | None) -> dict[str, Any]:
    row: dict[str, Any] = {name: "" if kind is str else None for name, kind in COLUMNS.items()}
    name = "" if sound is None else sound.recording_id
    return row | {"recording": name, "patient_id": one.patient.patient_id, "n_models": 0}


def _unusable(one: PatientAudio, sound: Sound | None) -> Segmented:
    """The row of what could not be read, with the reason that names it."""
    named: Iterable[str] = one.problems
    if sound is not None:
        path = plain(str(sound.path))
        named = [each for each in one.problems if path in each] or one.problems
    return Segmented(one.patient, sound, _row(one, sound) | {"problem": "; ".join(named)})
