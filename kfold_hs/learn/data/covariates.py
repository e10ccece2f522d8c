"""Patient covariates for the network, by rules fitted on the training patients alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

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


@dataclass(frozen=True, eq=False)
class Covariates:
    """What stands beside the features of every recording, by its patient.

    Parameters
    ----------
    encoder : CovariateEncoder or None
        None where the network is given no covariates.
    values : Tensor of float32, shape (n_recordings, width), or None
    """

    encoder: CovariateEncoder | None = None
    values: torch.Tensor | None = None

    @classmethod
    def of(
        cls, cohort: Cohort, train: np.ndarray, names: Sequence[str], device: torch.device
    ) -> Covariates:
        """The covariates of these names, by rules fitted on the patients of the rows `train`."""
        if not names:
            return cls()
        owners = cohort.recordings["patient_id"]
        patients = cohort.patients.set_index("patient_id")
        encoder = CovariateEncoder.fit(patients.loc[sorted(set(owners.iloc[train]))], names)
        return cls(encoder, torch.from_numpy(encoder.transform(patients.loc[owners])).to(device))

    @property
    def width(self) -> int:
        return self.encoder.width if self.encoder else 0

    @property
    def rules(self) -> list[dict[str, Any]]:
        return list(self.encoder.rules) if self.encoder else []
