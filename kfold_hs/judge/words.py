"""Comparisons in words, for the page and the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kfold_hs.judge.paired import BETTER, EQUIVALENT


def number(value: float | None, signed: bool = False) -> str:
    """Three decimals, thousands without, a dash for what cannot be told."""
    if value is None:
        return "–"
    text = f"{abs(value):,.0f}" if abs(value) >= 100 else f"{abs(value):.3f}"
    if text == "0.000":
        return text
    return ("-" if value < 0 else "+" if signed else "") + text


def verdict(label: str, first: str, second: str, found: Mapping[str, Any]) -> str:
    """What a comparison of two variants says of one metric, in a sentence.

    Parameters
    ----------
    label : str
        Of the metric.
    first, second : str
        Names of the variants.
    found : mapping
        `judge.paired.compare`'s.
    """
    apart = found["difference"]
    if apart["low"] is None:
        return f"{label}: whether {second} or {first} is better cannot be told: {apart['method']}."
    by = (
        f"difference {number(apart['value'], signed=True)}, 95 % interval "
        f"{number(apart['low'], signed=True)} to {number(apart['high'], signed=True)}"
    )
    if found["verdict"] == BETTER:
        pair = (first, second) if found["winner"] == "first" else (second, first)
        return f"{label}: {pair[0]} is better than {pair[1]} ({by})."
    if found["verdict"] == EQUIVALENT:
        margin = number(found["margin"])
        return f"{label}: {second} and {first} are equivalent, within {margin} ({by})."
    return f"{label}: whether {second} or {first} is better cannot be told ({by})."


def to_decide(found: Mapping[str, Any], n_repeats: int) -> str:
    """What this design could have seen, and what would see the observed difference.

    Empty where there is a verdict, or nothing to go by.
    """
    if found["verdict"] in {BETTER, EQUIVALENT} or found["detectable"] is None:
        return ""
    seen = f"This design sees a difference of {number(found['detectable'])} with 80 % power."
    settle = found["settle"]
    if settle is None:
        return seen
    at_most = settle.get("at_most", False)  # comparisons of an earlier version lack it
    if settle["repeats"]:
        most = "at most " if at_most else ""
        repeats = f"{most}{settle['repeats']} repeats of these people would see it"
    elif at_most:
        repeats = "whether repeats of these people would see it is not known from one"
    else:
        repeats = "no number of repeats of these people would see it"
    people = f"{settle['people']:,} people" if settle["people"] else "no number of people"
    small = "" if settle["beyond_margin"] else " (within the margin of equivalence)"
    return f"{seen} The observed one{small}: {repeats}; with {n_repeats} as now, {people} would."


def beside(found: Mapping[str, Any]) -> str:
    """What stands beside a verdict: the Bayesian probabilities, and the difference of these models.

    Empty where nothing can be told.
    """
    if found["bayes"] is None or found["these_models"] is None:
        return ""
    chances = {name: f"{100 * value:.0f} %" for name, value in found["bayes"].items()}
    here = found["these_models"]
    return (
        f"Bayesian correlated t-test, margin {number(found['margin'])}: second worse "
        f"{chances['worse']}, as good {chances['same']}, better {chances['better']}. These models: "
        f"{number(here['value'], signed=True)} ({number(here['low'], signed=True)} to "
        f"{number(here['high'], signed=True)}), which says nothing of the recipes."
    )
