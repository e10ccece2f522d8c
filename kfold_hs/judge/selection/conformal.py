"""Sets of classes that hold a patient's label as often as they say: cross-conformal prediction.

The out-of-fold rows calibrate. With s(x, c) = 1 - p_c(x) by the model that scores x, and m_i the
number of patients j of person i whose label is c, a class c of a patient x belongs to the set at
coverage 1 - a when

    p(c) = (1 + sum_k sum_i in fold k 1/m_i sum_j [s(x_ij, c) >= s_k(x, c)]) / (1 + n_c)  >  a

over the n_c persons with a patient of class c. So the coverage is promised to the patients of every
class (`CLASS`; Vovk, "Conditional validity of inductive conformal predictors", ACML 2012). With
`ALL`, a class is compared with everybody, s(x_ij, y_ij), n persons and all their patients: the
coverage is then over all classes together, and a rare class gets less.

guaranteed is 1 - 2 a - min(2 (1 - 1/K) / (n/K + 1), (1 - K/n) / (K + 1)) of n = n_c persons in K
    folds of one composition, whatever the models (CV+: Barber et al., "Predictive inference with
    the jackknife+", Ann. Statist. 49, 2021, theorem 4; Romano et al., "Classification with valid
    and adaptive coverage", NeurIPS 2020). What is reached is close to 1 - a. The formula is
    Vovk's, "Cross-conformal predictors", Ann. Math. Artif. Intell. 74, 2015.
persons are the unit: who has several patients of a class counts once, each of these for 1/m_i,
    which keeps the promise to a patient of a new person (Lee, Barber & Willett,
    "Distribution-free inference with hierarchical data", 2023).
few persons promise little: p(c) is never below 1 / (1 + n_c), so that the class is in every set at
    a coverage above n_c / (n_c + 1).

groups of persons stand in place of persons where nobody may be told from another
    (`kfold_hs.bundle.hub`): a score for every `extra` persons, no smaller than any of theirs, the
    largest 1, of all folds together, and compared with the least s_k(x, c): each can only make
    p(c) of a new person larger. It is never below (1 + extra) / (1 + n_c).

Several repeats are averaged. A patient whom the bundle knows is compared with the others of the
fold that held them out, by the one model that scored these and them; a person's own rows are left
out. The most probable class is always in the set, which can only raise its coverage.

Own code, since MAPIE 1.6 trains the models itself and knows neither classes nor persons, and crepes
0.9 compares with one set of scores, not with those of each fold's own model, a row a person.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from math import ceil
from typing import Any

import numpy as np
import pandas as pd

from kfold_hs.predictions.epoch_rules import by_place
from kfold_hs.predictions.table import Predictions

CLASS, ALL = "class", "all"
PROMISES = {
    CLASS: "to the patients of every class",
    ALL: "to all patients together",
}
"""To whom a coverage is promised."""
_ROUNDING = 1e-12


def calibration_scores(kept: Predictions, task: str) -> list[dict[str, Any]]:
    """Scores s(x_i, y_i) of the out-of-fold rows: repeat, fold, person_id, label, score.

    Parameters
    ----------
    kept : Predictions
        Patient rows that are scored, seeds averaged.

    Returns
    -------
    list of dict
        One a fold model; labels are indices of the task's classes.
    """
    y_true, y_prob = kept.y_true(task), kept.y_prob(task)
    score = 1 - y_prob[np.arange(len(y_true)), y_true]
    found = []
    for (repeat, _, fold), rows in by_place(kept.table.assign(score=score, label=y_true)):
        each = {name: rows[name].tolist() for name in ("person_id", "label", "score")}
        found.append({"repeat": repeat, "fold": fold, **each})
    return found


class Conformal:
    """The scores of a task, sorted once.

    Parameters
    ----------
    known : sequence of mappings
        What `calibration_scores` gave; without labels (bundles of an older version), coverage can
        be promised to all patients together only. Or groups: repeat, label (None: of everybody),
        score, n_each.

    Attributes
    ----------
    extra : int
        Persons of a group; 0: there are none.
    """

    def __init__(self, known: Sequence[Mapping[str, Any]]) -> None:
        self.has_labels = all("label" in each for each in known)
        self._all: dict[tuple[int, int], _Scores] = {}
        self._of_class: dict[tuple[int, int, int], _Scores] = {}
        self._groups: dict[tuple[int, int | None], _Scores] = {}
        self.extra = 0
        if all("n_each" in each for each in known):
            self.extra = max((each["n_each"] for each in known), default=1)
            for each in known:
                score = np.asarray(each["score"], dtype=np.float64)
                weight = np.full(len(score), float(each["n_each"]))
                self._groups[each["repeat"], each["label"]] = _Scores(score, weight)
            return
        table = pd.concat([pd.DataFrame(dict(each)) for each in known], ignore_index=True)
        weights = {ALL: _weights(table, ["repeat", "person_id"])}
        if self.has_labels:
            weights[CLASS] = _weights(table, ["repeat", "person_id", "label"])
        table = table.assign(**weights)
        for key, rows in table.groupby(["repeat", "fold"]):
            repeat, fold = np.asarray(key, dtype=int).tolist()
            self._all[repeat, fold] = _Scores.of(rows, ALL)
            for c in rows["label"].unique().tolist() if self.has_labels else ():
                self._of_class[repeat, fold, c] = _Scores.of(rows[rows["label"] == c], CLASS)

    def p_values(
        self, probs: np.ndarray, persons: Collection[str] = (), promise: str = CLASS
    ) -> np.ndarray:
        """Left side of the formula for every class of one patient, (C,).

        Parameters
        ----------
        probs : ndarray, shape (n_repeats, n_folds, C)
            Of the models that were asked; NaN of the others.
        persons : collection of str
            Whose rows are left out: the patient's own.
        promise : str
            A key of `PROMISES`.
        """
        asked = ~np.isnan(probs[..., 0])
        n_repeats, n_classes = int(asked.any(axis=1).sum()), probs.shape[-1]
        found = np.empty(n_classes)
        for c in range(n_classes):
            above = n = 0.0
            for scores, least in self._beside(probs, asked, c, promise):
                more, of = scores.reaching(least, persons)
                above, n = above + more, n + of
            found[c] = (1 + above / n_repeats) / (1 + n / n_repeats)
        return found

    def n_persons(self, n_classes: int) -> list[int]:
        """n_c of every class for a patient whom nobody knows.

        Where the repeats differ, for want of a fold, it is the least.
        """
        if self.extra:
            found = [[s.n for (_, label), s in self._groups.items() if label == c]
                     for c in range(n_classes)]  # fmt: skip
            return [round(min(each, default=0)) for each in found]
        sums = {repeat: [0.0] * n_classes for repeat, _ in self._all}
        for (repeat, _, c), scores in self._of_class.items():
            sums[repeat][c] += scores.n
        return [round(min(each)) for each in zip(*sums.values(), strict=True)]

    def n_persons_of_fold(self, n_classes: int) -> list[int]:
        """n_c of every class in the fold with the fewest, which people of the run meet."""
        if self.extra:
            return self.n_persons(n_classes)
        return [
            round(min(s.n if (s := self._of_class.get((*place, c))) else 0 for place in self._all))
            for c in range(n_classes)
        ]

    def _beside(
        self, probs: np.ndarray, asked: np.ndarray, c: int, promise: str
    ) -> list[tuple[_Scores, float]]:
        """What a class is compared with, and its own score by the models that were asked."""
        found = []
        for repeat in np.flatnonzero(asked.any(axis=1)).tolist() if self.extra else ():
            groups = self._groups.get((repeat, None if promise == ALL else c))
            if groups is not None:
                found.append((groups, 1 - float(np.nanmax(probs[repeat, :, c]))))
        for place, everybody in self._all.items():
            if asked[place]:
                scores = everybody if promise == ALL else self._of_class.get((*place, c))
                if scores is not None:
                    found.append((scores, 1 - float(probs[place][c])))
        return found


class _Scores:
    """Scores, ascending, each with its weight; a person's weights add up to 1 in a repeat."""

    def __init__(self, score: np.ndarray, weight: np.ndarray) -> None:
        order = np.argsort(score, kind="stable")
        self._score = score[order]
        self._above = np.r_[np.cumsum(weight[order][::-1])[::-1], 0.0]
        self._own: dict[str, tuple[np.ndarray, np.ndarray]] = {}

    @classmethod
    def of(cls, rows: pd.DataFrame, weight: str) -> _Scores:
        """Of rows with person_id and score."""
        score, weights = (rows[name].to_numpy(np.float64) for name in ("score", weight))
        found = cls(score, weights)
        for person, where in rows.reset_index(drop=True).groupby("person_id").groups.items():
            found._own[str(person)] = score[where], weights[where]
        return found

    @property
    def n(self) -> float:
        """Sum of the weights."""
        return float(self._above[0])

    def from_(self, least: np.ndarray) -> np.ndarray:
        """Weight of the scores that reach each of `least`."""
        return np.asarray(self._above[np.searchsorted(self._score, least)])

    def reaching(self, least: float, persons: Collection[str]) -> tuple[float, float]:
        """Weight of the scores of others that reach `least`, and of all others."""
        above, n = float(self._above[np.searchsorted(self._score, least)]), self.n
        for person in set(persons):
            if person in self._own:
                score, weight = self._own[person]
                above -= float(weight[score >= least].sum())
                n -= float(weight.sum())
        return above, n


