"""The sections of a paper, from a run's and a validation's JSON; nothing is judged here."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from kfold_hs.judge.results.for_papers import EXTERNAL, INTERNAL
from kfold_hs.judge.results.sentences import is_simulated, without_folders
from kfold_hs.report.formats import FORMATS, interval, labelled, place
from kfold_hs.report.paper.content import (
    Block,
    Code,
    Figure,
    Flow,
    Section,
    Sources,
    Step,
    Text,
    code,
    enumerated_contents,
    some,
    with_ends,
)
from kfold_hs.report.tables import Content, Table, tag

number, percent, tenths, whole = (FORMATS[n] for n in ("number", "percent", "tenths", "whole"))
THRESHOLDS = (0.05, 0.1, 0.2, 0.3, 0.5)
ANSWERED = (1.0, 0.9, 0.8, 0.7, 0.5)
_OF_MODEL = {"intercept": "calibration intercept", "slope": "calibration slope", "o_e": "O:E"}
_OF_GROUPS = ("auroc", "sensitivity", "specificity")
_COUNTS = {"n_persons": "people", "n_patients": "patients", "n_recordings": "recordings"}
_NAMES = {"auroc": "AUROC", "slope": "calibration slope", "o_e": "O:E"}


def answer(s: Sources) -> Section:
    """The headline, and what the primary metric is."""
    head = s.summary["headline"]
    blocks: list[Block] = []
    if is_simulated(s.summary):
        blocks.append(Text(tag("strong", "SIMULATED people: no result of a study.")))
    blocks.append(Text(without_folders(head["sentence"])))
    primary: Content = [
        "Primary metric: ", tag("strong", head.get("label", "accuracy, mean of the tasks")), ". ",
        "Value ", number(head["value"]), ", 95 % interval ", interval(head),
    ]  # fmt: skip
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
    read = Step(
        ["Read, ", s.summary["cohort"]["name"], ": ", _people(found["read"])],
        [
            ["Not read: ", some(each["count"], "entry", "entries"), ", ", each["name"],
             " (", without_folders(each["text"]), ")"]
            for each in found["left_out"]
        ],
    )  # fmt: skip
    aside: list[Content] = [
        [says, ": ", _people(found[part])]
        for part, says in (
            ("test", "Held out for a test, not used"),
            ("in_several", "In no fold, with recordings of several held-out sources"),
        )
        if found[part]["n_patients"]
    ]
    used = Step(
        ["In folds (trained on, and held out in turn): ", _people(found["development"])], aside
    )
    missing = [
        ["Fold not finished: ", place(each, s.summary["folds"]), " of repeat ", each["repeat"],
         ", seed ", each["seed"], f" ({without_folders(each['cause'])})" if each.get("cause") else ""]
        for each in s.summary.get("incomplete", ())
    ]  # fmt: skip
    scored = found["scored"]
    inside: list[Content] = ["Analysed: ", some(scored["n_persons"], "person", "people"), ", "]
    inside += [some(scored["n_patients"], "patient"), ". ", _outcomes(s.summary)]
    blocks: list[Block] = [Flow([read, used, Step(inside, missing)])]
    if s.validation is not None:
        blocks += [Text("External validation:"), _flow_outside(s.validation)]
    return Section("flow", "Flow of people", blocks)


def _outcomes(summary: Mapping[str, Any]) -> Content:
    who = summary["split"].get("development", summary["cohort"])
    return enumerated_contents(
        [
            [task["name"], ": ", enumerated_contents(
                [[whole(n), " ", name] for name, n in task["counts"].items()])]
            for task in who["tasks"]
        ],
        "; ",
    )  # fmt: skip


def _flow_outside(v: Mapping[str, Any]) -> Flow:
    who = v["people"]
    known: list[Content] = []
    if who["n_known_persons"]:
        done = "left out" if who["handling"] == "leave-out" else "scored by the other models"
        known = [[f"Known to the models, {done}: ", some(who["n_known_persons"], "person", "people")]]
    known += [
        ["Not scored: ", each["patient_id"], " (", without_folders(each["problem"]), ")"]
        for each in who.get("not_scored", ())
    ]
    without: list[Content] = [
        ["Not compared, ", each["task"], ": ", without_folders(each["why"])]
        for each in v["not_compared"]
    ]
    analysed: list[Content] = []
    for name, task in v["tasks"].items():
        counts = [[whole(n), " ", label] for label, n in task["counts"].items()]
        analysed.append([name, ": ", some(task["n_persons"], "person", "people"), ", ",
                         some(task["n_patients"], "patient"), " (", enumerated_contents(counts), ")"])  # fmt: skip
        without += [
            ["Label not compared, ", name, ": ", some(each["n_patients"], "patient"), " ",
             each["class"]]
            for each in task["left_out"]
            if each["n_patients"]
        ]  # fmt: skip
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
            "Count (share of the column), or mean (standard deviation), median (quartiles). People "
            "in folds train the models of the other folds, and are held out once a repeat. Levels "
            "and rows “not known” are missing values."
        )
    )
    blocks.append(_table1("Characteristics by partition", columns, "partition"))
    for task, classes in found["by_outcome"].items():
        blocks.append(_table1(f"Characteristics by outcome: {task}", classes, f"by-{task}"))
    for task, result in (s.validation or {}).get("tasks", {}).items():
        if "characteristics" not in result:
            blocks.append(s.absent_outside)
            break
        name = f"Characteristics by outcome, external validation: {task}"
        blocks.append(_table1(name, result["characteristics"], f"outside-{task}"))
    return Section("table1", "Table 1: characteristics", blocks)


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
                    table.row(f"{name}: not known", *("–" if n is None else whole(n) for n in missing))
            words = [cell if cell is not None and "mean" not in cell else None for cell in cells]
            for level in dict.fromkeys(level for cell in words for level in cell or ()):
                table.row(f"{name}: {level}", *(_share(cell, level) for cell in words))
    return table


def _summary_of_numbers(cell: Mapping[str, Any] | None) -> Content:
    if cell is None or cell["mean"] is None:
        return "–"
    return [tenths(cell["mean"]), " (", tenths(cell["sd"]), "), ", tenths(cell["median"]), " (",
            tenths(cell["q1"]), " to ", tenths(cell["q3"]), ")"]  # fmt: skip


def _share(cell: Mapping[str, Any] | None, level: str) -> Content:
    if cell is None:
        return "–"
    if level not in cell:
        return "none"
    return [whole(cell[level]["n"]), " (", percent(cell[level]["share"]), ")"]


def sample_size(s: Sources) -> Section:
    """Riley's criteria, the widths that were reached, and how to plan the next study."""
    blocks: list[Block] = []
    known = {task: each["development"] for task, each in s.derived[INTERNAL].items()}
    if any(known.values()):
        table = Table(
            "size", "To develop: what the people allow (Riley et al., BMJ 368, 2020, m441)",
            ["task", "people", "share of the positive class", "Cox and Snell's R², out of fold",
             "parameters by shrinkage of 0.9", "parameters by optimism of 0.05",
             "people for the share within 0.05"], {0: "text"}, label="development",
        )  # fmt: skip
        for task, each in known.items():
            if each is not None:
                fit = s.summary["tasks"][task]["fit"]
                table.row(task, whole(each["n_persons"]), percent(fit["share"]),
                          number(fit["cox_snell"]), whole(each["parameters_shrinkage"]),
                          whole(each["parameters_optimism"]), whole(each["people_share"]))  # fmt: skip
        blocks += [table, Text(
            "The criteria are of a regression: so many parameters the people would allow one. A "
            "network has more weights, which training holds back otherwise; no criterion says how "
            "many people it takes, and kfold-hs learning-curve measures it."
        )]  # fmt: skip
    else:
        blocks.append(s.absent)
    table = Table(
        "size", "To evaluate: widths of 95 % intervals, and those that pmvalsampsize asks for by "
        "default (Riley et al., Statistics in Medicine 40, 2021)",
        ["of", "measure", "people", "width", "asked", "people whom that takes at best"],
        {0: "text", 1: "text"}, label="widths",
    )  # fmt: skip
    for side in (INTERNAL, EXTERNAL):
        for task, each in s.derived.get(side, {}).items():
            for name, reached in each["reached"].items():
                width, people = reached["width"], reached["people"]
                table.row(f"{task}, {side}", _NAMES[name], whole(reached["n_persons"]),
                          number(width), number(reached["asked"]), whole(people))  # fmt: skip
    if table.rows:
        blocks.append(table)
    blocks.append(Text("What more people, folds or repeats would bring, from this run:"))
    blocks.append(Code(f"kfold-hs plan --run reports/{s.summary['run']} --difference 0.05"))
    return Section("size", "Sample size", blocks)


