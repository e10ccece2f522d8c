"""People who are not trained on, as the model hears them: by recording, by patient, in loss."""

from __future__ import annotations

import numpy as np
import torch

from kfold_hs.cohort import Cohort
from kfold_hs.config.schema import Config
from kfold_hs.learn.features.bank import Bank
from kfold_hs.learn.losses import TaskLosses
from kfold_hs.learn.models.network import HeartSoundNet
from kfold_hs.learn.prediction.crops import predict_patients, predict_recordings
from kfold_hs.learn.prediction.held_out import EpochProbs, owners


def score(
    model: HeartSoundNet,
    bank: Bank,
    cohort: Cohort,
    recordings: np.ndarray,
    patients: np.ndarray,
    targets: dict[str, torch.Tensor],
    losses: TaskLosses,
    config: Config,
    covariates: torch.Tensor | None,
    fill: bool = True,
) -> tuple[EpochProbs, float]:
    """Probabilities of patients and of their recordings, and the loss over them.

    A model of recordings leaves the patient to the rule of `predict.patient_pool`; a model
    of patients (`train.level=patient`) has learnt its own.

    Parameters
    ----------
    recordings, patients : ndarray of int64
        Rows of the cohort's tables; the recordings are those of the patients.
    fill : bool
        Ask the network for whole batches only (learn/prediction/crops.py says why).
    """
    if config.train.level == "recording":
        probs, loss = predict_recordings(
            model, bank, recordings, cohort.tasks, targets, losses, config, covariates, fill
        )
        return EpochProbs.pool(config, cohort, recordings, patients, probs), loss
    owner = owners(cohort, recordings, patients)
    whole, parts, loss = predict_patients(
        model, bank, recordings, owner, targets, losses, config, covariates, fill
    )
    return EpochProbs(whole, parts), loss
