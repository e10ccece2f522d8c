"""A run among the official entries of the challenge (see `beside`) as a Plotly dictionary."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kfold_hs.report.charts.base import COLOURS, Figure, empty_layout, error_bars, plain


def official(beside: Mapping[str, Any]) -> Figure:
    """Every entry as a mark, the run with its interval, and the baselines.

    Parameters
    ----------
    beside : mapping
        The summary's, of one task that the challenge has.
    """
    theirs = beside["official"]
    metric = theirs["metric"]
    shown = ".0f" if metric == "cost" else ".3f"
    entries = theirs["entries"]
    data: list[dict[str, Any]] = [
        {
            "type": "scatter",
            "mode": "markers",
            "x": [entry[metric] for entry in entries],
            "y": [0] * len(entries),
            "marker": {"color": COLOURS[1], "size": 16, "symbol": "line-ns-open"},
            "text": [plain(f"{entry['rank']}: {entry['team']}") for entry in entries],
            "hovertemplate": f"%{{text}}, %{{x:{shown}}}<extra></extra>",
            "name": "official entries, hidden test set",
        }
    ]
    for row, standing in enumerate(theirs["standing"], start=1):
        if standing["value"] is None:
            continue
        found: dict[str, Any] = {
            "type": "scatter",
            "mode": "markers",
            "x": [standing["value"]],
            "y": [row],
            "marker": {"color": COLOURS[0], "size": 10},
            "text": [standing["name"]],
            "hovertemplate": f"%{{text}}: %{{x:{shown}}}<extra></extra>",
            "name": "this run, 95 % interval",
            "showlegend": row == 1,
        }
        if standing["low"] is not None:
            found["error_x"] = error_bars([standing], COLOURS[0])
        data.append(found)
    rules = [rule for rule in beside["rules"] if rule["values"][metric] is not None]
    last = len(theirs["standing"]) + 1
    data.append(
        {
            "type": "scatter",
            "mode": "markers",
            "x": [rule["values"][metric] for rule in rules],
            "y": [last] * len(rules),
            "marker": {"color": COLOURS[5], "size": 9, "symbol": "diamond"},
            "text": [plain(rule["name"]) for rule in rules],
            "hovertemplate": f"%{{text}}: %{{x:{shown}}}<extra></extra>",
            "name": "baselines",
        }
    )
    words = ["entries", *(each["name"].replace(" the ", "<br>the ") for each in theirs["standing"])]
    layout = empty_layout(metric.replace("_", " "), "", height=130 + 44 * (last + 1))
    layout["yaxis"] |= {
        "tickvals": list(range(last + 1)),
        "ticktext": [*words, "baselines"],
        "range": [last + 0.6, -0.6],
        "zeroline": False,
    }
    return {"data": data, "layout": layout}
