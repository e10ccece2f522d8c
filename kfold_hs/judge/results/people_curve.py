"""Would more people help? A learning curve over training people, for every task and metric."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pydantic

from kfold_hs.judge.metrics.scores import Metric
from kfold_hs.judge.results.comparison import Variants
from kfold_hs.judge.results.headline import guessed
from kfold_hs.judge.results.json_part import JsonPart
from kfold_hs.judge.results.sentences import number
from kfold_hs.judge.results.summary import CohortFacts, Provenance, SplitFacts
from kfold_hs.judge.selection.objective import DECIDED, Objective
from kfold_hs.judge.stats.expected_error import recipe_estimate
from kfold_hs.judge.stats.influence import Influence, mean_of
from kfold_hs.judge.stats.intervals import LEVEL
from kfold_hs.judge.stats.multiplicity import holm
from kfold_hs.judge.stats.paired import BETTER, CANNOT_TELL, EQUIVALENT
from kfold_hs.judge.stats.power_law import FEWEST_SIZES, Measured, PowerLaw, fit, measured
from kfold_hs.judge.stats.variance_components import budget

SCHEMA = 1
AHEAD = 2
"""The curve is extrapolated to so many times the people that the largest size trains on."""
MORE_PEOPLE = {BETTER: "would help", EQUIVALENT: "would hardly help", CANNOT_TELL: CANNOT_TELL}
"""What more people would do, by verdict."""
_N_LINE = 40
_MISFIT = 0.05
NO_VARIANCE = "a size lacks what its variance stands on: no curve is drawn through the values"
TOO_FEW = f"a curve takes {FEWEST_SIZES} sizes or more"


class SizeFacts(JsonPart):
    """A size: share of each fold's training people, how many that is on average, and its run."""

    share: float
    n_people: float
    run: str
    digest: str
    predicted_with: str | None = None


class PeopleCurve(JsonPart):
    """The content of learning_curve.json; `headline` and `tasks` are `people_curves`'s."""

    schema_: int = pydantic.Field(alias="schema")
    name: str
    sizes: list[SizeFacts]
    headline: dict[str, Any]
    tasks: dict[str, dict[str, Any]]
    sentences: list[str]
    simulated: bool | None = None
    split: SplitFacts
    cohort: CohortFacts
    provenance: Provenance


@dataclass(frozen=True)
class Sizes:
    """What was trained on how many people.

    Parameters
    ----------
    shares : sequence of float
        Of each fold's training people, ascending, one a variant.
    n_people : sequence of float
        The same as people, averaged over the folds.
    margins : mapping
        Metric -> half the width of its region of practical equivalence.
    headline : str
        What the curve leads with (`judge.selection.objective`).
    seed : int
    target : float, optional
        Value of the headline that is to be reached.
    """

    shares: Sequence[float]
    n_people: Sequence[float]
    margins: Mapping[str, float]
    headline: str = "mean.accuracy"
    seed: int = 0
    target: float | None = None


def people_curves(variants: Variants, sizes: Sizes) -> dict[str, Any]:
    """The curves of all metrics.

    Parameters
    ----------
    variants : Variants
        One a size, in their order.

    Returns
    -------
    dict
        headline (with key and target) and tasks: task -> metric -> curve: label, higher_is_better,
        points (of every size an estimate and n_people), law (a, b, c, misfit), why (there is none,
        or the verdict is `cannot tell`), line, twice, gain, verdict, margin, chance, hindcast,
        budget. `would help` takes Holm's p over the metrics of a task; the headline's is its own.
    """
    tasks: dict[str, dict[str, Any]] = {}
    found: dict[str, dict[str, list[Influence]]] = {}
    lead = Objective.among(sizes.headline, variants.first, variants.first.tasks, "headline")
    for task in variants.first.tasks:
        metrics, by_metric = variants.influences(task)
        found[task] = {name: list(each.values()) for name, each in by_metric.items()}
        tasks[task] = {
            name: _curve(
                metrics[name], found[task][name], variants, sizes, _guessed(name, variants, [task])
            )
            for name in metrics
        }
        if not _has_learnt(tasks[task]):
            tasks[task] = {name: _doubted(each) for name, each in tasks[task].items()}
        _take_holm(tasks[task], lead.metric if lead.tasks == (task,) else "")
    of_sizes = zip(*(found[task][lead.metric] for task in lead.tasks), strict=True)
    leads = [mean_of(list(of_size)) for of_size in of_sizes]
    curve = _curve(lead.first, leads, variants, sizes, _guessed(lead.metric, variants, lead.tasks))
    if not any(_has_learnt(tasks[task]) for task in lead.tasks):
        curve = _doubted(curve)
    named = {"key": lead.key, "label": lead.title, "target": _target(curve, sizes.target)}
    return {"headline": curve | named, "tasks": tasks}


