"""The curves of a run (see `curves`) as Plotly dictionaries, ready for the page."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from kfold_hs.report.charts.base import (
    COLOURS,
    Figure,
    band,
    empty_layout,
    error_bars,
    line_style,
    place_text,
    plain,
)

Trace = dict[str, Any]
_HEIGHT = 380
_OF_VERSION = {"as configured": COLOURS[1], "temperature": COLOURS[3], "Platt": COLOURS[0]}


def curve_figures(curves: Mapping[str, Any]) -> dict[str, Figure]:
    """Every figure of the section, by name: ``<kind>-<task>``.

    Parameters
    ----------
    curves : mapping
        The summary's `curves`.
    """
    found = {}
    for task, each in curves["tasks"].items():
        found[f"roc-{task}"] = roc(each["roc"])
        found[f"pr-{task}"] = precision_recall(each["pr"])
        if each["calibration"]:  # not of scores
            found[f"calibration-{task}"] = calibration(each["calibration"]["versions"])
            found[f"decision-{task}"] = decision(each["decision"])
        if each["cost"]:
            found[f"cost-{task}"] = cost(each["cost"])
    return found


def roc(curve: Mapping[str, Any]) -> Figure:
    """True over false positive rate, from (0, 0); chance is the diagonal."""
    chance = _line([0, 1], [0, 1], "chance", "#8b949e", dash="dot", width=1)
    data = [*_with_folds(curve, "true positive rate", start=0.0), chance]
    return _figure(data, "false positive rate", "true positive rate", [0, 1], [0, 1.01])


def precision_recall(curve: Mapping[str, Any]) -> Figure:
    """Precision over recall; chance is the share of positives."""
    share = curve["share"]
    chance = _line([0, 1], [share, share], "chance", "#8b949e", dash="dot", width=1)
    data = [*_with_folds(curve, "precision"), chance]
    return _figure(data, "recall", "precision", [0, 1], [0, 1.01])


def calibration(versions: Mapping[str, Mapping[str, Any]]) -> Figure:
    """Share of positives over the mean probability of each bin, before and after scaling."""
    # Three sets of intervals on one another cannot be read: a click shows the third.
    return reliability(versions, _OF_VERSION, {"temperature"})


def reliability(
    versions: Mapping[str, Mapping[str, Any]], colours: Mapping[str, str], hidden: Collection[str]
) -> Figure:
    """The bins of several versions of the probabilities; of some only the name, until a click."""
    ideal = _line([0, 1], [0, 1], "what is said", "#8b949e", dash="dot", width=1)
    data = [ideal]
    for name, version in versions.items():
        bins, colour = version["bins"], colours[name]
        data.append(
            {
                "type": "scatter",
                "mode": "lines+markers",
                "x": [each["predicted"] for each in bins],
                "y": [each["observed"] for each in bins],
                "error_y": error_bars(bins, colour, "observed") | {"thickness": 1, "width": 3},
                "line": {"color": colour, "width": 2},
                "marker": {"color": colour, "size": 7},
                "name": name,
                "visible": "legendonly" if name in hidden else True,
                "text": [f"{name}, {each['n_patients']} patients" for each in bins],
                "hovertemplate": "%{text}: said %{x:.3f}, seen %{y:.3f}<extra></extra>",
            }
        )
    return _figure(data, "mean probability of the bin", "share of positives", [0, 1], [0, 1.01])


def decision(curves: Mapping[str, Any]) -> Figure:
    """Net benefit over the threshold probability, beside treating all and none."""
    x = curves["x"]
    data = [
        _line(x, curves["all"], "treat all", "#8b949e", dash="dash", width=2),
        _line([x[0], x[-1]], [0, 0], "treat none", "#8b949e", dash="dot", width=2),
    ]
    for name, curve in curves["versions"].items():
        if name == "temperature":
            continue
        colour = _OF_VERSION[name]
        data += band(x, curve["low"], curve["high"], colour)
        data.append(_line(x, curve["value"], name, colour))
    top = curves["all"][0] or 0.0  # the share of positives: nothing is worth more
    return _figure(
        data, "threshold probability", "net benefit", [0, 1], [-0.25 * top - 0.02, 1.1 * top + 0.01]
    )


def cost(curve: Mapping[str, Any]) -> Figure:
    """The challenge's cost over the referral threshold, with the cross-fitted thresholds."""
    data = _with_folds(curve, "cost")
    data[-1]["text"] = [f"{100 * share:.0f} % referred" for share in curve["share_referred"]]
    data[-1]["hovertemplate"] = "threshold %{x:.2f}, %{text}: cost %{y:,.0f}<extra></extra>"
    if curve["chosen"]:
        level = curve["crossfit"]["value"]
        data.append(
            {
                "type": "scatter",
                "mode": "markers",
                "x": [each["threshold"] for each in curve["chosen"]],
                "y": [level] * len(curve["chosen"]),
                "marker": {
                    "color": COLOURS[5], "size": 14, "symbol": "line-ns-open", "line": {"width": 2},
                },
                "name": "chosen on the other folds, at what they cost",
                "text": [place_text(each) for each in curve["chosen"]],
                "hovertemplate": "%{text}: %{x:.3f}<extra></extra>",
            }
        )  # fmt: skip
    refer = plain(" or ".join(curve["refer"]))
    shown = [v for name in ("value", "high") for v in curve[name] if v is not None]
    top = max(shown) * 1.05 if shown else 1.0
    # Two lines: on paper and on a telephone one would be cut.
    return _figure(data, f"referral threshold,<br>P({refer})", "cost", [0, 1], [0, top])


