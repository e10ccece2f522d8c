"""What a run's out-of-fold predictions come to: summary.json, scored.parquet and report.html."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from kfold_hs.cohort import Cohort
from kfold_hs.cohort.segmentation import segmentations_of
from kfold_hs.config.schema import Config
from kfold_hs.errors import DamagedFileError
from kfold_hs.files import stored
from kfold_hs.files.paths import FoldId, RunPaths, write_json, write_text
from kfold_hs.files.stored import read_history
from kfold_hs.judge.metrics.own import using
from kfold_hs.judge.results.for_papers import people_of_run
from kfold_hs.judge.results.run import summarise
from kfold_hs.judge.results.run_record import RunRecord
from kfold_hs.judge.results.segmentation import segmentation
from kfold_hs.judge.results.summary import Summary
from kfold_hs.judge.selection.stacking import Stacking
from kfold_hs.orchestrator.context import RunInputs
from kfold_hs.orchestrator.finished import variants_tried
from kfold_hs.orchestrator.plan import Plan
from kfold_hs.predictions.epoch_rules import kept_epochs
from kfold_hs.predictions.segmentation import read_segmentation_table
from kfold_hs.predictions.table import Predictions
from kfold_hs.report.gallery import read_gallery
from kfold_hs.report.run_page import render
from kfold_hs.splits import Split, balance
from kfold_hs.splits.balance import compare as compare_balance
from kfold_hs.splits.split import TEST


def judge_run(
    paths: RunPaths,
    config: Config,
    inputs: RunInputs,
    provenance: dict[str, Any],
    nested: Mapping[str, Any] | None = None,
) -> Summary:
    """Judge the predictions of a run's finished folds, and write what they come to.

    Parameters
    ----------
    paths : RunPaths
        The run's; predictions.parquet and history.csv are there.
    config : Config
    inputs : RunInputs
        What the run began with, with its own split.
    provenance : dict
        See `judge.results.run_record.RunRecord`.
    nested : mapping, optional
        How the variant of every fold was chosen (`judge.results.nested`); shown with the rest. All
        folds are there.
    """
    predictions, history = Predictions.read(paths.predictions), read_history(paths.history)
    cohort, split = inputs.cohort, inputs.split
    # Training people who only choose the epoch are not trained on.
    set_aside = config.train.inner_share if config.select == "inner" else 0.0
    described = {k: v for k, v in split.to_dict().items() if k not in {"folds", "people"}}
    described |= {
        "balance": balance(cohort, split),
        "comparison": compare_balance(cohort, split) if split.n_folds > 1 else [],
        "train_share": split.train_share * config.train.people_share * (1 - set_aside),
        "development": development(cohort, split),
        "n_test_persons": sum(TEST in folds for folds in split.folds.values())
        - len(split.in_several),
        "persons_on_two_sides": split.persons_on_two_sides(cohort),
        "findings": [finding.to_dict() for finding in inputs.findings],
    }
    record = RunRecord(
        predictions, history, cohort.describe(), described, config.as_dict(), provenance,
        faults={} if nested else _faults(paths, config, split, kept_epochs(history)),
        stacking=Stacking.of(config, cohort),
        tried=variants_tried(paths.report_folder.parent, split),
        patients=_groups(cohort), described=cohort.annotations,
    )  # fmt: skip
    if not record.faults:
        record.selected.rows.check_partition(split.scored_patients(cohort))
    with using(config.plugins):
        summary = summarise(record)
    scored = record.selected.scored
    test = ids_of_test(cohort, split)
    summary = summary.extended(**people_of_run(cohort, *test, scored))
    if config.frames.is_on and paths.segmentation.is_file():
        summary = summary.extended(segmentation=_segmentation(paths, cohort, record))
    if nested is not None:
        summary = summary.extended(nested=dict(nested))
    scored.write(paths.scored, Predictions.digests(paths.predictions))
    write_json(paths.summary, summary.to_json())
    gallery = read_gallery(paths.gallery, provenance["digests"])
    page = render(summary, history, predictions, config.as_dict(), gallery)
    write_text(paths.report, page)
    return summary


def ids_of_test(cohort: Cohort, split: Split) -> tuple[list[str], list[str]]:
    """Patient ids of the hold-out test, and of those in no fold for want of a single source."""
    outside = cohort.patients[split.fold_of_patients(cohort, 0) == TEST]
    several = outside["person_id"].isin(list(split.in_several))
    return list(outside["patient_id"][~several]), list(outside["patient_id"][several])


def development(cohort: Cohort, split: Split) -> dict[str, Any]:
    """Who models are trained on or scored on: all but the hold-out test persons.

    Returns
    -------
    dict
        n_persons, n_patients, n_recordings, hours, tasks (name, counts: patients by class).
    """
    patients = cohort.patients[split.fold_of_patients(cohort, 0) != TEST]
    recordings = cohort.recordings[
        cohort.recordings["patient_id"].isin(patients["patient_id"].tolist())
    ]
    return {
        "n_persons": int(patients["person_id"].nunique()),
        "n_patients": len(patients),
        "n_recordings": len(recordings),
        "hours": float(recordings["duration_s"].sum() / 3600),
        "tasks": [
            {
                "name": task.name,
                "counts": {name: int((patients[task.name] == name).sum()) for name in task.classes},
            }
            for task in cohort.tasks
        ],
    }


def _segmentation(paths: RunPaths, cohort: Cohort, record: RunRecord) -> dict[str, Any]:
    """How well the run's frame branches found the cycles that somebody marked."""
    recordings, patients = cohort.recordings, cohort.patients
    person = dict(zip(patients["patient_id"], patients["person_id"], strict=True))
    ids, whose = recordings["recording_id"], recordings["patient_id"].map(person)
    return segmentation(
        read_segmentation_table(paths.segmentation),
        dict(zip(ids, segmentations_of(cohort), strict=True)),
        dict(zip(ids, whose, strict=True)),
        record.basis,
    )


def _faults(
    paths: RunPaths, config: Config, split: Split, epochs: Mapping[FoldId, int]
) -> dict[FoldId, str]:
    """Why folds of the plan could not be trained; each left a record."""
    missing = [fold for fold in Plan.of(config, split) if fold not in epochs]
    return {fold: _cause(paths.fold(fold).fault) for fold in missing}


def _cause(fault: Path) -> str:
    """Why a fold failed; its record may be damaged, which ends nothing."""
    try:
        return str(stored.read_json(fault, "the record")["cause"])
    except (DamagedFileError, KeyError):
        return f"nobody knows why: {fault.name} is damaged"


def _groups(cohort: Cohort) -> pd.DataFrame:
    """A row a patient: what groups are told apart by."""
    table = cohort.patients[["patient_id", *cohort.covariates, *cohort.annotations]]
    n_sites = cohort.recordings.groupby("patient_id")["site"].nunique()
    if n_sites.nunique() < 2 or "n_sites" in table:
        return table
    return table.assign(n_sites=table["patient_id"].map(n_sites))
