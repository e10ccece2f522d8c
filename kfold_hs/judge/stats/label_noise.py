"""How right anybody can be: the ceiling that labels which disagree with themselves put on accuracy.

Where a person was labelled twice, under two patient ids, the share d of pairs that disagree says
how much a label is worth. Assume that both labels are independent draws of what is true of the
person, q_c the chance of class c, and that people labelled twice are like the others. Then
1 - d is the mean of sum q_c^2, while a classifier that knew every q would be right with the mean
of max q_c, which for C classes lies between

    1 - d   and   [1 + sqrt((C - 1) (C (1 - d) - 1))] / C,   for two classes [1 + sqrt(1 - 2 d)] / 2

(sum q^2 <= max q; and max q is largest, given sum q^2, when the other classes share the rest
evenly, which is concave, so that Jensen's inequality bounds the mean). The upper end is reached
when all labels are equally noisy, the lower one when some people are a coin's toss and the others
certain. It is *the ceiling*: no classifier can be expected to be right more often on such labels.
Someone whose heart changed between the visits counts as noise; if that can be heard, the true
ceiling is higher. Its interval is Wilson's of d, over persons.
"""

from __future__ import annotations

from math import sqrt
from typing import Any

import numpy as np

from kfold_hs.judge.stats.intervals import wilson
from kfold_hs.predictions.table import Predictions

MOST_LISTED = 200
ASSUMPTION = (
    "two labels of a person are independent draws of what is true of them, and people labelled "
    "twice are like the others"
)


def ceiling(disagreement: float, n_classes: int) -> float:
    """Highest accuracy that can be expected, in [1 / n_classes, 1].

    Parameters
    ----------
    disagreement : float
        Share of pairs of labels of a person that differ, in [0, 1]. Labels that agree less than by
        chance say nothing, as those that agree by chance.
    n_classes : int
    """
    above_chance = max(0.0, n_classes * (1 - disagreement) - 1)
    return (1 + sqrt((n_classes - 1) * above_chance)) / n_classes


def label_noise(kept: Predictions, task: str) -> dict[str, Any] | None:
    """Disagreement of persons with several labels of a task, and the ceiling it implies.

    Parameters
    ----------
    kept : Predictions
        Patient rows; every patient counts once.
    task : str

    Returns
    -------
    dict or None
        n_persons (with several patient ids), n_pairs, n_disagree; visits, the first 200 persons
        whose labels disagree (person_id, patients: patient_id and label); disagreement and ceiling
        (value, low, high; a person's pairs count as one; the ceiling's ends are None where it is
        as low as it can be at both), at_least (1 - disagreement), assumption.
        None where nobody was labelled twice.
    """
    n_classes = len(kept.classes[task])
    first = ~kept.table["patient_id"].duplicated().to_numpy()
    person = np.unique(kept.table["person_id"][first], return_inverse=True)[1]
    cell = person * n_classes + kept.y_true(task)[first]
    counts = np.bincount(cell, minlength=(person.max() + 1) * n_classes).reshape(-1, n_classes)
    each = counts.sum(axis=1)
    counts, each = counts[each > 1], each[each > 1]
    if not len(each):
        return None
    pairs = each * (each - 1) / 2
    alike = (counts * (counts - 1) / 2).sum(axis=1)
    share = float(np.mean(1 - alike / pairs))
    low, high = wilson(share, len(each))
    return {
        "n_persons": len(each),
        "n_pairs": int(pairs.sum()),
        "n_disagree": int((pairs - alike).sum()),
        "visits": _visits(kept, task, first),
        "disagreement": {"value": share, "low": low, "high": high},
        "ceiling": _ends(ceiling(share, n_classes), ceiling(high, n_classes),
                         ceiling(low, n_classes)),
        "at_least": 1 - share,
        "assumption": ASSUMPTION,
    }  # fmt: skip


def _ends(value: float, low: float, high: float) -> dict[str, float | None]:
    if not low < high:
        return {"value": value, "low": None, "high": None}
    return {"value": value, "low": low, "high": high}


def _visits(kept: Predictions, task: str, first: np.ndarray) -> list[dict[str, Any]]:
    """Persons whose labels disagree, by id, and their patient ids with the labels."""
    table = kept.table[first][["person_id", "patient_id"]]
    table = table.assign(label=np.asarray(kept.classes[task])[kept.y_true(task)[first]])
    table = table[table.groupby("person_id")["label"].transform("nunique") > 1]
    return [
        {
            "person_id": str(person_id),
            "patients": [
                {"patient_id": str(row.patient_id), "label": str(row.label)}
                for row in mine.sort_values("patient_id").itertuples()
            ],
        }
        for person_id, mine in list(table.groupby("person_id"))[:MOST_LISTED]
    ]
