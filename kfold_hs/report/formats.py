"""How pages write numbers: in cells of tables, where texts remember their number, and in sentences.

An estimate is a mapping with `low` and `high`, None where they are not known, and mostly `value`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from kfold_hs.judge.results import sentences
from kfold_hs.report.gallery import name
from kfold_hs.report.glossary import GLOSSARY
from kfold_hs.report.tables import BREAK, Content, tag
from kfold_hs.report.traced import traceable

Format = Callable[..., str]

number: Format = traceable(sentences.number)
"""Three decimals, thousands without, a dash for what is not known."""


@traceable
def signed(value: float | None) -> str:
    """As `number`, with the sign of a difference."""
    return sentences.number(value, signed=True)


@traceable
def whole(value: float | None) -> str:
    """Without decimals, a dash for what is not known."""
    return "–" if value is None else f"{value:,.0f}"


@traceable
def signed_whole(value: float | None) -> str:
    """As `whole`, with the sign of a difference."""
    return "–" if value is None else f"{value:+,.0f}"


@traceable
def percent(share: float | None) -> str:
    """Whole percent, a dash for what is not known."""
    return "–" if share is None else f"{100 * share:.0f} %"


@traceable
def percent_tenths(share: float | None) -> str:
    """Percent with one decimal, a dash for what is not known."""
    return "–" if share is None else f"{100 * share:.1f} %"


@traceable
def prevalence(share: float) -> str:
    """Percent with three digits, also of a share that is far below one percent."""
    return f"{100 * share:.3g} %"


@traceable
def percent_above(share: float) -> str:
    """As `percent_tenths`, of what is above 0, with a sign."""
    return f"+{100 * max(share, 0.0):.1f} %"


@traceable
def tenths(value: float) -> str:
    """One decimal."""
    return f"{value:,.1f}"


@traceable
def from_one(index: int | None) -> str:
    """What counts from 0, counted from 1; a dash for none."""
    return "–" if index is None else str(index + 1)


@traceable
def duration(seconds: float) -> str:
    """e.g. ``41 min 07 s``."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02d} min"
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"


@traceable
def energy(joules: float) -> str:
    """e.g. ``12.3 Wh``, ``1.25 kWh``."""
    hours = joules / 3600
    return f"{hours / 1000:.2f} kWh" if hours >= 1000 else f"{hours:.3g} Wh"


def place(fold: Mapping[str, Any], folds: Iterable[Mapping[str, Any]]) -> str:
    """The fold's number, and which repeat and seed where `folds` are of several."""
    several = len({(each["repeat"], each["seed"]) for each in folds}) > 1
    return f"{fold['fold']}" + (f" (r{fold['repeat']} s{fold['seed']})" if several else "")


FORMATS: dict[str, Format] = {
    each.__name__: each
    for each in (
        number, signed, whole, signed_whole, percent, percent_tenths, percent_above, prevalence,
        tenths, from_one, duration, energy, place, name,
    )
}  # fmt: skip
"""By name, as templates call them."""


def has_ends(estimate: Mapping[str, Any]) -> bool:
    """Whether there is an interval; earlier versions wrote some of no width."""
    low, high = estimate["low"], estimate["high"]
    return low is not None and high is not None and bool(low < high)


def is_large(estimate: Mapping[str, Any]) -> bool:
    """Whether decimals say nothing, of the value or of an end: all parts are written alike."""
    parts = (estimate.get(part) for part in ("value", "low", "high"))
    return any(each is not None and abs(each) >= 100 for each in parts)


class Parts(list[Content]):
    """What a cell shows in parts; in a sentence they are one text."""

    def __str__(self) -> str:
        return "".join(map(str, self))


def interval(estimate: Mapping[str, Any], written_as: str = "") -> Parts:
    """e.g. ``0.612 to 0.730``; words where there is no interval.

    Parameters
    ----------
    estimate : mapping
    written_as : str, optional
        Name of the ends' format; "number" without it, "whole" where numbers are large.
    """
    if not has_ends(estimate):
        return Parts([sentences.UNKNOWN_INTERVAL])
    write = FORMATS[written_as or ("whole" if is_large(estimate) else "number")]
    return Parts([write(estimate["low"]), " to ", write(estimate["high"])])


def difference(estimate: Mapping[str, Any], between: Content = BREAK) -> Content:
    """A difference and its interval, all with or all without decimals."""
    write = "signed_whole" if is_large(estimate) else "signed"
    return [FORMATS[write](estimate["value"]), between, "(", interval(estimate, write), ")"]


def labelled(metric: Mapping[str, Any]) -> Content:
    """A metric's name, what it is, and its direction where lower is better."""
    lower = [" ", tag("span", "(lower is better)", "soft")]
    shown: Content = metric["label"]
    if meaning := GLOSSARY.get(metric["label"].split(" (")[0]):
        shown = tag("abbr", shown, title=meaning)
    return [shown, "" if metric["higher_is_better"] else lower]


def run_of(variant: Mapping[str, Any]) -> Content:
    """The run of a variant or a trial, and whose models predicted it."""
    run, other = variant["run"], variant["predicted_with"]
    again = [" predicted anew by the models of ", tag("code", other)] if other else ""
    return [tag("code", run) if run else "", again]


def untold(metrics: Mapping[str, Mapping[str, Any]]) -> dict[str, list[str]]:
    """Why intervals are missing: the labels of the metrics by reason."""
    found: dict[str, list[str]] = {}
    for metric in metrics.values():
        if not has_ends(metric) and metric.get("method"):
            found.setdefault(metric["method"], []).append(metric["label"])
    return found
