"""Patient covariates for the network, by rules fitted on the training patients alone."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from kfold_hs.cohort import Cohort
from kfold_hs.cohort.covariates import CovariateEncoder
from kfold_hs.errors import ConfigError, unknown_name


def check_covariates(cohort: Cohort, names: Sequence[str]) -> None:
    """Refuse a covariate that the cohort does not have.

    Raises
    ------
    ConfigError
        With what there is, and the nearest.
    """
    for name in names:
        if name not in cohort.covariates:
            raise ConfigError(
                unknown_name("covariate in model.covariates", name, cohort.covariates)
            )


def encode(
    cohort: Cohort, train: np.ndarray, names: Sequence[str], device: torch.device
) -> tuple[CovariateEncoder | None, torch.Tensor | None]:
    """Covariates of every recording, (n_recordings, width) float32, by its patient.

    Parameters
    ----------
    train : ndarray of int64
        Rows of the recordings that are trained on: their patients fit the rules.
    """
    if not names:
        return None, None
    owners = cohort.recordings["patient_id"]
    patients = cohort.patients.set_index("patient_id")
    encoder = CovariateEncoder.fit(patients.loc[sorted(set(owners.iloc[train]))], names)
    values = encoder.transform(patients.loc[owners])
    return encoder, torch.from_numpy(values).to(device)
