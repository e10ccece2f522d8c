"""validation.html: one file that opens offline and says what a bundle is worth on other people.

Everything on the page is in validation.json.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kfold_hs.judge.results.sentences import is_simulated
from kfold_hs.judge.results.validation import AS_PREDICTED, NOT_RECORDED, SHIPPED
from kfold_hs.judge.results.validation_result import Validation
from kfold_hs.judge.selection.recalibrated import BOTH, INTERCEPT
from kfold_hs.report.charts.base import COLOURS, Figure, empty_layout, error_bars
from kfold_hs.report.charts.curves import reliability
from kfold_hs.report.render import Page, rendered
from kfold_hs.report.traced import traced

MOST_SHOWN = 10
"""Patients who could not be scored, by name; all are in predictions.csv."""
_COLOURS = {AS_PREDICTED: COLOURS[1], BOTH: COLOURS[0], SHIPPED: COLOURS[3], INTERCEPT: COLOURS[2]}
_SIDES = (("external", "these people", -0.14), ("internal", "cross-validation", 0.14))
_SYMBOLS = ("circle", "diamond")


def render_validation(result: Validation) -> Page:
    """The page of an external validation."""
    content = result.to_json()
    figures = calibration_figures(content)
    for task, each in content["tasks"].items():
        figures[f"metrics-{task}"] = both_sides(each["metrics"])
    return rendered(
        "validation.html.j2",
        figures,
        simulated=is_simulated(content),
        c=traced(content),
        as_predicted=AS_PREDICTED,
        not_recorded=NOT_RECORDED,
        most=MOST_SHOWN,
    )


def calibration_figures(content: Mapping[str, Any]) -> dict[str, Figure]:
    """The calibration curves of every task's probabilities, as predicted and recalibrated."""
    found, hidden = {}, {SHIPPED, INTERCEPT}
    for task, each in content["tasks"].items():
        curves = {name: version["curve"] for name, version in each["versions"].items()}
        found[f"calibration-{task}"] = reliability(curves, _COLOURS, hidden)
    return found


def both_sides(metrics: Mapping[str, Mapping[str, Any]]) -> Figure:
    """Metrics on a scale from 0 to 1: these people above, the cross-validation below."""
    shown = [each for each in metrics.values() if each["is_share"]]
    data, ends = [], [1.0]
    for place, (side, name, offset) in enumerate(_SIDES):
        points = [
            (row + offset, each[side])
            for row, each in enumerate(shown)
            if each[side] is not None and each[side]["value"] is not None
        ]
        if not points:
            continue
        drawn = [each for _, each in points]
        ends += [each["value"] if each["low"] is None else each["low"] for each in drawn]
        data.append(
            {
                "type": "scatter",
                "mode": "markers",
                "x": [each["value"] for each in drawn],
                "y": [row for row, _ in points],
                "marker": {"color": COLOURS[place], "size": 10, "symbol": _SYMBOLS[place]},
                "error_x": error_bars(drawn, COLOURS[place]),
                "name": f"{name}, 95 % interval",
                "hovertemplate": f"{name}: %{{x:.3f}}<extra></extra>",
            }
        )  # fmt: skip
    layout = empty_layout("", "", height=130 + 46 * len(shown))
    layout["yaxis"] |= {
        "tickvals": list(range(len(shown))),
        "ticktext": [each["label"].replace(" (", "<br>(") for each in shown],
        "range": [len(shown) - 0.5, -0.5],
        "zeroline": False,
    }
    layout["xaxis"] |= {"range": [max(0.0, min(ends) - 0.03), 1.02]}
    return {"data": data, "layout": layout}
