"""Sections of a paper on where its numbers hold: groups of people, doubtful results, inputs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from kfold_hs.judge.results.sentences import without_folders
from kfold_hs.report.formats import FORMATS, interval
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
from kfold_hs.report.paper.results import ENDS, model_cells, nearest
from kfold_hs.report.tables import Content, Table

number, percent, whole = (FORMATS[n] for n in ("number", "percent", "whole"))
ANSWERED = (1.0, 0.9, 0.8, 0.7, 0.5)
_OF_MODEL = {"intercept": "calibration intercept", "slope": "calibration slope", "o_e": "O:E"}
_OF_GROUPS = ("auroc", "sensitivity", "specificity")
_NAMES = {"auroc": "AUROC", "slope": "calibration slope", "o_e": "O:E"}


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
                two.row(name, who, *model_cells(model))
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
        for at in nearest(curve["x"], ANSWERED):
            table.row(
                percent(curve["x"][at]),
                *with_ends({k: curve[k][at] for k in ENDS}),
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
