"""Sections of a paper: the result, who was read and analysed, Table 1, the sample size."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kfold_hs.judge.results.for_papers import EXTERNAL, INTERNAL
from kfold_hs.judge.results.sentences import is_simulated, without_folders
from kfold_hs.report.formats import FORMATS, interval, place
from kfold_hs.report.paper.content import (
    Block,
    Code,
    Flow,
    Section,
    Sources,
    Step,
    Text,
    counts_of,
    enumerated_contents,
    some,
)
from kfold_hs.report.tables import Content, Table, tag

number, percent, tenths, whole = (FORMATS[n] for n in ("number", "percent", "tenths", "whole"))
_COUNTS = {"n_persons": "people", "n_patients": "patients", "n_recordings": "recordings"}
_NAMES = {"auroc": "AUROC", "slope": "calibration slope", "o_e": "O:E"}


def answer(s: Sources) -> Section:
    """The headline, and what the primary metric is."""
    head = s.summary["headline"]
    blocks: list[Block] = []
    if is_simulated(s.summary):
        blocks.append(Text(tag("strong", "SIMULATED people: no result of a study.")))
    blocks += [
        Text([tag("strong", "LEAKING"), ": ", without_folders(each), ". Models know these people."])
        for each in s.leaks
    ]
    blocks.append(Text(without_folders(head["sentence"])))
    primary: Content = [
        "Primary metric: ",
        tag("strong", head.get("label", "accuracy, mean of the tasks")),
        ". ",
        "Value ",
        number(head["value"]),
        ", 95 % interval ",
        interval(head),
    ]
    if head.get("target") is not None:
        primary = [primary, "; target ", number(head["target"]), ": ", head["verdict"] or "–"]
    blocks.append(Text([primary, "."]))
    for sentence in (s.validation or {}).get("sentences", ()):
        blocks.append(Text(without_folders(sentence)))
    return Section("answer", "Result", blocks)


def flow(s: Sources) -> Section:
    """Who was read, who left and why, who was analysed."""
    found = s.summary.get("flow")
    if not found:
        return Section("flow", "Flow of people", [s.absent])
    name = s.summary["cohort"]["name"]
    not_read: list[Content] = [
        [
            "Not read: ",
            some(each["count"], "entry", "entries"),
            f", {each['name']} ({without_folders(each['text'])})",
        ]
        for each in found["left_out"]
    ]
    steps = [Step(f"Data of {name}", not_read)] if not_read else []
    aside: list[Content] = [
        [says, ": ", _people(found[part])]
        for part, says in (
            ("test", "Held out for a test, not used"),
            ("in_several", "In no fold, with recordings of several held-out sources"),
        )
        if found[part]["n_patients"]
    ]
    steps.append(Step([f"Read, {name}: ", _people(found["read"])], aside))
    turns = "trained on, and held out in turn"
    if s.summary["split"]["n_folds"] == 1:
        turns = "trained on, or held out for validation"
    unscored = found.get("not_scored")
    missing: list[Content] = [["Never held out, not analysed: ", _people(unscored)]] if (
        unscored and unscored["n_patients"]) else []  # fmt: skip
    missing += [
        [
            "Fold not finished: ",
            place(each, s.summary["folds"]),
            " of repeat ",
            each["repeat"],
            ", seed ",
            each["seed"],
            f" ({without_folders(each['cause'])})" if each.get("cause") else "",
        ]
        for each in s.summary.get("incomplete", ())
    ]
    steps.append(Step([f"In folds ({turns}): ", _people(found["development"])], missing))
    scored = found["scored"]
    inside: list[Content] = ["Analysed: ", some(scored["n_persons"], "person", "people"), ", "]
    inside += [some(scored["n_patients"], "patient")]
    if "tasks" in scored:
        inside += [". ", counts_of(scored["tasks"])]
    blocks: list[Block] = [Flow([*steps, Step(inside)])]
    if s.validation is not None:
        blocks += [Text("External validation:"), _flow_outside(s.validation)]
    return Section("flow", "Flow of people", blocks)


def _flow_outside(v: Mapping[str, Any]) -> Flow:
    who = v["people"]
    known: list[Content] = []
    if who["n_known_persons"]:
        done = "left out" if who["handling"] == "leave-out" else "scored by the other models"
        known = [
            [f"Known to the models, {done}: ", some(who["n_known_persons"], "person", "people")]
        ]
    known += [
        ["Not scored (predictions.csv of the validation says why): ", some(n, "patient")]
        for n in [who.get("n_not_scored_patients")]
        if n
    ]
    without: list[Content] = [
        ["Not compared, ", each["task"], ": ", without_folders(each["why"])]
        for each in v["not_compared"]
    ]
    analysed: list[Content] = []
    for name, task in v["tasks"].items():
        counts = [[whole(n), " ", label] for label, n in task["counts"].items()]
        analysed.append(
            [
                name,
                ": ",
                some(task["n_persons"], "person", "people"),
                ", ",
                some(task["n_patients"], "patient"),
                " (",
                enumerated_contents(counts),
                ")",
            ]
        )
        without += [
            [
                "Label not compared, ",
                name,
                ": ",
                some(each["n_patients"], "patient"),
                " ",
                each["class"],
            ]
            for each in task["left_out"]
            if each["n_patients"]
        ]
    read: list[Content] = ["Read, ", v["cohort"]["name"], ": "]
    read += [some(v["cohort"]["n_persons"], "person", "people"), ", "]
    read += [some(v["cohort"]["n_patients"], "patient")]
    scored: list[Content] = ["Scored: ", some(who["n_scored_persons"], "person", "people"), ", "]
    scored += [some(who["n_scored_patients"], "patient")]
    last: list[Content] = ["Analysed: ", enumerated_contents(analysed, "; ")]
    return Flow([Step(read, known), Step(scored, without), Step(last)])


def _people(counts: Mapping[str, Any]) -> Content:
    return enumerated_contents(
        [
            some(counts["n_persons"], "person", "people"),
            some(counts["n_patients"], "patient"),
            some(counts["n_recordings"], "recording"),
        ]
    )


def characteristics(s: Sources) -> Section:
    """Table 1: by partition, and by outcome, with what is not known."""
    found, blocks = s.summary.get("characteristics"), list[Block]()
    if not found:
        return Section("table1", "Table 1: characteristics", [s.absent])
    columns = {"in folds": found["development"]}
    if found["test"]:
        columns["hold-out test"] = found["test"]
    if s.validation is not None:
        columns["external validation"] = _as_characteristics(s.validation)
    blocks.append(
        Text(
            "Count (share of the column), or mean (standard deviation), median (quartiles); of "
            "patients, and of recordings below “recordings a person”. Levels and rows “not known” "
            "are missing values. A person whose patients differ in outcome is in several columns."
        )
    )
    blocks.append(_table1("Characteristics by partition", columns, "partition"))
    for task, classes in found["by_outcome"].items():
        blocks.append(_by_outcome("in folds", task, classes))
    for task, result in (s.validation or {}).get("tasks", {}).items():
        if "characteristics" not in result:
            blocks.append(s.absent_outside)
            break
        blocks.append(_by_outcome("external validation", task, result["characteristics"]))
    return Section("table1", "Table 1: characteristics", blocks)


def _by_outcome(where: str, task: str, classes: Mapping[str, Mapping[str, Any]]) -> Table:
    """Of the classes of a task, without the task itself."""
    columns = {
        name: {**each, "patients": {k: v for k, v in each["patients"].items() if k != task}}
        for name, each in classes.items()
    }
    return _table1(f"Characteristics by outcome, {where}: {task}", columns, f"{where} {task}")


def _as_characteristics(v: Mapping[str, Any]) -> dict[str, Any]:
    """The validation's side of its table of both cohorts."""
    found: dict[str, Any] = {"patients": {}, "recordings": {}}
    for row in v["side_by_side"]:
        cell = row["validation"]
        if cell is None:
            continue
        if row["kind"] == "count":
            found[row["name"]] = cell["n"]
        elif row["kind"] == "numbers":
            found[row["part"]][row["name"]] = cell
        else:
            found[row["part"]].setdefault(row["name"], {})[row["level"]] = cell
    return found