def abstention_figures(abstention: Mapping[str, Any]) -> dict[str, Figure]:
    """Of every task: errors among those answered, and who is answered.

    Parameters
    ----------
    abstention : mapping
        The summary's `abstention`.
    """
    found = {}
    for task, each in abstention["tasks"].items():
        found[f"risk-{task}"] = risk_coverage(each["curve"])
        found[f"answered-{task}"] = who_is_answered(each["curve"])
    return found


def risk_coverage(curve: Mapping[str, Any]) -> Figure:
    """Share of errors over the share of patients answered: of all with a band, of each class."""
    x, classes = curve["x"], curve["classes"].items()
    data = [_of_class(x, each["error"]["value"], name, i) for i, (name, each) in enumerate(classes)]
    data += band(x, curve["low"], curve["high"], COLOURS[0])
    data.append(_line(x, curve["value"], "all", COLOURS[0]))
    return _figure(data, "share of patients answered", "share of errors", [0, 1], [0, 1.01])


def who_is_answered(curve: Mapping[str, Any]) -> Figure:
    """Share of each class that is answered; on the diagonal every class is treated alike."""
    x, classes = curve["x"], curve["classes"].items()
    data = [_line([0, 1], [0, 1], "all", "#8b949e", dash="dot", width=1)]
    for i, (name, each) in enumerate(classes):
        part = each["answered"]
        data += band(x, part["low"], part["high"], COLOURS[(i + 1) % len(COLOURS)])
        data.append(_of_class(x, part["value"], name, i))
    return _figure(
        data, "share of patients answered", "share of the class answered", [0, 1], [0, 1.01]
    )


def _of_class(x: Sequence[float], y: Sequence[float | None], name: str, i: int) -> Trace:
    """A line of the i-th class."""
    style = line_style(i + 1, 2)
    line = _line(x, y, plain(name), style["color"], width=2, dash=style["dash"])
    hover = "%{text}: %{y:.3f} at %{x:.2f}<extra></extra>"
    return line | {"text": [plain(name)] * len(x), "hovertemplate": hover}


def _with_folds(curve: Mapping[str, Any], says: str, start: float | None = None) -> list[Trace]:
    """Every fold thin, the band, the mean thick; `start` is where all begin at 0."""
    first_x, first_y = ([], []) if start is None else ([0], [start])
    x = [*first_x, *curve["x"]]
    data = []
    for fold in curve["folds"]:
        thin = _line(x, [*first_y, *fold["value"]], "", COLOURS[1], width=1)
        label = place_text(fold)
        hover = f"{label}: {says} %{{y:.3f}} at %{{x:.2f}}<extra></extra>"
        data.append(thin | {"opacity": 0.55, "showlegend": False, "hovertemplate": hover})
    if data:
        data[0] |= {"name": "one fold", "showlegend": True}
    data += band(curve["x"], curve["low"], curve["high"], COLOURS[0])
    mean = _line(x, [*first_y, *curve["value"]], "all folds", COLOURS[0])
    mean["hovertemplate"] = f"{says} %{{y:.3f}} at %{{x:.2f}}<extra></extra>"
    return [*data, mean]


def _line(
    x: Sequence[float], y: Sequence[float | None], name: str, colour: str, **style: str | float
) -> Trace:
    """A line; `style` is Plotly's, as `dash` and `width` (3 px)."""
    return {
        "type": "scatter",
        "mode": "lines",
        "x": list(x),
        "y": list(y),
        "line": {"color": colour, "width": 3, "dash": "solid", **style},
        "name": name,
        "hovertemplate": f"{name} %{{y:.3f}} at %{{x:.2f}}<extra></extra>",
    }


def _figure(
    data: list[Trace], x_title: str, y_title: str, x_range: list[float], y_range: list[float]
) -> Figure:
    layout = empty_layout(x_title, y_title, _HEIGHT)
    layout["xaxis"]["range"] = x_range
    layout["yaxis"]["range"] = y_range
    return {"data": data, "layout": layout}
