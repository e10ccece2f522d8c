"""comparison.html: one file that opens offline and says which variant is better, if any.

Everything on the page is in comparison.json; intervals are drawn as SVG beside their numbers.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

from kfold_hs.judge.results.comparison_result import Comparison
from kfold_hs.judge.results.sentences import beside, is_simulated, to_decide, verdict, verdict_of
from kfold_hs.report.charts.learning import overlaid
from kfold_hs.report.render import Page, rendered
from kfold_hs.report.traced import traced

MOST_PATIENTS = 25
_WIDTH, _HEIGHT = 170, 18


def render_comparison(result: Comparison) -> Page:
    """The page of a comparison."""
    content = result.to_json()
    figures, content = learning_figures(content), traced(content)
    return rendered(
        "comparison.html.j2",
        figures,
        simulated=is_simulated(content),
        c=content,
        **_pairs(content, {"headline": content["headline"]}),
        tables={task: _pairs(content, metrics) for task, metrics in content["tasks"].items()},
        most=MOST_PATIENTS,
        verdict=verdict,
        to_decide=to_decide,
        beside=beside,
        verdict_of=verdict_of,
        bar=bar,
        reach=reach,
    )


def learning_figures(content: Mapping[str, Any]) -> dict[str, Any]:
    """Learning curves of all trained variants, laid over each other, as Plotly figures."""
    learnt = content.get("learning", {})
    if not learnt:
        return {}
    return {
        "train_loss": overlaid(learnt, "train_loss", "loss"),
        "val_loss": overlaid(learnt, "val_loss", "loss"),
        **{
            f"accuracy-{task}": overlaid(learnt, f"acc.{task}", "accuracy")
            for task in content["tasks"]
        },
    }


def _pairs(
    content: Mapping[str, Any], metrics: Mapping[str, Mapping[str, Any]]
) -> dict[str, list[dict[str, Any]]]:
    """What is shown at once (each variant against the baseline) and what on request (the others).

    Of every pair: first, second, and what was found by metric.
    """
    baseline = content["baseline"]
    shown = [
        {
            "first": baseline,
            "second": name,
            "found": {key: metric["against_baseline"][name] for key, metric in metrics.items()},
        }
        for name in content["headline"]["against_baseline"]
    ]
    others = [
        {
            "first": pair["first"],
            "second": pair["second"],
            "found": {key: metric["pairs"][number] for key, metric in metrics.items()},
        }
        for number, pair in enumerate(content["headline"]["pairs"])
        if pair["first"] != baseline
    ]
    return {"shown": shown, "others": others}


def reach(metric: Mapping[str, Any]) -> float:
    """Half the width of the axis that all of a metric's differences fit on."""
    ends = [0.0]
    for each in [*metric["pairs"], *metric["effects"]]:
        apart = each["difference"]
        ends += [abs(apart[end]) for end in ("value", "low", "high") if apart[end] is not None]
        ends.append(1.5 * each["margin"])
    return max(ends) or 1.0


def bar(found: Mapping[str, Any], half: float) -> Markup:
    """A difference with its interval, 0 and the region of practical equivalence, as SVG.

    Parameters
    ----------
    found : mapping
        `judge.stats.paired.compare`'s.
    half : float
        What the axis reaches to on either side of 0.
    """
    apart = found["difference"]
    if apart["low"] is None:
        return Markup("")

    def x(value: float) -> float:
        return round(_WIDTH / 2 * (1 + 0.96 * value / half), 1)

    middle, low, high = _HEIGHT / 2, x(apart["low"]), x(apart["high"])
    margin = x(-found["margin"]), x(found["margin"])
    return Markup(
        '<svg class="bar {kind}" width="{w}" height="{h}" viewBox="0 0 {w} {h}" aria-hidden="true">'
        '<rect class="rope" x="{m0}" y="0" width="{mw}" height="{h}"/>'
        '<line class="zero" x1="{zero}" x2="{zero}" y1="0" y2="{h}"/>'
        '<line class="span" x1="{low}" x2="{high}" y1="{y}" y2="{y}"/>'
        '<circle cx="{value}" cy="{y}" r="4"/></svg>'
    ).format(
        kind=found["verdict"].split()[0], w=_WIDTH, h=_HEIGHT, m0=margin[0],
        mw=round(margin[1] - margin[0], 1), zero=x(0), low=low, high=high, y=middle,
        value=x(apart["value"]),
    )  # fmt: skip
