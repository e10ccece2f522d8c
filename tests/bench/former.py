"""The recipe's interval as it was before, for the tables that set the two side by side.

From 2 runs on two-way clustered (Cameron, Gelbach & Miller 2011) times K / (K - 1), with one run
Nadeau & Bengio's corrected t (2003); neither below the variance of these models.
"""

from __future__ import annotations

from dataclasses import replace
from math import sqrt

import numpy as np
from scipy import special

from kfold_hs.judge.stats.influence import Influence
from kfold_hs.judge.stats.intervals import around


def without_delong(found: Influence, is_positive: np.ndarray) -> Influence:
    """As the two-way variance was taken by fold: without n / (n - 1) of each class and fold."""
    group = 2 * found.layout.model + is_positive
    n = np.bincount(group)
    mean = (np.bincount(group, found.within) / np.maximum(n, 1))[group]
    plain = mean + (found.within - mean) / np.sqrt(n / np.maximum(n - 1, 1))[group]
    return replace(found, psi=found.psi - found.within + plain)


def standard_error(found: Influence) -> float:
    psi, layout = found.psi, found.layout
    n_models, n_folds = layout.n_models, layout.n_folds
    if layout.n_runs > 1:
        person = float((layout.by_person(psi) ** 2).sum())
        model = n_models / (n_models - 1) * float((layout.by_model(psi) ** 2).sum())
        both = float((layout.by_cell(psi) ** 2).sum())
        variance = n_folds / (n_folds - 1) * max(person, person + model - both)
    else:
        variance = float(np.var(found.models, ddof=1)) * (1 / n_models + 1 / (n_folds - 1))
    return sqrt(max(variance, float((layout.by_person(found.within) ** 2).sum())))


def ends(found: Influence) -> tuple[float, float]:
    """Of the nominal 95 % interval."""
    quantile = float(special.stdtrit(found.layout.n_models - 1, 0.975))
    return around(found.value, standard_error(found), quantile, found.is_share)