def _table1(caption: str, columns: Mapping[str, Mapping[str, Any]], label: str) -> Table:
    table = Table("table1", caption, ["", *columns], {0: "text"}, label=label)
    for key, name in _COUNTS.items():
        table.row(name, *(whole(each[key]) if key in each else "–" for each in columns.values()))
    for part in ("patients", "recordings"):
        named = dict.fromkeys(n for each in columns.values() for n in each.get(part, {}))
        for name in named:
            cells = [each.get(part, {}).get(name) for each in columns.values()]
            if any(cell is not None and "mean" in cell for cell in cells):
                numeric = [cell if cell and "mean" in cell else None for cell in cells]
                table.row(name, *map(_summary_of_numbers, numeric))
                if any(cell and cell.get("n_missing") for cell in numeric):
                    missing = [cell and cell.get("n_missing") for cell in numeric]
                    table.row(
                        f"{name}: not known", *("–" if n is None else whole(n) for n in missing)
                    )
            words = [cell if cell is not None and "mean" not in cell else None for cell in cells]
            for level in dict.fromkeys(level for cell in words for level in cell or ()):
                table.row(f"{name}: {level}", *(_share(cell, level) for cell in words))
    return table


def _summary_of_numbers(cell: Mapping[str, Any] | None) -> Content:
    if cell is None or cell["mean"] is None:
        return "–"
    return [
        tenths(cell["mean"]),
        " (",
        tenths(cell["sd"]),
        "), ",
        tenths(cell["median"]),
        " (",
        tenths(cell["q1"]),
        " to ",
        tenths(cell["q3"]),
        ")",
    ]


