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
from kfold_hs.judge.results.json_part import JsonPart
from kfold_hs.judge.results.sentences import number
from kfold_hs.judge.results.summary import CohortFacts, Provenance, SplitFacts
from kfold_hs.judge.selection.objective import DECIDED, Objective
from kfold_hs.judge.stats.expected_error import recipe_estimate
from kfold_hs.judge.stats.influence import Influence, mean_of
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
    """

    shares: Sequence[float]
    n_people: Sequence[float]
    margins: Mapping[str, float]
    headline: str = "mean.accuracy"
    seed: int = 0


def people_curves(variants: Variants, sizes: Sizes) -> dict[str, Any]:
    """The curves of all metrics.

    Parameters
    ----------
    variants : Variants
        One a size, in their order.

    Returns
    -------
    dict
        headline (with key) and tasks: task -> metric -> curve: label, higher_is_better, points (of
        every size an estimate and n_people), law (a, b, c, misfit), why (there is none), line,
        twice, gain, verdict, margin, hindcast, budget.
    """
    tasks: dict[str, dict[str, Any]] = {}
    found: dict[str, dict[str, list[Influence]]] = {}
    for task in variants.first.tasks:
        metrics, by_metric = variants.influences(task)
        found[task] = {name: list(each.values()) for name, each in by_metric.items()}
        tasks[task] = {
            name: _curve(metrics[name], found[task][name], variants, sizes) for name in metrics
        }
    lead = Objective.among(sizes.headline, variants.first, variants.first.tasks, "headline")
    of_sizes = zip(*(found[task][lead.metric] for task in lead.tasks), strict=True)
    leads = [mean_of(list(of_size)) for of_size in of_sizes]
    curve = _curve(lead.first, leads, variants, sizes)
    return {"headline": curve | {"key": lead.key, "label": lead.title}, "tasks": tasks}


def _curve(
    metric: Metric, influences: list[Influence], variants: Variants, sizes: Sizes
) -> dict[str, Any]:
    margin = sizes.margins.get(metric.name.removesuffix(DECIDED), metric.margin)
    last = influences[-1]
    content: dict[str, Any] = {
        "label": metric.label,
        "higher_is_better": metric.higher_is_better,
        "margin": margin,
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
    return content | _ahead(law, points, margin) | {"hindcast": _hindcast(points, last, law, sizes)}


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
        "gain": {"from": now, "to": then, "value": value, "low": low, "high": high},
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
    change = "" if curve["higher_is_better"] else "less "
    by = (
        f"{number(gain['value'])} {change}({number(gain['low'])} to {number(gain['high'])}), "
        f"to {number(twice['value'])} ({number(twice['low'])} to {number(twice['high'])})"
    )
    verdict = {
        BETTER: f"More people would help: training on {gain['to']:.0f} brings {by}",
        EQUIVALENT: f"More people would hardly help: training on {gain['to']:.0f} brings {by}, "
        f"less than the margin of {number(curve['margin'])}",
        CANNOT_TELL: f"Whether more people would help is unknown: training on {gain['to']:.0f} "
        f"brings {by}",
    }[curve["verdict"]]
    misfit = curve["law"]["misfit"]
    doubt = ""
    if misfit is not None and misfit < _MISFIT:
        doubt = f" The values do not follow an inverse power law (p {number(misfit)}): be wary."
    return f"{start} {verdict}, by an inverse power law.{doubt}"
