"""validation.json: what frozen models are worth on labelled people of another cohort.

The models are what they are, so every interval is of these models on other people like those
validated (conditional performance, see `conditional_error`); the person is the unit. Beside each
metric stands the out-of-fold value of the cross-validation that the models come from, and the
change, external minus internal. The two are of different people, so their errors are independent
and their variances add; from intervals that need not be symmetric, by their halves (MOVER: Zou &
Donner, Statistics in Medicine 27, 2008; for shares Newcombe, ibid. 17, 1998, method 10):

    d = e - i,  low = d - sqrt((e - e_low)^2 + (i_high - i)^2)
                high = d + sqrt((e_high - e)^2 + (i - i_low)^2)

The internal interval is of the trained models, too: how training itself varies is not in it. Two
things differ besides the people: externally the mean of all models answers, internally each model
alone; and AUROC is internally a mean over the folds.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import hypot
from typing import Any

import numpy as np

from kfold_hs.errors import PredictionsError
from kfold_hs.judge.metrics.scores import ACCURACY, METRICS, Metric
from kfold_hs.judge.results.abstention import COVERAGE, coverage_of_sets
from kfold_hs.judge.results.characteristics import linear_predictor
from kfold_hs.judge.results.sentences import counted, ends, number
from kfold_hs.judge.selection.calibration import N_BINS, calibration
from kfold_hs.judge.selection.conformal import CLASS
from kfold_hs.judge.selection.objective import Objective
from kfold_hs.judge.selection.recalibrated import recalibrated
from kfold_hs.judge.stats.clusters import Layout
from kfold_hs.judge.stats.conditional_error import fixed_estimate
from kfold_hs.judge.stats.estimates import metrics_of, persons_of_rarest
from kfold_hs.judge.stats.influence import Influence
from kfold_hs.judge.stats.intervals import Estimate, apart, possible_ends
from kfold_hs.judge.stats.paired import BETTER, verdict_of
from kfold_hs.judge.stats.predictive_values import likelihood_ratios
from kfold_hs.judge.stats.recalibration import calibrated, log_odds
from kfold_hs.judge.stats.riley import fit_of
from kfold_hs.judge.stats.scored import Scored, influence
from kfold_hs.predictions.table import Predictions

AS_PREDICTED, SHIPPED = "as predicted", "temperature of the bundle"
MOVER = "variances of independent estimates added (MOVER)"
OVERLAP = "no interval: people of the cross-validation are on both sides"
NOT_RECORDED = "the bundle does not hold its internal estimates: export the run again"
_FEWEST_BINS = 3
_SCORES = ("brier", "log_loss")


@dataclass(frozen=True, eq=False)
class TaskRows:
    """What is known of a task before it is judged.

    Parameters
    ----------
    rows : Predictions
        A row a patient who has a label of the task; other tasks where all of these have one.
    positive : int
        Index of the positive class.
    shipped : ndarray, shape (n, C), optional
        The same with the bundle's own calibration.
    internal : mapping, optional
        What `internal_estimates` gave when the bundle was made.
    decided : mapping
        Metric -> (n, C) of 0 and 1: what the bundle's class weights or threshold call; and its
        cross-fitted estimate in the run, if there is one.
    sets : ndarray of bool, shape (n, C), optional
        The classes of everybody's conformal set, at a coverage of `COVERAGE`.
    overlaps : bool
        Whether people of the cross-validation are among the rows.
    seed : int
        Of the folds of the recalibration.
    promise : str
        To whom the sets promise their coverage, a key of `selection.conformal.PROMISES`.
    """

    rows: Predictions
    positive: int
    shipped: np.ndarray | None = None
    internal: Mapping[str, Any] | None = None
    decided: Mapping[str, tuple[np.ndarray, Mapping[str, Any] | None]] = field(default_factory=dict)
    sets: np.ndarray | None = None
    overlaps: bool = False
    seed: int = 0
    promise: str = CLASS


def internal_estimates(
    kept: Predictions, task: str, positive: int, metrics: Mapping[str, Mapping[str, Any]]
) -> dict[str, Any]:
    """What a bundle carries of the cross-validation of a task, to be held against other people.

    Parameters
    ----------
    kept : Predictions
        The out-of-fold rows that the run's headline scores.
    metrics : mapping
        Of the task, from the run's summary.

    Returns
    -------
    dict
        n_persons, n_patients, metrics (label, higher_is_better, and the estimate of these models),
        calibration (intercept, slope, o_e), linear_predictor.
    """
    layout = Layout.of_predictions(kept)
    is_positive, p = kept.y_true(task) == positive, kept.y_prob(task)[:, positive]
    return {
        "n_persons": layout.n_persons,
        "n_patients": int(kept.table["patient_id"].nunique()),
        "metrics": {
            name: {"label": each["label"], "higher_is_better": each["higher_is_better"]}
            # A summary of an earlier version has the recipe's estimate alone; its target says so.
            | _estimate_of(each.get("these_models", each))
            for name, each in metrics.items()
        },
        "calibration": calibrated(is_positive, p, layout),
        "linear_predictor": linear_predictor(log_odds(p)),
    }


def validated_task(task: str, given: TaskRows) -> dict[str, Any]:
    """Metrics, calibration and recalibration of a task.

    Returns
    -------
    dict
        The values of `ValidatedTask` that follow from predictions.

    Raises
    ------
    PredictionsError
        The people are of one class.
    """
    rows, positive, internal = given.rows, given.positive, given.internal
    y_true, y_prob, classes = rows.y_true(task), rows.y_prob(task), rows.classes[task]
    layout = Layout.of_predictions(rows, 1)
    if len(np.unique(y_true)) < 2 or not (y_true == positive).any():
        there = ", ".join(classes[c] for c in np.unique(y_true))
        raise PredictionsError(
            f"{task}: the {counted(layout.n_persons, 'person', 'people')} who could be scored have "
            f"the labels {there}. {classes[positive]} and another class are needed: give more "
            "people, or another data.map."
        )
    carried = (internal or {}).get("metrics", {})
    known = {metric.name: metric for metric in metrics_of(rows, task)}

    def judged(metric: Metric, probs: np.ndarray, there: Mapping[str, Any] | None) -> Any:
        estimate = _external(metric, influence(metric, y_true, probs, positive, layout), y_true)
        return {
            "label": metric.label, "higher_is_better": metric.higher_is_better,
            "is_share": metric.is_share, "margin": metric.margin,
            "external": dataclasses.asdict(estimate),
            **_beside(metric, estimate, there, given.overlaps),
        }  # fmt: skip

    metrics = {name: judged(one, y_prob, carried.get(name)) for name, one in known.items()}
    decided = {
        name: judged(known[name], *each) for name, each in given.decided.items() if name in known
    }
    confusion = np.zeros((len(classes), len(classes)), dtype=int)
    np.add.at(confusion, (y_true, y_prob.argmax(axis=1)), 1)
    versions, fitted = _versions(task, given, layout)
    smallest = persons_of_rarest(y_true, layout.person)
    scored = Scored(y_true, y_prob, positive, layout, names=classes)
    return {
        "classes": list(classes),
        "positive": classes[positive],
        "n_persons": layout.n_persons,
        "n_patients": len(rows),
        "counts": {name: int((y_true == c).sum()) for c, name in enumerate(classes)},
        "metrics": metrics,
        "decided": decided,
        "likelihood_ratios": likelihood_ratios(scored, lambda x: fixed_estimate(x, smallest)),
        "fit": fit_of(y_true == positive, y_prob[:, positive]),
        "conformal": None
        if given.sets is None
        else {"asked": COVERAGE, "promise": given.promise}
        | coverage_of_sets(y_true, given.sets, classes, layout),
        "confusion": confusion.tolist(),
        "versions": versions,
        "recalibration": fitted,
        "linear_predictor": linear_predictor(log_odds(y_prob[:, positive])),
        "internal": None if internal is None else dict(internal),
    }


def change(external: Estimate, internal: Estimate, metric: Metric) -> Estimate:
    """External minus internal, of independent people; see the module's docstring."""
    if external.value is None or internal.value is None:
        return Estimate(None, None, None, method="undefined on one of the sides")
    d = external.value - internal.value
    if None in (external.low, external.high, internal.low, internal.high):
        return Estimate(d, None, None, method="no interval: one of the sides has none")
    (e_down, e_up), (i_down, i_up) = (_halves(each) for each in (external, internal))
    low, high = d - hypot(e_down, i_up), d + hypot(e_up, i_down)
    target = "these models, external minus internal"
    found = Estimate(d, low, high, method=MOVER, target=target)
    return possible_ends(found, apart(metric.bounds, metric.bounds))


