"""A fold that was trained before, predicted anew: other crops, other pooling, the same model."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from kfold_hs.cohort import Cohort
from kfold_hs.config.schema import Config
from kfold_hs.learn import checkpoint
from kfold_hs.learn.data.covariates import encode
from kfold_hs.learn.data.examples import FoldData, make_targets
from kfold_hs.learn.features.bank import Bank
from kfold_hs.learn.losses import TaskLosses
from kfold_hs.learn.models.network import HeartSoundNet, make_model
from kfold_hs.learn.prediction.held_out import fold_predictions
from kfold_hs.learn.prediction.score import score
from kfold_hs.learn.random_streams import Place
from kfold_hs.predictions.table import Predictions


def predict_again(
    config: Config,
    cohort: Cohort,
    bank: Bank,
    data: FoldData,
    place: Place,
    model_file: Path,
    digests: Mapping[str, str],
    device: torch.device,
) -> Predictions:
    """What a fold's model says of the held-out people, as `config.predict` asks it.

    To the bit what training with `config` would have given at that epoch, provided that the two
    configurations differ in nothing that training reads (`Config.training_digest`).

    Parameters
    ----------
    model_file : Path
        last.pt of the fold.
    digests : mapping
        Of the run that the file is of.

    Returns
    -------
    Predictions
        Patients and recordings of the file's epoch.

    Raises
    ------
    TrainingError
        The file cannot be read, or is of another run.
    """
    model, covariates, content = load_again(config, cohort, data, model_file, digests, device)
    targets = make_targets(cohort, config.train, device)
    losses = TaskLosses(config.loss, cohort.tasks, {n: q.cpu() for n, q in targets.items()})
    probs, _ = score(
        model, bank, cohort, data.held_out, data.patients, targets, losses.to(device), config,
        covariates,
    )  # fmt: skip
    found = fold_predictions(cohort, data.held_out, data.patients, place, [probs], 0)
    table = found.table.assign(epoch=np.int64(content["epoch"]))
    return Predictions(table, found.classes)


def load_again(
    config: Config,
    cohort: Cohort,
    data: FoldData,
    model_file: Path,
    digests: Mapping[str, str],
    device: torch.device,
) -> tuple[HeartSoundNet, torch.Tensor | None, dict[str, Any]]:
    """A fold's model, the covariates of all recordings as it is given them, and its checkpoint.

    Parameters and errors as of `predict_again`; the file may be of any epoch.
    """
    content = checkpoint.load(model_file, device)
    checkpoint.check_digests(model_file, content["digests"], digests)
    encoder, covariates = encode(cohort, data.train, config.model.covariates, device)
    untrained = config.model.model_copy(update={"weights": "none", "weights_file": None})
    model = make_model(
        untrained, cohort.tasks, 0, encoder.width if encoder else 0,
        config.train.level == "patient", config.features.n_fitted_bands,
    )  # fmt: skip
    model.load_state_dict(content["model_state_dict"])
    model.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    return model, covariates, content
