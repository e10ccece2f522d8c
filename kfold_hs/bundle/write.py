"""A finished run -> a bundle: its models, and what is fitted on its out-of-fold predictions.

    models         of every repeat, seed and fold, at the epoch that `select` keeps, with its frame
                   branch
    stacking       the regression that scored each fold, for the tasks that are stacked
    calibration    a temperature a task, of least log loss; vector scaling, isotonic functions
    decisions      class weights for the challenge's weighted accuracy, a threshold for its cost
    held_out       calibration and decisions once more for every fold, from the other folds: what
                   the people of the run are told by (see `fits`)
    conformal      the scores that conformal sets are made from
    typical        what the training recordings' spectra look like
    development    who the people of the run are, and what its models were worth out of fold: what
                   `kfold-hs validate` sets beside other people

What new people are told by is fitted on all out-of-fold rows; how good it is stands beside it
cross-fitted: each fold with what the other folds chose (summary.json has the same numbers). They
are told
by the mean of the models, which is less sure of itself than the single models that the temperature
was fitted on; nothing in a cross-validation measures that mean.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from kfold_hs.bundle.card import card
from kfold_hs.bundle.certificate import Certificate
from kfold_hs.bundle.data_quality import typical
from kfold_hs.bundle.fits import Fit, held_out_fits
from kfold_hs.bundle.format import (
    CARD,
    CERTIFICATE,
    PLUGINS,
    SCHEMA,
    pack,
    sha256,
    write_branch,
    write_content,
)
from kfold_hs.bundle.hub import HubOptions, make_anonymous, write_hub_files
from kfold_hs.cohort import Cohort, Task
from kfold_hs.config import plugins
from kfold_hs.config.backbones import LOCAL
from kfold_hs.config.schema import Config
from kfold_hs.errors import BundleError
from kfold_hs.files.paths import (
    FoldId,
    write_bytes,
    write_json,
    write_text,
)
from kfold_hs.files.stored import read_bytes, read_history
from kfold_hs.files.versions import versions_of
from kfold_hs.judge.results.characteristics import characteristics
from kfold_hs.judge.results.validation import internal_estimates
from kfold_hs.judge.selection.calibration import calibrations
from kfold_hs.judge.selection.choices import score_choice
from kfold_hs.judge.selection.conformal import calibration_scores
from kfold_hs.judge.selection.crossfit import obstacle
from kfold_hs.judge.selection.selected import Selected
from kfold_hs.judge.selection.stacking import Stacking
from kfold_hs.judge.stats.estimates import Basis
from kfold_hs.learn import checkpoint
from kfold_hs.learn.features.bank import Bank
from kfold_hs.orchestrator.finished import FinishedRun
from kfold_hs.predictions.epoch_rules import kept_epochs
from kfold_hs.predictions.table import Predictions
from kfold_hs.splits import Split
from kfold_hs.splits.split import TEST

_PACKAGES = ("kfold-hs", "torch", "torchaudio", "timm", "numpy", "scikit-learn", "safetensors")


def write_bundle(
    folder: Path,
    run: FinishedRun,
    cohort: Cohort,
    bank: Bank,
    hub: HubOptions | None = None,
) -> dict[str, Any]:
    """Write the bundle of a finished run into an empty folder; for a hub, one that names nobody.

    Returns
    -------
    dict
        The content of bundle.json.

    Raises
    ------
    TrainingError
        A model's file is missing or of another run.
    """
    paths, summary, config, split = run.paths, run.summary, run.config, run.split
    plugins.check(config.plugins)  # their source goes along
    predictions = Predictions.read(paths.predictions)
    epochs = kept_epochs(read_history(paths.history))
    stacking = Stacking.of(config, cohort)
    positives = {task.name: task.positive_index for task in cohort.tasks}
    selected = Selected.of(predictions, epochs, positives, split.n_folds, stacking)
    plain, kept = selected.unstacked, selected.scored
    fits = {task: Fit.of(kept, task) for task in kept.tasks}
    certificate = Certificate.of(split).to_dict()
    write_json(folder / CERTIFICATE, certificate, checksum=False)
    for files in plugins.sources(config.plugins).values():
        for name, source in files.items():
            write_bytes(folder / PLUGINS / name, source)
    content = {
        "schema": SCHEMA,
        "run": summary["run"],
        "versions": versions_of(_PACKAGES),
        "digests": run.digests,
        "select": summary["select"],
        "config": _without_places(config),
        "models": [_model(folder, run, fold, epoch) for fold, epoch in sorted(epochs.items())],
        "stacking": {
            task: [
                {"repeat": repeat, "fold": fold, "rule": rule.to_dict()}
                for (repeat, _, fold), rule in rules.items()
            ]
            for task, rules in stacking.rules(plain).items()
        },
        "calibration": _calibration(kept, fits, summary, cohort.tasks),
        "decisions": _decisions(fits, summary),
        "held_out": {task: held_out_fits(plain, stacking, task) for task in kept.tasks},
        "conformal": {task: calibration_scores(kept, task) for task in kept.tasks},
        "typical": typical(bank, _is_trained_on(cohort, split)),
        "development": _development(cohort, split, kept, summary),
        "certificate": sha256(read_bytes(folder / CERTIFICATE, "the certificate")),
    }
    if hub is None:
        write_content(folder, content)
    else:
        content = make_anonymous(folder, content, hub)
        write_hub_files(folder, content)
    write_text(folder / CARD, card(content, summary))
    return content


def check_finished(summary: Mapping[str, Any], folder: Path) -> None:
    """Refuse a run whose folds are not all there, or are of different settings.

    Raises
    ------
    BundleError
        With what is missing.
    """
    if missing := summary["incomplete"]:
        places = ", ".join(FoldId(m["repeat"], m["seed"], m["fold"]).name for m in missing)
        raise BundleError(
            f"{folder} lacks {places}: without every fold nobody can say who may be scored by "
            "whom. Repeat the run's command, which tries them again."
        )
    if "nested" in summary:
        raise BundleError(
            f"{folder} is of a nested search: each fold has settings of its own, and scores the "
            "searching, not one recipe. Export a run of the settings that it chose."
        )


def _is_trained_on(cohort: Cohort, split: Split) -> np.ndarray:
    """Recordings of whoever is no hold-out test person of every repeat, (n_recordings,) bool."""
    folds = [split.fold_of_patients(cohort, repeat) for repeat in range(split.n_repeats)]
    is_test = (np.stack(folds) == TEST).all(axis=0)
    test = set(cohort.patients["patient_id"].to_numpy()[is_test].tolist())
    return ~cohort.recordings["patient_id"].isin(test).to_numpy()


def _development(
    cohort: Cohort, split: Split, kept: Predictions, summary: Mapping[str, Any]
) -> dict[str, Any]:
    """Characteristics of all but the hold-out test persons, and the internal estimates by task."""
    trained = cohort.recordings.loc[_is_trained_on(cohort, split), "patient_id"].tolist()
    return {
        "cohort": cohort.name,
        "characteristics": characteristics(cohort, set(trained)),
        "tasks": {
            task.name: internal_estimates(
                kept, task.name, task.positive_index, summary["tasks"][task.name]["metrics"]
            )
            for task in cohort.tasks
        },
    }


def _without_places(config: Config) -> dict[str, Any]:
    """The configuration without where things lay on the machine that trained."""
    values = config.as_dict()
    for key in ("root", "path"):
        if key in values["data"]:
            values["data"][key] = "."
    values["data"]["aliases"] = None
    # One fold comes from a file only: that there was one has to stay.
    values["split"]["file"] = "split.json" if config.split.n_folds == 1 else None
    values["augment"]["noise_folder"] = None
    if values["model"].get("weights") == "file":
        values["model"] |= {"weights": "none", "weights_file": None}
    source = values["model"].get("source")
    if source and source["file"] is not None:  # the architecture stays, the place does not
        place = f"{LOCAL}{source['architecture']}"
        values["model"] |= {"backbone": place, "weights": "none"}
        values["model"]["source"] |= {"name": place}
    return values


def _model(folder: Path, run: FinishedRun, fold: FoldId, epoch: int) -> dict[str, Any]:
    """Write one fold model's weights; its entry in bundle.json."""
    path = run.paths.fold(fold).kept_model(run.config.select)
    found = checkpoint.load(path)
    checkpoint.check_digests(path, found["digests"], run.digests)
    if found["epoch"] != epoch:
        raise BundleError(
            f"{path} is of epoch {found['epoch']}, and the run keeps epoch {epoch} of this fold: "
            "the files of two runs were mixed. Remove its folder and repeat the run's command."
        )
    key = {**fold._asdict(), "epoch": epoch}
    state: dict[str, torch.Tensor] = found["model_state_dict"]
    raw = pack(state, key)
    name = f"models/{fold.name}.safetensors"
    write_bytes(folder / name, raw)
    entry = {**key, "file": name, "sha256": sha256(raw), "covariates": found["covariates"]}
    if "frames" in found:
        entry["frames"] = write_branch(folder, fold.name, found["frames"], key)
    return entry


