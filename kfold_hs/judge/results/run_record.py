"""What is judged of a run: its predictions, and all that is known of how they came about."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import pandas as pd

from kfold_hs.files.paths import FoldId
from kfold_hs.judge.selection.selected import Selected
from kfold_hs.judge.selection.stacking import Stacking
from kfold_hs.judge.stats.estimates import Basis
from kfold_hs.predictions.epoch_rules import HONEST, kept_epochs
from kfold_hs.predictions.table import Predictions


@dataclass(frozen=True, eq=False)
class RunRecord:
    """A run that is to be judged.

    Parameters
    ----------
    predictions : Predictions
        Patient rows of every epoch, each patient once an epoch; of recordings where they are kept.
    history : DataFrame
        One row an epoch: repeat, seed, fold, epoch, train_loss, val_loss, acc.<task>, lr,
        seconds, kept, best, overfitting.
    cohort : mapping
        `Cohort.describe()`.
    split : mapping
        n_folds, n_repeats, seed, digest, fingerprint, settings, balance, comparison, findings,
        train_share, development (whom models are trained on or scored on: n_persons, n_patients,
        n_recordings, hours, tasks), n_test_persons, persons_on_two_sides.
    config : mapping
        `select`, `target`, `seed`, `judge` and the rest.
    provenance : mapping
        run, command, versions, digests, machine, device, started, seconds.
    faults : mapping, optional
        Why a fold could not be trained, by (repeat, seed, fold).
    stacking : Stacking, optional
        Of tasks that are predicted from the others and from covariates.
    tried : mapping, optional
        Variants ever tried on this split: digest of the configuration -> names of runs.
    patients : DataFrame, optional
        patient_id, and a column for each covariate by which groups are formed.
    described : sequence of str
        Columns of `patients` that are compared among those of whom they are known.
    """

    predictions: Predictions
    history: pd.DataFrame
    cohort: Mapping[str, Any]
    split: Mapping[str, Any]
    config: Mapping[str, Any]
    provenance: Mapping[str, Any]
    faults: Mapping[FoldId, str] = field(default_factory=dict)
    stacking: Stacking = field(default_factory=Stacking)
    tried: Mapping[str, Sequence[str]] = field(default_factory=dict)
    patients: pd.DataFrame | None = None
    described: Sequence[str] = ()

    @cached_property
    def epochs(self) -> dict[FoldId, int]:
        """The epoch that counts, by (repeat, seed, fold)."""
        return kept_epochs(self.history)

    @cached_property
    def selected(self) -> Selected:
        """What the headline scores."""
        positives = {t["name"]: t["classes"].index(t["positive"]) for t in self.cohort["tasks"]}
        n_folds = int(self.split["n_folds"])
        return Selected.of(self.predictions, self.epochs, positives, n_folds, self.stacking)

    @cached_property
    def basis(self) -> Basis:
        """What the intervals stand on."""
        honest, n_bca = HONEST[self.config["select"]], int(self.judging.get("bca", 0))
        return Basis.of(self.selected.scored, self.split, honest, n_bca)

    @property
    def judging(self) -> Mapping[str, Any]:
        """The settings that only judging reads."""
        return dict(self.config.get("judge", {}))

    @property
    def kind(self) -> str:
        """Of the data."""
        return str(self.config.get("data", {}).get("kind", self.cohort["name"]))
