"""index.html: every run, comparison and search of a folder, with what it came to."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from kfold_hs.judge.stats.paired import BETTER
from kfold_hs.report.render import Page, rendered
from kfold_hs.report.traced import traced


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


def of_run(name: str, summary: Mapping[str, Any]) -> Entry:
    """The row of a run; pointers are into summary.json."""
    shown = traced(summary["headline"], f"{name}/summary.json#/headline")
    verdict = shown["verdict"] + ("" if shown["honest"] else " (optimistic)")
    return Entry(
        name, "run", verdict, shown["sentence"], f"{name}/report.html",
        summary["provenance"]["started"], shown["value"], shown["low"], shown["high"],
    )  # fmt: skip


def of_comparison(name: str, content: Mapping[str, Any]) -> Entry:
    """The row of a comparison; pointers are into comparison.json."""
    pair = traced(content["headline"]["pairs"][0], f"{name}/comparison.json#/headline/pairs/0")
    apart, verdict = pair["difference"], pair["verdict"]
    if verdict == BETTER:
        verdict = f"{pair[pair['winner']]} is better"
    return Entry(
        name, "comparison", verdict, " ".join(content["sentences"]), f"{name}/comparison.html",
        content["provenance"]["started"], apart["value"], apart["low"], apart["high"],
    )  # fmt: skip


def of_tune(name: str, content: Mapping[str, Any]) -> Entry:
    """The row of a search; pointers are into tune.json."""
    best = traced(content["winner"]["corrected"], f"{name}/tune.json#/winner/corrected")
    n_points = math.prod(len(values) for values in content["space"]["space"].values())
    done = len(content["trials"]) >= min(content["n_trials"], n_points)
    return Entry(
        name, "search", "finished" if done else "not finished", content["sentence"],
        f"{name}/tune.html", content["provenance"]["started"],
        best["value"], best["low"], best["high"],
    )  # fmt: skip


def render_index(entries: Iterable[Entry]) -> Page:
    """The page; rows are sorted by date, the newest first, those without a date last."""
    newest = sorted(entries, key=lambda each: (each.date, each.name), reverse=True)
    return rendered("index.html.j2", {}, entries=newest)
