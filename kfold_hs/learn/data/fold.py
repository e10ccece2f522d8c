"""What a fold model is made from: its settings, people and features, and who is on which side."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np
import torch

from kfold_hs.cohort import Cohort
from kfold_hs.config.schema import Config
from kfold_hs.files.paths import FoldId
from kfold_hs.learn.features.bank import Bank
from kfold_hs.learn.random_streams import RandomStreams


class People(NamedTuple):
    """Patients and all of their recordings: rows of the cohort's tables, int64."""

    recordings: np.ndarray
    patients: np.ndarray


@dataclass(frozen=True)
class FoldData:
    """Who is trained on and who is held out: rows of the cohort's tables.

    Parameters
    ----------
    train, held_out : ndarray of int64
        Rows of `cohort.recordings`.
    patients : ndarray of int64
        Rows of `cohort.patients` that are held out, ascending.
    inner, inner_patients : ndarray of int64
        The same of those set aside from training to choose the epoch (`select=inner`).
    """

    train: np.ndarray
    held_out: np.ndarray
    patients: np.ndarray
    inner: np.ndarray = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    inner_patients: np.ndarray = field(default_factory=lambda: np.empty(0, dtype=np.int64))

    @classmethod
    def of(cls, cohort: Cohort, patient_folds: np.ndarray, fold: int) -> FoldData:
        """From the fold of every patient (`Split.fold_of_patients`); -1 is in neither part."""
        fold_of = dict(zip(cohort.patients["patient_id"], patient_folds, strict=True))
        folds = cohort.recordings["patient_id"].map(fold_of).to_numpy()
        return cls(
            train=np.flatnonzero((folds != fold) & (folds != -1)),
            held_out=np.flatnonzero(folds == fold),
            patients=np.flatnonzero(patient_folds == fold),
        )

    @property
    def scored(self) -> People:
        """Who is held out."""
        return People(self.held_out, self.patients)

    @property
    def set_aside(self) -> People:
        """Who chooses the epoch; nobody but with `select=inner`."""
        return People(self.inner, self.inner_patients)

    def only(self, cohort: Cohort, persons: Collection[str]) -> FoldData:
        """The same held-out people; of the training people `persons` alone."""
        owner = cohort.recordings["patient_id"].iloc[self.train]
        return replace(
            self, train=self.train[owner.map(cohort.person_of).isin(set(persons)).to_numpy()]
        )

    def without(self, cohort: Cohort, persons: Collection[str]) -> FoldData:
        """The training people but for `persons`, who are set aside."""
        owner = cohort.recordings["patient_id"].iloc[self.train]
        aside = owner.map(cohort.person_of).isin(set(persons)).to_numpy()
        return replace(
            self,
            train=self.train[~aside],
            inner=self.train[aside],
            inner_patients=np.flatnonzero(cohort.patients["patient_id"].isin(set(owner[aside]))),
        )


@dataclass(frozen=True, eq=False)
class Fold:
    """One fold model's ingredients.

    Parameters
    ----------
    bank : Bank
        On the device.
    digests : mapping
        What the run stands on, by name; stamped into all that the fold leaves.
    """

    id: FoldId
    config: Config
    cohort: Cohort
    data: FoldData
    bank: Bank
    device: torch.device
    digests: Mapping[str, str]

    @property
    def streams(self) -> RandomStreams:
        return RandomStreams(self.config.seed, self.id)
