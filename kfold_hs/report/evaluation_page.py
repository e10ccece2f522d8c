"""The page of imported predictions: that of a run, without what is not known."""

from __future__ import annotations

from kfold_hs.judge.results.summary import Summary
from kfold_hs.report.charts import base
from kfold_hs.report.charts.curves import abstention_figures, curve_figures
from kfold_hs.report.render import Page, rendered
from kfold_hs.report.run_page import FOREST
from kfold_hs.report.traced import traced


def render_evaluation(summary: Summary) -> Page:
    """The page of an evaluation, from its summary alone."""
    content = summary.to_json()
    return rendered("evaluation.html.j2", _figures(content), simulated=False, s=traced(content))


def _figures(content: dict[str, base.Figure]) -> dict[str, base.Figure]:
    figures = {}
    target = base.accuracy_to_reach(content["target"])
    for task, result in content["tasks"].items():
        names = [name for name in FOREST if name in result["metrics"]]
        figures[f"forest-{task}"] = base.forest(result, names, target)
        if result["confusion"]:
            figures[f"confusion-{task}"] = base.confusion(result)
    if "curves" in content:
        figures |= curve_figures(content["curves"])
    if "abstention" in content:
        figures |= abstention_figures(content["abstention"])
    if content["split"]["balance"]:
        figures["balance"] = base.balance(content["split"]["balance"])
    return figures
