"""How the folds learnt (see `learning`) as Plotly dictionaries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from kfold_hs.predictions.epoch_rules import by_place
from kfold_hs.report.charts.base import (
    COLOURS,
    Figure,
    band,
    empty_layout,
    line_style,
    place_text,
    plain,
)


def curves(
    history: pd.DataFrame,
    columns: Mapping[str, str],
    y_title: str,
    learnt: Mapping[str, Any],
    marked: Sequence[str] = (),
) -> Figure:
    """Columns of the history by epoch: every fold thin, the mean thick with its band.

    Parameters
    ----------
    history : DataFrame
        repeat, seed, fold, epoch, kept, overfitting and the columns.
    columns : mapping
        Column -> name in the legend.
    learnt : mapping
        Of the same history, see `learning.learning`.
    marked : sequence of str
        Columns on which the kept epoch of every fold is marked, and where it begins to over-fit.
    """
    data: list[dict[str, Any]] = []
    for i, (column, name) in enumerate(columns.items()):
        for place, rows in by_place(history):
            label = place_text(dict(zip(("repeat", "seed", "fold"), place, strict=True)))
            data.append(
                {
                    "type": "scatter",
                    "mode": "lines",
                    "x": (rows["epoch"] + 1).tolist(),
                    "y": _numbers(rows[column]),
                    "line": line_style(i, 1),
                    "opacity": 0.6,
                    "showlegend": False,
                    "text": [plain(f"{name}, {label}")] * len(rows),
                    "hovertemplate": "%{text}, epoch %{x}: %{y:.4g}<extra></extra>",
                }
            )
        mean = learnt["columns"][column]
        data += band(learnt["epochs"], mean["low"], mean["high"], COLOURS[i % len(COLOURS)])
        data.append(
            {
                "type": "scatter",
                "mode": "lines",
                "x": learnt["epochs"],
                "y": mean["mean"],
                "line": line_style(i, 3),
                "name": plain(f"{name}, mean of the folds"),
                "text": [plain(f"{name}, mean of the folds")] * len(mean["mean"]),
                "hovertemplate": "%{text}, epoch %{x}: %{y:.4g}<extra></extra>",
            }
        )
    for i, column in enumerate(marked):
        kept = history[history["kept"]]
        data.append(_marks(kept, column, "kept epoch", "circle-open", i == 0))
        over = history[history["overfitting"]]
        first = over.loc[over.groupby(["repeat", "seed", "fold"])["epoch"].idxmin()]
        if len(first) and column == "val_loss":
            data.append(_marks(first, column, "over-fitting from here", "x", True))
    return {"data": data, "layout": empty_layout("epoch", y_title, height=360)}


def overlaid(learnt: Mapping[str, Mapping[str, Any]], column: str, y_title: str) -> Figure:
    """A column of several variants by epoch: the mean of each one's folds, with its band.

    Parameters
    ----------
    learnt : mapping
        Name of a variant -> see `learning.learning`.
    column : str
        Of the history.
    """
    data: list[dict[str, Any]] = []
    for i, (name, found) in enumerate(learnt.items()):
        mean = found["columns"][column]
        data += band(found["epochs"], mean["low"], mean["high"], COLOURS[i % len(COLOURS)])
        data.append(
            {
                "type": "scatter",
                "mode": "lines",
                "x": found["epochs"],
                "y": mean["mean"],
                "line": line_style(i, 3),
                "name": plain(name),
                "text": [plain(name)] * len(mean["mean"]),
                "hovertemplate": "%{text}, epoch %{x}: %{y:.4g}<extra></extra>",
            }
        )
    return {"data": data, "layout": empty_layout("epoch", y_title, height=360)}


def _marks(rows: pd.DataFrame, column: str, name: str, symbol: str, legend: bool) -> dict[str, Any]:
    keys = ("repeat", "seed", "fold")
    places = [dict(zip(keys, place, strict=True)) for place in rows[list(keys)].to_numpy(dtype=int)]
    return {
        "type": "scatter",
        "mode": "markers",
        "x": (rows["epoch"] + 1).tolist(),
        "y": _numbers(rows[column]),
        "marker": {"color": COLOURS[5], "size": 8, "symbol": symbol, "line": {"width": 2}},
        "name": name,
        "showlegend": legend,
        "text": [f"{name}, {place_text(place)}" for place in places],
        "hovertemplate": "%{text}, epoch %{x}: %{y:.4g}<extra></extra>",
    }


def _numbers(values: pd.Series) -> list[float | None]:
    """Plotly leaves a gap for None; JSON has no NaN."""
    return [float(value) if np.isfinite(value) else None for value in values]
