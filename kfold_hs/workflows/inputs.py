"""What a run stands on: recordings and labels, the split, and an audit of both."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import pandas as pd

from kfold_hs.cohort import Cohort
from kfold_hs.cohort.build import Listing, looking_first, tasks_of
from kfold_hs.cohort.readers.registry import read_cohort
from kfold_hs.cohort.segmentation import with_segmentation_note
from kfold_hs.config.schema import Config
from kfold_hs.config.sweep import layout_of
from kfold_hs.errors import ConfigError, SplitError, listing, shown, unknown_name
from kfold_hs.orchestrator.progress import Progress
from kfold_hs.splits import Split
from kfold_hs.splits.audit import Finding, audit, refuse_leaks
from kfold_hs.splits.imported import folds_of_recordings
from kfold_hs.splits.make import split_of
from kfold_hs.splits.stratify import refuse_rare

if TYPE_CHECKING:
    from kfold_hs.orchestrator.context import RunInputs


def read_inputs(config: Config, progress: Progress, cohort: Cohort | None = None) -> RunInputs:
    """Read the recordings, draw or read the split, look for leaks.

    Parameters
    ----------
    cohort : Cohort, optional
        What reading the recordings would give, where they are read already.

    Raises
    ------
    KfoldHsError
        As the parts say; what training would refuse is refused before the audit.
    """
    from kfold_hs.learn.training.checks import check_config
    from kfold_hs.learn.training.fold import check
    from kfold_hs.orchestrator.context import RunInputs

    check_config(config)  # reading can take minutes
    cohort = cohort_to_split(config, progress, cohort)
    check(config, cohort)
    split = split_of(config, cohort)
    RunInputs(cohort, split).check_folds(config)
    return RunInputs(cohort, split, check_leaks(config, cohort, split, progress))


def read_layouts(
    variants: Mapping[str, Config], progress: Progress, inputs: RunInputs | None = None
) -> dict[str, RunInputs]:
    """What every variant of a comparison begins with: one cohort, and folds of its own if it asks.

    Parameters
    ----------
    variants : mapping
        Configurations by name, which may differ in the folds (`layout_of`).
    inputs : RunInputs, optional
        What the first begins with, where it is known already.

    Raises
    ------
    SplitError
        The folds of two do not score the same people, or one's are those of a column.
    KfoldHsError
        As `read_inputs`.
    """
    read: dict[str, RunInputs] = {}
    found: dict[str, RunInputs] = {}
    for name, config in variants.items():
        key = json.dumps(layout_of(config), sort_keys=True)
        if key not in read:
            first = next(iter(read.values()), inputs)
            known = inputs if not read else None
            read[key] = known or read_inputs(config, progress, first.cohort if first else None)
            _check_same_people(next(iter(variants)), first or read[key], name, read[key])
        found[name] = read[key].for_tasks_of(config)
    return found


def _check_same_people(one: str, first: RunInputs, two: str, second: RunInputs) -> None:
    """Refuse folds that do not score the same people."""
    if first.split.sources != second.split.sources:
        raise SplitError(
            f"the folds of {shown(one)} or {shown(two)} are those of a column, and not of both: "
            "such folds leave out whoever is of several values, and cannot be compared with drawn "
            "ones. Compare variants that both have split.hold_out."
        )
    scored = [set(each.split.scored_patients(each.cohort)) for each in (first, second)]
    if odd := sorted(scored[0] ^ scored[1]):
        way_out = "Leave split.test out, or give it as a list of all patients of a person."
        if first.split.sources:
            way_out = (
                "A person of several values is in no fold, and each patient of theirs may be: give "
                "both the same split.by."
            )
        raise SplitError(
            f"the folds of {shown(one)} and {shown(two)} do not score the same people: "
            f"{len(odd)} patients are in one alone ({listing(odd, 3)}). {way_out}"
        )


def cohort_to_split(config: Config, progress: Progress, cohort: Cohort | None = None) -> Cohort:
    """As `load_cohort`; what no folds can be drawn of is refused before any sound is read."""
    with looking_first(partial(_check_listing, config)):
        return load_cohort(config, progress, cohort)


def load_cohort(config: Config, progress: Progress, cohort: Cohort | None = None) -> Cohort:
    """Read the recordings and labels that the configuration names, unless they are read already."""
    progress.stage("recordings")
    if cohort is None:
        cohort = read_cohort(config.data, progress.step)
    else:  # what training makes of the tasks does not depend on the recordings
        cohort = replace(cohort, tasks=tasks_of(config.data.tasks))
    if config.train.align == "cycle":
        asked_by = "train.align=cycle train.align=none"
        text = "with train.align=cycle their crops start anywhere"
        cohort = with_segmentation_note(cohort, asked_by, text)
    if config.frames.is_on:
        text = "the frame branch does not learn from them"
        cohort = with_segmentation_note(
            cohort, f"frames.epochs={config.frames.epochs} frames=none", text
        )
    for note in cohort.notes:
        progress.note(f"{note.counted}: {note.text}.")
    return cohort


def _check_listing(config: Config, found: Listing, patients: pd.DataFrame) -> None:
    """Refuse, before sound is read, what the table of patients alone tells.

    Raises
    ------
    SplitError
        A class has fewer persons than there are folds, split.hold_out is no column.
    ConfigError
        A covariate that the data have not.
    """
    split = config.split
    for name in config.model.covariates:
        if name not in found.covariates:
            raise ConfigError(unknown_name("covariate in model.covariates", name, found.covariates))
    if split.file is not None:
        return
    if split.hold_out is not None:
        if split.hold_out not in found.covariates:
            raise SplitError(
                unknown_name("column in split.hold_out", split.hold_out, found.covariates)
            )
        return
    who = patients["person_id" if split.by == "person" else "patient_id"]
    counts = {
        f"{task.name}={name}": int(who[patients[task.name] == name].nunique())
        for task in found.tasks
        for name in task.classes
    }
    assert split.n_folds is not None  # only split.hold_out leaves it open
    refuse_rare(counts, split.n_folds)


def check_leaks(config: Config, cohort: Cohort, split: Split, progress: Progress) -> list[Finding]:
    """The audit before every training; what it found but leaks, which are refused.

    Raises
    ------
    SplitError
        A leak, unless split.audit=false. With split.by=patient, persons on two sides are
        what was asked for.
    """
    progress.stage("audit")
    folds = folds_of_recordings(split, cohort)
    column = split.settings.get("hold_out")
    findings = audit(cohort, folds, on_progress=progress.step, hold_out=column)
    allowed = ["person on two sides"] if split.by == "patient" else []
    if config.split.audit:
        refuse_leaks(findings, allowed)
    for finding in findings:
        if finding.is_leak:
            progress.note(f"LEAK: {finding.text}.")
    return findings
