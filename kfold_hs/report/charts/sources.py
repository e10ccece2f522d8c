"""Forest plot of the sources that a run held out, and of the next one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from kfold_hs.report.charts.base import COLOURS, Figure, empty_layout, error_bars, plain


def sources_forest(found: Mapping[str, Any]) -> Figure:
    """Accuracy (mean of the tasks) of every source, their mean, and where a further one lies.

    Parameters
    ----------
    found : mapping
        ``sources`` of a summary.
    """
    rows = found["rows"]
    names = [plain(row["source"]) for row in rows]
    data = [_marks([row["mean_accuracy"] for row in rows], names, "one model each, 95 % interval")]
    overall = found["mean_accuracy"]
    if overall["value"] is not None:
        mean = {"value": overall["value"], "low": overall["mean_low"], "high": overall["mean_high"]}
        names.append("mean of all")
        data.append(_marks([mean], names[-1:], "mean, 95 % interval", 2, "diamond"))
    if overall["low"] is not None:
        names.append(f"another {plain(found['column'])}")
        data.append(_marks([overall], names[-1:], "95 % prediction interval", 5, "line-ns-open"))
    title = "accuracy, mean of the tasks" if len(found["next"]) > 1 else "accuracy"
    layout = empty_layout(title, "", height=130 + 34 * len(names))
    layout["yaxis"] |= {
        "type": "category",
        "categoryorder": "array",
        "categoryarray": names,
        "autorange": "reversed",
    }
    layout["xaxis"] |= {"range": [-0.02, 1.02]}
    return {"data": data, "layout": layout}


def _marks(
    values: Sequence[Mapping[str, Any]],
    names: Sequence[str],
    legend: str,
    colour: int = 0,
    symbol: str = "circle",
) -> dict[str, Any]:
    known = [
        (name, each) for name, each in zip(names, values, strict=True) if each["value"] is not None
    ]
    return {
        "type": "scatter",
        "mode": "markers",
        "x": [each["value"] for _, each in known],
        "y": [name for name, _ in known],
        "marker": {"color": COLOURS[colour], "size": 10, "symbol": symbol, "line": {"width": 2}},
        "error_x": error_bars([each for _, each in known], COLOURS[colour])
        | {"thickness": 4 if colour == 5 else 2},
        "hovertemplate": "%{y}: %{x:.3f}<extra></extra>",
        "name": legend,
    }
