"""report.html: one file that opens offline and says what the run found out.

Everything on the page comes from summary.json, history.csv and the predictions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pandas as pd
from omegaconf import OmegaConf

from kfold_hs.judge.results.learning_curves import effort, learning
from kfold_hs.judge.results.official import CHALLENGE_DATA
from kfold_hs.judge.results.sentences import is_simulated
from kfold_hs.judge.results.summary import Summary
from kfold_hs.predictions.table import Predictions
from kfold_hs.report.charts import base
from kfold_hs.report.charts.baselines import official
from kfold_hs.report.charts.curves import curve_figures
from kfold_hs.report.charts.learning import curves
from kfold_hs.report.gallery import name, view
from kfold_hs.report.render import drawing, rendered
from kfold_hs.report.traced import traced
from kfold_hs.report.tripod import SOURCE as TRIPOD_SOURCE
from kfold_hs.report.tripod import tripod

# On a scale from 0 to 1, so that they can share one axis.
_FOREST = (
    "accuracy", "balanced_accuracy", "weighted_accuracy", "sensitivity", "specificity", "macro_f1",
    "auroc", "macro_auroc", "auprc", "macro_auprc",
)  # fmt: skip


def render(
    summary: Summary,
    history: pd.DataFrame,
    predictions: Predictions,
    config: dict[str, Any] | None = None,
    gallery: dict[str, Any] | None = None,
) -> str:
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

    Returns
    -------
    str
        HTML.
    """
    # Earlier versions left these to the page, which says of none of them where it stands.
    content = summary.to_json()
    left = {
        "learning": learning(history, summary.tasks),
        "effort": effort(content["folds"]),
        "tripod": tripod(summary, config or {}),
    }
    return rendered(
        "report.html.j2",
        FILTERS,
        simulated=is_simulated(content),
        s=left | traced(_rightly_beside(content, config or {})),
        tripod_source=TRIPOD_SOURCE,
        **drawing(_figures(left | _rightly_beside(content, config or {}), history)),
        config_yaml=OmegaConf.to_yaml(OmegaConf.create(config)) if config else "",
        g=view(gallery, content, config),
        n_rows=len(predictions),
    )


def _rightly_beside(summary: dict[str, Any], config: Mapping[str, Any]) -> dict[str, Any]:
    """Without the challenge's entries where an earlier version set others' people beside them."""
    kind = (config.get("data") or {}).get("kind", summary["cohort"]["name"])
    if "simulated" in summary or "beside" not in summary or kind == CHALLENGE_DATA:
        return summary
    without = {task: {**each, "official": None} for task, each in summary["beside"].items()}
    return summary | {"beside": without}


def number(value: float | None) -> str:
    """Three decimals, thousands without, a dash for what cannot be told."""
    if value is None:
        return "–"
    # Adding 0 takes the sign off what is rounded to it.
    return f"{value:,.0f}" if abs(value) >= 100 else f"{round(value, 3) + 0:.3f}"


def signed(value: float | None) -> str:
    """As `number`, with the sign of a difference."""
    return number(value) if value is None or value < 0 else "+" + number(value)


def whole(value: float | None) -> str:
    """Without decimals, a dash for what cannot be told."""
    return "–" if value is None else f"{value:,.0f}"


def signed_whole(value: float | None) -> str:
    """As `whole`, with the sign of a difference."""
    return "–" if value is None else f"{value:+,.0f}"


def percent(share: float | None) -> str:
    """Whole percent, a dash for what cannot be told."""
    return "–" if share is None else f"{100 * share:.0f} %"


def tenths(value: float) -> str:
    """One decimal."""
    return f"{value:,.1f}"


def percent_tenths(share: float | None) -> str:
    """Percent with one decimal, a dash for what cannot be told."""
    return "–" if share is None else f"{100 * share:.1f} %"


def percent_above(share: float) -> str:
    """As `percent_tenths`, of what is above 0, with a sign."""
    return f"+{100 * max(share, 0.0):.1f} %"


def from_one(place: int | None) -> str:
    """What counts from 0, counted from 1; a dash for none."""
    return "–" if place is None else str(place + 1)


def duration(seconds: float) -> str:
    """e.g. ``41 min 07 s``."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02d} min"
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"


def energy(joules: float) -> str:
    """e.g. ``12.3 Wh``, ``1.25 kWh``."""
    hours = joules / 3600
    return f"{hours / 1000:.2f} kWh" if hours >= 1000 else f"{hours:.3g} Wh"


def place(fold: dict[str, Any]) -> str:
    """The fold's number, and which repeat and seed where it is not the first."""
    first = not fold["repeat"] and not fold["seed"]
    return f"{fold['fold']}" + ("" if first else f" (r{fold['repeat']} s{fold['seed']})")


FILTERS: dict[str, Callable[..., str]] = {
    "number": number, "signed": signed, "whole": whole, "signed_whole": signed_whole,
    "percent": percent, "percent_tenths": percent_tenths, "percent_above": percent_above,
    "tenths": tenths, "duration": duration, "energy": energy, "place": place, "from_one": from_one,
    "name": name,
}  # fmt: skip
"""How a template says what it shows."""


def _figures(summary: dict[str, Any], history: pd.DataFrame) -> dict[str, base.Figure]:
    figures, learnt = {}, summary["learning"]
    for task, result in summary["tasks"].items():
        names = [name for name in _FOREST if name in result["metrics"]]
        figures[f"forest-{task}"] = base.forest(result, names, summary["target"]["value"])
        figures[f"confusion-{task}"] = base.confusion(result)
    for task, each in summary.get("beside", {}).items():
        if each["official"]:
            figures[f"official-{task}"] = official(each)
    if "curves" in summary:
        figures |= curve_figures(summary["curves"])
    losses = {"train_loss": "training", "val_loss": "validation"}
    figures["loss"] = curves(history, losses, "loss", learnt, ["val_loss"])
    accuracies = {f"acc.{task}": task for task in summary["tasks"]}
    figures["accuracy"] = curves(history, accuracies, "accuracy", learnt, list(accuracies))
    figures["lr"] = curves(history, {"lr": "learning rate"}, "learning rate", learnt)
    figures["balance"] = base.balance(summary["split"]["balance"])
    return figures