def _has_learnt(curves: Mapping[str, dict[str, Any]]) -> bool:
    """Whether any metric of a task beats a guess; True where there is none that says it."""
    known = [each for each in curves.values() if each["chance"] is not None]
    return not known or any(map(_beats_a_guess, known))


def _doubted(curve: dict[str, Any]) -> dict[str, Any]:
    """The curve of a metric by which nobody guesses, of models that by the others only guess."""
    if curve["law"] is None or curve["chance"] is not None:
        return curve
    why = "by no metric is any size better for sure than a guess"
    return curve | {"verdict": CANNOT_TELL, "why": why}


def _guessed(metric: str, variants: Variants, tasks: Sequence[str]) -> float | None:
    """What a guess gets, on average over the tasks; None where that is no number."""
    plain, kept = metric.removesuffix(DECIDED), variants.first
    known = [guessed(plain, kept, task, variants.positives[task]) for task in tasks]
    return float(np.mean([one for one in known if one is not None])) if None not in known else None


def _take_holm(curves: Mapping[str, dict[str, Any]], declared: str) -> None:
    """Leave `would help` to the metrics whose gain survives that so many were looked at."""
    known = [c for name, c in curves.items() if c["gain"] is not None and name != declared]
    for curve, p in zip(known, holm([c["gain"]["p"] for c in known]), strict=True):
        curve["gain"]["p_holm"] = float(p)
        if curve["verdict"] == BETTER and p > 1 - LEVEL:
            curve |= {"verdict": CANNOT_TELL, "why": f"{len(known)} metrics were looked at"}


def _target(curve: Mapping[str, Any], target: float | None) -> dict[str, Any] | None:
    """From how many people on the curve has the target; None where it does not up to its end."""
    if target is None or not curve["line"]:
        return None
    sign = 1 if curve["higher_is_better"] else -1
    reached = [e["n_people"] for e in curve["line"] if sign * (e["value"] - target) >= 0]
    return {"value": target, "n_people": reached[0] if reached else None}


def _curve(
    metric: Metric,
    influences: list[Influence],
    variants: Variants,
    sizes: Sizes,
    chance: float | None,
) -> dict[str, Any]:
    margin = sizes.margins.get(metric.name.removesuffix(DECIDED), metric.margin)
    last = influences[-1]
    content: dict[str, Any] = {
        "label": metric.label,
        "higher_is_better": metric.higher_is_better,
        "margin": margin,
        "chance": chance,
        "points": [
            {"n_people": n} | dataclasses.asdict(
                recipe_estimate(one, variants.train_share * share, variants.layout.n_persons)
            )
            for n, share, one in zip(sizes.n_people, sizes.shares, influences, strict=True)
        ],
        "law": None, "why": "", "line": [], "twice": None, "gain": None,
        "verdict": CANNOT_TELL, "hindcast": None,
        "budget": budget(last, None) if np.isfinite(last.value) else None,
    }  # fmt: skip
    if len(influences) < FEWEST_SIZES:
        return content | {"why": TOO_FEW}
    are_known = all(np.isfinite(one.value) for one in influences)
    points = measured(sizes.n_people, influences) if are_known else None
    if points is None:
        return content | {"why": NO_VARIANCE}
    law = fit(points, last.bounds, metric.higher_is_better, sizes.seed)
    assert law is not None
    content |= _ahead(law, points, margin) | {"hindcast": _hindcast(points, last, law, sizes)}
    if not _beats_a_guess(content):
        why = f"no size is better for sure than a guess, which gets {number(chance)}"
        content |= {"verdict": CANNOT_TELL, "why": why}
    return content