def performance(s: Sources) -> Section:
    """Every metric of every task, inside and outside."""
    head = s.summary["headline"]
    primary = f"{head.get('label', 'accuracy, mean of the tasks')} (primary)"
    table = Table("performance", "Primary metric", ["metric", "value", "95 % interval"],
                  {0: "text"}, label="primary")  # fmt: skip
    table.row(primary, *with_ends(head))
    blocks: list[Block] = [table]
    for task, result in s.summary["tasks"].items():
        there = (s.validation or {}).get("tasks", {}).get(task)
        table = Table(
            "performance", f"{task}; positive class {result['positive']}",
            ["metric", "out of fold", "95 % interval", "of these models",
             *(["external", "95 % interval"] if there else [])], {0: "text"}, label=task,
        )  # fmt: skip
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
        m["method"] for t in s.summary["tasks"].values() for m in t["metrics"].values() if m["method"]
    )  # fmt: skip
    blocks.append(Text(["Intervals: ", "; ".join(methods), "."]))
    return Section("performance", "Performance", blocks)


def calibration(s: Sources) -> Section:
    """Intercept, slope and O:E, and the curves as tables and figures."""
    blocks: list[Block] = [
        Text("Of the positive class. Best are an intercept of 0, a slope of 1 and an O:E of 1.")
    ]
    for task, each in s.summary.get("curves", {}).get("tasks", {}).items():
        versions = (each.get("calibration") or {}).get("versions", {})
        outside = (s.validation or {}).get("tasks", {}).get(task, {}).get("versions", {})
        table = Table("calibration", f"Calibration of {task}",
                      ["probabilities", *(c for n in _OF_MODEL.values() for c in (n, "95 % interval"))],
                      {0: "text"}, label=task)  # fmt: skip
        for name, version in versions.items():
            if "model" in version:
                table.row(f"out of fold, {name}", *_model(version["model"]))
        for name, version in outside.items():
            table.row(f"external, {name}", *_model(version["calibration"]))
        if versions and "model" not in next(iter(versions.values())):
            blocks.append(s.absent)
        if table.rows:
            blocks.append(table)
        curves = {f"{task}, out of fold": next(iter(versions.values()), None)}
        first = next(iter(outside.values()), None)
        curves[f"{task}, external"] = first and first["curve"]
        for name, curve in curves.items():
            if curve is not None:
                blocks.append(_bins(name, curve))
        if versions:
            blocks.append(Figure(f"calibration-{task}", f"Calibration curve of {task}, out of fold"))
        if outside:
            caption = f"Calibration curve of {task}, external validation"
            blocks.append(Figure(f"external-calibration-{task}", caption))
    if len(blocks) == 1:
        blocks.append(s.absent)
    return Section("calibration", "Calibration", blocks)


