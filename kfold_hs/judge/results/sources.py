"""Leave one source out: every source's scores by the model that never met it, and the next source.

A source is a value of the column that was held out, such as a campaign or hospital. Its interval
is of its one model, on other people of this source. Sources are combined by random effects
(`judge.stats.random_effects`), and the prediction interval says what to expect of a further one.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy.special import expit

from kfold_hs.errors import counted, listing
from kfold_hs.judge.metrics.bounds import SHARE
from kfold_hs.judge.results.run_record import RunRecord
from kfold_hs.judge.results.sentences import number
from kfold_hs.judge.results.sources_result import NextSource, Sources
from kfold_hs.judge.results.subgroups import SHOWN
from kfold_hs.judge.selection.optimism import mean_accuracy
from kfold_hs.judge.stats.clusters import Layout
from kfold_hs.judge.stats.conditional_error import fixed_estimate
from kfold_hs.judge.stats.estimates import metrics_of, persons_of_rarest
from kfold_hs.judge.stats.influence import Influence
from kfold_hs.judge.stats.intervals import OPTIMISTIC, Estimate, possible_ends
from kfold_hs.judge.stats.random_effects import (
    FEWEST_TO_PREDICT,
    combine,
    on_logit_scale,
)
from kfold_hs.judge.stats.scored import influence
from kfold_hs.predictions.table import Predictions

METHOD = (
    "random effects over {n} sources on the logit scale (Paule-Mandel), prediction with t, {df} df"
)
TOO_FEW = "cannot tell: {n} sources, and a prediction needs {fewest} at least"
ALL_POSSIBLE = "cannot tell: {n} sources leave every value possible; more sources would tell"
NOR_MEAN = ", and the interval of their mean would hold 99 % or more of what is possible"
UNKNOWN = "cannot tell: {n} sources have a value with a spread, and a mean needs 2"


@dataclasses.dataclass(frozen=True)
class _Value:
    """A metric of one source."""

    label: str
    influence: Influence
    n_smallest: int
    estimate: Estimate


def sources(record: RunRecord) -> Sources | None:
    """The sources of a run; None where its folds are not those of a column."""
    settings = record.split["settings"]
    if settings.get("hold_out") is None:
        return None
    column, names = str(settings["hold_out"]), list(settings["values"])
    kept = record.selected.scored
    folds = sorted(set(kept.table["fold"]))
    tables = {fold: kept.where(fold=fold) for fold in folds}
    means = [_mean(table, record) for table in tables.values()]
    values = {
        task: [_values(table, task, record) for table in tables.values()] for task in kept.tasks
    }
    rows = [
        {
            "source": names[fold],
            "fold": int(fold),
            "n_persons": int(table.table["person_id"].nunique()),
            "n_patients": int(table.table["patient_id"].nunique()),
            "mean_accuracy": dataclasses.asdict(mean.estimate),
            "tasks": {
                task: {
                    name: {"label": one.label, **dataclasses.asdict(one.estimate)}
                    for name, one in each[i].items()
                }
                for task, each in values.items()
            },
        }
        for i, ((fold, table), mean) in enumerate(zip(tables.items(), means, strict=True))
    ]
    overall = next_source(means)
    content = {
        "column": column,
        "n_in_several": len(settings.get("in_several", ())),
        "sentence": _sentence(column, overall, [names[fold] for fold in folds]),
        "rows": rows,
        "missing": [name for fold, name in enumerate(names) if fold not in tables],
        "mean_accuracy": overall,
        "next": {
            task: {name: next_source([one[name] for one in each]) for name in each[0]}
            for task, each in values.items()
        },
    }
    return Sources.from_json(content)


def next_source(values: Sequence[_Value]) -> dict[str, Any]:
    """Of one metric of all sources; see `NextSource`."""
    scaled = [
        on_logit_scale(each.influence.value, each.influence.of_people, each.n_smallest)
        for each in values
        if np.isfinite(each.influence.value)
    ]
    known = np.array([each for each in scaled if each is not None]).reshape(-1, 2)
    n = len(known)
    content: dict[str, Any] = dict.fromkeys(NextSource.model_fields)
    content |= {"label": values[0].label, "n_sources": n}
    if n < 2:
        return content | {"method": UNKNOWN.format(n=n)}
    found = combine(known[:, 0], known[:, 1])
    value = float(expit(found.mean))
    mean = possible_ends(_ends(value, found.interval), SHARE)
    content |= {
        "value": value, "mean_low": mean.low, "mean_high": mean.high, "tau": found.tau,
        "i2": found.i2, "p": found.p_value,
    }  # fmt: skip
    if found.prediction is None:
        nor_mean = NOR_MEAN if mean.low is None else ""
        return content | {"method": TOO_FEW.format(n=n, fewest=FEWEST_TO_PREDICT) + nor_mean}
    expected = possible_ends(_ends(value, found.prediction), SHARE)
    spread = expit([found.mean - found.tau, found.mean + found.tau])
    return content | {
        "low": expected.low,
        "high": expected.high,
        "spread_low": float(spread[0]),
        "spread_high": float(spread[1]),
        "method": (ALL_POSSIBLE if expected.low is None else METHOD).format(n=n, df=n - 2),
    }


def _ends(value: float, logits: tuple[float, float]) -> Estimate:
    low, high = expit(logits)
    return Estimate(value, float(low), float(high))


def _mean(table: Predictions, record: RunRecord) -> _Value:
    layout = Layout.of_predictions(table)
    found, n = mean_accuracy(table, layout), layout.n_persons
    return _Value("accuracy", found, n, _estimate(found, n, len(table.tasks) == 1, record))


def _values(table: Predictions, task: str, record: RunRecord) -> dict[str, _Value]:
    labels, probs = table.y_true(task), table.y_prob(task)
    layout, positive = Layout.of_predictions(table), record.selected.positives[task]
    rarest, values = persons_of_rarest(labels, layout.person), {}
    for metric in metrics_of(table, task):
        if metric.name in SHOWN:
            found = influence(metric, labels, probs, positive, layout)
            n = layout.n_persons if metric.is_proportion else rarest
            estimate = _estimate(found, n, metric.is_proportion, record)
            values[metric.name] = _Value(metric.label, found, n, estimate)
    return values


def _estimate(found: Influence, n: int, is_proportion: bool, record: RunRecord) -> Estimate:
    claim = "this model, on other people of this source"
    return fixed_estimate(found, n, is_proportion, claim if record.basis.honest else OPTIMISTIC)


def _sentence(column: str, found: Mapping[str, Any], names: Sequence[str]) -> str:
    held = f"Each fold is one {column}: {listing(f'{name:.40}' for name in names)}."
    if found["low"] is None:
        return f"{held} What accuracy to expect of another {column}: {found['method']}."
    return (
        f"{held} Accuracy to expect of another {column}: {number(found['value'])}, 95 % prediction "
        f"interval {number(found['low'])} to {number(found['high'])}, from "
        f"{counted(found['n_sources'], 'source')}."
    )
