"""The first screen of a run's page: the headline on its scale, and four short answers.

Nothing is judged here: all of it comes from summary.json. Files of earlier versions say less of
their headline, which was the mean accuracy of the tasks (mean AUROC of scores); it is completed.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from kfold_hs.errors import counted, enumerated
from kfold_hs.judge.results.sentences import called_alike, says_alike
from kfold_hs.report.formats import has_ends, interval, number, whole
from kfold_hs.report.tables import Content

_NARROW = 2.0
"""Ranges up to this length, from -1 to 1 say, are drawn whole."""
MOST_TASKS = 8
"""Rows below the headline's; the tables have all."""
_OF_RANKS = ("auroc", "macro_auroc", "auprc", "macro_auprc")
"""Metrics that models can do well in that call everybody the same."""
_GUESS = "prevalence"
_TABLE = "table"
"""What a cohort is called that was read from a table."""
_UNKNOWN_PERSONS = "unknown persons"
_OF_TARGET = {
    "reached": "is reached by the whole interval",
    "not reached": "is not reached: the whole interval falls short of it",
    "cannot tell": "cannot be judged: it lies within the interval",
}
_NO_INTERVAL = "cannot be judged: there is no interval"
BUILT_IN_TARGET = 0.7
"""Of configs/data/synthetic.yaml: nobody has asked for it."""
Summary = Mapping[str, Any]


@dataclass(frozen=True)
class Row:
    """A value on the scale.

    Parameters
    ----------
    name : str
    found : mapping
        value, low, high; these_models where they are known.
    folds : list of float
        The same of every fold.
    chance : float, optional
        Of a guess that knows only how frequent the classes are.
    rules : list of (str, float)
        What rules without audio reach.
    """

    name: str
    found: Mapping[str, Any]
    folds: list[float] = field(default_factory=list)
    chance: float | None = None
    rules: list[tuple[str, float]] = field(default_factory=list)

    @property
    def models(self) -> Mapping[str, Any] | None:
        """The interval of these models, where it is known and another one."""
        found = self.found.get("these_models")
        return found if found and has_ends(found) else None


@dataclass(frozen=True)
class Scale:
    """The headline and its tasks on one axis.

    Parameters
    ----------
    low, high : float
        Ends of the axis.
    rows : list of Row
    target : float, optional
    n_left_out : int
        Tasks that have no row.
    """

    low: float
    high: float
    rows: list[Row]
    target: float | None
    n_left_out: int

    def at(self, value: float) -> str:
        """Where a value lies, in percent of the axis' length."""
        share = (value - self.low) / (self.high - self.low)
        return f"{100 * min(max(share, 0.0), 1.0):.2f}%"

    def width(self, low: float, high: float) -> str:
        """The length from one value to another, in percent."""
        return f"{float(self.at(high)[:-1]) - float(self.at(low)[:-1]):.2f}%"

    def lowered(self, row: Row) -> bool:
        """Whether the marks of guess and rules stand below the line: they would lie under the
        value's."""
        marks = [value for _, value in row.rules] + ([] if row.chance is None else [row.chance])
        near = 0.03 * (self.high - self.low)
        return any(abs(each - row.found["value"]) < near for each in marks)

    @property
    def ticks(self) -> list[float]:
        """Round values from end to end, six at most."""
        step = _step(self.low, self.high)
        first = math.ceil(self.low / step - 1e-9)
        last = math.floor(self.high / step + 1e-9)
        return [round(k * step, 10) for k in range(first, last + 1)]


def _step(low: float, high: float) -> float:
    """A round length, of which about five fit between two values."""
    rough = (high - low) / 5
    size = 10.0 ** math.floor(math.log10(rough))
    return next(size * k for k in (1, 2, 2.5, 5, 10) if size * k >= rough * (1 - 1e-9))


