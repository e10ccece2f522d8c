"""Sections of a paper: performance, calibration, decisions, groups, doubtful results, inputs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from kfold_hs.judge.results.for_papers import EXTERNAL, INTERNAL
from kfold_hs.judge.results.sentences import without_folders
from kfold_hs.report.formats import FORMATS, interval, labelled
from kfold_hs.report.paper.content import (
    Block,
    Code,
    Figure,
    Section,
    Sources,
    Text,
    code,
    enumerated_contents,
    in_one,
    some,
    with_ends,
)
from kfold_hs.report.tables import Content, Table

number, percent, tenths, whole = (FORMATS[n] for n in ("number", "percent", "tenths", "whole"))
THRESHOLDS = (0.05, 0.1, 0.2, 0.3, 0.5)
ANSWERED = (1.0, 0.9, 0.8, 0.7, 0.5)
_OF_MODEL = {"intercept": "calibration intercept", "slope": "calibration slope", "o_e": "O:E"}
_OF_GROUPS = ("auroc", "sensitivity", "specificity")
_NAMES = {"auroc": "AUROC", "slope": "calibration slope", "o_e": "O:E"}


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
                table.row(f"{s.inside}, {name}", *_model(version["model"]))
        for name, version in outside.items():
            table.row(f"external, {name}", *_model(version["calibration"]))
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


def _model(model: Mapping[str, Mapping[str, Any]]) -> list[Content]:
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
        for at in _nearest(curve["x"], THRESHOLDS):
            table.row(
                percent(curve["x"][at]),
                *with_ends({k: mine[k][at] for k in _ENDS}),
                number(curve["all"][at]),
            )
        blocks += [table, Figure(f"decision-{task}", f"Decision curve of {task}, {s.inside}")]
    if blocks and s.validation is not None:
        blocks.append(Text("Of the external validation there is no decision curve."))
    return Section("decision", "Decision curve", blocks or [s.absent])


_ENDS = ("value", "low", "high")


def _nearest(x: Iterable[float], asked: Iterable[float]) -> list[int]:
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


def fairness(s: Sources) -> Section:
    """Discrimination and calibration of every group."""
    groups = s.summary.get("subgroups")
    if not groups:
        return Section("fairness", "Fairness", [s.absent])
    blocks: list[Block] = []
    for task in s.summary["tasks"]:
        one = Table(
            "fairness",
            f"{task}: discrimination by group, with 95 % intervals",
            [
                "group",
                "people",
                *(_NAMES.get(each, each) for each in _OF_GROUPS),
                "adjusted p, AUROC",
            ],
            {0: "text"},
            label=f"groups {task}",
        )
        two = Table(
            "fairness",
            f"{task}: calibration by group, with 95 % intervals",
            ["group", "people", *_OF_MODEL.values()],
            {0: "text"},
            label=f"calibration {task}",
        )
        for covariate, group in _groups(groups):
            found, name = group["tasks"][task], f"{covariate}: {group['name']}"
            who = whole(group["n_persons"])
            cells = [in_one(found.get(m)) for m in _OF_GROUPS]
            apart = found.get("auroc", {}).get("above_rest", {})
            one.row(name, who, *cells, number(apart.get("p_holm")))
            if model := group.get("calibration", {}).get(task):
                two.row(name, who, *_model(model))
        if one.rows:
            blocks += [one, two if two.rows else s.absent]
    left = [
        [covariate, ": ", each["name"], " (", some(each["n_persons"], "person", "people"), ")"]
        for covariate, found in groups["covariates"].items()
        for each in found["left_out"]
    ]
    if left:
        blocks.append(
            Text(
                [
                    "Groups of fewer than ",
                    some(groups["fewest_persons"], "person", "people"),
                    " are left out: ",
                    enumerated_contents(left, "; "),
                    ".",
                ]
            )
        )
    blocks.append(
        Text(
            "p: of the difference to all others, adjusted by Holm over all groups. A dash: not "
            "defined there, mostly since the group, or a fold's part of it, has one class only."
        )
    )
    return Section("fairness", "Fairness", blocks)


def _groups(groups: Mapping[str, Any]) -> Iterable[tuple[str, Mapping[str, Any]]]:
    return (
        (name, each) for name, found in groups["covariates"].items() for each in found["groups"]
    )


def indeterminate(s: Sources) -> Section:
    """Classes that are no answer, patients without one, and models that may be silent."""
    blocks: list[Block] = []
    for task, result in s.summary["tasks"].items():
        others = [name for name in result["classes"] if name != result["positive"]]
        if len(others) > 1:
            blocks.append(
                Text(
                    f"{task}: nobody is left out. {', '.join(others)} are classes of their "
                    f"own, and against {result['positive']} they count as negative."
                )
            )
        if result.get("confusion"):
            blocks.append(_confusion(task, f"{s.inside}, all repeats", result))
        there = (s.validation or {}).get("tasks", {}).get(task)
        if there:
            blocks.append(_confusion(task, "external", there))
    if s.validation is not None:
        who = s.validation["people"]
        lost = who.get("n_with_problems")
        if lost is not None:
            blocks.append(
                Text(["External, scored with something missing: ", some(lost, "patient"), "."])
            )
    for task, each in s.summary.get("abstention", {}).get("tasks", {}).items():
        curve, sets = each["curve"], each["sets"]
        table = Table(
            "indeterminate",
            f"{task}: errors among those answered, the surest first",
            ["share answered", "error", "95 % interval", "threshold"],
            label=f"risk {task}",
            names_in=None,
        )
        for at in _nearest(curve["x"], ANSWERED):
            table.row(
                percent(curve["x"][at]),
                *with_ends({k: curve[k][at] for k in _ENDS}),
                number(curve["threshold"][at]),
            )
        area = curve["aurc"]
        said: list[Content] = [
            f"{task}: area under risk and coverage ",
            number(area["value"]),
            " (",
            interval(area),
            ")",
        ]
        for promise, found in sets.get("promises", {}).items():
            to = "every class" if promise == "class" else "all together"
            said += [
                "; conformal sets at ",
                percent(sets["asked"]),
                f" for {to} hold the label of ",
                percent(found["covered"]["value"]),
                " and are of one class for ",
                percent(found["single"]),
            ]
        blocks += [table, Text([said, "."]), Figure(f"risk-{task}", f"Risk and coverage of {task}")]
    if not s.summary.get("abstention"):
        blocks.append(s.absent)
    return Section("indeterminate", "Indeterminate results", blocks)


def _confusion(task: str, where: str, result: Mapping[str, Any]) -> Table:
    classes = result["classes"]
    table = Table(
        "indeterminate",
        f"{task}, {where}: most probable class by label",
        ["label", *classes],
        {0: "text"},
        label=f"classes {task} {where}",
    )
    for name, counts in zip(classes, result["confusion"], strict=True):
        table.row(name, *map(whole, counts))
    return table


def reproducibility(s: Sources) -> Section:
    """Commands, digests, versions, seeds and split."""
    blocks: list[Block] = []
    sides = [("Run", s.summary), ("Validation", s.validation)]
    for name, content in sides:
        if content is None:
            continue
        origin = content["provenance"]
        blocks += [
            Text(f"{name}: {content.get('run') if name == 'Run' else content['name']}"),
            Code(without_folders(origin["command"])),
        ]
        table = Table(
            "again", f"{name}: inputs", ["what", "value"], {0: "text", 1: "text"}, label=name
        )
        for what, digest in origin["digests"].items():
            table.row(f"digest of the {what}", code(digest))
        if name == "Run":
            for key in ("n_folds", "n_repeats", "seed"):
                if content["split"].get(key) is not None:
                    table.row(f"split, {key.removeprefix('n_')}", content["split"][key])
            for key, value in content["split"].get("settings", {}).items():
                table.row(f"split, {key}", str(value))
            if (seed := s.config.get("seed")) is not None:
                table.row("seed of training", seed)
        table.row("machine", f"{origin.get('machine', '–')}, {origin.get('device', '–')}")
        table.row("started", origin["started"])
        table.row("versions", ", ".join(f"{k} {v}" for k, v in origin["versions"].items()))
        blocks.append(table)
    blocks.append(
        Text(
            "Every number of these files stands in summary.json and config.yaml of the run, in "
            "validation.json of the validation, or in paper.json beside them; numbers.csv says "
            "where each one does."
        )
    )
    return Section("again", "Reproducibility", blocks)
