"""`export --compare-refit`: is the ensemble of fold models worth its price?

Side by side on the hold-out test persons of the split, whom nothing was trained on:

    ensemble    the fold models of the run
    refit       one model trained as they were, on everybody but the test persons
    distilled   the same, half of its targets being what the run's models said out of fold: each
                recording told by a model that did not train on it (Hinton, Vinyals & Dean,
                arXiv:1503.02531)

The two models are trained once, and gone on with when interrupted, under checkpoints/<run>/.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from kfold_hs.bundle.format import Bundle
from kfold_hs.bundle.inputs import of_cohort
from kfold_hs.bundle.patients import Patient
from kfold_hs.bundle.predict import predict_patients
from kfold_hs.bundle.single_model import write_alternative
from kfold_hs.bundle.write import check_finished
from kfold_hs.cohort import Cohort
from kfold_hs.errors import BundleError
from kfold_hs.files.paths import FoldId, FoldPaths, RunPaths, sweep, write_json
from kfold_hs.files.stored import read_history
from kfold_hs.judge.results.test_set import side_by_side
from kfold_hs.learn import checkpoint
from kfold_hs.learn.data.fold import Fold, FoldData
from kfold_hs.learn.device import exactness, pick_device, threads
from kfold_hs.learn.tracking.trackers import Trackers
from kfold_hs.learn.training.fold import fit_fold
from kfold_hs.orchestrator.context import build_bank
from kfold_hs.orchestrator.finished import finished_run
from kfold_hs.orchestrator.lock import lock
from kfold_hs.orchestrator.progress import Progress
from kfold_hs.orchestrator.worker import LOCK_WAIT_S
from kfold_hs.predictions.epoch_rules import kept_epochs
from kfold_hs.predictions.table import Predictions, fold_ids, prob_column
from kfold_hs.splits import Split
from kfold_hs.splits.split import TEST
from kfold_hs.workflows.inputs import load_cohort

TEXTS = {
    "refit": "One model trained on everybody but the hold-out test persons, with the settings of "
    "the fold models.",
    "distilled": "One model trained on everybody but the hold-out test persons; half of its "
    "targets are labels, half what the run's models said of a recording out of fold.",
}


def check_refit(folder: Path) -> None:
    """Refuse a run that cannot be compared so.

    Raises
    ------
    BundleError
        It has no test persons, chooses its epochs, or trains on whole patients.
    """
    run = finished_run(folder)
    config, split = run.config, run.split
    why = []
    alike = {folds[0] for folds in split.folds.values() if len(set(folds)) == 1}
    if any({TEST} < set(folds) for folds in split.folds.values()):
        why.append("some people are test persons of one repeat and trained on in another")
    elif TEST not in alike:
        why.append("it has no hold-out test persons (split.test=0.2, say)")
    if config.select != "last":
        why.append(f"select={config.select} chooses epochs on people that one model trains on")
    if config.train.level != "recording":
        why.append("train.level=patient has no probabilities of recordings")
    if why:
        raise BundleError(
            f"--compare-refit cannot be done with {folder}: {'; '.join(why)}. Export it without."
        )


def train_both(
    folder: Path, progress: Progress, device: str = "auto"
) -> tuple[Cohort, Split, dict[str, dict[str, Any]]]:
    """Train the two models, unless they are there.

    Parameters
    ----------
    folder : Path
        Of the run, under `reports/`.

    Returns
    -------
    cohort, split
        What the run stands on.
    trained : dict
        Name -> content of the model's checkpoint.

    Raises
    ------
    KfoldHsError
        As `check_refit`, the recordings are others, or the training fails.
    """
    check_refit(folder)
    run = finished_run(folder)
    check_finished(run.summary, folder)
    paths, config, split, digests = run.paths, run.config, run.split, run.digests
    where = pick_device(device)
    cohort = load_cohort(config, progress)
    split.check_cohort(cohort)
    bank = build_bank(config, cohort, progress).to(where)
    is_test = split.fold_of_patients(cohort, 0) == TEST
    data = FoldData.of(cohort, np.where(is_test, 0, 1), 0)
    own = FoldId(0, 0, split.n_folds)  # draws of its own, beside the folds'
    fold = Fold(own, config, cohort, data, bank, where, digests)
    trained = {}
    for name, soft in (("refit", None), ("distilled", out_of_fold(paths, cohort))):
        files = FoldPaths(paths.checkpoint_folder / name)
        what = f"the model {name} of the run {paths.name}"
        progress.stage(name)

        def on_epoch(row: Mapping[str, float]) -> None:
            progress.step(int(row["epoch"]) + 1, config.train.epochs)

        with (
            threads(config.train.threads),
            exactness(config.train, where),
            lock(files.lock, what, LOCK_WAIT_S),
        ):
            if not files.is_done:
                sweep(files.folder)
                fit_fold(fold, files, lambda start: Trackers([]), on_epoch, soft)
        trained[name] = checkpoint.load(files.last_model)
        checkpoint.check_digests(files.last_model, trained[name]["digests"], digests)
    return cohort, split, trained


def compare_refit(
    folder: Path, bundle_folder: Path, progress: Progress, device: str = "auto"
) -> dict[str, Any]:
    """Write the two models as bundles beside the run's, and hold all three against each other.

    Parameters
    ----------
    folder : Path
        Of the run, under `reports/`.
    bundle_folder : Path
        Of its bundle; gets `alternatives/refit`, `alternatives/distilled` and `refit.json`.

    Returns
    -------
    dict
        The content of refit.json: n_persons, n_patients, n_recordings; speed (by model: n_models,
        recordings_per_s, files read); tasks (by name, what `side_by_side` gives).

    Raises
    ------
    KfoldHsError
        As `train_both`.
    """
    bundle, where = Bundle.read(bundle_folder), pick_device(device)
    cohort, split, trained = train_both(folder, progress, device)
    folders = {"ensemble": bundle_folder}
    for name, one in trained.items():
        folders[name] = bundle_folder / "alternatives" / name
        write_alternative(folders[name], bundle, name, TEXTS[name], one)
    progress.stage("test persons")
    is_test = split.fold_of_patients(cohort, 0) == TEST
    ids = set(cohort.patients["patient_id"].to_numpy()[is_test].tolist())
    content = _compared(cohort, of_cohort(cohort, ids), folders, where)
    write_json(bundle_folder / "refit.json", content, checksum=False)
    return content


def out_of_fold(paths: RunPaths, cohort: Cohort) -> dict[str, np.ndarray]:
    """What models that did not train on a recording said of it, (n_recordings, C) by task.

    Mean over repeats and seeds; NaN for recordings of hold-out test persons.
    """
    epochs = kept_epochs(read_history(paths.history))
    table = Predictions.read(paths.predictions).table
    table = table[table["level"] == "recording"]
    table = table[table["epoch"].to_numpy() == [epochs.get(f, -1) for f in fold_ids(table)]]
    means = table.groupby(["patient_id", "recording_id"])
    wanted = pd.MultiIndex.from_frame(cohort.recordings[["patient_id", "recording_id"]])
    found = {}
    for task in cohort.tasks:
        columns = [prob_column(task.name, name) for name in task.classes]
        found[task.name] = means[columns].mean().reindex(wanted).to_numpy(dtype=np.float32)
    return found


def _compared(
    cohort: Cohort, patients: list[Patient], folders: Mapping[str, Path], device: torch.device
) -> dict[str, Any]:
    said, speed = {}, {}
    n_recordings = sum(len(patient.sounds) for patient in patients)
    for name, folder in folders.items():
        bundle = Bundle.read(folder)
        ask = partial(predict_patients, bundle, patients, device, lambda done, total: None)
        list(ask())  # once to warm up
        started = time.perf_counter()
        rows = [row for some in ask() for row in some]
        seconds = time.perf_counter() - started
        said[name] = pd.DataFrame(rows).set_index("patient_id")
        n_models = len({member.file for member in bundle.members})
        speed[name] = {"n_models": n_models, "recordings_per_s": n_recordings / seconds}
    # Who could be scored by one could be by all: only recordings can fail.
    scored = said["ensemble"].index[said["ensemble"]["n_models"] > 0]
    labels = cohort.patients.set_index("patient_id").loc[scored]
    tasks = {}
    for task in cohort.tasks:
        columns = [prob_column(task.name, name) for name in task.classes]
        probs = {
            name: rows.loc[scored, columns].to_numpy(dtype=np.float64)
            for name, rows in said.items()
        }
        tasks[task.name] = side_by_side(
            task.encode(labels[task.name]), probs, labels["person_id"].tolist(), task.classes,
            task.positive_index,
        )  # fmt: skip
    return {
        "n_persons": int(labels["person_id"].nunique()),
        "n_patients": len(labels),
        "n_recordings": n_recordings,
        "speed": speed,
        "tasks": tasks,
    }
