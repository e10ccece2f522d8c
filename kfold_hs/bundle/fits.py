"""What is fitted on labels beside the networks: calibrators, class weights, threshold of referral.

New people are told by the fit of all out-of-fold rows. Whoever has rows of their own is not: each
model that may score them comes with a fit of its own, of the rows of the *other* folds of its
repeat, as the run's own cross-fitted scores have it. Where a task is stacked, these rows are
stacked without the fold, too, so that no label of a person has a part in anything that is said of
them. Of several repeats

    calibrated probabilities   are averaged, each model's by its own fit
    class weights, threshold   are averaged (weights in their logarithms), and then used on the mean

A run of one fold has no other folds: the people it was scored on get probabilities and no more.
"""

from __future__ import annotations

from collections.abc import Collection, Container, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from kfold_hs.judge.metrics.challenge2022 import class_costs
from kfold_hs.judge.selection.calibration import CALIBRATORS
from kfold_hs.judge.selection.decisions import (
    abnormal_of,
    class_weights,
    referral_score,
    referral_threshold,
)
from kfold_hs.judge.selection.stacking import Stacking
from kfold_hs.judge.stats.estimates import metrics_of
from kfold_hs.predictions.table import Predictions


@dataclass(frozen=True, eq=False)
class Fit:
    """Of one task, on some rows.

    Parameters
    ----------
    calibration : mapping
        By name of `judge.selection.calibration.CALIBRATORS`, what it was fitted to.
    weights : mapping, optional
        Weight of each class, where the challenge charges for the task.
    threshold : float, optional
        Score from which on a patient is referred, where the challenge charges for that.
    """

    calibration: Mapping[str, Any]
    weights: Mapping[str, float] | None = None
    threshold: float | None = None

    @classmethod
    def of(cls, rows: Predictions, task: str) -> Fit:
        """Of patient rows, each of one epoch."""
        names = {metric.name for metric in metrics_of(rows, task)}
        classes, y_true, y_prob = rows.classes[task], rows.y_true(task), rows.y_prob(task)
        calibration = {name: each.fit(y_true, y_prob) for name, each in CALIBRATORS.items()}
        weights = threshold = None
        if (costs := class_costs(classes)) and "weighted_accuracy" in names:
            found = class_weights(y_true, y_prob, costs)
            weights = dict(zip(classes, found.tolist(), strict=True))
        if "cost" in names:
            score = referral_score(y_prob, classes)
            threshold = referral_threshold(score, abnormal_of(rows, task))
        return cls(calibration, weights, threshold)

    def to_dict(self) -> dict[str, Any]:
        """Plain values: the names of the parameters."""
        return dict(vars(self))


def held_out_fits(plain: Predictions, stacking: Stacking, task: str) -> list[dict[str, Any]]:
    """For every model, the fit of the other folds of its repeat; none where one fold is all.

    Parameters
    ----------
    plain : Predictions
        Patient rows that are scored, seeds averaged, as the networks have it.
    stacking : Stacking
        Of the run.

    Returns
    -------
    list of dict
        repeat, fold, and the values of a `Fit`.
    """
    places = plain.table[["repeat", "fold"]].drop_duplicates().sort_values(["repeat", "fold"])
    if places.groupby("repeat")["fold"].nunique().min() < 2:
        return []
    return [
        {"repeat": repeat, "fold": fold}
        | Fit.of(stacking.without(plain, repeat, fold), task).to_dict()
        for repeat, fold in places.to_numpy(dtype=int).tolist()
    ]


@dataclass(frozen=True, eq=False)
class Fits:
    """All fits of a task.

    Parameters
    ----------
    of_all : Fit
    held_out : mapping
        (repeat, fold) -> what the model of this fold's people comes with.
    scored : container of str
        Persons whose rows these are.
    """

    of_all: Fit
    held_out: Mapping[tuple[int, int], Fit]
    scored: Container[str]

    @classmethod
    def read(
        cls, content: Mapping[str, Any], task: str, people: Container[str] | None = None
    ) -> Fits:
        """From bundle.json; `people` are those whose rows these are, where it names nobody."""
        methods, decided = content["calibration"][task]["methods"], content["decisions"]
        mine = decided.get(task, {})
        calibration = {name: each["fitted"] for name, each in methods.items()}
        of_all = Fit(calibration, mine.get("weights"), mine.get("threshold"))
        held_out = {
            (each["repeat"], each["fold"]): Fit(
                each["calibration"], each["weights"], each["threshold"]
            )
            for each in content["held_out"][task]
        }
        if people is None:
            people = {name for each in content["conformal"][task] for name in each["person_id"]}
        return cls(of_all, held_out, people)

    def for_patient(
        self, mean: np.ndarray, probs: np.ndarray, persons: Collection[str]
    ) -> PatientFits:
        """What is used on a patient.

        Parameters
        ----------
        mean : ndarray, shape (C,)
            Of the models that were asked.
        probs : ndarray, shape (n_repeats, n_folds, C)
            Of each of them; NaN of the others.
        persons : collection of str
            Whom of the certificate the patient is.
        """
        if not any(person in self.scored for person in persons):
            return PatientFits([mean], [self.of_all])
        asked = [(int(r), int(f)) for r, f in np.argwhere(~np.isnan(probs[..., 0]))]
        fits = [self.held_out[place] for place in asked if place in self.held_out]
        if len(fits) < len(asked):
            return PatientFits([], [])
        return PatientFits([probs[place] for place in asked], fits)


@dataclass(frozen=True, eq=False)
class PatientFits:
    """Probabilities of a patient, and the fits that go with them: none where every fit has a
    label of theirs in it.

    Parameters
    ----------
    probs : sequence of ndarray, each (C,)
    fits : sequence of Fit
        One each.
    """

    probs: Sequence[np.ndarray]
    fits: Sequence[Fit]

    def calibrated(self, name: str) -> np.ndarray:
        """By a calibrator, (C,); at least one fit."""
        each = [
            CALIBRATORS[name].apply(probs[None], fit.calibration[name])[0]
            for probs, fit in zip(self.probs, self.fits, strict=True)
        ]
        return np.asarray(np.mean(each, axis=0))

    def weights(self, classes: Sequence[str]) -> np.ndarray | None:
        """Of the classes, (C,)."""
        each = [[f.weights[name] for name in classes] for f in self.fits if f.weights is not None]
        if len(each) < 2:
            return np.array(each[0]) if each else None
        return np.asarray(np.exp(np.mean(np.log(each), axis=0)))

    @property
    def threshold(self) -> float | None:
        """Of referral."""
        each = [fit.threshold for fit in self.fits if fit.threshold is not None]
        return float(np.mean(each)) if each else None
