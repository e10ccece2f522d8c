"""Several models on the same hold-out people: scores of each, and how far each is from the first.

Intervals are of these models on other people like these (see `fixed`); a difference is paired,
person by person.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from kfold_hs.judge.metrics.challenge2022 import metrics_for
from kfold_hs.judge.stats.clusters import Layout
from kfold_hs.judge.stats.conditional_error import fixed_estimate
from kfold_hs.judge.stats.estimates import persons_of_rarest
from kfold_hs.judge.stats.scored import influence


def side_by_side(
    y_true: np.ndarray,
    y_prob: Mapping[str, np.ndarray],
    persons: Sequence[str],
    classes: tuple[str, ...],
    positive: int,
) -> list[dict[str, Any]]:
    """Every metric of one task.

    Parameters
    ----------
    y_true : ndarray of int, shape (N,)
    y_prob : mapping
        Name of a model -> (N, C) probabilities; the first is what the others are held against.
    persons : sequence of str
        Whose every row is.
    classes : tuple of str
    positive : int

    Returns
    -------
    list of dict
        metric, label, higher_is_better; models (name -> estimate); above_first (name -> estimate of
        the difference, of all but the first).
    """
    same = np.zeros(len(y_true), dtype=int)
    layout = Layout.of(same, same, np.asarray(persons, dtype=str))
    smallest = persons_of_rarest(y_true, layout.person)
    first = next(iter(y_prob))
    found = []
    for metric in metrics_for(classes):
        each = {
            name: influence(metric, y_true, probs, positive, layout)
            for name, probs in y_prob.items()
        }
        estimates = {name: fixed_estimate(one, smallest) for name, one in each.items()}
        apart = {
            name: fixed_estimate(one.minus(each[first]), smallest)
            for name, one in each.items()
            if name != first
        }
        found.append(
            {
                "metric": metric.name,
                "label": metric.label,
                "higher_is_better": metric.higher_is_better,
                "models": {name: dataclasses.asdict(one) for name, one in estimates.items()},
                "above_first": {name: dataclasses.asdict(one) for name, one in apart.items()},
            }
        )
    return found
