"""How many people and repeats a comparison needs before it can tell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import ceil, floor
from pathlib import Path
from typing import Any

from kfold_hs.errors import ConfigError
from kfold_hs.orchestrator.finished import finished_run

FOLDS = (5, 10)


@dataclass(frozen=True)
class Designs:
    """Designs to be compared: every combination of these.

    Parameters
    ----------
    people : sequence of int
        Empty: those of the run, and twice as many.
    folds : sequence of int
        Empty: those of the run, else `FOLDS`.
    """

    people: Sequence[int]
    repeats: Sequence[int]
    folds: Sequence[int]


@dataclass(frozen=True)
class Known:
    """What is known of the variance: a finished run, or assumptions by name.

    Parameters
    ----------
    assumptions : mapping
        As in `judge.stats.sample_size.outlook`.
    folder : Path, optional
        Of a run, under `reports/`.
    task : str, optional
        Of the run.
    """

    assumptions: Mapping[str, float]
    folder: Path | None = None
    task: str | None = None


def plan(metric: str, difference: float, asked: Designs, known: Known) -> dict[str, Any]:
    """What designs will see: from the uncertainty of a run, or from assumptions; no torch.

    `metric` is one of the task, or names its task (``murmur.auroc``), or is the run's headline.

    Raises
    ------
    KfoldHsError
        A value is out of its bounds, is missing, or is given beside a run that says it.
    """
    from kfold_hs.judge.stats.sample_size import designs, outlook

    summary = None if known.folder is None else finished_run(known.folder).summary
    task, dot, plain = metric.rpartition(".")
    if dot and (task != "mean" or summary is None):
        if known.task not in (None, task):
            raise ConfigError(f"--metric {metric} and --task {known.task} name two: give one.")
        known, metric = replace(known, task=None if task == "mean" else task), plain
    found = outlook(metric, known.assumptions, summary, known.task)
    people = asked.people or found.people
    own_folds = FOLDS if summary is None else (summary["split"]["n_folds"],)
    asked = replace(asked, folds=asked.folds or own_folds)
    plans = designs(found, difference, people=people, repeats=asked.repeats, folds=asked.folds)
    if found.is_share:
        _check_difference(plain, found.value, difference)
    share = _rarest(known, summary)
    said = _check_classes(plain, share, people, asked.folds) if share else ()
    return {**plans, "assumptions": [*plans["assumptions"], *said]}


def _check_difference(metric: str, value: float, difference: float) -> None:
    """Refuse a difference by which no variant can be better than `value`."""
    from kfold_hs.judge.metrics.scores import METRICS

    up = METRICS[metric].higher_is_better if metric in METRICS else True
    room = 1 - value if up else value
    if difference > room + 1e-9:
        better = value + difference if up else value - difference
        raise ConfigError(
            f"difference={difference:g}: a variant better by it than {metric} {value:.4g} would "
            f"have {better:.4g}, which is not between 0 and 1. Give a --difference of at most "
            f"{room:.4g}, or the --value of the worse variant."
        )


def _rarest(known: Known, summary: Mapping[str, Any] | None) -> float | None:
    """The share of the rarest class among the people; None where the run does not say it."""
    if summary is None:
        return min(known.assumptions["prevalence"], 1 - known.assumptions["prevalence"])
    name = known.task or next(iter(summary["tasks"]))
    for task in summary["cohort"].get("tasks", ()):
        if task["name"] == name and sum(task["counts"].values()):
            return float(min(task["counts"].values()) / sum(task["counts"].values()))
    return None


def _check_classes(
    metric: str, share: float, people: Sequence[int], folds: Sequence[int]
) -> list[str]:
    """Say that some folds will lack a class; refuse it for a metric that every fold must have."""
    from kfold_hs.judge.metrics.scores import METRICS

    n, k = min(people), max(folds)
    if (n_rare := share * n) >= k:
        return []
    what = f"{100 * share:.3g} % of {n} people are {n_rare:.3g} of the rarest class, for {k} folds"
    if metric in METRICS and METRICS[metric].by_fold:
        fewer = f", or at most {floor(n_rare)} --folds" if n_rare >= 2 else ""
        raise ConfigError(
            f"{what}: some would have none of it, and no {metric}. Give at least "
            f"{ceil(k / share - 1e-9)} --people{fewer}."
        )
    return [f"{what}: some have none of it, and how the models of such folds fare is not known"]
