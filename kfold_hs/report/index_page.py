"""index.html: every run and whatever else a folder holds, with what it came to."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from kfold_hs.config.keys import is_path
from kfold_hs.errors import counted, enumerated
from kfold_hs.judge.results.comparison_result import Comparison
from kfold_hs.judge.results.people_curve import MORE_PEOPLE, PeopleCurve
from kfold_hs.judge.results.search_result import SearchResult
from kfold_hs.judge.results.sentences import verdict_of
from kfold_hs.judge.results.summary import Summary
from kfold_hs.judge.results.validation_result import Validation
from kfold_hs.report.render import Page, rendered
from kfold_hs.report.scale import completed
from kfold_hs.report.traced import traced

MOST_KEYS = 12
"""Columns of settings; the names of further ones stand below the table."""
KINDS = {
    "run": ("run", "runs"),
    "evaluation": ("evaluation", "evaluations"),
    "comparison": ("comparison", "comparisons"),
    "search": ("search", "searches"),
    "validation": ("validation", "validations"),
    "learning curve": ("learning curve", "learning curves"),
}
"""One and many of each kind of result."""
_NO_MATTER = {"track", "judge", "plugins"}


@dataclass(frozen=True)
class Entry:
    """One row: a folder of results.

    Parameters
    ----------
    name, kind, link, date, verdict, headline : str
        `link` is relative to the folder of all, and empty where there is no page; `date` is in
        ISO 8601.
    value, low, high : float, optional
        What the headline is about, with its interval.
    split : str
        Digest of the split of a run.
    settings : dict
        Of a run: key -> value, as text.
    what : str
        What the value is of: the label of a metric, and whether it is a difference.
    """

    name: str
    kind: str
    verdict: str
    headline: str
    link: str = ""
    date: str = ""
    value: float | None = None
    low: float | None = None
    high: float | None = None
    split: str = ""
    settings: Mapping[str, str] = field(default_factory=dict)
    what: str = ""


def of_run(name: str, summary: Summary, config: Mapping[str, Any]) -> Entry:
    """The row of a run, whose configuration is empty for an evaluation; pointers are into
    summary.json."""
    shown = traced(summary.headline.to_json(), f"{name}/summary.json#/headline")
    words = [shown["verdict"], "(optimistic)" if shown["honest"] is False else ""]
    kind = "run" if summary.imported is None else "evaluation"
    return Entry(
        name, kind, " ".join(filter(None, words)), shown["sentence"], f"{name}/report.html",
        summary.provenance.started, shown["value"], shown["low"], shown["high"],
        summary.split.digest, dict(_flat(config)), completed(summary.to_json())["label"],
    )  # fmt: skip


def of_comparison(name: str, result: Comparison) -> Entry:
    """The row of a comparison; pointers are into comparison.json."""
    pair = traced(result.headline["pairs"][0], f"{name}/comparison.json#/headline/pairs/0")
    apart, verdict = pair["difference"], verdict_of(pair, pair["first"], pair["second"])
    return Entry(
        name, "comparison", verdict, " ".join(result.sentences), f"{name}/comparison.html",
        result.provenance.started, apart["value"], apart["low"], apart["high"],
        what=f"{result.headline['label']}: difference",
    )  # fmt: skip


def of_tune(name: str, result: SearchResult) -> Entry:
    """The row of a search; pointers are into tune.json."""
    best = traced(result.winner.corrected, f"{name}/tune.json#/winner/corrected")
    n_points = math.prod(len(values) for values in result.space.space.values())
    done = len(result.trials) >= min(result.n_trials, n_points)
    return Entry(
        name, "search", "finished" if done else "not finished", result.sentence,
        f"{name}/tune.html", result.provenance.started,
        best["value"], best["low"], best["high"], what=f"{result.objective.label}: of the best",
    )  # fmt: skip


def of_validation(name: str, result: Validation) -> Entry:
    """The row of a validation; pointers are into validation.json. Its value is the headline's of
    the first task on the other people; the AUROC's where that is the accuracy."""
    lead, task, kind = "auroc", next(iter(result.tasks)), "metrics"
    if result.headline.get("tasks") and result.headline["metric"] != "accuracy":
        lead, task = result.headline["metric"], result.headline["tasks"][0]
        kind = "decided" if result.headline["is_decided"] else "metrics"
    if lead not in (rows := getattr(result.tasks[task], kind)):
        lead, kind, rows = "auroc", "metrics", result.tasks[task].metrics
    metric = rows[lead]
    place = f"{name}/validation.json#/tasks/{task}/{kind}/{lead}/external"
    found = traced(metric["external"], place)
    return Entry(
        name, "validation", metric["verdict"] or "not compared", " ".join(result.sentences),
        f"{name}/validation.html", result.provenance.started,
        found["value"], found["low"], found["high"], what=f"{metric['label']} ({task})",
    )  # fmt: skip


def of_people_curve(name: str, result: PeopleCurve) -> Entry:
    """The row of a learning curve; pointers are into learning_curve.json. Its value is what twice
    the people would bring."""
    gain = result.headline["gain"] or {"value": None, "low": None, "high": None}
    shown = traced(gain, f"{name}/learning_curve.json#/headline/gain")
    return Entry(
        name, "learning curve", MORE_PEOPLE[result.headline["verdict"]], " ".join(result.sentences),
        f"{name}/learning_curve.html", result.provenance.started,
        shown["value"], shown["low"], shown["high"],
        what=f"{result.headline['label']}: gain from twice the people",
    )  # fmt: skip


def counted_kinds(entries: Iterable[Entry]) -> str:
    """How many there are of each kind: `2 runs and 1 learning curve`."""
    n = Counter(each.kind for each in entries)
    known = [counted(n[kind], *words) for kind, words in KINDS.items() if n[kind]]
    others = sum(count for kind, count in n.items() if kind not in KINDS)
    known += [counted(others, "other folder")] if others else []
    return enumerated(known) if known else "no results"


def differing(entries: Iterable[Entry]) -> list[str]:
    """Keys of settings that are not the same in all runs, those that most runs have first."""
    runs = [each.settings for each in entries if each.settings]
    keys = dict.fromkeys(key for each in runs for key in each)
    apart = [key for key in keys if len({each.get(key) for each in runs}) > 1]
    return sorted(apart, key=lambda key: -sum(key in each for each in runs))


def _flat(config: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """What may matter to a result: no paths, and nothing that only judging or watching reads."""
    for name, value in config.items():
        key = f"{prefix}{name}"
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{key}.")
        elif key.split(".")[0] not in _NO_MATTER and not is_path(key):
            listed = value if isinstance(value, list) else [value]
            yield key, ", ".join("none" if each is None else str(each) for each in listed)


def render_index(entries: Iterable[Entry]) -> Page:
    """The page; rows are sorted by date, the newest first, those without a date last."""
    newest = sorted(entries, key=lambda each: (each.date, each.name), reverse=True)
    keys = differing(newest)
    return rendered(
        "index.html.j2", {}, entries=newest, keys=keys[:MOST_KEYS], others=keys[MOST_KEYS:]
    )
