"""What the fold models of a run share: settings, people, features, files and device."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING

import numpy as np
import torch

from kfold_hs.cohort import Cohort
from kfold_hs.cohort.build import tasks_of
from kfold_hs.config import plugins
from kfold_hs.config.schema import Config
from kfold_hs.files.paths import FoldId, FoldPaths, RunPaths
from kfold_hs.learn.data.crops import Source
from kfold_hs.learn.data.fold import Fold, FoldData
from kfold_hs.learn.features import bank as banks
from kfold_hs.learn.features.bank import Bank
from kfold_hs.learn.frames.targets import FrameTargets, marks_digest
from kfold_hs.learn.training.benchmark import frames_of
from kfold_hs.orchestrator.plan import Plan
from kfold_hs.orchestrator.progress import Progress
from kfold_hs.splits import Split
from kfold_hs.splits.fewer_people import fewer_persons
from kfold_hs.splits.validation import inner_persons

if TYPE_CHECKING:  # the audit loads much, and processes that train need none of it
    from kfold_hs.splits.audit import Finding


@dataclass(frozen=True)
class RunInputs:
    """What a run, and all runs of a comparison, begin with: people, their folds, an audit."""

    cohort: Cohort
    split: Split
    findings: Sequence[Finding] = ()

    def for_tasks_of(self, config: Config) -> RunInputs:
        """The same people and folds, with what another configuration makes of the tasks."""
        cohort = dataclasses.replace(self.cohort, tasks=tasks_of(config.data.tasks))
        return dataclasses.replace(self, cohort=cohort)

    def fold_data(self, config: Config, repeat: int, fold: int) -> FoldData:
        """Who a fold trains on, who is set aside to choose its epoch, and who is held out."""
        cohort = self.cohort
        data = FoldData.of(cohort, self.split.fold_of_patients(cohort, repeat), fold)
        key = (config.seed, repeat, fold)
        if config.train.people_share < 1:
            data = data.only(
                cohort, fewer_persons(cohort, data.train, config.train.people_share, key)
            )
        if config.select != "inner":
            return data
        persons = inner_persons(cohort, data.train, config.train.inner_share, key)
        return data.without(cohort, persons)

    def check_folds(self, config: Config, within: str = "") -> None:
        """Refuse, before any fold is trained, one that cannot be trained on its own people.

        Parameters
        ----------
        within : str
            What the split is a part of; begins the message.

        Raises
        ------
        CohortError
            Too few training recordings of a fold are segmented for its frame branch.
        SplitError
            A share of a fold's training people leaves out a class, or cannot be drawn.
        """
        cohort, split = self.cohort, self.split
        if config.train.people_share < 1 or config.select == "inner":
            for repeat, fold in product(range(split.n_repeats), range(split.n_folds)):
                self.fold_data(config, repeat, fold)
        if not config.frames.is_on:
            return
        rows = np.arange(cohort.n_recordings)
        targets = FrameTargets.of(config, cohort, rows, frames_of(cohort, config))
        for repeat, fold in product(range(split.n_repeats), range(split.n_folds)):
            train = self.fold_data(config, repeat, fold).train
            targets.among(train).check(len(train), f"{within}repeat {repeat}, fold {fold}")

    @property
    def positives(self) -> dict[str, int]:
        """Index of the positive class of every task."""
        return {task.name: task.positive_index for task in self.cohort.tasks}

    @property
    def digests(self) -> dict[str, str]:
        return {"cohort": self.cohort.fingerprint, "split": self.split.digest}


@dataclass(frozen=True, eq=False)
class RunContext:
    """What every fold model of a run is made from.

    Parameters
    ----------
    digests : mapping
        What the fold models stand on, by name; stamped into all that they leave.
    device : torch.device
    bank : Bank or None
        None where the context was sent to another process, which maps the features for itself.
    """

    config: Config
    inputs: RunInputs
    paths: RunPaths
    digests: Mapping[str, str]
    device: torch.device
    bank: Bank | None = None

    @classmethod
    def prepare(
        cls,
        config: Config,
        inputs: RunInputs,
        paths: RunPaths,
        device: torch.device,
        progress: Progress,
    ) -> RunContext:
        """With the features, from the cache or computed now."""
        plugins.check(config.plugins)
        progress.stage("features")
        bank = build_bank(config, inputs.cohort, progress)
        digests = {
            "config": config.digest,
            **inputs.digests,
            "features": bank.digest,
            **Source.of(config, inputs.cohort, bank).digests(),
            **marks_digest(config, inputs.cohort),
        }
        return cls(config, inputs, paths, digests, device, bank)

    @property
    def cohort(self) -> Cohort:
        return self.inputs.cohort

    @property
    def split(self) -> Split:
        return self.inputs.split

    @property
    def plan(self) -> Plan:
        """All fold models of the run."""
        return Plan.of(self.config, self.split)

    def files(self, fold: FoldId) -> FoldPaths:
        return self.paths.fold(fold)

    def without_bank(self) -> RunContext:
        """Small enough to be sent to another process."""
        return dataclasses.replace(self, bank=None)

    def on_device(self, bank: Bank | None = None) -> RunContext:
        """With the features on the device; `bank` in place of those that are here or cached."""
        found = bank or self.bank or build_bank(self.config, self.cohort)
        return dataclasses.replace(self, bank=found.to(self.device))

    def fold(self, fold: FoldId) -> Fold:
        """The ingredients of one fold model; needs the features."""
        assert self.bank is not None
        data = self.fold_data(fold.repeat, fold.fold)
        return Fold(
            fold, self.config, self.cohort, data, self.bank, self.device, self.digests
        )  # fmt: skip

    def fold_data(self, repeat: int, fold: int) -> FoldData:
        """Who a fold trains on, who is set aside to choose its epoch, and who is held out."""
        return self.inputs.fold_data(self.config, repeat, fold)


def build_bank(config: Config, cohort: Cohort, progress: Progress | None = None) -> Bank:
    """The features of all recordings, mapped from the cache; computed where they are not there."""
    return banks.build(cohort, config.features, progress.step if progress else None)