def _weights(table: pd.DataFrame, once: list[str]) -> np.ndarray:
    """1 over the number of rows that share the columns of `once`."""
    return np.asarray(1 / table.groupby(once)["score"].transform("size"))


def conformal_set(values: np.ndarray, coverage: float, likeliest: int) -> list[int]:
    """Classes of the set, ascending."""
    inside = values > 1 - coverage + _ROUNDING
    inside[likeliest] = True
    return [int(c) for c in np.flatnonzero(inside)]


def most_promised(n_persons: float, extra: int = 0) -> float:
    """The highest coverage at which a class with so many persons can be outside a set."""
    return max(0.0, (n_persons - extra) / (n_persons + 1))


def persons_needed(coverage: float, extra: int = 0) -> int:
    """Persons of a class that it takes before a set of this coverage can lack the class."""
    return ceil((coverage + extra) / (1 - coverage) - 1e-9)


def out_of_fold(kept: Predictions, task: str) -> dict[str, np.ndarray]:
    """p(c) of every row among the out-of-fold scores of the other persons of its repeat.

    Scores of all folds count, each by its own model: what the sets of new people look like, before
    there are new people. That they cover is so by construction.

    Returns
    -------
    dict of ndarray, each (N, C)
        By the keys of `PROMISES`.
    """
    y_true, least = kept.y_true(task), 1 - kept.y_prob(task)
    own = least[np.arange(len(y_true)), y_true]
    table = kept.table[["repeat", "person_id"]].reset_index(drop=True)
    table = table.assign(label=y_true, score=own, row=np.arange(len(y_true)))
    weights = {
        ALL: _weights(table, ["repeat", "person_id"]),
        CLASS: _weights(table, ["repeat", "person_id", "label"]),
    }
    # Every row beside each row of the same person, itself too.
    of_person = table[["repeat", "person_id", "row"]]
    both = of_person.merge(of_person, on=["repeat", "person_id"])
    mine, other = both["row_x"].to_numpy(), both["row_y"].to_numpy()
    found = {name: np.empty(least.shape) for name in PROMISES}
    repeat = table["repeat"].to_numpy()
    for name, weight in weights.items():
        for c in range(least.shape[1]):
            counts = weight * ((y_true == c) if name == CLASS else True)
            above, n = np.empty(len(own)), np.empty(len(own))
            for each in np.unique(repeat):
                rows = repeat == each
                scores = _Scores(own[rows], counts[rows])
                above[rows], n[rows] = scores.from_(least[rows, c]), counts[rows].sum()
            reach = counts[other] * (own[other] >= least[mine, c])
            above -= np.bincount(mine, reach, len(own))
            n -= np.bincount(mine, counts[other], len(own))
            found[name][:, c] = (1 + above) / (1 + n)
    return found