def _halves(estimate: Estimate) -> tuple[float, float]:
    """How far an interval reaches below and above its value."""
    value, low, high = estimate.value, estimate.low, estimate.high
    if value is None or low is None or high is None:
        raise ValueError("an estimate without an interval has no halves")
    return value - low, high - value


def sentences_of(
    task: str, found: Mapping[str, Any], cohort: str, headline: Objective | None = None
) -> list[str]:
    """The answer for one task: the headline, discrimination, accuracy, calibration."""
    who = f"{counted(found['n_persons'], 'person', 'people')} of {cohort}"
    said = []
    rows = {name: found["metrics"][name] for name in ("auroc", ACCURACY.name)}
    if headline is not None and headline.metric not in rows:
        of_kind = found["decided" if headline.is_decided else "metrics"]
        if headline.plain in of_kind:
            row = {**of_kind[headline.plain], "label": headline.first.label}
            rows = {headline.metric: row} | rows
    for each in rows.values():
        here, there = each["external"], each["internal"]
        text = f"{task}, {each['label']}: {number(here['value'])} (95 % interval {ends(here)})"
        text += f" on {who}"
        if there is None:
            text += "; the bundle does not hold the value of its cross-validation"
        else:
            moved = each["change"]
            text += f", {number(there['value'])} ({ends(there)}) in the cross-validation: "
            text += f"{_WORDS[each['verdict']]} (change {number(moved['value'], signed=True)}, "
            text += f"{ends(moved, signed=True)})"
        said.append(f"{text}.")
    here = found["versions"][AS_PREDICTED]["calibration"]
    parts = {"intercept": "intercept", "slope": "slope", "o_e": "observed to expected"}
    values = [
        f"{text} {number(here[key]['value'], key == 'intercept')} "
        f"({ends(here[key], key == 'intercept')})"
        for key, text in parts.items()
    ]
    return [*said, f"{task}, calibration of {found['positive']}: {', '.join(values)}."]