def completed(summary: Summary) -> dict[str, Any]:
    """The headline, with what files of earlier versions do not say of it."""
    results, imported = summary["tasks"], summary.get("imported") or {}
    primary = list(summary["target"].get("tasks") or imported.get("primary") or results)
    has = {
        name: [t for t in primary if _metric(results, t, name)] for name in ("accuracy", "auroc")
    }
    metric = "accuracy" if has["accuracy"] else "auroc"
    tasks = has[metric]
    label = _metric(results, tasks[0], metric)["label"] if tasks else metric
    over = f"mean of {enumerated(tasks)}" if len(tasks) > 1 else "".join(tasks)
    return {
        "key": f"{'mean' if len(tasks) > 1 else over}.{metric}",
        "label": f"{label} ({over})",
        "metric": metric,
        "tasks": tasks,
        "higher_is_better": True,
        "lowest": 0.0,
        "highest": 1.0,
        "chance": _mean([_chance(summary, task, metric) for task in tasks]),
        "target": summary["target"]["value"] if summary["target"].get("tasks") else None,
    } | dict(summary["headline"])


def scale(summary: Summary, head: Mapping[str, Any]) -> Scale | None:
    """The picture; None where the headline is unknown.

    Parameters
    ----------
    summary : mapping
        Content of summary.json, `traced`.
    head : mapping
        `completed`.
    """
    if head["value"] is None:
        return None
    tasks, metric, results = head["tasks"], head["metric"], summary["tasks"]
    found = {task: _metric(results, task, metric) for task in tasks}
    found = {task: each for task, each in found.items() if each and each["value"] is not None}
    rows = []
    for task, each in list(found.items())[:MOST_TASKS]:
        beside = _chance(summary, task, metric), _rules(summary, task, metric)
        rows.append(Row(task, each, _folds([each]), *beside))
    models = head.get("these_models")
    if len(tasks) == 1 and rows:  # the headline is this task's value
        only = rows[0]
        whole_of = dict(only.found) | {end: head[end] for end in ("value", "low", "high")}
        rows = [Row(head["label"], whole_of, only.folds, head["chance"], only.rules)]
    else:
        first = {end: head[end] for end in ("value", "low", "high")} | {"these_models": models}
        rows.insert(0, Row(head["label"], first, _folds(list(found.values())), head["chance"]))
    ends = _ends(head, rows)
    return Scale(*ends, rows, head["target"], max(0, len(found) - MOST_TASKS))


def short_answers(summary: Summary, head: Mapping[str, Any]) -> list[tuple[str, Content]]:
    """A question and its answer: how good, how sure, for whom, what next.

    Parameters
    ----------
    summary : mapping
        Content of summary.json, `traced`.
    head : mapping
        `completed`.
    """
    return [
        ("How good?", _how_good(summary, head)),
        ("How sure?", _how_sure(summary, head)),
        ("For whom?", _for_whom(summary)),
        ("What next?", _what_next(summary, head)),
    ]


def _how_good(summary: Summary, head: Mapping[str, Any]) -> Content:
    if head["value"] is None:
        return "That is unknown: the headline has no value."
    said: list[Content] = []
    if head["chance"] is not None:
        said += [
            "A guess that knows only how frequent the classes are gets ",
            number(head["chance"]),
        ]
        said += [_against(head, head["chance"]), ". "]
    else:
        said += [head["label"], ": ", number(head["value"]), ". "]
    if alike := _alike(summary, head):
        said.append(f"{alike} ")
    if head["target"] is not None and head["verdict"] in _OF_TARGET:
        comes = " is the built-in cohort's example (target= sets another) and"
        whose = comes if summary.get("simulated") and head["target"] == BUILT_IN_TARGET else ""
        found = _OF_TARGET[head["verdict"]] if has_ends(head) else _NO_INTERVAL
        said.append(f"The target of {head['target']:,g}{whose} {found}.")
    return said


def _alike(summary: Summary, head: Mapping[str, Any]) -> str:
    """Says so where the models call everybody the same, and the headline is of these calls."""
    if head["metric"].endswith("_decided"):
        return ""
    return says_alike({task: summary["tasks"][task] for task in head["tasks"]})


