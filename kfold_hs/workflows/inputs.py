"""What a run stands on: recordings and labels, the split, and an audit of both."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from kfold_hs.cohort import Cohort
from kfold_hs.cohort.build import tasks_of
from kfold_hs.cohort.readers.registry import read_cohort
from kfold_hs.cohort.segmentation import with_segmentation_note
from kfold_hs.config.schema import Config
from kfold_hs.splits import Split
from kfold_hs.splits.audit import Finding, audit, refuse_leaks
from kfold_hs.splits.imported import folds_of_recordings
from kfold_hs.splits.make import make_split


class Listener(Protocol):
    """Who wants to know how far a story is: the terminal, or nobody."""

    def stage(self, name: str) -> None:
        """A new part of the work begins."""

    def step(self, done: int, total: int) -> None:
        """The part has come so far."""

    def training(self, n_folds: int, n_epochs: int) -> None:
        """Training begins."""

    def fold(self, place: Any, state: str, note: str = "") -> None:
        """A fold was "found" done, or is at "start", "done" or "failed"."""

    def epoch(self, place: Any, row: Mapping[str, float]) -> None:
        """An epoch of a fold ended; `row` is its row of history.csv."""

    def note(self, text: str) -> None:
        """Something about the data that the user should know."""


@dataclass(frozen=True)
class Ground:
    """What a run stands on, and all runs of a comparison: recordings, split, audit."""

    cohort: Cohort
    split: Split
    findings: list[Finding]

    @classmethod
    def of(cls, config: Config, listener: Listener) -> Ground:
        """Read the recordings, draw or read the split, look for leaks.

        Raises
        ------
        KfoldHsError
            As the parts say; what training would refuse is refused before the audit.
        """
        from kfold_hs.learn.training.checks import check_config
        from kfold_hs.learn.training.fold import check

        check_config(config)  # reading can take minutes
        cohort = load_cohort(config, listener)
        check(config, cohort)
        split = make_split(config, cohort)
        return cls(cohort, split, check_leaks(config, cohort, split, listener))

    def for_tasks_of(self, config: Config) -> Ground:
        """The same people and folds, with what another configuration makes of the tasks."""
        cohort = dataclasses.replace(self.cohort, tasks=tasks_of(config.data.tasks))
        return dataclasses.replace(self, cohort=cohort)


def load_cohort(config: Config, listener: Listener) -> Cohort:
    """Read the recordings and labels that the configuration names."""
    listener.stage("recordings")
    cohort = read_cohort(config.data, listener.step)
    if config.train.align == "cycle":
        cohort = with_segmentation_note(cohort)
    for note in cohort.notes:
        listener.note(f"{note.count} {note.name}: {note.text}.")
    return cohort


def check_leaks(config: Config, cohort: Cohort, split: Split, listener: Listener) -> list[Finding]:
    """The audit before every training; what it found but leaks, which are refused.

    Raises
    ------
    SplitError
        A leak, unless split.audit=false. With split.by=patient, persons on two sides are
        what was asked for.
    """
    listener.stage("audit")
    channel = getattr(config.data, "channel", None)
    folds = folds_of_recordings(split, cohort)
    findings = audit(cohort, folds, channel=channel, on_progress=listener.step)
    allowed = ["person on two sides"] if split.by == "patient" else []
    if config.split.audit:
        refuse_leaks(findings, allowed)
    for finding in findings:
        if finding.is_leak:
            listener.note(f"LEAK: {finding.text}.")
    return findings
