"""What other rules for the epoch would have claimed, with intervals of the recipe.

Every rule's mean accuracy of the tasks and its difference to the last epoch, where nothing is
chosen; the difference is of the same rows, so that what they share cancels. That of `best` is the
optimism of reporting the epoch that did best on the people it is scored on.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import pandas as pd

from kfold_hs.judge.metrics.scores import ACCURACY
from kfold_hs.judge.selection.selected import Selected
from kfold_hs.judge.selection.stacking import Stacking
from kfold_hs.judge.stats.clusters import Layout
from kfold_hs.judge.stats.estimates import Basis
from kfold_hs.judge.stats.influence import Influence, mean_of
from kfold_hs.judge.stats.scored import influence
from kfold_hs.predictions.epoch_rules import HONEST, RULES, chosen_epochs
from kfold_hs.predictions.table import Predictions

_ORDER = ["repeat", "patient_id"]


def optimism(
    predictions: Predictions, history: pd.DataFrame, stacking: Stacking, split: Mapping[str, Any]
) -> dict[str, Any]:
    """Mean accuracy under each epoch rule, and each rule's difference to the last epoch.

    Parameters
    ----------
    predictions : Predictions
        Patient rows of every epoch.
    history : DataFrame
        As `chosen_epochs` takes it.
    stacking : Stacking
    split : mapping
        n_folds, train_share.

    Returns
    -------
    dict
        Rule -> text, honest, mean_accuracy and above_last (estimates), accuracies (by task),
        epochs (repeat, seed, fold, epoch).
    """
    rules, n_folds = chosen_epochs(predictions, history), int(split["n_folds"])
    tables = {
        rule: _ordered(Selected(predictions.at(epochs), {}, n_folds, stacking).scored)
        for rule, epochs in rules.items()
    }
    bases = {rule: Basis.of(table, split, HONEST[rule]) for rule, table in tables.items()}
    means = {rule: mean_accuracy(table, bases[rule].layout) for rule, table in tables.items()}
    found = {}
    for rule, table in tables.items():
        n_persons = bases[rule].layout.n_persons
        recipe, _ = bases[rule].estimates(means[rule], n_persons)
        apart, _ = bases[rule].estimates(means[rule].minus(means["last"]), n_persons)
        found[rule] = {
            "text": RULES[rule],
            "honest": HONEST[rule],
            "mean_accuracy": dataclasses.asdict(recipe),
            "above_last": dataclasses.asdict(apart),
            "accuracies": {
                task: float(ACCURACY(table.y_true(task), table.y_prob(task), 0)[0])
                for task in table.tasks
            },
            "epochs": [
                {"repeat": r, "seed": s, "fold": f, "epoch": epoch}
                for (r, s, f), epoch in sorted(rules[rule].items())
            ],
        }
    return found


def mean_accuracy(kept: Predictions, layout: Layout) -> Influence:
    """Of the mean of the tasks' accuracies."""
    return mean_of(
        [influence(ACCURACY, kept.y_true(t), kept.y_prob(t), 0, layout) for t in kept.tasks]
    )


def _ordered(kept: Predictions) -> Predictions:
    """The same patients in one order, whatever the rule."""
    return Predictions(kept.table.sort_values(_ORDER, ignore_index=True), kept.classes)
