"""What a design will see before it is run: width and power by folds, repeats and people.

The parts of the error (see `power`) come from a run that was judged, or from assumptions. Both
leave something to assume, and every assumption is a sentence of the outlook.

A person's influence value, with two classes recognised alike, value v and share of positives p:

    accuracy                     v (1 - v)
    sensitivity, specificity     v (1 - v) / p,  v (1 - v) / (1 - p)
    balanced accuracy            v (1 - v) / (4 p (1 - p))
    weighted accuracy            v (1 - v) (25 p + 1 - p) / (5 p + 1 - p)^2
    AUROC                        (2 v^2 / (1 + v) - v^2) / p + (v / (2 - v) - v^2) / (1 - p)

the last of Hanley & McNeil (Radiology 143, 1982).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from math import inf, isfinite, sqrt
from typing import Any

from kfold_hs.errors import ConfigError, KfoldHsError, listing, unknown_name
from kfold_hs.judge.metrics.bounds import SHARE
from kfold_hs.judge.stats.expected_error import t_quantile
from kfold_hs.judge.stats.intervals import LEVEL, Estimate, around, possible_ends
from kfold_hs.judge.stats.power import POWER, Components, Design, detectable, people_for, power_of

VALUE, PERSON_SHARE, MODEL_SD, CORRELATION = 0.85, 0.7, 0.01, 0.7
RECIPROCAL_SHARE = 0.25
_SAME = (
    "the models are as good, and differ as much, whatever the number of folds and people; how "
    "they grow better with people to train on is not in the plan",
    "folds hold both classes, and every person is one patient",
)


def _hanley(value: float, positives: float) -> float:
    # Two positives above one negative: what negatives differ by; and the other way round.
    of_negative, of_positive = value / (2 - value), 2 * value**2 / (1 + value)
    square = value**2
    return (of_positive - square) / positives + (of_negative - square) / (1 - positives)


def _weighted(value: float, positives: float) -> float:
    mean, square = 5 * positives + 1 - positives, 25 * positives + 1 - positives
    return value * (1 - value) * square / mean**2


TOTALS: Mapping[str, Callable[[float, float], float]] = {
    "accuracy": lambda value, positives: value * (1 - value),
    "balanced_accuracy": lambda v, positives: v * (1 - v) / (4 * positives * (1 - positives)),
    "sensitivity": lambda value, positives: value * (1 - value) / positives,
    "specificity": lambda value, positives: value * (1 - value) / (1 - positives),
    "weighted_accuracy": _weighted,
    "auroc": _hanley,
}


@dataclass(frozen=True)
class Assumptions:
    """What is assumed about a recipe that nobody has trained, for two classes.

    value : of the metric, in (0, 1)
    prevalence : share of positives, in (0, 1)
    person_share : share of a person's error that is the same whoever trained, in [0, 1]
    model_sd : standard deviation of true performance between fold models
    correlation : between the errors of two variants on one person, in [0, 1)
    reciprocal_share : the reciprocal part over what a person always adds, in [0, 1]: 0 where
        models are sure, 1 where they know nothing

    Raises
    ------
    ConfigError
        A value is out of its bounds, or nothing is known of the metric.
    """

    metric: str
    value: float
    prevalence: float
    person_share: float = PERSON_SHARE
    model_sd: float = MODEL_SD
    correlation: float = CORRELATION
    reciprocal_share: float = RECIPROCAL_SHARE

    def __post_init__(self) -> None:
        if self.metric not in TOTALS:
            raise ConfigError(unknown_name("metric to plan for", self.metric, TOTALS))
        for name in ("value", "prevalence"):
            if not 0 < getattr(self, name) < 1:
                raise ConfigError(f"{name}={getattr(self, name):g} must be above 0 and below 1.")
        shares = (self.person_share, self.reciprocal_share)
        if not (all(0 <= each <= 1 for each in shares) and 0 <= self.model_sd < 1):
            raise ConfigError(
                f"person_share={self.person_share:g} and reciprocal_share="
                f"{self.reciprocal_share:g} must be in [0, 1] and model_sd={self.model_sd:g} in "
                "[0, 1)."
            )
        _check_correlation(self.correlation)


@dataclass(frozen=True)
class Outlook:
    """What a plan stands on.

    metric, value : of one variant
    one, two : parts of the error of a variant's value, and of the difference of two variants
    assumptions : sentences
    people : numbers of people to plan for where none is asked for
    """

    metric: str
    value: float
    one: Components
    two: Components
    is_share: bool
    assumptions: tuple[str, ...]
    people: tuple[int, ...] = ()


def outlook(
    metric: str,
    assumptions: Mapping[str, float],
    summary: Mapping[str, Any] | None = None,
    task: str | None = None,
) -> Outlook:
    """From a run's summary, or from assumptions where there is none.

    Parameters
    ----------
    metric : str
    assumptions : mapping
        Of `Assumptions`, by name; beside a run `correlation` alone.
    summary : mapping, optional
        Content of a run's summary.json.
    task : str, optional
        Of the run; by default its first.

    Raises
    ------
    ConfigError
        Something is missing, out of its bounds, or given beside a run that says it.
    """
    if summary is not None:
        if known := sorted(set(assumptions) - {"correlation"}):
            names = listing("--" + name.replace("_", "-") for name in known)
            raise ConfigError(f"--run says what {names} would assume: leave one of them out.")
        return of_run(summary, task, metric, **assumptions)
    if task is not None:
        raise ConfigError(f"--task {task} is a task of a run: give --run, or leave it out.")
    if "prevalence" not in assumptions:
        raise ConfigError(
            "--prevalence must be given, e.g. --prevalence 0.2, unless --run names a run to take "
            "the uncertainty from."
        )
    return stated(Assumptions(metric, **{"value": VALUE, **assumptions}))


def stated(a: Assumptions) -> Outlook:
    """From assumptions alone."""
    total = TOTALS[a.metric](a.value, a.prevalence)
    person = a.person_share * total
    one = Components(person, a.model_sd**2, total - person, a.reciprocal_share * person)
    said = (
        f"a variant has {a.metric} {a.value:g} (--value), and of the people "
        f"{_percent(a.prevalence)} are positive (--prevalence); classes are recognised alike",
        f"{_percent(a.person_share)} of a person's error is the same whoever trained "
        "(--person-share)",
        f"true {a.metric} differs between fold models by a standard deviation of "
        f"{a.model_sd:g} (--model-sd)",
        "people who test models trained on each other add to the variance "
        f"{_percent(a.reciprocal_share)} of what a person always adds (--reciprocal-share), and "
        "with one repeat, which cannot see it, as much as people add themselves",
        "the class shares of a sample move the value by nothing that counts: true of AUROC, and of "
        "the others where models are far from chance; --run says how it is",
        _correlated(a.correlation),
        *_SAME,
    )
    return Outlook(a.metric, a.value, one, _apart(one, a.correlation), True, said)


def of_run(
    summary: Mapping[str, Any], task: str | None, metric: str, correlation: float = CORRELATION
) -> Outlook:
    """From the parts that a run's summary.json holds as `budget`.

    Parameters
    ----------
    summary : mapping
        Content of summary.json.
    task : str, optional
        By default the run's first.
    metric : str
        Of the task; or the run's headline where that is a mean, such as mean.accuracy.
    correlation : float
        Between the errors of two variants on one person, in [0, 1): one run does not know it.

    Raises
    ------
    ConfigError
        The run has no such task or metric.
    KfoldHsError
        The run does not hold the parts: of an earlier version, or nothing varied.
    """
    _check_correlation(correlation)
    name, found = _row(summary, task, metric)
    parts = (found.get("budget") or {}).get("components")
    if found["value"] is None or parts is None or "reciprocal" not in parts:
        raise KfoldHsError(
            f"the run {summary['run']} does not say where the uncertainty of {name} {metric} comes "
            "from: it is of one fold model or of an earlier version, or nothing varied. Repeat "
            "the run's command, which judges it anew, or state assumptions in place of --run."
        )
    one = Components(**{each.name: parts[each.name] for each in dataclasses.fields(Components)})
    rough = f"estimated from {parts['models']} fold models, which is rough"
    said = [
        f"a variant has {metric} {found['value']:.4g} on {name}, and its error the parts of the "
        f"run {summary['run']} ({parts['people']} people), {rough}",
        _correlated(correlation),
        *_SAME[:1],
    ]
    if not one.separable:
        said.append(
            "one repeat cannot tell what a person always adds from what repeats average out, nor "
            "what people add who test models trained on each other: all is taken to stay, and the "
            "latter to be as much, so intervals of more repeats may be narrower than the table says"
        )
    if one.class_shares > 0:
        said.append(
            "the class shares of the sample move all models, near chance by no less with more "
            f"people: beyond {parts['people']} people this part is taken to stay, so intervals of "
            "more people may be narrower than the table says, and fewer people may be needed"
        )
    two = _apart(one, correlation)
    return Outlook(
        metric, found["value"], one, two, found["is_share"], tuple(said),
        (parts["people"], 2 * parts["people"]),
    )  # fmt: skip


def _row(
    summary: Mapping[str, Any], task: str | None, metric: str
) -> tuple[str, Mapping[str, Any]]:
    """The task or tasks in words, and value, budget and is_share of the metric."""
    lead = {"key": "mean.accuracy", "lowest": 0.0, "highest": 1.0} | summary["headline"]
    if metric == lead["key"]:
        bounds = (lead["lowest"], lead["highest"])
        found = {"value": lead["value"], "budget": summary.get("budget")}
        return "the mean of the tasks", found | {"is_share": bounds == SHARE}
    if "." in metric:
        raise ConfigError(
            f"the run {summary['run']} leads with {lead['key']} and holds no other mean: repeat "
            f"its command with headline={metric}, which trains nothing, or name TASK.METRIC."
        )
    tasks = summary["tasks"]
    name = task or next(iter(tasks))
    if name not in tasks:
        raise ConfigError(unknown_name("task of the run", name, tasks))
    if metric not in tasks[name]["metrics"]:
        raise ConfigError(unknown_name("metric of the run", metric, tasks[name]["metrics"]))
    return name, tasks[name]["metrics"][metric]


def design(
    outlook: Outlook, difference: float, *, n_people: int, n_runs: int, n_folds: int
) -> dict[str, float | int | None]:
    """Width of the interval of one variant and power for a difference of two, for one design.

    Returns
    -------
    dict
        people, repeats, folds, trainings (of one variant), se, low, high, width (of one variant,
        None where the design could tell nothing);
        se_difference, power, detectable (difference seen with 80 % power, None where it
        is more than there can be), people_needed (who
        would see `difference` with 80 % power, None where no number would).

    Raises
    ------
    ConfigError
        Fewer than 2 folds, no repeat, fewer people than folds, or a difference that is none.
    """
    if n_folds < 2 or n_runs < 1 or n_people < n_folds:
        raise ConfigError(
            f"{n_people} people in {n_folds} folds and {n_runs} repeats: a plan needs at least 2 "
            "folds, one repeat, and a person for every fold."
        )
    if not (difference > 0 and isfinite(difference)) or (outlook.is_share and difference >= 1):
        bound = "above 0 and below 1" if outlook.is_share else "above 0"
        raise ConfigError(f"difference={difference:g} of {outlook.metric} must be {bound}.")
    this = Design(n_people, n_runs, n_folds)
    se, se_difference = (sqrt(each.variance(this)) for each in (outlook.one, outlook.two))
    quantile, df = t_quantile(outlook.one.df(this), (1 + LEVEL) / 2), outlook.two.df(this)
    ends = around(outlook.value, se, quantile, outlook.is_share)
    one = possible_ends(Estimate(outlook.value, *ends), SHARE if outlook.is_share else (0.0, inf))
    least = detectable(se_difference, df)
    width = None if one.low is None or one.high is None else one.high - one.low
    return {
        "people": n_people, "repeats": n_runs, "folds": n_folds, "trainings": n_runs * n_folds,
        "se": se, "low": one.low, "high": one.high, "width": width,
        "se_difference": se_difference,
        "power": power_of(difference, se_difference, df),
        "detectable": None if outlook.is_share and least > 1 else least,
        "people_needed": people_for(difference, outlook.two, Design(n_folds, n_runs, n_folds)),
    }  # fmt: skip


def designs(
    outlook: Outlook,
    difference: float,
    *,
    people: Sequence[int],
    repeats: Sequence[int],
    folds: Sequence[int],
) -> dict[str, Any]:
    """Every combination of `folds`, `repeats` and `people`.

    Returns
    -------
    dict
        metric, value, difference, level, power_wanted, components (of one variant and of the
        difference), assumptions, designs (as `design`).

    Raises
    ------
    ConfigError
        There are no people to plan for, or as `design`.
    """
    if not people:
        raise ConfigError("--people must be given, e.g. --people 300 or --people 300,600.")
    return {
        "metric": outlook.metric,
        "value": outlook.value,
        "difference": difference,
        "level": LEVEL,
        "power_wanted": POWER,
        "components": {
            "one": dataclasses.asdict(outlook.one),
            "difference": dataclasses.asdict(outlook.two),
        },
        "assumptions": list(outlook.assumptions),
        "designs": [
            design(outlook, difference, n_people=n, n_runs=s, n_folds=k)
            for k, s, n in product(folds, repeats, people)
        ],
    }


def _apart(one: Components, correlation: float) -> Components:
    """Parts of the difference of two variants whose errors on a person correlate.

    What they share cancels; half of what is left is taken to stay with the person, and fold
    models to differ independently.
    """
    left = 2 * (1 - correlation)
    half = left * (one.person + one.residual) / 2
    return Components(
        half, 2 * one.model, half, left * one.reciprocal, left * one.class_shares,
        people=one.people,
    )  # fmt: skip


def _correlated(correlation: float) -> str:
    return (
        f"the errors of two variants on a person correlate by {correlation:g} (--correlation); "
        "half of what differs stays with the person, and fold models differ independently"
    )


def _check_correlation(correlation: float) -> None:
    if not 0 <= correlation < 1:
        raise ConfigError(f"correlation={correlation:g} must be in [0, 1).")


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"
