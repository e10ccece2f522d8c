"""A fold that was trained before, predicted anew: other crops, other pooling, the same model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from kfold_hs.learn import checkpoint
from kfold_hs.learn.data.covariates import Covariates
from kfold_hs.learn.data.examples import make_targets
from kfold_hs.learn.data.fold import Fold
from kfold_hs.learn.frames.cached import branch_of
from kfold_hs.learn.frames.out_of_fold import with_cycle
from kfold_hs.learn.losses import TaskLosses
from kfold_hs.learn.models.network import to_device, untrained_model
from kfold_hs.learn.prediction.crops import Predictor
from kfold_hs.learn.prediction.held_out import fold_predictions, score
from kfold_hs.predictions.table import Predictions


def predict_again(fold: Fold, model_file: Path) -> Predictions:
    """What a fold's model predicts for the held-out people, as `config.predict` asks it.

    To the bit what training with the fold's configuration would have given at that epoch, provided
    that it differs from the model's in nothing that training reads (`Config.training_digest`).

    Parameters
    ----------
    fold : Fold
        Its digests are those of the run that the file is of.
    model_file : Path
        last.pt of the fold.

    Returns
    -------
    Predictions
        Patients and recordings of the file's epoch.

    Raises
    ------
    TrainingError
        The file cannot be read, or is of another run.
    """
    predictor, content = load_again(fold, model_file)
    cohort, config = fold.cohort, fold.config
    targets = make_targets(cohort, config.train, fold.device)
    losses = TaskLosses(config.loss, cohort.tasks, {n: q.cpu() for n, q in targets.items()})
    people = fold.data.scored
    probs, _ = score(predictor, cohort, people, targets, losses.to(fold.device))
    found = fold_predictions(cohort, people, fold.id, [probs], 0)
    if (branch := branch_of(fold)) is not None:
        found = with_cycle(found, cohort, people, branch.cycles(fold.bank, people.recordings))
    table = found.table.assign(epoch=np.int64(content["epoch"]))
    return Predictions(table, found.classes)


def load_again(fold: Fold, model_file: Path) -> tuple[Predictor, dict[str, Any]]:
    """A fold's model with its covariates, to be asked, and its checkpoint.

    Parameters and errors as in `predict_again`; the file may be of any epoch.
    """
    content = checkpoint.load(model_file, fold.device)
    checkpoint.check_digests(model_file, content["digests"], fold.digests)
    config, cohort = fold.config, fold.cohort
    covariates = Covariates.of(cohort, fold.data.train, config.model.covariates, fold.device)
    model = untrained_model(config, cohort.tasks, covariates.width)
    model.load_state_dict(content["model_state_dict"])
    to_device(model, fold.device)
    return Predictor(model, fold.bank, config, covariates.values), content