def _share(cell: Mapping[str, Any] | None, level: str) -> Content:
    if cell is None:
        return "–"
    if level not in cell or not cell[level]["n"]:
        return "none"
    return [whole(cell[level]["n"]), " (", percent(cell[level]["share"]), ")"]


def sample_size(s: Sources) -> Section:
    """Riley's criteria, the widths that were reached, and how to plan the next study."""
    blocks: list[Block] = []
    known = {task: each["development"] for task, each in s.derived[INTERNAL].items()}
    if any(known.values()):
        table = Table(
            "size",
            "To develop: what the people allow (Riley et al., BMJ 368, 2020, m441)",
            [
                "task",
                "people",
                "share of the positive class",
                f"Cox and Snell's R², {s.inside}",
                "parameters by shrinkage of 0.9",
                "parameters by optimism of 0.05",
                "people for the share within 0.05",
            ],
            {0: "text"},
            label="development",
        )
        for task, each in known.items():
            if each is not None:
                fit = s.summary["tasks"][task]["fit"]
                table.row(
                    task,
                    whole(each["n_persons"]),
                    percent(fit["share"]),
                    number(fit["cox_snell"]),
                    whole(each["parameters_shrinkage"]),
                    whole(each["parameters_optimism"]),
                    whole(each["people_share"]),
                )
        blocks += [
            table,
            Text(
                "The criteria are of a regression: so many parameters the people would allow one. "
                "A network has more weights, which training holds back otherwise; no criterion "
                "says how many people it takes, and kfold-hs learning-curve measures it."
            ),
        ]
    else:
        blocks.append(s.absent)
    table = Table(
        "size",
        "To evaluate: widths of 95 % intervals, and those that pmvalsampsize asks for by "
        "default (Riley et al., Statistics in Medicine 40, 2021)",
        ["of", "measure", "people", "width", "asked", "people whom that takes at best"],
        {0: "text", 1: "text"},
        label="widths",
    )
    for side in (INTERNAL, EXTERNAL):
        for task, each in s.derived.get(side, {}).items():
            for name, reached in each["reached"].items():
                width, people = reached["width"], reached["people"]
                table.row(
                    f"{task}, {s.sides[side]}",
                    _NAMES[name],
                    whole(reached["n_persons"]),
                    number(width),
                    number(reached["asked"]),
                    whole(people),
                )
    if table.rows:
        blocks.append(table)
    if not s.is_imported:
        blocks.append(Text("What more people, folds or repeats would bring, from this run:"))
        blocks.append(Code(f"kfold-hs plan --run reports/{s.summary['run']} --difference 0.05"))
    return Section("size", "Sample size", blocks)
