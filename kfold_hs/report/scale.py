"""The headline of a run on a scale, beside its tasks, folds, chance, rules and target.

Nothing is judged here: all of it comes from summary.json. Files of earlier versions say less of
their headline, which was the mean accuracy of the tasks (mean AUROC of scores); it is completed.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from kfold_hs.errors import enumerated
from kfold_hs.report.formats import has_ends

_NARROW = 2.0
"""Ranges up to this length, from -1 to 1 say, are drawn whole."""
MOST_TASKS = 8
"""Rows below the headline's; the tables have all."""
_GUESS = "prevalence"
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
    mine = {end: head[end] for end in ("value", "low", "high")}
    if len(tasks) == 1 and rows:  # the headline is this task's value
        only = rows[0]
        of_head = dict(only.found) | mine
        rows = [Row(head["label"], of_head, only.folds, head["chance"], only.rules)]
    else:
        first = mine | {"these_models": head.get("these_models")}
        rows.insert(0, Row(head["label"], first, _folds(list(found.values())), head["chance"]))
    ends = _ends(head, rows)
    return Scale(*ends, rows, head["target"], max(0, len(found) - MOST_TASKS))


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
