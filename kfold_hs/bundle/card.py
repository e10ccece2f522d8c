"""The model card of a bundle: README.md, from `card.md.j2`.

Mitchell et al., "Model Cards for Model Reporting", FAT* 2019.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import jinja2

from kfold_hs.config.backbones import HUB
from kfold_hs.judge.results.characteristics import rounded
from kfold_hs.judge.results.sentences import counted, ends
from kfold_hs.judge.selection.conformal import Conformal, most_promised


def card(content: Mapping[str, Any], summary: Mapping[str, Any]) -> str:
    """The card, as Markdown.

    Parameters
    ----------
    content : mapping
        bundle.json.
    summary : mapping
        summary.json of the run.
    """
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("kfold_hs.bundle", "."),
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        undefined=jinja2.StrictUndefined,
        autoescape=False,  # Markdown
    )
    environment.filters |= {
        "number": _number, "ends": ends, "counted": counted, "plain": plain, "code": code,
        "most_promised": most_promised,
    }  # fmt: skip
    split, coarse = summary["split"], "anonymous" in content
    n_test = split.get("n_test_persons", 0)
    return header(content, summary) + environment.get_template("card.md.j2").render(
        bundle=content,
        run=summary,
        # Earlier versions did not count the hold-out test persons apart.
        who=_coarse(content) if coarse else split.get("development", summary["cohort"]),
        n_all=rounded(summary["cohort"]["n_persons"]) if coarse else summary["cohort"]["n_persons"],
        n_test=rounded(n_test) if coarse else n_test,
        conformal={name: Conformal(each) for name, each in content["conformal"].items()},
    )


def _coarse(content: Mapping[str, Any]) -> dict[str, Any]:
    """Who was trained on, by the counts that a hub may see."""
    found = content["development"]["characteristics"]
    tasks = [
        {"name": name, "counts": {c: each["n"] for c, each in found["patients"][name].items()}}
        for name in content["config"]["data"]["tasks"]
        if name in found["patients"]
    ]
    return {**found, "tasks": tasks}


_OF_THE_HUB = {"auroc": "roc_auc", "brier": "brier_score"}
"""Names of metrics where the hub's are others."""


def header(content: Mapping[str, Any], summary: Mapping[str, Any]) -> str:
    """The card's metadata in the form of the Hugging Face Hub, with a result for every metric.

    The licence stands there only where somebody has said it, a base model where it is one of the
    hub's.
    """
    from huggingface_hub import EvalResult, ModelCardData

    simulated = bool(summary.get("simulated"))
    dataset = f"{summary['cohort']['name']}{' (simulated people)' * simulated}"
    of_fold = "out of fold" if content["select"]["honest"] else "out of fold, optimistic"
    results = [
        EvalResult(
            task_type="audio-classification",
            task_name=task,
            dataset_type=content["config"]["data"]["kind"],
            dataset_name=dataset,
            dataset_config=task,  # results of one data set and configuration are put together
            dataset_split=of_fold,
            metric_type=_OF_THE_HUB.get(name, name),
            metric_name=metric["label"],
            metric_value=metric["value"],
            metric_args=_interval(metric),
        )
        for task, each in summary["tasks"].items()
        for name, metric in each["metrics"].items()
        if metric["value"] is not None
    ]
    model = content["config"]["model"]
    source = model.get("source") or {}
    is_of_hub = source and source["file"] is None and model["weights"] == "source"
    tags = ["heart-sounds", "phonocardiogram", "cross-validation", "ensemble"]
    data = ModelCardData(
        base_model=source["name"].removeprefix(HUB).split("@")[0] if is_of_hub else None,
        library_name="kfold-hs",
        license=content.get("anonymous", {}).get("license"),
        metrics=sorted({each.metric_type for each in results}) or None,
        model_name=content["run"],
        pipeline_tag="audio-classification",
        tags=[*tags, *["simulated-data"] * simulated],
        eval_results=results or None,
    )
    return f"---\n{data.to_yaml()}\n---\n\n"


def _interval(metric: Mapping[str, Any]) -> dict[str, Any] | None:
    ends = [metric.get("low"), metric.get("high")]
    return None if None in ends else {"interval_95_percent": ends}


def plain(text: object) -> str:
    """A user's word as Markdown that shows it as it is, in a sentence or in a cell of a table."""
    shown = " ".join(str(text).split())
    return re.sub(r"([\\`*_\[\]<>|&~$])", r"\\\1", shown)


def code(text: object) -> str:
    """The same as code, between more backticks than are in it."""
    shown = " ".join(str(text).split()).replace("|", "\\|")
    longest = max((len(run) for run in re.findall("`+", shown)), default=0)
    fence, room = "`" * (longest + 1), " " if longest else ""
    return f"{fence}{room}{shown}{room}{fence}"


def _number(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3f}"
