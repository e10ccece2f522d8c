"""Cross-fitted stacking: one task's probabilities from those of several, and from covariates.

A network's head for a hard task may say less about it than its head for a related, easier one.
Stacking (Wolpert, Neural Networks 5, 1992) learns by how much each is to be believed: for the
patients of fold f, a ridge-penalised logistic regression is fitted on the out-of-fold rows of
the *other* folds of the same repeat and seed, and applied to the rows of f. So no patient's own
label, nor that of another visit of the same person, has a part in the regression that scores
them (van der Laan, Polley & Hubbard 2007). The columns, standardised on the rows of the fit:

    log p_c / (1 - p_c)   of every class c but the last, for a source that is a task
    one or two columns    for a source that is a covariate (`CovariateEncoder`)

The penalty is fixed, 0.5 |w|^2 + C sum log loss with C = 0.1, so that nothing is tuned.

What remains: the models of the other folds were trained on the people of fold f, and their rows
are what the regression learns from. That is so in every cross-fitted choice (a threshold, a
temperature); only nested cross-validation is free of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import logit
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from kfold_hs.cohort import Cohort
from kfold_hs.cohort.covariates import CovariateEncoder
from kfold_hs.errors import ConfigError, unknown_name
from kfold_hs.predictions import Predictions, prob_column
from kfold_hs.settings import Config

INVERSE_PENALTY = 0.1
# Probabilities nearer to 0 and 1 say no more than these: a single one shall not rule the fit.
CLIP = 1e-4


@dataclass(frozen=True, eq=False)
class Stacking:
    """What is stacked on what.

    sources : of every stacked task, the tasks and covariates that it is told from
    patients : table with `patient_id` and the covariates
    """

    sources: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    patients: pd.DataFrame = field(default_factory=lambda: pd.DataFrame({"patient_id": []}))

    @classmethod
    def of(cls, config: Config, cohort: Cohort) -> Stacking:
        """As `data.tasks.<task>.stack` and `predict.stack` say.

        Raises
        ------
        ConfigError
            A source that is neither a task nor a covariate of the cohort.
        """
        if config.predict.stack == "none":
            return cls()
        sources = {name: task.stack for name, task in config.data.tasks.items() if task.stack}
        known = [*(task.name for task in cohort.tasks), *cohort.covariates]
        for task, names in sources.items():
            for name in names:
                if name not in known:
                    raise ConfigError(
                        unknown_name(f"source in data.tasks.{task}.stack", name, known)
                    )
        return cls(sources, cohort.patients)

    def __call__(self, scored: Predictions) -> Predictions:
        """The rows with the probabilities of the stacked tasks replaced.

        Parameters
        ----------
        scored : Predictions
            Patient rows of one epoch a fold.

        Returns
        -------
        Predictions
            The same rows in the same order; as they were where a repeat and seed have no two
            folds, or a task only one class outside of a fold (`obstacles` says so).
        """
        if not self.sources or self.obstacles(scored):
            return scored
        table = scored.table.copy()
        for task, sources in self.sources.items():
            columns = [prob_column(task, name) for name in scored.classes[task]]
            table[columns] = self._stacked(scored, task, sources)
        return Predictions(table, scored.classes)

    def obstacles(self, scored: Predictions) -> list[str]:
        """Why these rows cannot be stacked; empty when they can."""
        found = []
        for run, folds in _folds_of_runs(scored):
            if len(folds) < 2:
                found.append(f"repeat {run[0]}, seed {run[1]} has one fold, and none to learn from")
        if found:
            return found
        for task in self.sources:
            y_true = scored.y_true(task)
            for _, folds in _folds_of_runs(scored):
                for fold, rows in folds.items():
                    rest = np.concatenate([other for f, other in folds.items() if f != fold])
                    if len(np.unique(y_true[rest])) < 2 and len(rows):
                        found.append(f"outside of fold {fold}, {task} has a single class")
        return sorted(set(found))

    def _stacked(self, scored: Predictions, task: str, sources: Sequence[str]) -> np.ndarray:
        """Probabilities of the task, (n_rows, n_classes)."""
        y_true = scored.y_true(task)
        y_prob = np.zeros((len(scored), len(scored.classes[task])))
        for _, folds in _folds_of_runs(scored):
            for fold, rows in folds.items():
                rest = np.concatenate([other for f, other in folds.items() if f != fold])
                values = _design(scored, self.patients, sources, rest)
                model = regression().fit(values[rest], y_true[rest])
                y_prob[np.ix_(rows, model.classes_)] = model.predict_proba(values[rows])
        return y_prob


def regression() -> Pipeline:
    """What is fitted: standardised columns, a ridge penalty, all classes at once."""
    return make_pipeline(
        StandardScaler(), LogisticRegression(C=INVERSE_PENALTY, max_iter=1000, tol=1e-8)
    )


def _folds_of_runs(
    scored: Predictions,
) -> list[tuple[tuple[int, int], dict[int, np.ndarray]]]:
    """Row numbers of every fold, by (repeat, seed)."""
    found = []
    for key, rows in scored.table.groupby(["repeat", "seed"]):
        repeat, seed = np.asarray(key, dtype=int).tolist()
        folds: dict[Any, np.ndarray] = {
            fold: part.index.to_numpy() for fold, part in rows.groupby("fold")
        }
        found.append(((repeat, seed), folds))
    return found


def _design(
    scored: Predictions, patients: pd.DataFrame, sources: Sequence[str], fit_rows: np.ndarray
) -> np.ndarray:
    """Columns of every row, (n_rows, n_columns); rules of covariates from the rows of the fit."""
    columns = []
    names = [name for name in sources if name not in scored.tasks]
    for task in sources:
        if task in scored.tasks:
            y_prob = scored.y_prob(task)[:, :-1]
            columns.append(logit(np.clip(y_prob, CLIP, 1 - CLIP)))
    if names:
        whose = patients.set_index("patient_id").loc[scored.table["patient_id"]]
        encoder = CovariateEncoder.fit(whose.iloc[fit_rows], names)
        columns.append(encoder.transform(whose))
    return np.concatenate(columns, axis=1)
