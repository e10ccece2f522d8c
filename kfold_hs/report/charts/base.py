"""Figures of a run as Plotly dictionaries: data and layout, ready for the page.

Colours are those of Okabe & Ito (2008), which people with colour-blindness can tell apart,
the pale ones darkened until they stand out from white by 3:1 (WCAG 2.2, 1.4.11); grid and
text colours are left to the page, which knows whether it is dark.
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

Figure = dict[str, Any]

COLOURS = ("#0072B2", "#C08000", "#009E73", "#C46E9D", "#2F93CF", "#D55E00", "#938A00")
DASHES = ("solid", "dash", "dot", "dashdot")
"""Of lines, and below of bars: told apart where there are more than colours."""
_PATTERNS = ("", "/", "x", ".", "\\", "+")
_FEW_CLASSES = 5
"""Up to so many a cell of a confusion matrix has room for its share on a telephone."""


def line_style(i: int, width: int) -> dict[str, Any]:
    """Of the i-th of several lines: colours come round again with other dashes."""
    dash = DASHES[i // len(COLOURS) % len(DASHES)]
    return {"color": COLOURS[i % len(COLOURS)], "width": width, "dash": dash}


def forest(result: Mapping[str, Any], names: Sequence[str], target: float | None = None) -> Figure:
    """Pooled value with its interval and every fold's value, for metrics of one task.

    Parameters
    ----------
    result : mapping
        One of the summary's tasks.
    names : sequence of str
        Metrics on a scale from 0 to 1.
    target : float, optional
        Drawn as a line across the row of the accuracy.
    """
    data: list[dict[str, Any]] = []
    if target is not None and "accuracy" in names:
        row = names.index("accuracy")
        data.append(
            {
                "type": "scatter",
                "mode": "lines",
                "x": [target, target],
                "y": [row - 0.45, row + 0.45],
                "line": {"color": COLOURS[5], "width": 2, "dash": "dot"},
                "name": f"target {target:g} (accuracy)",
                "hovertemplate": "target %{x}<extra></extra>",
            }
        )
    for row, name in enumerate(names):
        metric = result["metrics"][name]
        folds = [fold for fold in metric["folds"] if fold["value"] is not None]
        data.append(
            {
                "type": "scatter",
                "mode": "markers",
                "x": [fold["value"] for fold in folds],
                "y": [row - 0.22] * len(folds),
                "marker": {
                    "color": COLOURS[1],
                    "size": 10,
                    "symbol": "line-ns-open",
                    "line": {"width": 2},
                },
                "text": [place_text(fold) for fold in folds],
                "hovertemplate": "%{text}: %{x:.3f}<extra></extra>",
                "name": "one fold",
                "showlegend": row == 0,
            }
        )
        for i, what in enumerate(("repeat", "seed")):
            apart = [e for e in metric.get(f"{what}s", []) if e["value"] is not None]
            if len(apart) > 1:
                data.append(_apart(apart, what, row + 0.2 + 0.13 * i, COLOURS[2 + i], row == 0))
        if metric["value"] is None:
            continue
        whole = {
            "type": "scatter",
            "mode": "markers",
            "x": [metric["value"]],
            "y": [row],
            "marker": {"color": COLOURS[0], "size": 10},
            "text": [metric["label"]],
            "hovertemplate": "%{text}: %{x:.3f}<extra></extra>",
            "name": "all folds, 95 % interval",
            "showlegend": row == 0,
        }
        if metric["low"] is not None:
            whole["error_x"] = error_bars([metric], COLOURS[0])
        data.append(whole)
    # Long labels would leave no room for the marks on a phone.
    labels = [result["metrics"][name]["label"].replace(" (", "<br>(") for name in names]
    layout = empty_layout("", "", height=120 + 46 * len(names))
    layout["yaxis"] |= {
        "tickvals": list(range(len(names))),
        "ticktext": labels,
        "autorange": "reversed",
        "zeroline": False,
    }
    layout["xaxis"] |= {"range": [_below(result, names, target), 1.02]}
    return {"data": data, "layout": layout}


def _apart(
    values: Sequence[Mapping[str, Any]], what: str, y: float, colour: str, legend: bool
) -> dict[str, Any]:
    """A row of repeats or seeds in the forest plot."""
    return {
        "type": "scatter",
        "mode": "markers",
        "x": [each["value"] for each in values],
        "y": [y] * len(values),
        "marker": {"color": colour, "size": 8, "symbol": "diamond-open", "line": {"width": 2}},
        "text": [f"{what} {each[what]}" for each in values],
        "hovertemplate": "%{text}: %{x:.3f}<extra></extra>",
        "name": f"one {what}",
        "showlegend": legend,
    }


def band(
    x: Sequence[float],
    low: Sequence[float | None],
    high: Sequence[float | None],
    colour: str,
) -> list[dict[str, Any]]:
    """The area between two ends, where there are both; nothing where there are none."""
    ends = [
        (at, below, above)
        for at, below, above in zip(x, low, high, strict=True)
        if below is not None and above is not None
    ]
    if not ends:
        return []
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    at, lows, highs = ([each[i] for each in ends] for i in range(3))
    return [
        {
            "type": "scatter",
            "mode": "lines",
            "x": at + at[::-1],
            "y": lows + highs[::-1],
            "fill": "toself",
            "fillcolor": f"rgba({red},{green},{blue},0.18)",
            "line": {"width": 0},
            "hoverinfo": "skip",
            "hovertemplate": "",
            "showlegend": False,
            "name": "band",
        }
    ]


def error_bars(
    found: Sequence[Mapping[str, Any]], colour: str, value: str = "value"
) -> dict[str, Any]:
    """Intervals around values, for `error_x` or `error_y`; no length where there is none.

    Parameters
    ----------
    found : sequence of mapping
        `value`, low and high.
    """

    def half(each: Mapping[str, Any], end: str) -> float:
        return 0.0 if each[end] is None else abs(each[end] - each[value])

    return {
        "type": "data",
        "symmetric": False,
        "array": [half(each, "high") for each in found],
        "arrayminus": [half(each, "low") for each in found],
        "color": colour,
    }


def confusion(result: Mapping[str, Any]) -> Figure:
    """Counts, coloured by the share of the true class, which is written where there is room."""
    counts = np.asarray(result["confusion"])
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    classes = [plain(name) for name in result["classes"]]
    is_small = len(classes) <= _FEW_CLASSES
    both = [
        [f"{counts[i, j]}<br>{share[i, j]:.0%}" for j in range(len(classes))]
        for i in range(len(classes))
    ]
    bare = [[str(n or "") for n in row] for row in counts.tolist()]
    data = {
        "type": "heatmap",
        "z": share.tolist(),
        "x": classes,
        "y": classes,
        "zmin": 0,
        "zmax": 1,
        # Pale enough for one dark text colour on all of it, whatever the page around it.
        "colorscale": [[0, "#f7f9fc"], [1, "#6aa5dd"]],
        "textfont": {"color": "#10151a", "size": 14 if is_small else 11},
        "xgap": 2,
        "ygap": 2,
        "text": both if is_small else bare,
        "texttemplate": "%{text}",
        "showscale": False,
        "customdata": both,
        "hovertemplate": "%{y} called %{x}: %{customdata}<extra></extra>",
    }
    height = 120 + (70 if is_small else 36) * len(classes)
    layout = empty_layout("called by the model", "label", height=height)
    layout["yaxis"] |= {"autorange": "reversed", "type": "category", "showgrid": False}
    layout["xaxis"] |= {"type": "category", "showgrid": False}
    return {"data": [data], "layout": layout}


def balance(rows: Sequence[Mapping[str, Any]]) -> Figure:
    """How many people of every class each fold holds."""
    shown = [row for row in rows if row["kind"] == "label" and "+" not in row["task"]]
    n_folds = len(shown[0]["counts"])
    data = [
        {
            "type": "bar",
            "x": [f"fold {fold}" for fold in range(n_folds)],
            "y": list(row["counts"]),
            "name": plain(f"{row['task']} {row['class']}"),
            "marker": {
                "color": COLOURS[i % len(COLOURS)],
                "pattern": {"shape": _PATTERNS[i // len(COLOURS) % len(_PATTERNS)]},
            },
            "text": [plain(f"{row['task']} {row['class']}")] * n_folds,
            "textposition": "none",
            "hovertemplate": "%{x}, %{text}: %{y}<extra></extra>",
        }
        for i, row in enumerate(shown)
    ]
    layout = empty_layout("", "people", height=340)
    layout["barmode"] = "group"
    return {"data": data, "layout": layout}


def lr_page(table: pd.DataFrame, steepest: float, lowest: float) -> str:
    """A page of its own for a learning-rate range test: loss over rate, the suggestion marked."""
    figure = go.Figure()
    figure.add_scatter(
        x=table["lr"], y=table["loss"], name="loss of a step", line={"color": "#bbbbbb"}
    )
    figure.add_scatter(
        x=table["lr"], y=table["smoothed"], name="smoothed", line={"color": COLOURS[0]}
    )
    for rate, text in ((steepest, "falls fastest"), (lowest, "lowest")):
        figure.add_vline(x=rate, line_dash="dash", annotation_text=f"{text}: {rate:.1e}")
    figure.update_layout(
        title="Learning-rate range test", template="plotly_white",
        xaxis={"type": "log", "title": "learning rate"}, yaxis={"title": "training loss"},
    )  # fmt: skip
    page: str = figure.to_html(include_plotlyjs=True, full_html=True)
    return page


def empty_layout(x_title: str, y_title: str, height: int) -> dict[str, Any]:
    # A title beside the axis is as long as the axis is high: Plotly would cut it.
    lines = textwrap.wrap(y_title, max(16, (height - 130) // 8), break_long_words=False)
    return {
        "height": height,
        "margin": {"l": 10, "r": 10, "t": 10, "b": 10},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "hovermode": "closest",
        # Below everything, however many lines the axis titles take.
        "legend": {"orientation": "h", "yref": "container", "y": 0, "yanchor": "bottom", "x": 0},
        "xaxis": {"title": {"text": x_title}, "automargin": True},
        "yaxis": {"title": {"text": "<br>".join(lines)}, "automargin": True},
    }


def accuracy_to_reach(target: Mapping[str, Any]) -> float | None:
    """The target of a summary, where it is one of the accuracy; else None."""
    is_accuracy = target["metric"] == "accuracy"
    return target["value"] if is_accuracy else None


def _below(result: Mapping[str, Any], names: Sequence[str], target: float | None) -> float:
    """Where an axis of shares may begin so that nothing is cut: a whole tenth, at least 0."""
    shown = [result["metrics"][name] for name in names]
    values = [fold["value"] for metric in shown for fold in metric["folds"]]
    values += [metric["low"] for metric in shown] + [target]
    return max(
        0.0, float(np.floor(10 * min(v for v in [*values, 1.0] if v is not None) - 0.3)) / 10
    )


def place_text(place: Mapping[str, Any]) -> str:
    return f"repeat {place['repeat']}, seed {place['seed']}, fold {place['fold']}"


def plain(text: str) -> str:
    """Plotly reads some HTML in every text that it draws; a class name is not HTML."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
