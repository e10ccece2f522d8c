"""From files to chunks of features: read ahead by a few threads, so many recordings at a time.

Whatever is wrong with a file is told in its patient's row and ends nothing else. Memory holds the
features of one chunk and of the recordings being read, however many files there are.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import torch

from kfold_hs.bundle.data_quality import flags
from kfold_hs.bundle.patients import Patient, Sound
from kfold_hs.cohort.audio import (
    AudioFacts,
    decode_with_facts,
    facts_of,
    in_one,
    n_resampled,
    read_with_facts,
)
from kfold_hs.cohort.silence import identifies
from kfold_hs.config import plugins
from kfold_hs.config.schema import Config
from kfold_hs.errors import CohortError
from kfold_hs.files.walk import plain
from kfold_hs.learn.ahead import in_order
from kfold_hs.learn.features.bank import Bank, check_recordings
from kfold_hs.learn.features.transform import kept, transform_of
from kfold_hs.learn.prediction.crops import n_crops_of

N_THREADS = 2
READ_AHEAD = 8
"""Patients whose recordings are read while others are audio."""
CHUNK_CROPS = 1024
"""Crops after which a chunk is full when its last batch nearly is; at twice as many it is, too."""
_MOST_FILLING = 0.1


@dataclass(frozen=True, eq=False)
class PatientAudio:
    """One patient with the features of the recordings that can be used.

    features : list of (n_frames, n_mels) float16
    levels : list of (mean, spread) that normalisation took out
    sounds, quality : of these recordings; quality is a list of flags
    digests : of those that identify somebody
    problems : of those that cannot be used
    """

    patient: Patient
    features: list[np.ndarray] = field(default_factory=list)
    levels: list[tuple[float, float]] = field(default_factory=list)
    sounds: list[Sound] = field(default_factory=list)
    digests: list[str] = field(default_factory=list)
    quality: list[list[str]] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


class AudioReader:
    """Reads patients as a run's configuration hears them.

    Parameters
    ----------
    config : Config
    channel : int, optional
    known : mapping
        What `typical.typical` gave of the training recordings.
    """

    def __init__(self, config: Config, channel: int | None, known: dict[str, object]) -> None:
        self.config, self.channel, self.known = config, channel, known
        plugins.check(config.plugins)
        self.transform = transform_of(config.features.of_recordings)

    def read(self, patient: Patient) -> PatientAudio:
        """Read one patient's recordings; what cannot be used is told in `problems`."""
        audio = PatientAudio(patient)
        if patient.problem:
            audio.problems.append(plain(patient.problem))
        elif not patient.sounds:
            audio.problems.append("no recording is listed")
        for sound in patient.sounds:
            try:
                self._add(audio, sound, *read_with_facts(sound.path, self.channel))
            except CohortError as error:
                audio.problems.append(plain(str(error)))
        return audio

    def read_arrays(
        self, patient: Patient, recordings: Sequence[np.ndarray], rate_hz: int
    ) -> PatientAudio:
        """As `hear`, of samples in memory: (n_samples,) int16 each, in the order of `sounds`."""
        audio = PatientAudio(patient)
        for sound, samples in zip(patient.sounds, recordings, strict=True):
            try:
                if samples.dtype != np.int16 or samples.ndim != 1 or not len(samples):
                    raise CohortError(
                        f"{sound.recording_id} is {samples.dtype} of shape {samples.shape}; one "
                        "channel of 16-bit samples is expected."
                    )
                self._add(audio, sound, in_one(samples), facts_of(samples, rate_hz))
            except CohortError as error:
                audio.problems.append(plain(str(error)))
        return audio

    def read_files(self, patient: Patient, contents: Sequence[bytes]) -> PatientAudio:
        """As `hear`, of files in memory, in the order of `sounds`."""
        audio = PatientAudio(patient)
        for sound, content in zip(patient.sounds, contents, strict=True):
            try:
                self._add(audio, sound, *decode_with_facts(content, str(sound.path), self.channel))
            except CohortError as error:
                audio.problems.append(plain(str(error)))
        return audio

    def _add(
        self, audio: PatientAudio, sound: Sound, samples: np.ndarray, facts: AudioFacts
    ) -> None:
        config = self.transform.config
        n_samples = n_resampled(facts.n_samples, facts.sample_rate_hz, config.sample_rate_hz)
        if n_samples < config.least_samples or facts.sample_rate_hz < 2 * config.f_max_hz:
            check_recordings(_as_row(sound, facts), config)  # a table, for the words alone
        frames, level = self.transform.measure(samples, facts.sample_rate_hz)
        half = kept(frames)
        audio.features.append(half)
        audio.levels.append(level)
        audio.sounds.append(sound)
        if identifies(samples):
            audio.digests.append(facts.sha256)
        audio.quality.append(flags(facts, half, self.known, self.config))

    def chunks(self, patients: Iterable[Patient]) -> Iterator[list[PatientAudio]]:
        """Patients in their order, so many at a time that the models have whole batches."""
        chunk: list[PatientAudio] = []
        n_crops = 0
        for audio in self._ahead(patients):
            chunk.append(audio)
            n_crops += sum(n_crops_of(len(each), self.config) for each in audio.features)
            if _is_full(n_crops, self.config.predict.batch_size):
                yield chunk
                chunk, n_crops = [], 0
        if chunk:
            yield chunk

    def _ahead(self, patients: Iterable[Patient]) -> Iterator[PatientAudio]:
        with ThreadPoolExecutor(N_THREADS, thread_name_prefix="hearing") as pool:
            yield from in_order(pool, self.read, patients, READ_AHEAD + 1)


def bank_of(audio: Sequence[PatientAudio], normalised: bool, device: torch.device) -> Bank:
    """The features of some patients' recordings, one after another."""
    features = [each for one in audio for each in one.features]
    length = torch.tensor([len(each) for each in features])
    first = torch.cumsum(length, 0) - length
    level = None
    if normalised:
        level = torch.tensor([each for one in audio for each in one.levels], dtype=torch.float32)
    frames = torch.from_numpy(np.concatenate(features))
    return Bank(frames, first, length, "", level).to(device)


def _is_full(n_crops: int, batch_size: int) -> bool:
    """Batches are filled up: a chunk that ends soon after one has begun would waste most of it."""
    filling = -n_crops % batch_size
    return n_crops >= CHUNK_CROPS and (
        filling <= _MOST_FILLING * batch_size or n_crops >= 2 * CHUNK_CROPS
    )


def _as_row(sound: Sound, facts: AudioFacts) -> pd.DataFrame:
    row = {
        "path": str(sound.path),
        "sample_rate_hz": facts.sample_rate_hz,
        "n_samples": facts.n_samples,
    }
    return pd.DataFrame([row])
