"""Patients -> rows, a chunk at a time: who is known, which models may be asked, what they say."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from kfold_hs.bundle.audio_reader import AudioReader, PatientAudio, bank_of
from kfold_hs.bundle.ensemble import Chunk, Ensemble, covariate_table
from kfold_hs.bundle.format import Bundle
from kfold_hs.bundle.patients import Patient
from kfold_hs.bundle.rows import Row, RowOptions, rows_of, unscored
from kfold_hs.errors import counted


@dataclass
class Audit:
    """How many patients were scored by whom."""

    n_new: int = 0
    n_known: int = 0
    n_unscored: int = 0
    n_with_problems: int = 0
    by_models: Counter[str] = field(default_factory=Counter)

    def count(self, row: Row) -> None:
        """One more row."""
        known = row["known"] == "yes"
        self.n_with_problems += bool(row["problem"])
        if not row["n_models"]:
            self.n_unscored += 1
        elif known:
            self.n_known += 1
            self.by_models[row["scored_by"]] += 1
        else:
            self.n_new += 1

    def to_dict(self) -> dict[str, Any]:
        """Counts, by name."""
        return {
            "known": self.n_known,
            "known_by_models": dict(sorted(self.by_models.items())),
            "new": self.n_new,
            "not_scored": self.n_unscored,
            "with_problems": self.n_with_problems,
        }

    def sentences(self, n_models: int) -> list[str]:
        """The audit, and what could not be used, in words."""
        each = ", ".join(f"{places}: {n}" for places, n in sorted(self.by_models.items()))
        known = f"{self.n_known} known to the bundle"
        if self.n_known:
            known += f", each scored only by models that did not train on them ({each})"
        whom = f"all {n_models} models" if n_models > 1 else "the one model"
        found = [f"Audit: {known}; {self.n_new} new, scored by {whom}."]
        if self.n_unscored:
            found.append(f"{self.n_unscored} could not be scored; `problem` says why.")
        if rest := self.n_with_problems - self.n_unscored:
            were = counted(rest, "was", "were")
            found.append(f"{were} scored with something missing; `problem` says what.")
        return found


def predict_patients(
    bundle: Bundle,
    patients: Sequence[Patient],
    device: torch.device,
    on_progress: Callable[[int, int], None],
    options: RowOptions = RowOptions(),  # noqa: B008 - frozen
) -> Iterator[list[Row]]:
    """Rows of the patients, in their order, some at a time.

    Parameters
    ----------
    on_progress : callable
        Called with (patients done, patients in all).

    Raises
    ------
    BundleError
        The bundle cannot promise what is asked for.
    """
    bundle.check_promise(options.promise)
    bundle.check_calibration(options.calibration)
    ensemble = Ensemble(bundle, device)
    reader = AudioReader(bundle.config, bundle.channel, bundle.content["typical"])
    done = 0
    for audio in reader.chunks(patients):
        yield predict_chunk(ensemble, audio, options)
        done += len(audio)
        on_progress(done, len(patients))


def predict_chunk(
    ensemble: Ensemble,
    audio: Sequence[PatientAudio],
    options: RowOptions = RowOptions(),  # noqa: B008 - frozen
) -> list[Row]:
    """Rows of some patients, in their order."""
    bundle = ensemble.bundle
    audible = [one for one in audio if one.sounds]
    if not audible:
        return [unscored(bundle, one) for one in audio]
    for one in audible:
        one.problems.extend(bundle.unreadable(one.patient.covariates))
    certificate = bundle.certificate
    people = [
        certificate.known(one.patient.ids, one.digests, one.patient.persons) for one in audible
    ]
    chunk = Chunk(
        bank_of(audible, bundle.config.features.normalise == "recording", ensemble.device),
        np.repeat(np.arange(len(audible)), [len(one.sounds) for one in audible]),
        covariate_table([one.patient.covariates for one in audible], bundle.covariates),
        np.stack([certificate.untouched(rows) for rows in people]),
        [certificate.names(each) for each in people],
    )
    rows = iter(rows_of(bundle, audible, chunk, ensemble(chunk), options))
    return [next(rows) if one.sounds else unscored(bundle, one) for one in audio]