def _model(model: Mapping[str, Mapping[str, Any]]) -> list[Content]:
    return [
        cell
        for name in _OF_MODEL
        for cell in with_ends(model[name], "signed" if name == "intercept" else "number")
    ]


def _bins(name: str, curve: Mapping[str, Any]) -> Table:
    table = Table("calibration", f"Calibration curve of {name}",
                  ["patients", "people", "mean probability", "share of positives", "95 % interval"],
                  label=f"bins {name}")  # fmt: skip
    for each in curve["bins"]:
        table.row(whole(each["n_patients"]), whole(each["n_persons"]), number(each["predicted"]),
                  number(each["observed"]), interval(each))  # fmt: skip
    return table


def decision(s: Sources) -> Section:
    """Net benefit at some thresholds, and the curves."""
    blocks: list[Block] = []
    for task, each in s.summary.get("curves", {}).get("tasks", {}).items():
        curve = each.get("decision")
        if curve is None:
            continue
        name, mine = next(iter(curve["versions"].items()))
        table = Table("decision", f"Net benefit of {task}, out of fold, {name}; treating none has 0",
                      ["threshold", "model", "95 % interval", "treating all"], label=task)  # fmt: skip
        for at in _nearest(curve["x"], THRESHOLDS):
            table.row(percent(curve["x"][at]), *with_ends({k: mine[k][at] for k in _ENDS}),
                      number(curve["all"][at]))  # fmt: skip
        blocks += [table, Figure(f"decision-{task}", f"Decision curve of {task}, out of fold")]
    return Section("decision", "Decision curve", blocks or [s.absent])


_ENDS = ("value", "low", "high")


def _nearest(x: Iterable[float], asked: Iterable[float]) -> list[int]:
    places = list(enumerate(x))
    return [min(places, key=lambda place: abs(place[1] - each))[0] for each in asked]


