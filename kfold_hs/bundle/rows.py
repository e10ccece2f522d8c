"""What is said of a patient: one row, flat, the same columns for everybody.

patient_id           as in the input
known                "yes" when the bundle's certificate knows the person, else "no"
scored_by, n_models  which models were asked, e.g. "r0-f3", and how many (seeds count as one)
n_recordings         that were audio
quality              ok, or the flags of its recordings (see `typical`)
problem              what could not be used and why, or empty
cycle.heart_rate_bpm.mean, cycle.quality.min
                     with a frame branch: the heart rate, and how sure it is of the heart cycle in
                     the recording where it is least (`predictions.cycle`), mean of the models that
                     were asked
label.<task>         the most probable class
p.<task>.<class>     mean of the models that were asked
spread.<task>        standard deviation between them of the positive class's probability
calibrated.<task>.<class>    by the bundle's temperature, p^(1/T), or another of its calibrators
decided.<task>       class that the bundle's class weights call, for weighted accuracy
refer.<task>         whether the patient reaches the bundle's threshold of referral
set.<task>           classes of the conformal set, joined by "+" (see `joined` and
                     `judge.selection.conformal`)
sites                JSON: every recording with site, quality and probabilities (of the network)

Nothing that is said of a person was fitted on a label of theirs (see `fits`). Numbers are missing
where a patient could not be scored.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from kfold_hs.bundle.audio_reader import PatientAudio
from kfold_hs.bundle.data_quality import OK
from kfold_hs.bundle.ensemble import Answer, Chunk, mean_over_models, spread_over_models
from kfold_hs.bundle.fits import PatientFits
from kfold_hs.bundle.format import Bundle
from kfold_hs.cohort import Task
from kfold_hs.errors import counted, listing
from kfold_hs.judge.selection.conformal import (
    CLASS,
    conformal_set,
    most_promised,
    persons_needed,
)
from kfold_hs.judge.selection.decisions import called, referral_score
from kfold_hs.predictions import cycle
from kfold_hs.predictions.table import prob_column

Row = dict[str, Any]
HEART_RATE, CYCLE_QUALITY = cycle.column("heart_rate_bpm", "mean"), cycle.column("quality", "min")
_UNFITTED = (
    "neither calibrated nor decided: this person's label has a part in all that could be used, "
    "since the run has one fold"
)


def columns(bundle: Bundle) -> dict[str, type]:
    """Names of all columns and what they hold: str, int, float or bool."""
    found: dict[str, type] = {
        "patient_id": str,
        "known": str,
        "scored_by": str,
        "n_models": int,
        "n_recordings": int,
        "quality": str,
        "problem": str,
    }
    if bundle.has_branch:
        found |= {HEART_RATE: float, CYCLE_QUALITY: float}
    for task in bundle.tasks:
        found[f"label.{task.name}"] = str
        found |= {prob_column(task.name, name): float for name in task.classes}
        found[f"spread.{task.name}"] = float
        found |= {f"calibrated.{task.name}.{name}": float for name in task.classes}
        fit = bundle.fits[task.name].of_all
        if fit.weights is not None:
            found[f"decided.{task.name}"] = str
        if fit.threshold is not None:
            found[f"refer.{task.name}"] = bool
        found[f"set.{task.name}"] = str
    return {**found, "sites": str}


@dataclass(frozen=True)
class RowOptions:
    """What a row says besides probabilities.

    Parameters
    ----------
    coverage : float
        Of the conformal sets, in (0, 1).
    calibration : str
        A key of `judge.selection.calibration.CALIBRATORS`.
    promise : str
        To whom the coverage is promised, a key of `judge.selection.conformal.PROMISES`.
    """

    coverage: float = 0.9
    calibration: str = "temperature"
    promise: str = CLASS


def rows_of(
    bundle: Bundle, audio: Sequence[PatientAudio], chunk: Chunk, answer: Answer, options: RowOptions
) -> list[Row]:
    """One row a patient.

    Parameters
    ----------
    audio : sequence of PatientAudio
        The patients of the chunk, of whom something can be audio.
    answer : Answer
        What the models say of them.
    """
    patients, recordings = answer.patients, answer.recordings
    known, allowed = chunk.known, chunk.allowed
    found = [unscored(bundle, one) for one in audio]
    owner = np.repeat(np.arange(len(audio)), [len(one.sounds) for one in audio])
    for row, one, persons, models in zip(found, audio, known, allowed, strict=True):
        row["known"] = "yes" if persons else "no"
        row["n_models"] = int(models.sum())
        row["scored_by"] = places_text(models)
        row["n_recordings"] = len(one.sounds)
        row["quality"] = _quality(one)
        if not models.any():
            reason = "every model was trained on this person"
            row["problem"] = "; ".join([reason, *one.problems])
    scored = np.flatnonzero(allowed.any(axis=(1, 2)))
    for name in (HEART_RATE, CYCLE_QUALITY):
        if name in answer.cycle:
            means = mean_over_models(answer.cycle[name][..., None])[:, 0]
            for number in scored.tolist():
                found[number][name] = float(means[number])
    for task in bundle.tasks:
        probs = patients[task.name]
        mean, spread = mean_over_models(probs), spread_over_models(probs)
        for number in scored.tolist():
            said = Said(task, mean[number], spread[number])
            row, persons = found[number], known[number]
            row |= said.of_models()
            own = bundle.fits[task.name].for_patient(mean[number], probs[number], persons)
            row |= said.by_fits(own, options.calibration)
            if not own.fits and _UNFITTED not in row["problem"]:
                row["problem"] = "; ".join(filter(None, [_UNFITTED, row["problem"]]))
            scores = bundle.conformal[task.name]
            values = scores.p_values(probs[number], persons, options.promise)
            inside = conformal_set(values, options.coverage, int(mean[number].argmax()))
            row[f"set.{task.name}"] = joined([task.classes[c] for c in inside])
    for number, (row, one) in enumerate(zip(found, audio, strict=True)):
        mine = np.flatnonzero(owner == number)
        row["sites"] = _sites(bundle.tasks, one, {t: each[mine] for t, each in recordings.items()})
    return found


def beyond_promise(bundle: Bundle, options: RowOptions) -> list[str]:
    """What conformal sets cannot promise to new patients, in words."""
    found = list[str]()
    if not bundle.content["select"]["honest"]:
        found.append(
            "The coverage of the conformal sets is not promised: their scores are of people who "
            f"chose the epochs (select={bundle.content['select']['rule']})."
        )
    if options.promise != CLASS:
        found.append(
            f"Sets promise {100 * options.coverage:g} % to all patients together, and to no class: "
            "rare classes get less, often far less. --sets class promises it to each."
        )
    for task in bundle.tasks if options.promise == CLASS else ():
        scores = bundle.conformal[task.name]
        needed = persons_needed(options.coverage, scores.extra)
        n_persons = scores.n_persons(task.n_classes)
        for name, n in zip(task.classes, n_persons, strict=True):
            if n < needed:
                most = 100 * most_promised(n, scores.extra)
                found.append(
                    f"{task.name}: {counted(n, 'person', 'people')} with {name} can promise a "
                    f"coverage of {most:.1f} % at most, and {needed} would be "
                    f"needed for {100 * options.coverage:g} %: {name} is in every set."
                )
    return found


def beyond_promise_to_known(bundle: Bundle, options: RowOptions) -> list[str]:
    """The same of people of the run, who are compared with the others of their fold, in words."""
    needed = persons_needed(options.coverage)
    few = [
        f"{task.name} {name}"
        for task in (bundle.tasks if options.promise == CLASS else ())
        for name, n in zip(
            task.classes,
            bundle.conformal[task.name].n_persons_of_fold(task.n_classes),
            strict=True,
        )
        if n - 1 < needed and not bundle.is_anonymous  # one may be the person
    ]
    if not few:
        return []
    return [
        "The sets of people whom the bundle knows rest on the others of their fold alone. With "
        f"fewer than {needed} of them in a class, {100 * options.coverage:g} % coverage cannot be "
        "promised, so that the class is in every set and its being there says nothing: "
        f"{listing(few)}."
    ]


def unscored(bundle: Bundle, one: PatientAudio) -> Row:
    """The row of a patient as far as it is known without a model."""
    row: Row = dict.fromkeys(columns(bundle))
    row |= {
        "patient_id": one.patient.patient_id,
        "known": "no",
        "scored_by": "",
        "n_models": 0,
        "n_recordings": 0,
        "quality": "",
        "problem": "; ".join(one.problems),
        "sites": "[]",
    }
    return row


@dataclass(frozen=True, eq=False)
class Said:
    """What models say of a patient about a task.

    Parameters
    ----------
    task : Task
    mean, spread : ndarray, shape (C,)
        Over the models that were asked; the spread is NaN for one.
    """

    task: Task
    mean: np.ndarray
    spread: np.ndarray

    def of_models(self) -> Row:
        """Columns that nothing was fitted for."""
        name, spread = self.task.name, float(self.spread[self.task.positive_index])
        probs = zip(self.task.classes, self.mean.tolist(), strict=True)
        return {
            f"label.{name}": self.task.classes[int(self.mean.argmax())],
            **{prob_column(name, each): p for each, p in probs},
            f"spread.{name}": spread if np.isfinite(spread) else None,
        }

    def by_fits(self, fits: PatientFits, calibration: str) -> Row:
        """Columns that something was fitted for, as far as there is a fit."""
        if not fits.fits:
            return {}
        name, classes = self.task.name, self.task.classes
        calibrated = zip(classes, fits.calibrated(calibration).tolist(), strict=True)
        row: Row = {f"calibrated.{name}.{each}": p for each, p in calibrated}
        if (weights := fits.weights(classes)) is not None:
            chosen = called(self.mean[None], weights)[0]
            row[f"decided.{name}"] = classes[int(chosen.argmax())]
        if fits.threshold is not None:
            score = float(referral_score(self.mean[None], classes)[0])
            row[f"refer.{name}"] = score >= fits.threshold
        return row


def joined(names: Sequence[str]) -> str:
    """Classes of a set, joined by "+": a line of CSV with that delimiter, so that a class that
    holds a "+" or a quote itself stands in quotes.
    """
    text = io.StringIO()
    csv.writer(text, delimiter="+", lineterminator="").writerow(names)
    return text.getvalue()


def separated(names: str) -> list[str]:
    """The classes that `joined` joined."""
    return next(csv.reader([names], delimiter="+"), [])


def _quality(one: PatientAudio) -> str:
    flags = dict.fromkeys(flag for each in one.quality for flag in each)
    return "; ".join(flags) or OK


def places_text(allowed: np.ndarray) -> str:
    if allowed.all():
        return "all"
    return " ".join(f"r{repeat}-f{fold}" for repeat, fold in np.argwhere(allowed))


def _sites(tasks: Sequence[Task], one: PatientAudio, probs: Mapping[str, np.ndarray]) -> str:
    found = []
    for k, (sound, quality) in enumerate(zip(one.sounds, one.quality, strict=True)):
        found.append(
            {
                "recording_id": sound.recording_id,
                "site": sound.site,
                "quality": "; ".join(quality) or OK,
                **{
                    task.name: {
                        name: float(p) if np.isfinite(p) else None
                        for name, p in zip(task.classes, probs[task.name][k], strict=True)
                    }
                    for task in tasks
                },
            }
        )
    return json.dumps(found)
