"""learning_curve.html: one file that opens offline and says whether more people would help."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kfold_hs.judge.results.people_curve import MORE_PEOPLE, PeopleCurve
from kfold_hs.judge.results.sentences import is_simulated
from kfold_hs.report.charts.base import COLOURS, Figure, band, empty_layout, error_bars
from kfold_hs.report.render import Page, rendered
from kfold_hs.report.traced import traced


def render_people_curve(result: PeopleCurve) -> Page:
    """The page of a learning curve."""
    content = result.to_json()
    curves = {"headline": content["headline"]} | {
        f"{task}-{name}": metric
        for task, metrics in content["tasks"].items()
        for name, metric in metrics.items()
        if name in {"auroc", "macro_auroc"}
    }
    figures = {name: curve_figure(each) for name, each in curves.items()}
    return rendered(
        "people_curve.html.j2",
        figures,
        c=traced(content),
        labels={name: each["label"] for name, each in curves.items()},
        simulated=is_simulated(content),
        more_people=MORE_PEOPLE,
    )


def curve_figure(curve: Mapping[str, Any]) -> Figure:
    """Values with intervals by training people, and the law with its band up to twice as many."""
    line, points = curve["line"], [p for p in curve["points"] if p["value"] is not None]
    data: list[dict[str, Any]] = []
    if line:
        x = [each["n_people"] for each in line]
        data += band(x, [e["low"] for e in line], [e["high"] for e in line], COLOURS[1])
        data.append(
            {
                "type": "scatter",
                "mode": "lines",
                "x": x,
                "y": [each["value"] for each in line],
                "line": {"color": COLOURS[1], "width": 3, "dash": "dash"},
                "name": "inverse power law, 95 % band",
                "hovertemplate": "%{x:.0f} people: %{y:.3f}<extra></extra>",
            }
        )
    data.append(
        {
            "type": "scatter",
            "mode": "markers",
            "x": [each["n_people"] for each in points],
            "y": [each["value"] for each in points],
            "error_y": error_bars(points, COLOURS[0]),
            "marker": {"color": COLOURS[0], "size": 11},
            "name": "measured, 95 % interval",
            "hovertemplate": "%{x:.0f} people: %{y:.3f}<extra></extra>",
        }
    )
    return {"data": data, "layout": empty_layout("people trained on", curve["label"], height=380)}
