"""Patient covariates as numbers, by rules fitted on some patients and applied to others.

A numeric covariate is standardised and brings a second column that says it is missing; a
covariate of words becomes one column a level, missing being one of them. A level that no
patient of the fit has is all zeros.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

MISSING = "missing"


@dataclass(frozen=True)
class CovariateEncoder:
    """One rule a covariate: ``{"name", "mean", "std"}`` or ``{"name", "levels"}``."""

    rules: tuple[dict[str, Any], ...]

    @classmethod
    def fit(cls, patients: pd.DataFrame, names: Sequence[str]) -> CovariateEncoder:
        """Rules from the rows of the patients that something is fitted on."""
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


def _words(values: pd.Series) -> pd.Series:
    text = values.astype(str).str.strip()
    return text.where(values.notna() & ~text.isin(["", "nan", "None"]), MISSING)
