"""Cross-fitted stacking: one task's probabilities from those of several, and from covariates.

A network's head for a hard task may say less about it than its head for a related, easier one.
Stacking (Wolpert, Neural Networks 5, 1992) learns by how much each is to be believed: for the
patients of fold f, a ridge-penalised logistic regression is fitted on the out-of-fold rows of
the *other* folds of the same repeat and seed, and applied to the rows of f. So no patient's own
label, nor that of another visit of the same person, has a part in the regression that scores
them (van der Laan, Polley & Hubbard 2007). The columns, standardised on the rows of the fit:

    log p_c / (1 - p_c)   of every class c but the last, for a source that is a task
    one or two columns    for a source that is a covariate (`CovariateEncoder`)
    the columns cycle.*   for the source `cycle`, which a frame branch gives (`predictions.cycle`)

The penalty is fixed, 0.5 |w|^2 + C sum log loss with C = 0.1, so that nothing is tuned.

What remains: the models of the other folds were trained on the people of fold f, and their rows
are what the regression learns from. That is so in every cross-fitted choice (a threshold, a
temperature); only nested cross-validation is free of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import expit, logit
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from kfold_hs.cohort import Cohort
from kfold_hs.cohort.covariates import CovariateEncoder
from kfold_hs.config.schema import Config
from kfold_hs.errors import ConfigError, PredictionsError, unknown_name
from kfold_hs.predictions import cycle
from kfold_hs.predictions.table import Predictions, prob_column

_NUMBERS = ("mean", "scale", "coefficients", "intercepts", "classes")
INVERSE_PENALTY = 0.1
# Probabilities nearer to 0 and 1 say no more than these: a single one shall not rule the fit.
CLIP = 1e-4


@dataclass(frozen=True, eq=False)
class Evidence:
    """What may tell a task, of some patients, row for row.

    probs : of every task, (n, C)
    patients : their covariates
    cycle : the columns of `predictions.cycle`; none without a frame branch
    """

    probs: Mapping[str, np.ndarray]
    patients: pd.DataFrame
    cycle: pd.DataFrame

    def at(self, rows: np.ndarray) -> Evidence:
        """Of some of the rows."""
        probs = {name: each[rows] for name, each in self.probs.items()}
        return Evidence(probs, self.patients.iloc[rows], self.cycle.iloc[rows])


@dataclass(frozen=True, eq=False)
class Stacking:
    """What is stacked on what.

    sources : of every stacked task, the tasks and covariates that it is told from, and `cycle`
    patients : table with `patient_id` and the covariates
    """

    sources: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    patients: pd.DataFrame = field(default_factory=lambda: pd.DataFrame({"patient_id": []}))

    @classmethod
    def of(cls, config: Config, cohort: Cohort) -> Stacking:
        """As `data.tasks.<task>.stack` and `predict.stack` say.

        Without a frame branch the source `cycle` is left out, and with it a task that would be told
        from itself alone.

        Raises
        ------
        ConfigError
            A source that is neither a task nor a covariate of the cohort; `cycle` is one of these,
            or is the only source and there is no frame branch.
        """
        if config.predict.stack == "none":
            return cls()
        known = [*(task.name for task in cohort.tasks), *cohort.covariates]
        sources = {name: task.stack for name, task in config.data.tasks.items() if task.stack}
        if cycle.SOURCE in known and any(cycle.SOURCE in each for each in sources.values()):
            raise ConfigError(
                f"the source {cycle.SOURCE} in data.tasks.<task>.stack is what a frame branch "
                f"says, and {cohort.name} has a task or a column of that name, too. Give that one "
                "another name."
            )
        if config.frames.is_on:
            known.append(cycle.SOURCE)
        else:
            left = {n: tuple(e for e in each if e != cycle.SOURCE) for n, each in sources.items()}
            if alone := [name for name, each in left.items() if not each]:
                raise ConfigError(
                    f"data.tasks.{alone[0]}.stack=[{cycle.SOURCE}] is what a frame branch says, "
                    "and frames=none trains none: set frames=cycle, or leave it out."
                )
            sources = {n: each for n, each in left.items() if set(each) != {n}}
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

    def without(self, scored: Predictions, repeat: int, fold: int) -> Predictions:
        """Rows of the other folds of a repeat, stacked without any label of this fold.

        As stacked by `__call__` they were told by regressions that learnt from the fold. Here the
        other folds are stacked among themselves; where that cannot be, since there is only one,
        by the regression that scores the fold, which was fitted on them.

        Parameters
        ----------
        scored : Predictions
            Patient rows of one epoch a fold, seeds averaged.
        """
        table = scored.table
        others = (table["repeat"] == repeat) & (table["fold"] != fold)
        rest = Predictions(table[others].reset_index(drop=True), scored.classes)
        if not self.sources or self.obstacles(scored):
            return rest
        if not self.obstacles(rest):
            return self(rest)
        stacked, evidence = rest.table.copy(), self._evidence(rest)
        for task, sources in self.sources.items():
            names = rest.classes[task]
            rule = Rule.fit(evidence, sources, rest.y_true(task), len(names))
            stacked[[prob_column(task, name) for name in names]] = rule(evidence)
        return Predictions(stacked, rest.classes)

    def rules(self, scored: Predictions) -> dict[str, dict[tuple[int, int, int], Rule]]:
        """What scores each fold: by task and (repeat, seed, fold); none where `obstacles` stand."""
        if not self.sources or self.obstacles(scored):
            return {}
        return {
            task: {place: rule for place, _, rule in self._fits(scored, task, sources)}
            for task, sources in self.sources.items()
        }

    def _stacked(self, scored: Predictions, task: str, sources: Sequence[str]) -> np.ndarray:
        """Probabilities of the task, (n_rows, n_classes)."""
        y_prob = np.zeros((len(scored), len(scored.classes[task])))
        evidence = self._evidence(scored)
        for _, rows, rule in self._fits(scored, task, sources):
            y_prob[rows] = rule(evidence.at(rows))
        return y_prob

    def _fits(
        self, scored: Predictions, task: str, sources: Sequence[str]
    ) -> Iterator[tuple[tuple[int, int, int], np.ndarray, Rule]]:
        """Every fold's place, its row numbers, and the rule that the other folds gave."""
        y_true, n_classes = scored.y_true(task), len(scored.classes[task])
        evidence = self._evidence(scored)
        for (repeat, seed), folds in _folds_of_runs(scored):
            for fold, rows in folds.items():
                rest = np.concatenate([other for f, other in folds.items() if f != fold])
                rule = Rule.fit(evidence.at(rest), sources, y_true[rest], n_classes)
                yield (repeat, seed, fold), rows, rule

    def _evidence(self, scored: Predictions) -> Evidence:
        ids = scored.table["patient_id"]
        return Evidence(
            {name: scored.y_prob(name) for name in scored.tasks},
            pd.DataFrame(self.patients.set_index("patient_id").reindex(ids)),
            scored.table[cycle.columns_of(scored.table)],
        )


