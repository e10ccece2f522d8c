"""tune.html: one file that opens offline and says what a search came to.

Everything on the page is in tune.json.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kfold_hs.judge.results.search_result import SearchResult
from kfold_hs.judge.results.sentences import is_simulated, number
from kfold_hs.report.charts.base import COLOURS, Figure, plain
from kfold_hs.report.render import Page, rendered
from kfold_hs.report.traced import traced

_BEST, _WORST = COLOURS[0], COLOURS[1]
# Trials of one choice take this share of the way to the next one.
_SPREAD = 0.35


def render_tune(result: SearchResult) -> Page:
    """The page of a search."""
    content = result.to_json()
    figures = {"parallel": parallel(content)}
    if content["importances"]:
        figures["importances"] = importances(content["importances"])
    shown = traced(content)
    return rendered(
        "tune.html.j2", figures, c=shown, trials=ranked(shown), simulated=is_simulated(content)
    )


def ranked(content: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The trials, the best first, then those without a value by number."""
    sign = 1 if content["objective"]["higher_is_better"] else -1
    valued = [each for each in content["trials"] if each["value"] is not None]
    rest = [each for each in content["trials"] if each["value"] is None]
    return sorted(valued, key=lambda each: (-sign * each["value"], each["number"])) + rest


def parallel(content: Mapping[str, Any]) -> Figure:
    """A line a trial across upright axes, one a key and the last for the value, coloured by it.

    Plain lines, since Plotly's own parallel coordinates need WebGL. Choices stand at even
    distances, numbers in their order; trials that share one are spread around it, so that
    each can be pointed at.
    """
    shown = [each for each in ranked(content) if each["value"] is not None]
    axes = [
        _choices_axis(key, choices, [each["params"][key] for each in shown])
        for key, choices in content["space"]["space"].items()
        if len(choices) > 1
    ]
    axes.append(_value_axis(content["objective"]["label"], [each["value"] for each in shown]))
    places = list(range(len(axes)))
    data = [
        {
            "type": "scatter",
            "mode": "lines+markers",
            "x": places,
            "y": [axis.heights[rank] for axis in axes],
            "line": {"color": colour, "width": 1.5 if rank else 4},
            "marker": {"color": colour, "size": 7},
            "name": f"trial {trial['number']}",
            "showlegend": False,
            "text": [_label(trial, content["objective"]["label"])] * len(axes),
            "hovertemplate": "%{text}<extra></extra>",
        }
        for rank, (trial, colour) in enumerate(zip(shown, _shades(len(shown)), strict=True))
    ][::-1]  # the best is drawn last, on top
    data += [
        {
            "type": "scatter",
            "mode": "text",
            "x": [place] * len(axis.ticks),
            "y": [height for height, _ in axis.ticks],
            "text": [f" {text}" for _, text in axis.ticks],
            "textposition": "middle right",
            "hoverinfo": "skip",
            "showlegend": False,
        }
        for place, axis in zip(places, axes, strict=True)
    ]
    layout = {
        "height": 420,
        "margin": {"l": 10, "r": 10, "t": 10, "b": 10},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "hovermode": "closest",
        # Room on the right for the ticks of the last axis.
        "xaxis": {
            "tickvals": places, "ticktext": [axis.label for axis in axes], "side": "top",
            "range": [-0.15, len(axes) - 0.4], "zeroline": False, "automargin": True,
            "fixedrange": True, "tickangle": 0,
        },
        "yaxis": {"visible": False, "range": [-0.12, 1.12], "fixedrange": True},
    }  # fmt: skip
    return {"data": data, "layout": layout}


def importances(shares: Mapping[str, float]) -> Figure:
    """A bar a key, the most important one on top."""
    names = list(shares)[::-1]
    bar = {
        "type": "bar",
        "orientation": "h",
        "x": [shares[name] for name in names],
        "y": [plain(name) for name in names],
        "marker": {"color": COLOURS[0]},
        "hovertemplate": "%{y}: %{x:.0%}<extra></extra>",
    }
    layout = {
        "height": 90 + 34 * len(names),
        "margin": {"l": 10, "r": 10, "t": 10, "b": 10},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "xaxis": {
            "title": {"text": "share of the variance"}, "automargin": True, "range": [0, 1],
        },
        "yaxis": {"automargin": True, "type": "category"},
    }  # fmt: skip
    return {"data": [bar], "layout": layout}


@dataclass(frozen=True)
class _Axis:
    """Heights from 0 to 1: of every trial, and of the ticks with their texts."""

    label: str
    heights: list[float]
    ticks: list[tuple[float, str]]


def _choices_axis(key: str, choices: Sequence[Any], values: Sequence[Any]) -> _Axis:
    """The key's choices at even distances; a trial around its own, the best on top."""
    if all(isinstance(each, int | float) for each in choices):
        choices = sorted(choices)
    step = 1 / (len(choices) - 1)
    at = {each: code * step for code, each in enumerate(choices)}
    sharing = [[rank for rank, value in enumerate(values) if value == each] for each in choices]
    heights = [at[value] for value in values]
    for ranks in sharing:
        for order, rank in enumerate(ranks):
            heights[rank] += _SPREAD * step * (0.5 - (order + 0.5) / len(ranks))
    return _Axis(_broken(key), heights, [(at[each], plain(str(each))) for each in choices])


def _value_axis(label: str, values: Sequence[float]) -> _Axis:
    low, high = (min(values), max(values)) if values else (0.0, 1.0)
    span = high - low or 1.0
    heights = [(value - low) / span for value in values]
    levels = [low + part * span for part in (0, 0.25, 0.5, 0.75, 1)] if high > low else [low]
    return _Axis(plain(label).replace(", ", ",<br>"), heights, [
        ((level - low) / span, number(level)) for level in levels
    ])  # fmt: skip


def _broken(key: str) -> str:
    """A key in lines that fit between two axes."""
    return plain(key).replace(".", ".<br>").replace("_", "_<br>")


def _label(trial: Mapping[str, Any], label: str) -> str:
    """What the hover says of a trial."""
    lines = [f"trial {trial['number']}", f"{label}: {number(trial['value'])}"]
    lines += [f"{key}: {value}" for key, value in trial["params"].items()]
    return "<br>".join(plain(line) for line in lines)


def _shades(n: int) -> list[str]:
    """From the best trial's colour to the worst's."""
    if n == 0:
        return []
    ends = [[int(colour[i : i + 2], 16) for i in (1, 3, 5)] for colour in (_BEST, _WORST)]
    return [
        "#" + "".join(
            f"{round(a + (b - a) * rank / max(n - 1, 1)):02x}" for a, b in zip(*ends, strict=True)
        )
        for rank in range(n)
    ]  # fmt: skip
