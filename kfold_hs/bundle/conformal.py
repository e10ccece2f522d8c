"""Sets of classes that hold a patient's label as often as they say: cross-conformal prediction.

The out-of-fold rows calibrate. With s(x, c) = 1 - p_c(x) by the model that scores x, and i over the
people of fold k of a repeat, a class c of a patient x belongs to the set at coverage 1 - a when

    (1 + sum_k #{i in fold k: s(x_i, y_i) >= s_k(x, c)}) / (1 + n)  >  a,    n = sum_k n_k

Vovk, "Cross-conformal predictors", Ann. Math. Artif. Intell. 74, 2015. Several repeats are
averaged. A patient whom the bundle knows is compared with the others of the fold that held them
out, by the one model that scored these and them; a person's own rows are left out. The most
probable class is always in the set, which can only raise its coverage.

The coverage is over people and classes together, for people like those of the run, and
approximate: what is guaranteed for such sets is 1 - 2 a, what they reach is close to 1 - a.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np

from kfold_hs.predictions.epoch_rules import by_place
from kfold_hs.predictions.table import Predictions


def calibration_scores(kept: Predictions, task: str) -> list[dict[str, Any]]:
    """Scores s(x_i, y_i) of the out-of-fold rows: repeat, fold, person_id, score.

    Parameters
    ----------
    kept : Predictions
        Patient rows that are scored, seeds averaged.
    """
    y_true, y_prob = kept.y_true(task), kept.y_prob(task)
    score = 1 - y_prob[np.arange(len(y_true)), y_true]
    found = []
    for (repeat, _, fold), rows in by_place(kept.table.assign(score=score)):
        each = {"person_id": rows["person_id"].tolist(), "score": rows["score"].tolist()}
        found.append({"repeat": repeat, "fold": fold, **each})
    return found


class Conformal:
    """The scores of a task, sorted once.

    Parameters
    ----------
    known : sequence of mappings
        What `calibration_scores` gave.
    """

    def __init__(self, known: Sequence[Mapping[str, Any]]) -> None:
        self._scores: dict[tuple[int, int], np.ndarray] = {}
        self._own: dict[tuple[int, int], dict[str, list[float]]] = {}
        for each in known:
            place = each["repeat"], each["fold"]
            self._scores[place] = np.sort(np.asarray(each["score"], dtype=np.float64))
            own: dict[str, list[float]] = {}
            for person, score in zip(each["person_id"], each["score"], strict=True):
                own.setdefault(person, []).append(score)
            self._own[place] = own

    def p_values(self, probs: np.ndarray, persons: Collection[str] = ()) -> np.ndarray:
        """Left side of the formula for every class of one patient, (C,).

        Parameters
        ----------
        probs : ndarray, shape (n_repeats, n_folds, C)
            Of the models that were asked; NaN of the others.
        persons : collection of str
            Whose rows are left out: the patient's own.
        """
        above, n = np.zeros(probs.shape[-1]), 0.0
        asked = ~np.isnan(probs[..., 0])
        for place, scores in self._scores.items():
            if asked[place]:
                least = 1 - probs[place]
                own = self._own[place]
                mine = np.array([score for who in set(persons) for score in own.get(who, ())])
                above += len(scores) - np.searchsorted(scores, least)
                above -= (mine[:, None] >= least).sum(axis=0)
                n += len(scores) - len(mine)
        n_repeats = asked.any(axis=1).sum()
        return np.asarray((1 + above / n_repeats) / (1 + n / n_repeats))


def conformal_set(values: np.ndarray, coverage: float, likeliest: int) -> list[int]:
    """Classes of the set, ascending."""
    inside = values > 1 - coverage + 1e-12
    inside[likeliest] = True
    return [int(c) for c in np.flatnonzero(inside)]
