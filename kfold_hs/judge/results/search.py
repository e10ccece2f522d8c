"""What a search came to: the value of every trial, and what is left of the best one's.

The best of M trials is the best partly by luck. Beside its own value stand the interval with the
Bonferroni quantile over all variants ever tried on the split, and the bootstrap-corrected value
(BBC-CV; see `judge.stats.multiplicity`). Trials that racing stopped take no part in the
resampling, as in BBC-CV with dropping (Tsamardinos, Greasidou & Borboudakis, Machine Learning 107,
2018, section 4).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from kfold_hs.judge.results.comparison import Variants
from kfold_hs.judge.results.sentences import UNKNOWN_INTERVAL, counted, ends, number
from kfold_hs.judge.selection.objective import Objective
from kfold_hs.judge.stats.expected_error import recipe_estimate
from kfold_hs.judge.stats.influence import Influence
from kfold_hs.judge.stats.multiplicity import Resamples, best


def judge_trials(
    trials: Variants,
    objective: Objective,
    *,
    n_tried: int,
    n_resamples: int = 10_000,
    seed: int = 0,
) -> dict[str, Any]:
    """The trials' values and the best of them.

    Parameters
    ----------
    trials : Variants
        At least one.
    objective : Objective
    n_tried : int
        Variants ever tried on this split.
    n_resamples, seed : int
        Of the resamples of the people.

    Returns
    -------
    dict
        estimates (by trial, of the recipe), best (`judge.stats.multiplicity.best`'s).
    """
    layout, share = trials.layout, trials.train_share
    found: dict[str, Influence] = {
        name: objective.influence(table, trials.positives, layout)
        for name, table in trials.tables.items()
    }
    defined = {name: each for name, each in found.items() if np.isfinite(each.value)}
    resampled = None
    if defined:
        drawn = Resamples(layout, n_resamples, seed)
        (resampled,) = drawn.corrected(
            {"objective": list(defined.values())}, {"objective": objective.sign}
        ).values()
    return {
        "estimates": {
            name: dataclasses.asdict(recipe_estimate(each, share, layout.n_persons))
            for name, each in found.items()
        },
        "best": best(
            defined, share, higher_is_better=objective.higher_is_better, n_tried=n_tried,
            resampled=resampled,
        ),
    }  # fmt: skip


def sentence(best: Mapping[str, Any], label: str, n_trials: int) -> str:
    """The winner and what it is worth, in words.

    Parameters
    ----------
    best : mapping
        `judge.stats.multiplicity.best`'s.
    label : str
        Of the objective.
    n_trials : int
        Trials that it was picked from.
    """
    if best["name"] is None:
        return "No trial has a value."
    corrected = best["corrected"]
    tried = counted(best["n_tried"], "variant was", "variants were") + " tried on this split"
    return (
        f"Best of {n_trials}: {best['name']}. {label[:1].upper()}{label[1:]} "
        f"{number(best['estimate']['value'])} as measured; {number(corrected['value'])} "
        f"({_interval(corrected)}) corrected for having been picked. {tried}."
    )


def _interval(found: Mapping[str, Any]) -> str:
    text = ends(found)
    return f"interval {text}" if text == UNKNOWN_INTERVAL else text
