"""Sections of a paper on how good the models are: performance, calibration, decisions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from kfold_hs.judge.results.for_papers import EXTERNAL, INTERNAL
from kfold_hs.report.formats import FORMATS, interval, labelled
from kfold_hs.report.paper.content import (
    Block,
    Figure,
    Section,
    Sources,
    Text,
    in_one,
    with_ends,
)
from kfold_hs.report.tables import Content, Table

number, percent, whole = (FORMATS[n] for n in ("number", "percent", "whole"))
THRESHOLDS = (0.05, 0.1, 0.2, 0.3, 0.5)
_OF_MODEL = {"intercept": "calibration intercept", "slope": "calibration slope", "o_e": "O:E"}


def performance(s: Sources) -> Section:
    """Every metric of every task, inside and outside."""
    head = s.summary["headline"]
    primary = f"{head.get('label', 'accuracy, mean of the tasks')} (primary)"
    table = Table(
        "performance",
        "Primary metric",
        ["metric", "value", "95 % interval"],
        {0: "text"},
        label="primary",
    )
    table.row(primary, *with_ends(head))
    blocks: list[Block] = [table]
    for task, result in s.summary["tasks"].items():
        there = (s.validation or {}).get("tasks", {}).get(task)
        table = Table(
            "performance",
            f"{task}; positive class {result['positive']}",
            [
                "metric",
                s.inside,
                "95 % interval",
                "of these models",
                *(["external", "95 % interval"] if there else []),
            ],
            {0: "text"},
            label=task,
        )
        for key, metric in result["metrics"].items():
            cells = [labelled(metric), *with_ends(metric)]
            same = metric.get("these_models")
            cells.append("–" if same is None or same["value"] is None else interval(same))
            if head.get("key") == f"{task}.{key}":
                cells[0] = [cells[0], " (primary)"]
            if there:
                cells += with_ends(there["metrics"].get(key, {}).get("external"))
            table.row(*cells)
        blocks.append(table)
    methods = dict.fromkeys(
        m["method"]
        for t in s.summary["tasks"].values()
        for m in t["metrics"].values()
        if m["method"]
    )
    blocks.append(Text(["Intervals: ", "; ".join(methods), "."]))
    return Section("performance", "Performance", blocks)


def calibration(s: Sources) -> Section:
    """Intercept, slope and O:E, and the curves as tables and figures."""
    blocks: list[Block] = [
        Text(
            "Of the positive class; every patient counts once a repeat. The intercept is that of a "
            "slope fixed at 1 (calibration in the large), the slope has an intercept of its own. "
            "Best are an intercept of 0, a slope of 1 and an O:E of 1."
        )
    ]
    for task, each in s.summary.get("curves", {}).get("tasks", {}).items():
        versions = (each.get("calibration") or {}).get("versions", {})
        outside = (s.validation or {}).get("tasks", {}).get(task, {}).get("versions", {})
        table = Table(
            "calibration",
            f"Calibration of {task}, with 95 % intervals",
            ["probabilities", *_OF_MODEL.values()],
            {0: "text"},
            label=task,
        )
        for name, version in versions.items():
            if "model" in version:
                table.row(f"{s.inside}, {name}", *model_cells(version["model"]))
        for name, version in outside.items():
            table.row(f"external, {name}", *model_cells(version["calibration"]))
        if versions and "model" not in next(iter(versions.values())):
            blocks.append(s.absent)
        if table.rows:
            blocks.append(table)
        curves = {f"{task}, {s.inside}": next(iter(versions.values()), None)}
        first = next(iter(outside.values()), None)
        curves[f"{task}, external"] = first and first["curve"]
        for name, curve in curves.items():
            if curve is not None:
                blocks.append(_bins(name, curve))
        if versions:
            blocks.append(Figure(f"calibration-{task}", f"Calibration curve of {task}, {s.inside}"))
        if outside:
            caption = f"Calibration curve of {task}, external validation"
            blocks.append(Figure(f"external-calibration-{task}", caption))
    if len(blocks) == 1:
        blocks.append(s.absent)
    return Section("calibration", "Calibration", blocks)


def model_cells(model: Mapping[str, Mapping[str, Any]]) -> list[Content]:
    return [
        in_one(model[name], "signed" if name == "intercept" else "number") for name in _OF_MODEL
    ]


def _bins(name: str, curve: Mapping[str, Any]) -> Table:
    table = Table(
        "calibration",
        f"Calibration curve of {name}",
        ["patients", "people", "mean probability", "share of positives", "95 % interval"],
        label=f"bins {name}",
        names_in=None,
    )
    for each in curve["bins"]:
        table.row(
            whole(each["n_patients"]),
            whole(each["n_persons"]),
            number(each["predicted"]),
            number(each["observed"]),
            interval(each),
        )
    return table


def decision(s: Sources) -> Section:
    """Net benefit at some thresholds, and the curves."""
    blocks: list[Block] = []
    for task, each in s.summary.get("curves", {}).get("tasks", {}).items():
        curve = each.get("decision")
        if curve is None:
            continue
        name, mine = next(iter(curve["versions"].items()))
        table = Table(
            "decision",
            f"Net benefit of {task}, {s.inside}, {name}; treating none has 0",
            ["threshold", "model", "95 % interval", "treating all"],
            label=task,
            names_in=None,
        )
        for at in nearest(curve["x"], THRESHOLDS):
            table.row(
                percent(curve["x"][at]),
                *with_ends({k: mine[k][at] for k in ENDS}),
                number(curve["all"][at]),
            )
        blocks += [table, Figure(f"decision-{task}", f"Decision curve of {task}, {s.inside}")]
    if blocks and s.validation is not None:
        blocks.append(Text("Of the external validation there is no decision curve."))
    return Section("decision", "Decision curve", blocks or [s.absent])


ENDS = ("value", "low", "high")


def nearest(x: Iterable[float], asked: Iterable[float]) -> list[int]:
    places = list(enumerate(x))
    return [min(places, key=lambda place: abs(place[1] - each))[0] for each in asked]


def predictive_values(s: Sources) -> Section:
    """Likelihood ratios, and PPV and NPV at stated prevalences."""
    ratios = Table(
        "predictive",
        "Likelihood ratios of the most probable class",
        ["of", "LR+", "95 % interval", "LR-", "95 % interval"],
        {0: "text"},
        label="ratios",
    )
    values: list[Block] = []
    for side, content in ((INTERNAL, s.summary), (EXTERNAL, s.validation or {"tasks": {}})):
        for task, each in content["tasks"].items():
            found = s.derived[side][task]["predictive_values"]
            if found is None:
                continue
            of, positive = f"{task}, {s.sides[side]}", each["positive"]
            both = each["likelihood_ratios"]
            ratios.row(of, *with_ends(both["positive"]), *with_ends(both["negative"]))
            for name, ratio in zip(("LR+", "LR-"), both.values(), strict=True):
                if ratio["low"] is None:
                    values.append(Text(f"{of}, {name}: {ratio['method']}."))
            table = Table(
                "predictive",
                f"{of}: whom the models call {positive}, and whom not",
                ["prevalence", "PPV", "95 % interval", "NPV", "95 % interval"],
                label=of,
                names_in=None,
            )
            for row in found:
                is_share = row is found[0] and row["prevalence"] not in s.derived["prevalences"]
                table.row(
                    [
                        FORMATS["prevalence"](row["prevalence"]),
                        " (as scored)" if is_share else "",
                    ],
                    *with_ends(row["ppv"]),
                    *with_ends(row["npv"]),
                )
            values.append(table)
    blocks: list[Block] = [ratios, *values] if values else [s.absent]
    blocks.append(
        Text(
            "At other prevalences sensitivity and specificity are taken to be the same; a stated "
            "prevalence has no error of its own."
        )
    )
    return Section("predictive", "Predictive values", blocks)
