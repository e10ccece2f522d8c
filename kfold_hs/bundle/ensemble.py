"""The fold models of a bundle, asked about some patients at once.

A chunk of patients is heard by every model that may hear them: all of them when nobody knows the
patient, else those that trained on nothing of that person. What comes back is what the run itself
would have said, to the bit on the CPU of the same machine: the same batches, pooling and stacking.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch

from kfold_hs.bundle.format import Bundle, Member
from kfold_hs.judge.selection.stacking import Evidence
from kfold_hs.learn.features.bank import Bank
from kfold_hs.learn.frames import measures
from kfold_hs.learn.models.network import HeartSoundNet
from kfold_hs.learn.prediction.crops import Predictor
from kfold_hs.predictions.aggregation import pool_groups


@dataclass(frozen=True, eq=False)
class Chunk:
    """Some patients, heard together.

    Parameters
    ----------
    bank : Bank
        Features of their recordings.
    owner : ndarray of int64, shape (n_recordings,)
        Whose each is, in [0, n_patients), ascending; each occurs.
    covariates : DataFrame
        A row a patient.
    allowed : ndarray of bool, shape (n_patients, n_repeats, n_folds)
        Whether a model may be asked about a patient.
    known : sequence of collections of str
        Of each patient, the persons of the certificate whom they are; empty: nobody it knows.
    """

    bank: Bank
    owner: np.ndarray
    covariates: pd.DataFrame
    allowed: np.ndarray
    known: Sequence[Collection[str]]


@dataclass(frozen=True, eq=False)
class Answer:
    """What fold models, their seeds averaged, say of a chunk.

    Parameters
    ----------
    patients : dict of ndarray, each (n_patients, n_repeats, n_folds, C)
        By task, stacked where the run stacks; NaN where a model was not asked.
    recordings : dict of ndarray, each (n_recordings, C)
        Mean over the models that were asked, of the networks alone.
    cycle : dict of ndarray, each (n_patients, n_repeats, n_folds)
        The columns of `predictions.cycle`; NaN where a model was not asked, none without a frame
        branch.
    """

    patients: dict[str, np.ndarray]
    recordings: dict[str, np.ndarray]
    cycle: dict[str, np.ndarray]


class Ensemble:
    """The models of a bundle, loaded.

    Parameters
    ----------
    bundle : Bundle
    device : torch.device
    """

    def __init__(self, bundle: Bundle, device: torch.device) -> None:
        self.bundle, self.device = bundle, device
        self.tasks = bundle.tasks
        self._rules = bundle.rules
        files = {each.file: each for each in bundle.members}
        models = {file: bundle.model(each, device) for file, each in files.items()}
        self._models = [(each, models[each.file]) for each in bundle.members]
        self._branches = {file: bundle.branch(each, device) for file, each in files.items()}
        self._n_seeds = 1 + max(each.seed for each in bundle.members)

    def __call__(self, chunk: Chunk) -> Answer:
        """Ask every model about the patients that it may be asked about."""
        of_patients = {task.name: self._empty(chunk, task.n_classes) for task in self.tasks}
        cycle: dict[str, np.ndarray] = {}
        sums = {t.name: np.zeros((len(chunk.owner), t.n_classes)) for t in self.tasks}
        counts = np.zeros((len(chunk.owner), 1))
        # One model can stand in several places, and is asked once.
        said: dict[tuple[str, bytes], _Said] = {}
        for member, model in self._models:
            patients = np.flatnonzero(chunk.allowed[:, member.repeat, member.fold])
            if not len(patients):
                continue
            question = (member.file, patients.tobytes())
            if question not in said:
                said[question] = self._ask(member, model, chunk, patients)
            found = said[question]
            place = (patients, member.repeat, member.seed, member.fold)
            for task in self.tasks:
                of_patients[task.name][place] = found.patients[task.name]
                sums[task.name][found.rows] += found.recordings[task.name]
            for name in found.cycle.columns.astype(str):
                column = cycle.setdefault(name, self._empty(chunk, 1))
                column[place] = found.cycle[[name]]
            counts[found.rows] += 1
        means = {name: mean_over_seeds(each) for name, each in of_patients.items()}
        with np.errstate(invalid="ignore"):  # a patient whom no model may hear
            recordings = {name: each / counts for name, each in sums.items()}
        hearts = {name: mean_over_seeds(each)[..., 0] for name, each in cycle.items()}
        return Answer(self._stacked(means, hearts, chunk), recordings, hearts)

    def _empty(self, chunk: Chunk, width: int) -> np.ndarray:
        n_patients, n_repeats, n_folds = chunk.allowed.shape
        return np.full((n_patients, n_repeats, self._n_seeds, n_folds, width), np.nan)

    def _ask(
        self, member: Member, model: HeartSoundNet, chunk: Chunk, patients: np.ndarray
    ) -> _Said:
        rows = np.flatnonzero(np.isin(chunk.owner, patients))
        owner = np.searchsorted(patients, chunk.owner[rows])
        config, beside = self.bundle.config, None
        if member.covariates:
            values = member.encoder.transform(chunk.covariates.iloc[chunk.owner])
            beside = torch.from_numpy(values).to(self.device)
        predictor = Predictor(model, chunk.bank, config, beside)
        heart = pd.DataFrame(index=patients)
        if (branch := self._branches[member.file]) is not None:
            cycles = branch.cycles(chunk.bank, rows)
            heart = measures.of_patients(cycles.measures, owner, len(patients))
        if config.train.level == "patient":
            whole, parts, _ = predictor.of_patients(rows, owner)
            return _Said(whole, parts, rows, heart)
        parts, _, _ = predictor.of_recordings(rows, self.tasks)
        named, whole = config.predict.patient_pool, {}
        for task in self.tasks:
            rule = task.patient_pool if named == "task" else named
            whole[task.name] = pool_groups(
                parts[task.name], owner, len(patients), rule, task.positive_index
            )
        return _Said(whole, parts, rows, heart)

    def _stacked(
        self, means: dict[str, np.ndarray], hearts: dict[str, np.ndarray], chunk: Chunk
    ) -> dict[str, np.ndarray]:
        found = dict(means)
        for task, rules in self._rules.items():
            found[task] = np.full_like(means[task], np.nan)
            for (repeat, fold), rule in rules.items():
                patients = np.flatnonzero(chunk.allowed[:, repeat, fold])
                if len(patients):
                    probs = {name: each[patients, repeat, fold] for name, each in means.items()}
                    heart = {name: each[patients, repeat, fold] for name, each in hearts.items()}
                    beside = chunk.covariates.iloc[patients], pd.DataFrame(heart, index=patients)
                    found[task][patients, repeat, fold] = rule(Evidence(probs, *beside))
        return found


@dataclass(frozen=True, eq=False)
class _Said:
    """By one model: of some patients, of their recordings, which are these rows of the bank, and
    of the patients' hearts.
    """

    patients: dict[str, np.ndarray]
    recordings: dict[str, np.ndarray]
    rows: np.ndarray
    cycle: pd.DataFrame


def mean_over_seeds(probs: np.ndarray) -> np.ndarray:
    """(n, n_repeats, n_seeds, n_folds, C) -> (n, n_repeats, n_folds, C).

    By pandas, which carries the rounding error along as it adds: so does the run's own mean
    (`Predictions.mean_over_seeds`).
    """
    if probs.shape[2] == 1:
        return probs[:, :, 0]
    last = np.moveaxis(probs, 2, 0)
    n_seeds, shape = len(last), last.shape[1:]
    table = pd.DataFrame(last.reshape(n_seeds, -1))
    return table.groupby(np.zeros(n_seeds, dtype=int)).mean().to_numpy().reshape(shape)


def mean_over_models(probs: np.ndarray) -> np.ndarray:
    """Mean of the models that were asked, (n, n_repeats, n_folds, C) -> (n, C).

    NaN for a patient whom none may be asked about. The mean of one is itself, to the bit.
    """
    return _over_models(probs, np.mean)


def spread_over_models(probs: np.ndarray) -> np.ndarray:
    """Standard deviation between the models that were asked, (n, C); NaN with fewer than two."""
    return _over_models(probs, lambda x, axis: x.std(axis=axis) if len(x) > 1 else x[0] * np.nan)


def _over_models(probs: np.ndarray, what: Any) -> np.ndarray:
    flat = probs.reshape(len(probs), -1, probs.shape[-1])
    found = np.full((len(flat), flat.shape[-1]), np.nan)
    for row, each in enumerate(flat):
        asked = each[~np.isnan(each[:, 0])]
        if len(asked):
            found[row] = what(asked, axis=0)
    return found


def covariate_table(covariates: Sequence[Mapping[str, Any]], names: Sequence[str]) -> pd.DataFrame:
    """What is known of patients beside the sound, a column a name; None: not known."""
    rows = [{name: each.get(name) for name in names} for each in covariates]
    return pd.DataFrame(rows, columns=list(names), index=range(len(covariates)), dtype=object)
