"""Patient covariates as numbers for the network, by rules fitted on the training patients alone.

A numeric covariate is standardised and brings a second column that says it is missing; a
covariate of words becomes one column a level, missing being one of them. A level that no
training patient has is all zeros.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch

from kfold_hs.cohort import Cohort
from kfold_hs.errors import ConfigError, unknown_name

MISSING = "missing"


@dataclass(frozen=True)
class CovariateEncoder:
    """One rule a covariate: ``{"name", "mean", "std"}`` or ``{"name", "levels"}``."""

    rules: tuple[dict[str, Any], ...]

    @classmethod
    def fit(cls, patients: pd.DataFrame, names: Sequence[str]) -> CovariateEncoder:
        """Rules from the rows of training patients."""
        rules: list[dict[str, Any]] = []
        for name in names:
            words = _words(patients[name])
            numbers = pd.to_numeric(words.where(words != MISSING), errors="coerce")
            known = numbers.dropna()
            if len(known) and len(known) == (words != MISSING).sum():
                spread = float(known.std(ddof=0))
                rules.append({"name": name, "mean": float(known.mean()), "std": spread or 1.0})
            else:
                rules.append({"name": name, "levels": sorted(words.unique())})
        return cls(tuple(rules))

    @property
    def width(self) -> int:
        """Columns that `transform` gives."""
        return sum(len(rule["levels"]) if "levels" in rule else 2 for rule in self.rules)

    def transform(self, patients: pd.DataFrame) -> np.ndarray:
        """Columns of every row, (n_patients, width) float32."""
        columns = []
        for rule in self.rules:
            words = _words(patients[rule["name"]])
            if "levels" in rule:
                columns += [(words == level).to_numpy() for level in rule["levels"]]
            else:
                numbers = pd.to_numeric(words, errors="coerce").to_numpy(dtype=np.float64)
                missing = ~np.isfinite(numbers)
                scaled = (numbers - rule["mean"]) / rule["std"]
                columns += [np.where(missing, 0.0, scaled), missing]
        return np.stack(columns, axis=1).astype(np.float32)


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


def _words(values: pd.Series) -> pd.Series:
    text = values.astype(str).str.strip()
    return text.where(values.notna() & ~text.isin(["", "nan", "None"]), MISSING)