def _beats_a_guess(curve: Mapping[str, Any]) -> bool:
    """Whether the models of a size have learnt something for sure; True where nobody can say."""
    chance, up = curve["chance"], curve["higher_is_better"]
    ends = [each["low"] if up else each["high"] for each in curve["points"]]
    if chance is None or None in ends:
        return True
    return any(end > chance if up else end < chance for end in ends)


def _ahead(law: PowerLaw, points: Measured, margin: float) -> dict[str, Any]:
    """What the law says of all sizes, and of twice the people."""
    now = float(points.sizes[-1])
    then = AHEAD * now
    line = np.geomspace(points.sizes[0], then, _N_LINE)
    value, low, high = law.gain(now, then)
    verdict = EQUIVALENT if high < margin else BETTER if low > 0 else CANNOT_TELL
    return {
        "law": {
            "a": float(law.a[0]), "b": float(law.b[0]), "c": float(law.c[0]),
            "misfit": law.misfit,
        },
        "line": [_at(n, *ends) for n, *ends in zip(line, *law.band(line), strict=True)],
        "twice": _at(then, *law.band(then)),
        "gain": {
            "from": now, "to": then, "value": value, "low": low, "high": high,
            "p": law.p_of_gain(now, then),
        },
        "verdict": verdict,
    }  # fmt: skip


def _hindcast(
    points: Measured, last: Influence, law: PowerLaw, sizes: Sizes
) -> dict[str, Any] | None:
    """What the smaller sizes alone foretell of the largest, beside what it was."""
    before = fit(points.first(len(points.sizes) - 1), last.bounds, law.sign > 0, sizes.seed)
    if before is None:
        return None
    foretold = _at(float(points.sizes[-1]), *before.band(float(points.sizes[-1])))
    was = float(points.values[-1])
    return foretold | {"measured": was, "inside": foretold["low"] <= was <= foretold["high"]}


def _at(n: float, value: Any, low: Any, high: Any) -> dict[str, float]:
    return {"n_people": float(n), "value": float(value), "low": float(low), "high": float(high)}


def sentence(curve: Mapping[str, Any]) -> str:
    """Whether more people would help, in words, and what else would make the answer surer."""
    label, points = curve["label"], curve["points"]
    measured_at = ", ".join(
        f"{number(each['value'])} with {each['n_people']:.0f}" for each in points
    )
    start = f"{label}, by training people: {measured_at}."
    if curve["gain"] is None:
        return f"{start} What more people would bring is unknown: {curve['why']}."
    gain, twice = curve["gain"], curve["twice"]
    up = curve["higher_is_better"]
    now = twice["value"] - (1 if up else -1) * gain["value"]
    by = (
        f"{number(gain['value'])} {'' if up else 'less '}({number(gain['low'])} to "
        f"{number(gain['high'])}), from {number(now)} to {number(twice['value'])} "
        f"({number(twice['low'])} to {number(twice['high'])}) on the fitted curve"
    )
    why = f"{curve['why']}. T" if curve.get("why") else "t"
    verdict = {
        BETTER: f"More people would help: training on {gain['to']:.0f} brings {by}",
        EQUIVALENT: f"More people would hardly help: training on {gain['to']:.0f} brings {by}, "
        f"less than the margin of {number(curve['margin'])}",
        CANNOT_TELL: f"Whether more people would help is unknown: {why}raining on "
        f"{gain['to']:.0f} brings {by}",
    }[curve["verdict"]]
    misfit = curve["law"]["misfit"]
    doubt = ""
    if misfit is not None and misfit < _MISFIT:
        doubt = f" The values do not follow an inverse power law (p {number(misfit)}): be wary."
    return f"{start} {verdict}, an inverse power law.{_said_of(curve.get('target'), gain)}{doubt}"


def _said_of(target: Mapping[str, Any] | None, gain: Mapping[str, Any]) -> str:
    if target is None:
        return ""
    if target["n_people"] is None:
        end = f"{gain['to']:.0f} people, {'twice' if AHEAD == 2 else AHEAD} as many"
        return f" The curve does not reach the target of {target['value']:g} up to {end}."
    first = f"about {target['n_people']:.0f} people on"
    return f" On the curve the target of {target['value']:g} is reached from {first}."