_WORDS = {
    "better": "better here",
    "worse": "worse here",
    "equivalent": "equivalent",
    "cannot tell": "whether it differs is unknown",
}


def _estimate_of(found: Mapping[str, Any]) -> dict[str, Any]:
    """What of a mapping is an estimate's."""
    names = [each.name for each in dataclasses.fields(Estimate)]
    return {name: found[name] for name in names if name in found}


def _external(metric: Metric, found: Influence, y_true: np.ndarray) -> Estimate:
    layout = found.layout
    smallest = persons_of_rarest(y_true, layout.person)
    n_smallest = layout.n_persons if metric.is_proportion else smallest
    return fixed_estimate(found, n_smallest, metric.is_proportion)


def _beside(
    metric: Metric, external: Estimate, carried: Mapping[str, Any] | None, overlaps: bool
) -> dict[str, Any]:
    """The internal estimate, the change and its verdict, as far as the bundle has them."""
    if carried is None:
        return {"internal": None, "change": None, "verdict": None}
    internal = Estimate(**_estimate_of(carried))
    moved = change(external, internal, metric)
    if overlaps and moved.value is not None:
        moved = moved.without_ends(OVERLAP)
    verdict = verdict_of(moved.low, moved.high, metric.margin)
    if verdict == BETTER and moved.value is not None:
        verdict = BETTER if (moved.value > 0) == metric.higher_is_better else "worse"
    return {
        "internal": dataclasses.asdict(internal),
        "change": dataclasses.asdict(moved),
        "verdict": verdict,
    }


def _versions(task: str, given: TaskRows, layout: Layout) -> tuple[dict[str, Any], dict[str, Any]]:
    """Every version of the probabilities with its calibration; what all rows would give."""
    rows, positive = given.rows, given.positive
    y_true, y_prob = rows.y_true(task), rows.y_prob(task)
    probs = {AS_PREDICTED: y_prob}
    if given.shipped is not None:
        probs[SHIPPED] = given.shipped
    again, fitted = recalibrated(y_true, y_prob, positive, layout, given.seed)
    plain = {name: influence(METRICS[name], y_true, y_prob, positive, layout) for name in _SCORES}
    versions = {}
    for name, each in (probs | again).items():
        is_positive, p = y_true == positive, each[:, positive]
        scores = {}
        for score in _SCORES:
            metric = METRICS[score]
            found = influence(metric, y_true, each, positive, layout)
            above = None
            if name != AS_PREDICTED:
                above = dataclasses.asdict(
                    fixed_estimate(found.minus(plain[score]), layout.n_persons)
                )
            scores[score] = {
                "label": metric.label,
                "higher_is_better": metric.higher_is_better,
                **dataclasses.asdict(_external(metric, found, y_true)),
                "above_plain": above,
            }
        versions[name] = {
            "crossfit": name in again,
            "calibration": calibrated(is_positive, p, layout),
            "curve": calibration(is_positive, p, layout, _n_bins(layout)),
            "scores": scores,
        }
    return versions, fitted


def _n_bins(layout: Layout) -> int:
    """Of the calibration curve: ten people a bin, as far as there are."""
    return max(_FEWEST_BINS, min(N_BINS, layout.n_persons // 10))
