"""Covariates that alone predict a label: a model could score by them without the heart sound."""

from __future__ import annotations

import numpy as np
import pandas as pd
from sklearn.metrics import roc_auc_score

from kfold_hs.cohort import Cohort
from kfold_hs.errors import SplitError
from kfold_hs.splits.strata import levels_of

PREDICTIVE_AUROC = 0.8
"""Cross-fitted AUROC from which a covariate alone predicts a label."""
_FEWEST = 10
"""Fewest persons of a class for which the AUROC is computed."""


def predictive_covariates(cohort: Cohort) -> list[str]:
    """Covariates, and properties of the recordings' files, that predict a label."""
    recordings = cohort.recordings.groupby("patient_id")
    order = cohort.patients["patient_id"]
    known: dict[str, pd.Series] = {name: cohort.patients[name] for name in cohort.covariates}
    known["sample_rate_hz"] = recordings["sample_rate_hz"].first().reindex(order)
    known["number of recordings"] = recordings.size().reindex(order)
    known["duration_s"] = recordings["duration_s"].mean().reindex(order)
    items = []
    for name, values in known.items():
        try:
            levels = levels_of(values.rename(name).reset_index(drop=True)).to_numpy()
        except SplitError:  # a name or an id, not a class
            continue
        for task in cohort.tasks:
            for label in task.classes:
                y = (cohort.patients[task.name] == label).to_numpy()
                auroc = _cross_fitted_auroc(levels, y, cohort.patients["person_id"].to_numpy())
                if auroc is not None and auroc >= PREDICTIVE_AUROC:
                    items.append(f"{name} predicts {task.name}={label} (AUROC {auroc:.2f})")
    return items


def _cross_fitted_auroc(levels: np.ndarray, y: np.ndarray, persons: np.ndarray) -> float | None:
    """AUROC of each level's share of positives, taken from the other half of the persons."""
    if min(y.sum(), (~y).sum()) < _FEWEST or len(set(levels)) < 2:
        return None
    half = pd.factorize(persons, sort=True)[0] % 2
    aurocs = []
    for part in (0, 1):
        inside, outside = half == part, half != part
        if len(set(y[inside])) < 2:
            return None
        shares = pd.Series(y[outside].astype(float)).groupby(levels[outside]).mean()
        score = pd.Series(levels[inside]).map(shares).fillna(y[outside].mean())
        aurocs.append(float(roc_auc_score(y[inside], score)))
    return float(np.mean(aurocs))
