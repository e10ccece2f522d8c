"""The official entries of the PhysioNet/CinC Challenge 2022, for orientation.

`official_2022.csv` beside this module holds what each of the 40 murmur and 39 outcome entries that
kept all the rules scored on the challenge's hidden test set: rank, team, AUROC, weighted accuracy
(by which murmur entries are ranked) and cost (by which outcome entries are). The figures are those
that the organisers publish, with their rounding.

No run of ours was scored on that test set, and none can be: its people are others, and the entries
were trained on all public patients.

Source: official_murmur_scores.tsv and official_outcome_scores.tsv of
https://moody-challenge.physionet.org/2022/results/; described in Reyna et al., PLOS Digital Health
2(9), 2023.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import resources
from typing import Any

import numpy as np
import pandas as pd

from kfold_hs.judge.metrics.challenge2022 import MURMUR, OUTCOME

SOURCE = (
    "official entries of the PhysioNet/CinC Challenge 2022, "
    "moody-challenge.physionet.org/2022/results; Reyna et al., PLOS Digital Health 2(9), 2023"
)
CHALLENGE_DATA = "circor"
"""Kind of the data that the challenge was held on: beside other people its entries say nothing."""
_RANKED_BY = {"murmur": ("weighted_accuracy", True), "outcome": ("cost", False)}


def entries(classes: Sequence[str]) -> tuple[str, pd.DataFrame] | None:
    """The challenge's task with these classes, and its entries; None for other classes."""
    names = {"murmur": set(MURMUR), "outcome": set(OUTCOME)}
    task = next((name for name, theirs in names.items() if theirs == set(classes)), None)
    if task is None:
        return None
    text = resources.files("kfold_hs.judge.results").joinpath("official_2022.csv")
    with text.open(encoding="utf-8") as file:
        table = pd.read_csv(file)
    return task, table[table["task"] == task].drop(columns="task").reset_index(drop=True)


def beside_entries(
    classes: Sequence[str], estimates: Mapping[str, Mapping[str, Mapping[str, Any]]]
) -> dict[str, Any] | None:
    """Where values of a run would lie among the entries, by the metric that ranked them.

    Parameters
    ----------
    classes : sequence of str
        Of the task.
    estimates : mapping
        Name -> metric -> value, low and high.

    Returns
    -------
    dict or None
        source, metric, higher_is_better, n_entries, best, median, worst, entries, standing (name,
        value, low, high, n_better: entries with a better value, and the same for the ends, with
        n_better_low of `low`). None for classes that are not the challenge's.
    """
    found = entries(classes)
    if found is None:
        return None
    task, table = found
    metric, higher = _RANKED_BY[task]
    theirs = table[metric].to_numpy(dtype=np.float64)

    def better(value: float | None) -> int | None:
        if value is None:
            return None
        return int((theirs > value if higher else theirs < value).sum())

    standing = []
    for name, by_metric in estimates.items():
        if metric in by_metric:
            ends = {end: by_metric[metric][end] for end in ("value", "low", "high")}
            counts = {
                "n_better": better(ends["value"]),
                "n_better_low": better(ends["low"]),
                "n_better_high": better(ends["high"]),
            }
            standing.append({"name": name, **ends, **counts})
    best, worst = (theirs.max(), theirs.min()) if higher else (theirs.min(), theirs.max())
    return {
        "source": SOURCE,
        "task": task,
        "metric": metric,
        "higher_is_better": higher,
        "n_entries": len(table),
        "best": float(best),
        "median": float(np.median(theirs)),
        "worst": float(worst),
        "entries": table.to_dict(orient="records"),
        "standing": standing,
    }
