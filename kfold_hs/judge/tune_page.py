"""tune.html: one file that opens offline and says what a search came to.

Everything on the page is in tune.json.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from kfold_hs.judge.charts import COLOURS, Figure, plain
from kfold_hs.judge.page import drawing, environment
from kfold_hs.judge.words import number


def render_tune(content: Mapping[str, Any]) -> str:
    """The page of a search.

    Parameters
    ----------
    content : mapping
        Of tune.json (`kfold_hs.tuning.tune`).

    Returns
    -------
    str
        HTML.
    """
    figures = {"parallel": parallel(content)}
    if content["importances"]:
        figures["importances"] = importances(content["importances"])
    template = environment({"number": number}).get_template("tune.html.j2")
    return template.render(c=content, trials=ranked(content), **drawing(figures))


def ranked(content: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The trials, the best first, then those without a value by number."""
    sign = 1 if content["objective"]["higher_is_better"] else -1
    valued = [each for each in content["trials"] if each["value"] is not None]
    rest = [each for each in content["trials"] if each["value"] is None]
    return sorted(valued, key=lambda each: (-sign * each["value"], each["number"])) + rest


def parallel(content: Mapping[str, Any]) -> Figure:
    """Parallel coordinates of all trials with a value: a line a trial, coloured by it."""
    shown = [each for each in content["trials"] if each["value"] is not None]
    values = [each["value"] for each in shown]
    label, up = content["objective"]["label"], content["objective"]["higher_is_better"]
    dimensions = [
        _dimension(key, choices, [each["params"][key] for each in shown])
        for key, choices in content["space"]["space"].items()
        if len(choices) > 1
    ]
    dimensions.append({"label": plain(label), "values": values})
    line = {
        "color": values,
        "colorscale": [[0, COLOURS[1]], [1, COLOURS[0]]],
        "reversescale": not up,
        "showscale": True,
    }
    return {
        "data": [{"type": "parcoords", "dimensions": dimensions, "line": line}],
        "layout": {
            "height": 420,
            "margin": {"l": 80, "r": 60, "t": 60, "b": 30},
            "paper_bgcolor": "rgba(0,0,0,0)",
        },
    }


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


def _dimension(key: str, choices: Sequence[Any], values: Sequence[Any]) -> dict[str, Any]:
    """An axis: the key's choices at even distances, numbers in their order."""
    if all(isinstance(each, int | float) for each in choices):
        choices = sorted(choices)
    codes = {each: code for code, each in enumerate(choices)}
    return {
        "label": plain(key),
        "values": [codes[value] for value in values],
        "range": [0, len(choices) - 1],
        "tickvals": list(range(len(choices))),
        "ticktext": [plain(str(each)) for each in choices],
    }
