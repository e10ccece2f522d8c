"""Comparisons in words, for the page and the terminal."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from kfold_hs.errors import counted as counted
from kfold_hs.errors import enumerated
from kfold_hs.judge.stats.paired import BETTER, EQUIVALENT

UNKNOWN_INTERVAL = "unknown"
_PATH = re.compile(
    r"(?<![\w./…~-])(?:~|/[^\s'\"=,;:/()]+)(?:/[^\s'\"=,;:/()]+)*/([^\s'\"=,;:/()]+)"
)
SYNTHETIC = "synthetic"
"""Kind and name of the data whose people are simulated."""
SIMULATED_PEOPLE = "SIMULATED people."


def is_simulated(content: Mapping[str, Any]) -> bool:
    """Whether a summary, comparison or search is of the built-in people.

    Files of earlier versions do not say it themselves, but name the cohort.
    """
    named = content["cohort"]["name"] == SYNTHETIC
    return bool(content.get("simulated", named))


def without_folders(text: str) -> str:
    """A text whose absolute paths have lost their folders: a page is shown to others.

    What stands in quotes is one path, blanks and all.
    """
    quoted = re.sub(r"(['\"])(?:~|/[^/'\"\n]+)(?:/[^'\"\n]*)?/([^/'\"\n]+)\1", r"\1…/\2\1", text)
    return _PATH.sub(r"…/\1", quoted)


def ends(found: Mapping[str, Any], signed: bool = False) -> str:
    """Such as 0.612 to 0.730; words where there is no interval."""
    low, high = found["low"], found["high"]
    if low is None or high is None or not low < high:  # earlier versions wrote some of no width
        return UNKNOWN_INTERVAL
    shown = number(low, signed), number(high, signed)
    if shown[0] == shown[1]:  # three decimals would hide a width that is there
        sign = "+" if signed else ""
        shown = f"{low:{sign}.2g}", f"{high:{sign}.2g}"
    return f"{shown[0]} to {shown[1]}"


def number(value: float | None, signed: bool = False) -> str:
    """Three decimals, thousands without, a dash for what is unknown."""
    if value is None:
        return "–"
    text = f"{abs(value):,.0f}" if abs(value) >= 100 else f"{abs(value):.3f}"
    if text == "0.000":
        return text
    return ("-" if value < 0 else "+" if signed else "") + text


def called_alike(result: Mapping[str, Any]) -> str:
    """Which class the models call everybody, or nearly: `98 % of patients Absent`.

    No counts: the sentence stands on cards that are published.

    Empty where they tell people apart: at least 5 % are called something else, or a tenth of those
    who are of another class.

    Parameters
    ----------
    result : mapping
        Of a task: classes and confusion.
    """
    counts = result.get("confusion") or []
    called = [sum(column) for column in zip(*counts, strict=True)]
    n, total = max(called, default=0), sum(called)
    if not n or n < 0.95 * total:
        return ""
    most = called.index(n)
    others = total - sum(counts[most])
    if n - counts[most][most] < 0.9 * others or not others:
        return ""
    whom = f"{100 * n // total} % of patients" if n < total else "all patients"
    return f"{whom} {result['classes'][most]}"


def says_alike(tasks: Mapping[str, Mapping[str, Any]]) -> str:
    """A sentence on all tasks in which the models call everybody, or nearly, the same."""
    found = {task: called_alike(result) for task, result in tasks.items()}
    said = [f"{whom} ({task})" for task, whom in found.items() if whom]
    return f"The models call {enumerated(said)}." if said else ""


def verdict(label: str, first: str, second: str, found: Mapping[str, Any]) -> str:
    """What a comparison of two variants says of one metric, in a sentence.

    Parameters
    ----------
    label : str
        Of the metric.
    first, second : str
        Names of the variants.
    found : mapping
        `judge.stats.paired.compare`'s.
    """
    apart = found["difference"]
    if ends(apart) == UNKNOWN_INTERVAL:
        why = str(apart["method"]).removeprefix("no interval: ")
        unknown = f"{label}: whether {second} or {first} is better is unknown."
        return f"{unknown} {why[:1].upper()}{why[1:]}."
    by = (
        f"difference {number(apart['value'], signed=True)}, 95 % interval "
        f"{ends(apart, signed=True)}"
    )
    if found["verdict"] == BETTER:
        pair = (first, second) if found["winner"] == "first" else (second, first)
        if pair[0] == found.get("leaking"):
            return f"{label}: {pair[0]} looks better than {pair[1]}, and leaks ({by})."
        return f"{label}: {pair[0]} is better than {pair[1]} ({by})."
    if found["verdict"] == EQUIVALENT:
        margin = number(found["margin"])
        return f"{label}: {second} and {first} are equivalent, within {margin} ({by})."
    return f"{label}: whether {second} or {first} is better is unknown ({by})."


def verdict_of(found: Mapping[str, Any], first: str, second: str) -> str:
    """The verdict in a few words, with the name of the better one."""
    if found["verdict"] != BETTER:
        return str(found["verdict"])
    name = first if found["winner"] == "first" else second
    return (
        f"{name} looks better, and leaks" if name == found.get("leaking") else f"{name} is better"
    )


def to_decide(found: Mapping[str, Any], n_repeats: int) -> str:
    """What this design could have seen, and what would see the observed difference.

    Empty where there is a verdict, or nothing to go by.
    """
    if found["verdict"] in {BETTER, EQUIVALENT} or _is_untold(found):
        return ""
    seen = "This design sees no difference that there can be with 80 % power."
    if found["detectable"] is not None:
        seen = f"This design sees a difference of {number(found['detectable'])} with 80 % power."
    settle = found["settle"]
    if settle is None:
        return seen
    at_most = settle.get("at_most", False)  # comparisons of an earlier version lack it
    if settle["repeats"]:
        most = "at most " if at_most else ""
        repeats = f"{most}{counted(settle['repeats'], 'repeat')} of these people would see it"
    elif at_most:
        repeats = "whether repeats of these people would see it is not known"
        repeats += " from one" if n_repeats == 1 else ""
    else:
        repeats = "no number of repeats of these people would see it"
    is_bound = settle.get("people_at_most", False)
    small = "" if settle["beyond_margin"] else " (within the margin of equivalence)"
    people = f"with {n_repeats} as now, "
    if settle["people"]:
        most = "at most " if is_bound else ""
        people += f"{most}{counted(settle['people'], 'person', 'people')} would"
    elif is_bound:
        people += "whether more people would is not known"
    else:
        people += "no number of people would"
    return f"{seen} The observed one{small}: {repeats}; {people}."


def _is_untold(found: Mapping[str, Any]) -> bool:
    """Whether nothing stands beside a difference; one on different folds has no correlated t."""
    return found["bayes"] is None and found.get("variance") is None


def whole_percents(shares: Mapping[str, float]) -> dict[str, str]:
    """Shares of a whole as whole percents that add to 100: the largest rests are rounded up."""
    floors = {name: int(100 * share + 1e-9) for name, share in shares.items()}
    by_rest = sorted(shares, key=lambda name: floors[name] - 100 * shares[name])
    up = set(by_rest[: 100 - sum(floors.values())])
    return {name: f"{whole + (name in up)} %" for name, whole in floors.items()}


def beside(found: Mapping[str, Any]) -> str:
    """What stands beside a verdict: the Bayesian probabilities, and the difference of these models.

    Empty where nothing can be told.
    """
    here = found["these_models"]
    if _is_untold(found) or here is None:
        return ""
    models = (
        f"These models: {number(here['value'], signed=True)} ({ends(here, signed=True)}), which "
        "says nothing of the recipes."
    )
    if found["bayes"] is None:
        return models
    chances = whole_percents(found["bayes"])
    return (
        f"Bayesian correlated t-test, margin {number(found['margin'])}: second worse "
        f"{chances['worse']}, as good {chances['same']}, better {chances['better']}. {models}"
    )