def _calibration(
    kept: Predictions, fits: Mapping[str, Fit], summary: Mapping[str, Any], tasks: Sequence[Task]
) -> dict[str, Any]:
    """By task: the temperature, and every calibrator as it is fitted on all rows, with its
    cross-fitted scores.
    """
    basis = Basis.of(kept, summary["split"], summary["select"]["honest"])
    found: dict[str, Any] = {}
    for task in tasks:
        fitted = fits[task.name].calibration
        methods: dict[str, Any] = {name: {"fitted": each} for name, each in fitted.items()}
        if obstacle(basis.layout) is None:
            for choice in calibrations(kept, task.name, basis.layout):
                scored = score_choice(choice, task.positive_index, basis)
                methods[choice.name][choice.metric.name] = _without_details(scored)
        found[task.name] = {
            "temperature": methods["temperature"]["fitted"],
            "log_loss": _scores(summary, "temperature", task.name),
            "methods": methods,
        }
    return found


def _decisions(fits: Mapping[str, Fit], summary: Mapping[str, Any]) -> dict[str, Any]:
    """Class weights and threshold of every task that the challenge charges for."""
    found: dict[str, Any] = {}
    for task, fit in fits.items():
        mine: dict[str, Any] = {}
        if fit.weights is not None:
            mine["weights"] = fit.weights
            mine["weighted_accuracy"] = _scores(summary, "class weights", task)
        if fit.threshold is not None:
            mine["threshold"] = fit.threshold
            mine["cost"] = _scores(summary, "referral threshold", task)
        if mine:
            found[task] = mine
    return found


def _scores(summary: Mapping[str, Any], name: str, task: str) -> dict[str, Any] | None:
    """Of a choice, without it and cross-fitted; None where the run has no two folds."""
    for each in summary["choices"]["each"]:
        if each["name"] == name and each["task"] == task:
            return _without_details(each)
    return None


def _without_details(scored: Mapping[str, Any]) -> dict[str, Any]:
    """Of a scored choice, what a bundle keeps."""
    keys = ("value", "low", "high", "method", "target")
    return {kind: {key: scored[kind][key] for key in keys} for kind in ("plain", "crossfit")}