@dataclass(frozen=True, eq=False)
class Rule:
    """One regression, as plain numbers: what it says of a patient depends on nobody else.

    tasks : that it is told from
    encoder : of the covariates that it is told from
    of_cycle : columns of the heart cycle that it is told from
    mean, scale : (d,) of the columns
    coefficients, intercepts : (C', d) and (C',), C' = 1 where it knows two classes
    classes : indices of the classes it knows, among `n_classes`
    """

    tasks: tuple[str, ...]
    encoder: CovariateEncoder
    of_cycle: tuple[str, ...]
    mean: np.ndarray
    scale: np.ndarray
    coefficients: np.ndarray
    intercepts: np.ndarray
    classes: np.ndarray
    n_classes: int

    @classmethod
    def fit(
        cls, evidence: Evidence, sources: Sequence[str], y_true: np.ndarray, n_classes: int
    ) -> Rule:
        """From some rows and their labels.

        Raises
        ------
        PredictionsError
            The source is `cycle`, and there are no such columns.
        """
        tasks = tuple(name for name in sources if name in evidence.probs)
        names = [name for name in sources if name not in {*tasks, cycle.SOURCE}]
        is_asked = cycle.SOURCE in sources and cycle.SOURCE not in tasks
        of_cycle = tuple(evidence.cycle.columns.astype(str)) if is_asked else ()
        if is_asked and not of_cycle:
            raise PredictionsError(
                f"stacking takes the source {cycle.SOURCE}, and these predictions have no columns "
                f"{cycle.PREFIX}*: they were made without a frame branch. Set frames=none, or "
                "predict.stack=none, or train them again."
            )
        encoder = CovariateEncoder.fit(evidence.patients, names)
        scaler = StandardScaler()
        model = LogisticRegression(C=INVERSE_PENALTY, max_iter=1000, tol=1e-8)
        columns = scaler.fit_transform(_columns(evidence, tasks, encoder, of_cycle))
        model.fit(columns, y_true)
        return cls(
            tasks, encoder, of_cycle, scaler.mean_, scaler.scale_, model.coef_, model.intercept_,
            model.classes_, n_classes,
        )  # fmt: skip

    def __call__(self, evidence: Evidence) -> np.ndarray:
        """Probabilities (n, n_classes) of patients."""
        columns = _columns(evidence, self.tasks, self.encoder, self.of_cycle)
        columns = (columns - self.mean) / self.scale
        # Not a matrix product: its last bits depend on how many rows there are. And in one order in
        # memory, which numpy adds up in one way: coefficients that were read have another.
        weighted = np.ascontiguousarray(columns[:, None] * self.coefficients)
        scores = weighted.sum(axis=2) + self.intercepts
        if scores.shape[1] == 1:
            found = np.hstack([1 - expit(scores), expit(scores)])
        else:
            raised = np.exp(scores - scores.max(axis=1, keepdims=True))
            found = raised / raised.sum(axis=1, keepdims=True)
        whole = np.zeros((len(scores), self.n_classes))
        whole[:, self.classes] = found
        return whole

    def to_dict(self) -> dict[str, Any]:
        """Plain values, from which `from_dict` makes the same rule to the bit."""
        return {
            "tasks": list(self.tasks),
            "covariates": list(self.encoder.rules),
            "cycle": list(self.of_cycle),
            "n_classes": self.n_classes,
            **{name: getattr(self, name).tolist() for name in _NUMBERS},
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Rule:
        """What `to_dict` gave."""
        return cls(
            tasks=tuple(values["tasks"]),
            encoder=CovariateEncoder(tuple(values["covariates"])),
            of_cycle=tuple(values.get("cycle", ())),  # older bundles have no frame branch
            n_classes=values["n_classes"],
            **{name: np.array(values[name]) for name in _NUMBERS},
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


def _columns(
    evidence: Evidence, tasks: Sequence[str], encoder: CovariateEncoder, of_cycle: Sequence[str]
) -> np.ndarray:
    """Columns of every row, (n, d)."""
    found = [logit(np.clip(evidence.probs[task][:, :-1], CLIP, 1 - CLIP)) for task in tasks]
    if encoder.rules:
        found.append(encoder.transform(evidence.patients))
    if of_cycle:
        found.append(evidence.cycle[list(of_cycle)].to_numpy(dtype=np.float64))
    return np.concatenate(found, axis=1)