def _against(head: Mapping[str, Any], value: float) -> str:
    """Where the interval lies, seen from a value; the whole of it decides, not the estimate."""
    if not has_ends(head):
        return ""
    low, high, sign = head["low"], head["high"], 1 if head["higher_is_better"] else -1
    if low <= value <= high:
        return ", which lies within the interval"
    return f", and the whole interval is {'better' if (low - value) * sign > 0 else 'worse'}"


def _beats_chance(head: Mapping[str, Any]) -> bool:
    """Whether the whole interval is better than a guess."""
    return head["chance"] is not None and _against(head, head["chance"]).endswith("better")


def _how_sure(summary: Summary, head: Mapping[str, Any]) -> Content:
    if head["value"] is None:
        return "There is nothing to be sure of."
    if not has_ends(head):
        why = summary["target"].get("mean", {}).get("method") or "too little is known"
        return ["There is no interval: ", str(why).removeprefix("no interval: "), "."]
    said: list[Content] = ["95 % interval ", interval(head), ". "]
    parts = summary.get("budget")
    if parts and parts.get("text") and head["metric"] == "accuracy":
        said += ["What would narrow it: ", parts["text"], ". "]
    if head["honest"] is False:
        said.append("It is too optimistic: epochs were chosen on the people who are scored.")
    elif head["honest"] is None:
        said.append("How the models were chosen, and on whom, is not known.")
    elif summary.get("tried", {}).get("n_variants", 1) > 1:
        n = summary["tried"]["n_variants"]
        said.append(
            [whole(n), " variants were tried on these people: a picked one looks too good."]
        )
    return said


def _for_whom(summary: Summary) -> Content:
    cohort, split = summary["cohort"], summary["split"]
    if summary.get("simulated"):
        return "Nobody: these people are simulated, and no number here is about hearts."
    said: list[Content] = [
        "People like these ",
        whole(cohort["n_persons"]),
        " of the table. " if cohort["name"] == _TABLE else f" of {cohort['name']}. ",
    ]
    if summary.get("imported"):
        said.append("What the models were trained on is not proved. ")
    elif split.get("settings", {}).get("by") == "patient":
        said.append("Some people were trained on and scored, so that it holds for no new people. ")
    if hold_out := split.get("settings", {}).get("hold_out"):
        said.append(f"Each model is scored on a {hold_out} that it has never met. ")
    else:
        said.append("Other hospitals, devices and ages are not tested. ")
    if any(each["name"] == _UNKNOWN_PERSONS for each in cohort.get("notes", ())):
        said.append("Which recordings are of one person is not known. ")
    if apart := differing_groups(summary):
        n = counted(len(apart), "group is", "groups are")
        names = [*apart[:3], "others"] if len(apart) > 3 else apart
        said.append(f"{n} served better or worse than the rest: {enumerated(names)}.")
    return said


def differing_groups(summary: Summary) -> list[str]:
    """Groups of people that differ from all others for sure, in any task and metric."""
    covariates = (summary.get("subgroups") or {}).get("covariates", {})
    alike = {task for task, result in summary["tasks"].items() if called_alike(result)}
    found = []
    for name, covariate in covariates.items():
        for group in covariate["groups"]:
            tested = [
                metric["above_rest"]["p_holm"]
                for task, metrics in group["tasks"].items()
                for name, metric in metrics.items()
                if task not in alike or name in _OF_RANKS  # else it is how many are of a class
            ]
            if any(p is not None and p <= 0.05 for p in tested):
                found.append(f"{name} {group['name']}")
    return found


def _what_next(summary: Summary, head: Mapping[str, Any]) -> Content:
    if obstacle := _obstacle(summary, head):
        return obstacle
    if summary.get("simulated"):
        return (
            "Take recordings of your own: kfold-hs init TABLE.csv, then kfold-hs run -c study.yaml."
        )
    if _alike(summary, head) and not _beats_chance(head):
        return "First make models that tell people apart: " + (
            "other models, or another threshold."
            if summary.get("imported")
            else "more epochs (train.epochs), another learning rate (kfold-hs lr-find); the losses "
            "below say whether they learn at all."
        )
    reached = None if head["target"] is None or not has_ends(head) else head["verdict"]
    if reached == "reached":
        return (
            "Check it on people of another place: kfold-hs export makes a bundle, kfold-hs "
            "validate scores it."
        )
    if reached == "cannot tell":
        buy = (summary.get("budget") or {}).get("buy")
        return f"Get more {buy or 'people'}: the target lies within the interval."
    other = "of another program" if summary.get("imported") else "of another recipe"
    more = " More repeats will not reach the target." if reached == "not reached" else ""
    return (
        "Look at the labels and at the patients with the highest loss; kfold-hs compare says "
        f"whether predictions {other} are better.{more}"
    )


