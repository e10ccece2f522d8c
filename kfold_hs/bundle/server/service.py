"""Uploaded files of a patient -> the row of `predict`: the same reader, ensemble and rows."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import soundfile
import torch

from kfold_hs.bundle.audio_reader import AudioReader
from kfold_hs.bundle.ensemble import Ensemble
from kfold_hs.bundle.format import Bundle
from kfold_hs.bundle.patients import Patient, Sound, named
from kfold_hs.bundle.predict import predict_chunk
from kfold_hs.bundle.rows import RowOptions, beyond_promise, columns
from kfold_hs.bundle.server.limits import Limits, too_long
from kfold_hs.cohort import Task
from kfold_hs.cohort.audio import with_unknown_size
from kfold_hs.cohort.ids import clean_name
from kfold_hs.judge.selection.conformal import PROMISES
from kfold_hs.predictions.table import prob_column

_JSON = {str: "string", int: "integer", float: "number", bool: "boolean"}


class RefusedError(Exception):
    """A request that is not answered: HTTP status and why."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status, self.text = status, text


class Answers:
    """A bundle with its models loaded.

    Parameters
    ----------
    bundle : Bundle
    device : torch.device
    limits : Limits
    options : RowOptions

    Raises
    ------
    BundleError
        The bundle cannot promise what is asked for.
    """

    def __init__(
        self, bundle: Bundle, device: torch.device, limits: Limits, options: RowOptions
    ) -> None:
        bundle.check_promise(options.promise)
        self.bundle, self.limits, self.options = bundle, limits, options
        self._ensemble = Ensemble(bundle, device)
        self._reader = AudioReader(bundle.config, bundle.channel, dict(bundle.content["typical"]))

    def __call__(
        self,
        files: Sequence[tuple[str, bytes]],
        patient_id: str | None,
        covariates: Mapping[str, Any],
    ) -> dict[str, Any]:
        """The row of one patient.

        Parameters
        ----------
        files : sequence of (name, content)
        patient_id : str, optional
            By default what the files' names say.
        covariates : mapping

        Raises
        ------
        RefusedError
            Recordings of several patients, or one that is too long.
        """
        self._check(files)
        patient = _patient(files, patient_id, covariates)
        audio = self._reader.read_files(patient, [content for _, content in files])
        (row,) = predict_chunk(self._ensemble, [audio], self.options)
        return {**row, "sites": json.loads(row["sites"])}

    def _check(self, files: Sequence[tuple[str, bytes]]) -> None:
        for name, content in files:
            try:
                with soundfile.SoundFile(io.BytesIO(content)) as file:
                    why = too_long(name, file, self.limits)
                    n_frames = file.frames
                # A WAV that says it holds nothing is read to its end, too.
                if not n_frames and (whole := with_unknown_size(io.BytesIO(content))):
                    with soundfile.SoundFile(io.BytesIO(whole)) as file:
                        why = too_long(name, file, self.limits)
            except (soundfile.LibsndfileError, OSError):
                continue  # its row says what is wrong with it
            if why:
                raise RefusedError(413, why)

    def schema(self) -> dict[str, Any]:
        """JSON schema of a row."""
        found: dict[str, Any] = {}
        for name, kind in columns(self.bundle).items():
            found[name] = {"type": [_JSON[kind], "null"]}
        found["sites"] = {"type": "array", "items": _site_schema(self.bundle.tasks)}
        return {
            "type": "object",
            "properties": found,
            "required": list(found),
            "additionalProperties": False,
        }


def _patient(
    files: Sequence[tuple[str, bytes]], patient_id: str | None, covariates: Mapping[str, Any]
) -> Patient:
    sounds, names = [], []
    for name, _ in files:
        path = Path(name.replace("\\", "/").rsplit("/", 1)[-1] or "recording")
        patient, site = named(path)
        names.append(patient)
        sounds.append(Sound(clean_name(path.stem), path, site))
    patient_id = clean_name(patient_id or "")
    if not patient_id and len(set(names)) > 1:
        raise RefusedError(
            422,
            f"recordings of several patients: {', '.join(dict.fromkeys(names))}. Send one "
            "patient's, or say with patient_id whose they are.",
        )
    patient_id = patient_id or names[0]
    return Patient(patient_id, tuple(sounds), (patient_id,), covariates)


def _site_schema(tasks: Sequence[Task]) -> dict[str, Any]:
    probs = {
        task.name: {
            "type": "object",
            "properties": {name: {"type": ["number", "null"]} for name in task.classes},
        }
        for task in tasks
    }
    words = {name: {"type": "string"} for name in ("recording_id", "site", "quality")}
    return {"type": "object", "properties": words | probs, "required": [*words, *probs]}


def form_fields(covariates: Sequence[str]) -> dict[str, str]:
    """The form's field of every covariate: its name, unless a form has no or another such field."""
    fields: dict[str, str] = {}
    for name in covariates:
        field = "".join("_" if ord(each) < 32 or each in '"\\' else each for each in name)
        while field in {"", "files", "patient_id", *fields.values()}:
            field += "_"
        fields[name] = field
    return fields


def about(answers: Answers) -> dict[str, Any]:
    """What the page says of a bundle."""
    bundle, limits, options = answers.bundle, answers.limits, answers.options
    features = bundle.config.features
    return {
        "run": bundle.content["run"],
        "n_models": len(bundle.members),
        "tasks": {
            task.name: {
                "classes": list(task.classes),
                "columns": [prob_column(task.name, name) for name in task.classes],
            }
            for task in bundle.tasks
        },
        "covariates": form_fields(bundle.covariates),
        "sets": {
            "coverage": options.coverage,
            "promise": PROMISES[options.promise],
            "beyond": beyond_promise(bundle, options),
        },
        "f_max_hz": features.f_max_hz,
        "max_mib": limits.max_bytes / 2**20,
        "max_files": limits.max_files,
        "max_seconds": limits.max_seconds,
    }