def predictive_values(s: Sources) -> Section:
    """Likelihood ratios, and PPV and NPV at stated prevalences."""
    ratios = Table("predictive", "Likelihood ratios of the most probable class",
                   ["of", "LR+", "95 % interval", "LR-", "95 % interval"], {0: "text"},
                   label="ratios")  # fmt: skip
    values: list[Block] = []
    for side, content in ((INTERNAL, s.summary), (EXTERNAL, s.validation or {"tasks": {}})):
        for task, each in content["tasks"].items():
            found = s.derived[side][task]["predictive_values"]
            if found is None:
                continue
            of, positive = f"{task}, {side}", each["positive"]
            both = each["likelihood_ratios"]
            ratios.row(of, *with_ends(both["positive"]), *with_ends(both["negative"]))
            table = Table("predictive", f"{of}: whom the models call {positive}, and whom not",
                          ["prevalence", "PPV", "95 % interval", "NPV", "95 % interval"],
                          label=of)  # fmt: skip
            for row in found:
                is_share = row is found[0] and row["prevalence"] not in s.derived["prevalences"]
                table.row([FORMATS["percent_tenths"](row["prevalence"]),
                           " (as scored)" if is_share else ""],
                          *with_ends(row["ppv"]), *with_ends(row["npv"]))  # fmt: skip
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
        one = Table("fairness", f"{task}: discrimination by group",
                    ["group", "people", *(_heads(_OF_GROUPS)), "adjusted p, AUROC"], {0: "text"},
                    label=f"groups {task}")  # fmt: skip
        two = Table("fairness", f"{task}: calibration by group",
                    ["group", "people", *_heads(_OF_MODEL.values())], {0: "text"},
                    label=f"calibration {task}")  # fmt: skip
        for covariate, group in _groups(groups):
            found, name = group["tasks"][task], f"{covariate}: {group['name']}"
            who = whole(group["n_persons"])
            cells = [cell for m in _OF_GROUPS for cell in with_ends(found.get(m))]
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
        blocks.append(Text(["Groups of fewer than ", some(groups["fewest_persons"], "person", "people"),
                            " are left out: ", enumerated_contents(left, "; "), "."]))  # fmt: skip
    blocks.append(Text("p: of the difference to all others, adjusted by Holm over all groups."))
    return Section("fairness", "Fairness", blocks)


def _groups(groups: Mapping[str, Any]) -> Iterable[tuple[str, Mapping[str, Any]]]:
    return ((name, each) for name, found in groups["covariates"].items() for each in found["groups"])


def _heads(names: Iterable[str]) -> list[str]:
    return [head for each in names for head in (_NAMES.get(each, each), "95 % interval")]


def indeterminate(s: Sources) -> Section:
    """Classes that are no answer, patients without one, and models that may be silent."""
    blocks: list[Block] = []
    for task, result in s.summary["tasks"].items():
        if result.get("confusion"):
            blocks.append(_confusion(task, "out of fold, all repeats", result))
        there = (s.validation or {}).get("tasks", {}).get(task)
        if there:
            blocks.append(_confusion(task, "external", there))
    if s.validation is not None:
        who = s.validation["people"]
        lost = who.get("n_with_problems")
        if lost is not None:
            blocks.append(Text(["External, scored with something missing: ", some(lost, "patient"), "."]))
    for task, each in s.summary.get("abstention", {}).get("tasks", {}).items():
        curve, sets = each["curve"], each["sets"]
        table = Table("indeterminate", f"{task}: errors of whom the models answer, the surest first",
                      ["share answered", "error", "95 % interval", "threshold"], label=f"risk {task}")  # fmt: skip
        for at in _nearest(curve["x"], ANSWERED):
            table.row(percent(curve["x"][at]), *with_ends({k: curve[k][at] for k in _ENDS}),
                      number(curve["threshold"][at]))  # fmt: skip
        area = curve["aurc"]
        said: list[Content] = [f"{task}: area under risk and coverage ", number(_first(area["value"]))]
        for promise, found in sets.get("promises", {}).items():
            to = "every class" if promise == "class" else "all together"
            said += ["; conformal sets at ", percent(sets["asked"]), f" for {to} hold the label of ",
                     percent(found["covered"]["value"]), " and are of one class for ",
                     percent(found["single"])]  # fmt: skip
        blocks += [table, Text([said, "."]), Figure(f"risk-{task}", f"Risk and coverage of {task}")]
    return Section("indeterminate", "Indeterminate results", blocks or [s.absent])


def _first(value: Any) -> Any:
    return value[0] if isinstance(value, list) else value


def _confusion(task: str, where: str, result: Mapping[str, Any]) -> Table:
    classes = result["classes"]
    table = Table("indeterminate", f"{task}, {where}: most probable class by label",
                  ["label", *classes], {0: "text"}, label=f"classes {task} {where}")  # fmt: skip
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
        blocks += [Text(f"{name}: {content.get('run') if name == 'Run' else content['name']}"),
                   Code(without_folders(origin["command"]))]  # fmt: skip
        table = Table("again", f"{name}: inputs", ["what", "value"], {0: "text", 1: "text"}, label=name)
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
            "Every number of these files stands in summary.json of the run, validation.json of the "
            "validation, config.yaml, or paper.json beside them; numbers.csv says where each one does."
        )
    )
    return Section("again", "Reproducibility", blocks)


SECTIONS: tuple[Callable[[Sources], Section], ...] = (
    answer, flow, characteristics, sample_size, performance, calibration, decision,
    predictive_values, fairness, indeterminate,
)  # fmt: skip
"""In the order of the files; checklists and `reproducibility` follow."""