def _obstacle(summary: Summary, head: Mapping[str, Any]) -> Content:
    """What comes before anything else; empty where nothing does."""
    split = summary["split"]
    if summary.get("incomplete"):
        n = counted(len(summary["incomplete"]), "fold model is", "fold models are")
        return f"Repeat the command: {n} missing, and it trains no other."
    if any(each["is_leak"] for each in split["findings"]):
        return "Remove the leak first: nothing here can be trusted before."
    if split.get("settings", {}).get("by") == "patient":
        return "Split by person: split.by=person."
    if head["honest"] is False:
        return "Quote the value of the last epoch, which nothing chose: How sure? has it."
    imported = summary.get("imported")
    if imported and split["n_folds"] is None:
        return "Name the columns of folds and persons, if there are any: --fold, --person."
    return ""


def _metric(results: Summary, task: str, name: str) -> Any:
    """What was found of a metric, also of one that was decided on the other folds."""
    result = results.get(task) or {"metrics": {}}
    decided = result.get("decided") or {}
    return result["metrics"].get(name) or decided.get(name.removesuffix("_decided"))


def _chance(summary: Summary, task: str, metric: str) -> float | None:
    if metric == "auroc":
        return 0.5
    rules = (summary.get("beside") or {}).get(task, {}).get("rules", [])
    values = (each["values"].get(metric) for each in rules if each["name"] == _GUESS)
    return next(values, None)


def _rules(summary: Summary, task: str, metric: str) -> list[tuple[str, float]]:
    """The rules of a task that have a value, each value once."""
    by_value: dict[float, str] = {}
    for rule in (summary.get("beside") or {}).get(task, {}).get("rules", []):
        value = rule["values"].get(metric.removesuffix("_decided"))
        if value is not None and rule["name"] != _GUESS:
            by_value.setdefault(value, rule["name"])
    return [(name, value) for value, name in by_value.items()]


def _folds(found: Sequence[Mapping[str, Any]]) -> list[float]:
    """The mean of some tasks in every fold where all of them have a value."""
    columns = zip(*(each.get("folds") or [] for each in found), strict=False)
    means = (_mean([fold["value"] for fold in each]) for each in columns)
    return [mean for mean in means if mean is not None]


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    if not known or len(known) < len(values):
        return None
    return known[0] if len(known) == 1 else sum(known) / len(known)


def _ends(head: Mapping[str, Any], rows: Iterable[Row]) -> tuple[float, float]:
    """Of the axis: those of the metric; round ones that hold all that is drawn, where its range has
    no end or is a wide one."""
    shown: list[float] = [] if head["target"] is None else [head["target"]]
    for row in rows:
        parts = [row.found, row.models or {}]
        shown += [
            each[end]
            for each in parts
            for end in ("value", "low", "high")
            if each.get(end) is not None
        ]
        shown += [*row.folds, *(value for _, value in row.rules)]
        shown += [] if row.chance is None else [row.chance]
    lowest, highest = head["lowest"], head["highest"]
    if None not in (lowest, highest) and highest - lowest <= _NARROW:
        return float(lowest), float(highest)
    room = 0.05 * (max(shown) - min(shown)) or 1.0
    low, high = min(shown) - room, max(shown) + room
    for _ in range(2):  # the first may widen the step
        step = _step(low, high)
        low, high = step * math.floor(low / step), step * math.ceil(high / step)
    low = low if lowest is None else max(low, lowest)
    high = high if highest is None else min(high, highest)
    return float(low), float(high)
