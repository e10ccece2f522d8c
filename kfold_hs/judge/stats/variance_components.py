"""Where the uncertainty of a value comes from, as shares, and what would lessen it most.

person        people differ: only more people help
class shares  the class shares of the sample move all models together: a metric that no cut-off
              moves (AUROC) helps, or class weights chosen on other folds; people do where models
              know something, and not near chance, so that what they leave is a bound
reciprocal    people test models trained on each other, which weighs most near chance: people help
fold model    models trained on other people, in another split, differ: repeats help
seed          one training drawn anew differs: seeds of a fold help, and so do repeats
residual      what is drawn anew for every person in every run: people and repeats help

The parts are those of the interval (see `power.components`); from a handful of fold models they are
rough. A single run cannot tell person from residual nor from what is reciprocal, nor one seed the
seed from the fold model: what is unknown apart is None, and is counted with a part before it. What
a second run would leave is then a bound, if no part of it were residual.
"""

from __future__ import annotations

import dataclasses
from dataclasses import replace
from math import sqrt
from typing import Any

import numpy as np

from kfold_hs.judge.stats.influence import Influence
from kfold_hs.judge.stats.power import Components, Design, components

WORDS = {
    "people": "more people",
    "repeats": "more repeats (--repeats)",
    "seeds": "more seeds (--seeds)",
}
SHARES_STAY = "; most of it is class shares, which near chance fall with neither people nor repeats"


def budget(influence: Influence, seed_values: np.ndarray | None = None) -> dict[str, Any] | None:
    """Shares of the variance of a value, and its standard error after buying more.

    Parameters
    ----------
    influence : Influence
        Of what is reported: the seeds' mean probabilities, if there are several seeds.
    seed_values : ndarray, shape (n_seeds, J), optional
        Value of every seed's model in every fold model's place.

    Returns
    -------
    dict or None
        shares (person, class_shares, reciprocal, fold_model, seed, residual: they sum to 1),
        se_after (doubling people,
        repeats, seeds: relative to the present standard error), at_most (which of these are upper
        bounds), buy, text, components (the
        variances that `power` and `planning` work with, and of how many people and models). None
        where nothing varies or the value is undefined.
    """
    layout = influence.layout
    is_apart = layout.n_models > layout.n_runs and layout.n_folds > 1
    if not (np.isfinite(influence.value) and is_apart) or influence.no_interval:
        return None
    parts = components(influence)
    n, n_runs, n_models = layout.n_persons, layout.n_runs, layout.n_models
    of_model = parts.model / n_models
    of_seed = 0.0 if seed_values is None else _of_seed(seed_values, parts) / n_models
    now = Design(n, n_runs, layout.n_folds)
    amounts = {
        "person": parts.person / n,
        "class_shares": parts.class_shares / n,
        "reciprocal": parts.reciprocal / n,
        "fold_model": of_model - of_seed,
        "seed": of_seed,
        "residual": parts.residual / (n * n_runs),
    }
    total = sum(amounts.values())
    if total == 0:
        return None
    by_part = {name: part / total for name, part in amounts.items()}
    if not parts.separable:
        by_part["person"] += by_part["reciprocal"]
    shares: dict[str, float | None] = dict(by_part)
    if seed_values is None:
        shares["seed"] = None
    if not parts.separable:
        shares["reciprocal"] = shares["residual"] = None
    after = {
        "people": (total + of_model + amounts["class_shares"]) / 2,
        "repeats": parts.variance(replace(now, n_runs=2 * n_runs)),
        "seeds": total - of_seed / 2,
    }
    se_after: dict[str, float | None] = {name: sqrt(v / total) for name, v in after.items()}
    at_most = ["people"] if amounts["class_shares"] > 0 else []
    at_most += [] if parts.separable else ["repeats"]
    if seed_values is None:
        se_after["seeds"] = None
    known = {name: value for name, value in se_after.items() if value is not None}
    buy = min(known, key=lambda name: known[name])
    shares_lead = parts.class_shares / n > total / 2
    return {
        "shares": shares,
        "se_after": se_after,
        "at_most": at_most,
        "buy": buy,
        "text": f"{WORDS[buy]}: doubling them leaves {'at most ' if buy in at_most else ''}"
        f"{100 * known[buy]:.0f} % of the error{SHARES_STAY if shares_lead else ''}",
        "components": {**dataclasses.asdict(parts), "people": n, "models": n_models},
    }


def _of_seed(seed_values: np.ndarray, parts: Components) -> float:
    """Variance that one more seed would halve, at most all that fold models differ by."""
    n_seeds = len(seed_values)
    apart = float(np.nanmean(np.var(seed_values, axis=0, ddof=1))) if n_seeds > 1 else 0.0
    return min(apart / n_seeds, parts.model) if np.isfinite(apart) else 0.0
