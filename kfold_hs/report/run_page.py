"""report.html: one file that opens offline and says what the run, or the evaluation, found out.

Everything on the page comes from summary.json, history.csv and the predictions; all of an
evaluation's comes from its summary.json.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd
from omegaconf import OmegaConf

from kfold_hs.errors import enumerated
from kfold_hs.judge.results.baselines import CHALLENGE_DATA
from kfold_hs.judge.results.learning_curves import effort, learning
from kfold_hs.judge.results.sentences import is_simulated
from kfold_hs.judge.results.summary import Summary
from kfold_hs.predictions.table import Predictions
from kfold_hs.report.answer import short_answers
from kfold_hs.report.charts import base
from kfold_hs.report.charts.baselines import official
from kfold_hs.report.charts.curves import abstention_figures, curve_figures
from kfold_hs.report.charts.learning import curves
from kfold_hs.report.charts.sources import sources_forest
from kfold_hs.report.gallery import view
from kfold_hs.report.render import Page, rendered
from kfold_hs.report.scale import completed, scale
from kfold_hs.report.traced import traced

MAIN = (
    "accuracy", "balanced_accuracy", "weighted_accuracy", "sensitivity", "specificity", "auroc",
    "auprc", "brier", "log_loss", "cost",
)  # fmt: skip
"""What is printed on one page."""
# On a scale from 0 to 1, so that they can share one axis.
FOREST = (
    "accuracy", "balanced_accuracy", "weighted_accuracy", "sensitivity", "specificity", "macro_f1",
    "auroc", "macro_auroc", "auprc", "macro_auprc",
)  # fmt: skip


def render(
    summary: Summary,
    history: pd.DataFrame,
    predictions: Predictions,
    config: dict[str, Any] | None = None,
    gallery: dict[str, Any] | None = None,
) -> Page:
    """The page of a run.

    Parameters
    ----------
    summary : Summary
    history : DataFrame
        All folds' epochs (history.csv of the run).
    predictions : Predictions
        Out-of-fold predictions; their number of rows is shown.
    config : dict, optional
        The run's configuration, shown as YAML.
    gallery : dict, optional
        Content of gallery.json (`report.gallery.read_gallery`).

    """
    # Earlier versions left these to the page, which says of none of them where it stands.
    content = summary.to_json()
    left = {
        "learning": learning(history, summary.tasks),
        "effort": effort(content["folds"]),
    }
    found = _rightly_beside(content, config or {})
    return rendered(
        "report.html.j2",
        _figures(left | found, history),
        simulated=is_simulated(content),
        **_first_screen(left | traced(found)),
        config_yaml=OmegaConf.to_yaml(OmegaConf.create(config)) if config else "",
        g=view(gallery, content, config),
        n_rows=len(predictions),
    )


def render_evaluation(summary: Summary) -> Page:
    """The page of imported predictions, from its summary: that of a run, less what is not known."""
    content = summary.to_json()
    return rendered(
        "evaluation.html.j2",
        _figures_of_predictions(content),
        simulated=is_simulated(content),
        **_first_screen(traced(content)),
    )


def _first_screen(summary: dict[str, Any]) -> dict[str, Any]:
    head = completed(summary)
    return {
        "s": summary,
        "head": head,
        "metric_label": metric_label(head),
        "scale": scale(summary, head),
        "four": short_answers(summary, head),
        "main": MAIN,
    }


def metric_label(head: Mapping[str, Any]) -> str:
    """The headline's metric in the words of its label, without its tasks."""
    label, tasks = str(head["label"]), list(head["tasks"])
    over = f"mean of {enumerated(tasks)}" if len(tasks) > 1 else "".join(tasks)
    for end in (f", {over}", f" ({over})"):
        label = label.removesuffix(end)
    return label.removeprefix(f"{over} ")


def _rightly_beside(summary: dict[str, Any], config: Mapping[str, Any]) -> dict[str, Any]:
    """Without the challenge's entries where an earlier version set others' people beside them."""
    kind = (config.get("data") or {}).get("kind", summary["cohort"]["name"])
    if "simulated" in summary or "beside" not in summary or kind == CHALLENGE_DATA:
        return summary
    without = {task: {**each, "official": None} for task, each in summary["beside"].items()}
    return summary | {"beside": without}


def _figures(summary: dict[str, Any], history: pd.DataFrame) -> dict[str, base.Figure]:
    figures, learnt = _figures_of_predictions(summary), summary["learning"]
    for task, each in summary.get("beside", {}).items():
        if each["official"]:
            figures[f"official-{task}"] = official(each)
    if summary.get("sources"):
        figures["sources"] = sources_forest(summary["sources"])
    losses = {"train_loss": "training", "val_loss": "validation"}
    figures["loss"] = curves(history, losses, "loss", learnt, ["val_loss"])
    accuracies = {f"acc.{task}": task for task in summary["tasks"]}
    figures["accuracy"] = curves(history, accuracies, "accuracy", learnt, list(accuracies))
    figures["lr"] = curves(history, {"lr": "learning rate"}, "learning rate", learnt)
    return figures


def _figures_of_predictions(summary: dict[str, Any]) -> dict[str, base.Figure]:
    """What needs no training to be known."""
    figures: dict[str, base.Figure] = {}
    target = base.accuracy_to_reach(summary["target"])
    for task, result in summary["tasks"].items():
        names = [name for name in FOREST if name in result["metrics"]]
        figures[f"forest-{task}"] = base.forest(result, names, target)
        if result["confusion"]:
            figures[f"confusion-{task}"] = base.confusion(result)
    if "curves" in summary:
        figures |= curve_figures(summary["curves"])
    if "abstention" in summary:
        figures |= abstention_figures(summary["abstention"])
    if summary["split"]["balance"]:
        figures["balance"] = base.balance(summary["split"]["balance"])
    return figures
