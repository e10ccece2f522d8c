"""The patients with the highest loss, put together: numbers, pictures and sound in one JSON file.

schema, stamp (SHA-256 of all that it was made from), digests (of the run)
problem      why there is nothing, or null; with one, nothing below is there
model        repeat and seed of the models that were asked what they looked at
cells        bands and frames of their maps of one crop, or null where the backbone has none
audio        null, or format ("ogg", "wav") and n_left_out (recordings over the budget)
f_min_hz, f_max_hz, ticks (hz, at)
and what `judge.results.hardest` gives, with, for every patient, fold, epoch, covariates,
n_more_recordings, looked_for (the class), and recordings: recording_id, site, duration_s,
start_s, end_s, label (task -> the recording's own), probs (task -> class -> probability, mean
over seeds and repeats), peak_s and peak_hz (where it was looked at most, or null), and the
files spectrogram, look and audio in base64, or null; with a frame branch what `cycle` says
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from kfold_hs.cohort.audio import read_samples
from kfold_hs.config.schema import FeatureConfig, GalleryConfig
from kfold_hs.files.paths import FoldId
from kfold_hs.files.stored import read_history
from kfold_hs.judge.results.hardest import worst
from kfold_hs.learn.features.mel import MelFeatures
from kfold_hs.learn.prediction.gradcam import has_map, look
from kfold_hs.learn.prediction.reload import load_again
from kfold_hs.orchestrator.context import RunContext
from kfold_hs.predictions.epoch_rules import kept_epochs
from kfold_hs.predictions.table import Predictions, fold_ids, prob_column
from kfold_hs.report.gallery import SCHEMA
from kfold_hs.workflows.gallery import spectrogram
from kfold_hs.workflows.gallery.audio import best_format, excerpt
from kfold_hs.workflows.gallery.checks import check_held_out, check_model, check_same
from kfold_hs.workflows.gallery.cycle import Cycles

MOST_RECORDINGS = 6
"""Of one patient; the others are counted."""
MOST_BYTES = 3_000_000
"""Of all files in base64; sound goes first."""


class Exhibit:
    """What the gallery of a run is made from.

    Parameters
    ----------
    context : RunContext
        Of the run, with its features; every planned fold is finished.
    settings : GalleryConfig
        With at least one patient.

    Attributes
    ----------
    stamp : str
        SHA-256 (hex) of all that decides what is shown.
    """

    def __init__(self, context: RunContext, settings: GalleryConfig) -> None:
        assert context.bank is not None
        self.paths, self.config, self.settings = context.paths, context.config, settings
        self.cohort, self.split, self.bank = context.cohort, context.split, context.bank
        self.digests = Predictions.digests(context.paths.predictions)
        self._context = replace(context, digests=self.digests).on_device()
        cohort, paths = context.cohort, context.paths
        self.losses = worst(Predictions.read(paths.scored), settings.patients)
        content = [SCHEMA, MOST_RECORDINGS, MOST_BYTES, self.digests, self.losses]
        content.append(settings.model_dump(mode="json"))
        if paths.segmentation.is_file():
            content.append("with states of the heart cycle")
        self.cycles = Cycles({}, pd.DataFrame())
        self.stamp = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
        self._rows = cohort.recordings.reset_index(drop=True).groupby("patient_id").groups

    def make(self, on_step: Callable[[int, int], None]) -> dict[str, Any]:
        """The content of gallery.json.

        Raises
        ------
        KfoldHsError
            A recording, a model or a table of the run is missing, or is of another run.
        """
        predictions = Predictions.read(self.paths.predictions)
        epochs = kept_epochs(read_history(self.paths.history))
        repeat, seed, _ = min(epochs)
        fold_of = self._folds(repeat)
        probs = self._of_recordings(predictions, epochs)
        self.cycles = Cycles.of(self.paths, predictions, FoldId(repeat, seed, 0))
        patients = self.losses["patients"]
        for patient in patients:
            fold = fold_of[patient["patient_id"]]
            patient |= {"fold": fold, "epoch": epochs[FoldId(repeat, seed, fold)]}
        cells, shown = None, 0
        for fold in sorted({patient["fold"] for patient in patients}):
            mine = [patient for patient in patients if patient["fold"] == fold]
            place = FoldId(repeat, seed, fold)
            cells = self._show(mine, place, epochs[place], predictions, probs)
            shown += len(mine)
            on_step(shown, len(patients))
        features = self._pictured
        return {
            "schema": SCHEMA,
            "stamp": self.stamp,
            "digests": self.digests,
            "problem": None,
            "model": {"repeat": repeat, "seed": seed},
            "cells": cells,
            "audio": self._sound(patients),
            "f_min_hz": features.f_min_hz,
            "f_max_hz": features.f_max_hz,
            "ticks": spectrogram.hz_ticks(features.n_mels, features.f_min_hz, features.f_max_hz),
            **self.losses,
        }

    def _folds(self, repeat: int) -> dict[str, int]:
        folds = self.split.fold_of_patients(self.cohort, repeat)
        return dict(zip(self.cohort.patients["patient_id"], folds.tolist(), strict=True))

    def _of_recordings(
        self, predictions: Predictions, epochs: Mapping[FoldId, int]
    ) -> dict[str, dict[str, dict[str, float]]]:
        """recording_id -> task -> class -> probability, mean over seeds and repeats."""
        table = predictions.table
        ids = {patient["patient_id"] for patient in self.losses["patients"]}
        table = table[(table["level"] == "recording") & table["patient_id"].isin(ids)]
        kept = np.array([epochs[fold] for fold in fold_ids(table)], dtype=np.int64)
        table = table[table["epoch"].to_numpy() == kept]
        names = {
            task: {c: prob_column(task, c) for c in classes}
            for task, classes in predictions.classes.items()
        }
        columns = [column for each in names.values() for column in each.values()]
        means = table.groupby("recording_id")[columns].mean()
        return {
            str(recording_id): {
                task: {c: float(row[column]) for c, column in each.items()}
                for task, each in names.items()
            }
            for recording_id, row in means.iterrows()
        }

    def _show(
        self,
        patients: list[dict[str, Any]],
        place: FoldId,
        epoch: int,
        predictions: Predictions,
        probs: Mapping[str, Mapping[str, Mapping[str, float]]],
    ) -> tuple[int, int] | None:
        """Fill in the patients of one fold; the cells of a map."""
        repeat, _, fold = place
        ready = self._context.fold(place)
        rows = {p["patient_id"]: self._rows[p["patient_id"]].to_numpy() for p in patients}
        check_held_out(self.cohort, ready.data, fold, list(rows))
        file = self.paths.fold(place).kept_model(self.config.select)
        predictor, content = load_again(ready, file)
        check_model(file, content, place, epoch)
        found = None
        order = sorted(patients, key=lambda p: int(rows[p["patient_id"]].min()))
        tasks = {task.name: task for task in self.cohort.tasks}
        wanted = []
        for patient in order:
            task = tasks[patient["chosen_for"]]
            patient["looked_for"] = patient["tasks"][task.name]["called"]
            wanted.append((task, task.classes.index(patient["looked_for"])))
        recordings = np.concatenate([rows[p["patient_id"]] for p in order])
        owner = np.repeat(np.arange(len(order)), [len(rows[p["patient_id"]]) for p in order])
        n_frames, device = self.config.train.crop_frames, self._context.device
        if has_map(predictor.model, self.bank.n_mels, n_frames, device):
            found = look(predictor, recordings, owner, wanted)
            level = self.config.train.level
            who = [p["patient_id"] for p in order]
            asked = wanted
            if level == "recording":
                who = self.cohort.recordings["recording_id"].iloc[recordings].tolist()
                asked = [wanted[row] for row in owner]
            kept = predictions.where(
                level=level, repeat=repeat, seed=place[1], fold=fold, epoch=epoch
            )
            check_same(found.probs, who, asked, kept, level)
        for row, patient in enumerate(order):
            mine = np.flatnonzero(owner == row)
            maps = [None if found is None else found.maps[k] for k in mine]
            self._fill(patient, recordings[mine], maps, probs)
        return None if found is None else found.cells

    def _fill(
        self,
        patient: dict[str, Any],
        recordings: np.ndarray,
        maps: list[np.ndarray | None],
        probs: Mapping[str, Mapping[str, Mapping[str, float]]],
    ) -> None:
        whose = self.cohort.patients.set_index("patient_id").loc[patient["patient_id"]]
        known = {name: whose[name] for name in self.cohort.covariates}
        patient["covariates"] = {
            name: f"{value:.6g}" if isinstance(value, float) else str(value)
            for name, value in known.items()
            if not pd.isna(value)
        }
        patient["n_more_recordings"] = max(0, len(recordings) - MOST_RECORDINGS)
        top = max((float(each.max()) for each in maps if each is not None), default=0.0)
        patient["recordings"] = [
            self._recording(int(row), each, top, probs)
            for row, each in list(zip(recordings, maps, strict=True))[:MOST_RECORDINGS]
        ]

    def _recording(
        self,
        row: int,
        looked: np.ndarray | None,
        top: float,
        probs: Mapping[str, Mapping[str, Mapping[str, float]]],
    ) -> dict[str, Any]:
        facts = self.cohort.recordings.iloc[row]
        hop_s = self._pictured.frame_s
        frames = self._frames(row)
        start, end = window(looked, len(frames), int(self.settings.seconds / hop_s))
        shown = frames[start:end].T
        part = None if looked is None else looked[:, start:end]
        duration_s = float(facts["duration_s"])
        own = {t.name: facts[t.name] for t in self.cohort.tasks if t.name in facts.index}
        return {
            "recording_id": str(facts["recording_id"]),
            "site": str(facts["site"]),
            "duration_s": duration_s,
            "start_s": start * hop_s,
            "end_s": min(end * hop_s, duration_s),
            "label": {name: str(each) for name, each in own.items() if not pd.isna(each)},
            "probs": probs[str(facts["recording_id"])],
            "row": row,
            **self._peak(part, start),
            **self.cycles.shown(
                str(facts["recording_id"]), start * hop_s, min(end * hop_s, duration_s)
            ),
            "spectrogram": _base64(spectrogram.spectrogram(shown)),
            "look": None if part is None else _base64(spectrogram.overlay(part, top)),
            "audio": None,
        }

    @property
    def _pictured(self) -> FeatureConfig:
        """Of what recordings are shown as: a spectrogram, whatever the models are given."""
        features = self.config.features
        return features if isinstance(features, FeatureConfig) else FeatureConfig()

    def _frames(self, row: int) -> np.ndarray:
        """The spectrogram of a recording, (n_frames, n_mels) float32."""
        if isinstance(self.config.features, FeatureConfig):
            first, n_frames = int(self.bank.first[row]), int(self.bank.length[row])
            return np.asarray(self.bank.frames[first : first + n_frames].float().cpu().numpy())
        path = Path(self.cohort.recordings["path"].iloc[row])
        return MelFeatures(self._pictured)(*read_samples(path, self.cohort.channel))

    def _peak(self, looked: np.ndarray | None, start: int) -> dict[str, float | None]:
        """Middle of the place that was looked at most, of the part that is shown."""
        if looked is None or not looked.max() > 0:
            return {"peak_s": None, "peak_hz": None}
        band, frame = np.unravel_index(int(looked.argmax()), looked.shape)
        features = self._pictured
        hz = spectrogram.hz_of(int(band), features.n_mels, features.f_min_hz, features.f_max_hz)
        return {"peak_s": (start + int(frame)) * features.frame_s, "peak_hz": hz}

    def _sound(self, patients: list[dict[str, Any]]) -> dict[str, Any] | None:
        """Put the sound in, of the worst patients first, until there is no more room."""
        each = [recording for patient in patients for recording in patient["recordings"]]
        places = [int(recording.pop("row")) for recording in each]
        if not self.settings.audio:
            return None
        kind, n_left_out = best_format(), 0
        used = sum(len(r["spectrogram"]) + len(r["look"] or "") for r in each)
        for recording, row in zip(each, places, strict=True):
            path = Path(self.cohort.recordings["path"].iloc[row])
            samples, rate_hz = read_samples(path, self.cohort.channel)
            shown = excerpt(samples, rate_hz, recording["start_s"], recording["end_s"], kind)
            text = _base64(shown)
            if used + len(text) > MOST_BYTES:
                n_left_out += 1
                continue
            used += len(text)
            recording["audio"] = text
        return {"format": kind, "n_left_out": n_left_out}


def window(looked: np.ndarray | None, n_frames: int, most: int) -> tuple[int, int]:
    """First frame, and the one after the last, of what is shown of a recording.

    Parameters
    ----------
    looked : ndarray, shape (n_mels, n_frames), or None
        The part with most of it is taken, the first such; without it the recording's start.
    n_frames, most : int
        Of the recording, and of the part.
    """
    if n_frames <= most or looked is None:
        return 0, min(n_frames, most)
    sums = np.concatenate([[0.0], np.cumsum(looked.sum(axis=0, dtype=np.float64))])
    start = int(np.argmax(sums[most:] - sums[:-most]))
    return start, start + most


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode("ascii")
