"""What a model that may be silent is worth: the risk-coverage curve, and conformal sets.

curve   the error of those who are answered over the share that is, see `metrics.abstention`; of
        each class its own error and the share of it that is answered. One threshold of the
        probability holds for all fold models of a repeat, as it would for the ensemble
sets    classes of the conformal sets of out-of-fold patients, see `selection.conformal`: how
        often they hold the label, by class, with the coverage promised to every class and to all
        together; and what the number of persons cannot promise

Out of fold, of single fold models; bands are of these models (see `stats.bands`).
"""

from __future__ import annotations

import dataclasses
from dataclasses import replace
from typing import Any

import numpy as np

from kfold_hs.judge.metrics.abstention import answered, best_aurc
from kfold_hs.judge.metrics.counts import ratio
from kfold_hs.judge.metrics.scores import ACCURACY
from kfold_hs.judge.selection import conformal
from kfold_hs.judge.selection.selected import Selected
from kfold_hs.judge.stats.bands import METHOD, Band, Statistic, bands, by_run
from kfold_hs.judge.stats.clusters import Layout
from kfold_hs.judge.stats.conditional_error import fixed_estimate
from kfold_hs.judge.stats.expected_error import UNDEFINED
from kfold_hs.judge.stats.intervals import LEVEL, TARGET, Estimate, wilson
from kfold_hs.judge.stats.scored import influence
from kfold_hs.predictions.table import PROBABILITIES, Predictions

COVERAGE = 0.9
"""Of the conformal sets, as `kfold-hs predict` makes them by default."""
_FEW = 20
SHARES = np.linspace(0.02, 1, 50)


def abstention(selected: Selected, n_resamples: int) -> dict[str, Any]:
    """Curve and sets of every task that has probabilities.

    Parameters
    ----------
    selected : Selected
    n_resamples : int
        Of the people, for the bands; 0 for none.

    Returns
    -------
    dict
        n_resamples, level, method, target, tasks: of each task curve (x, threshold, value, low,
        high, n_undefined, error, aurc with its ends and the best there could be, classes by name)
        and sets (asked, n_needed, promises by name with what `coverage_of_sets` gives, classes by
        name with n_persons, most and is_promised).
    """
    kept = selected.scored
    return {
        "n_resamples": n_resamples,
        "level": LEVEL,
        "method": METHOD,
        "target": TARGET,
        "tasks": {
            task: {"curve": _curve(selected, task, n_resamples), "sets": _sets(selected, task)}
            for task in kept.tasks
            if kept.kind(task) == PROBABILITIES
        },
    }


def coverage_of_sets(
    y_true: np.ndarray, sets: np.ndarray, classes: tuple[str, ...], layout: Layout
) -> dict[str, Any]:
    """How often sets hold the label, and how large they are.

    Parameters
    ----------
    y_true : ndarray of int, shape (n,)
    sets : ndarray of bool, shape (n, C)
    classes : tuple of str
    layout : Layout

    Returns
    -------
    dict
        covered (an estimate), mean_size, single (share of the sets with one class); classes: of
        each class n_patients, and covered and mean_size of the patients of this class.
    """
    held, size = sets[np.arange(len(y_true)), y_true], sets.sum(axis=1)

    def of(rows: np.ndarray) -> dict[str, Any]:
        estimate = _share(held[rows], _part(layout, rows)) if rows.any() else _NOBODY
        mean = float(size[rows].mean()) if rows.any() else None
        return {"covered": dataclasses.asdict(estimate), "mean_size": mean}

    return {
        **of(np.ones(len(y_true), dtype=bool)),
        "single": float((size == 1).mean()),
        "classes": {
            name: {"n_patients": int((y_true == c).sum()), **of(y_true == c)}
            for c, name in enumerate(classes)
        },
    }


_NOBODY = Estimate(None, None, None, method=UNDEFINED, target=TARGET)


def _share(held: np.ndarray, layout: Layout) -> Estimate:
    """A plain share of patients, with the persons as units.

    Few persons are no more than they are: their means over repeats vary less than they do
    themselves, and by luck hardly at all.
    """
    yes_no = np.column_stack([held, ~held]).astype(np.float64)
    found = influence(ACCURACY, np.zeros(len(held), dtype=int), yes_no, 0, layout)
    estimate = fixed_estimate(found, layout.n_persons, True)
    if layout.n_persons >= _FEW or estimate.low is None or estimate.high is None:
        return estimate
    low, high = wilson(found.value, layout.n_persons)
    return replace(estimate, low=min(low, estimate.low), high=max(high, estimate.high))


def _part(layout: Layout, rows: np.ndarray) -> Layout:
    run, model, person = (each[rows] for each in (layout.run, layout.model, layout.person))
    return Layout.of(run, model, person, layout.n_folds)


def _sets(selected: Selected, task: str) -> dict[str, Any]:
    kept, layout = selected.scored, selected.layout
    y_true, y_prob, classes = kept.y_true(task), kept.y_prob(task), kept.classes[task]
    n_persons = _different(kept, "person_id", y_true, len(classes))
    promises = {}
    for promise, values in conformal.out_of_fold(kept, task).items():
        sets = np.zeros(y_prob.shape, dtype=bool)
        for row, (each, best) in enumerate(zip(values, y_prob.argmax(axis=1), strict=True)):
            sets[row, conformal.conformal_set(each, COVERAGE, int(best))] = True
        promises[promise] = coverage_of_sets(y_true, sets, classes, layout)
    needed = conformal.persons_needed(COVERAGE)
    return {
        "asked": COVERAGE,
        "n_needed": needed,
        "promises": promises,
        "classes": {
            name: {
                "n_persons": n,
                "most": conformal.most_promised(n),
                "is_promised": n >= needed,
            }
            for name, n in zip(classes, n_persons, strict=True)
        },
    }


def _different(kept: Predictions, column: str, y_true: np.ndarray, n_classes: int) -> list[int]:
    """Number of different persons, or patients, of every class."""
    names = kept.table[column].to_numpy()
    return [len(set(names[y_true == c].tolist())) for c in range(n_classes)]


def _curve(selected: Selected, task: str, n_resamples: int) -> dict[str, Any]:
    kept, layout = selected.scored, selected.layout
    y_true, y_prob, classes = kept.y_true(task), kept.y_prob(task), kept.classes[task]
    n_patients = _different(kept, "patient_id", y_true, len(classes))
    found = _bands(y_true, y_prob, layout, n_resamples)
    error = float(found["risk"].value[-1])
    area = {name: each[0] for name, each in _ends(found["aurc"], 6).items()}
    if area["low"] == area["high"]:  # nothing varies: no interval, and not one without width
        area |= {"low": None, "high": None}
    return {
        "x": _numbers(SHARES),
        "threshold": _numbers(_thresholds(y_prob.max(axis=1), layout)),
        **_ends(found["risk"]),
        "n_undefined": found["risk"].n_undefined,
        "error": error,
        "aurc": area | {"best": best_aurc(error)},
        "classes": {
            name: {
                "n_patients": n_patients[c],
                "error": _ends(found[f"error {c}"]),
                "answered": _ends(found[f"answered {c}"]),
            }
            for c, name in enumerate(classes)
        },
    }


def _bands(
    y_true: np.ndarray, y_prob: np.ndarray, layout: Layout, n_resamples: int
) -> dict[str, Band]:
    """Of risk and aurc; of every class c, `error c` and `answered c`."""
    confidence, is_wrong = y_prob.max(axis=1), y_prob.argmax(axis=1) != y_true
    n_classes, g = y_prob.shape[1], len(SHARES)
    of_class = [y_true == c for c in range(n_classes)]
    properties = np.column_stack([is_wrong, *of_class, *(is_wrong & each for each in of_class)])

    def risks(rows: np.ndarray, weights: np.ndarray) -> np.ndarray:
        counts, area = answered(properties[rows], confidence[rows], weights, SHARES)
        wrong, n, wrong_of = counts[0], *np.split(counts[1:], 2)
        risk = ratio(wrong, weights.sum(axis=1)[:, None] * SHARES)
        return np.hstack([risk, *ratio(wrong_of, n), *ratio(n, n[:, :, -1:]), area[:, None]])

    statistic: dict[str, Statistic] = {"risks": by_run(risks, layout)}
    all_of = bands(statistic, layout, n_resamples, whole=False)["risks"]
    names = ["risk", *(f"{what} {c}" for what in ("error", "answered") for c in range(n_classes))]
    found = {name: all_of.part(g * i, g * (i + 1)) for i, name in enumerate(names)}
    if n_resamples:
        everybody = np.ones(len(y_true), dtype=bool)
        for name, of in zip(names, (everybody, *of_class), strict=False):  # not of who is answered
            n_persons = _persons_answered(confidence, of, layout)
            found[name] = _with_none_and_all(found[name], n_persons)
    return found | {"aurc": all_of.part(g * len(names), None)}


def _with_none_and_all(band: Band, n_persons: np.ndarray) -> Band:
    """The band, holding Wilson's ends of so many persons where they are few or all alike.

    Where no one is wrong, or all are, no resample differs, and few persons may be drawn in too few
    ways.
    """
    low, high = band.low.copy(), band.high.copy()
    value = np.clip(band.value, 0, 1)
    is_alike = np.isclose(value, np.round(value), rtol=0, atol=1e-9)
    for at in np.flatnonzero((n_persons > 0) & (is_alike | (n_persons < _FEW))):
        ends = wilson(float(np.round(value[at], 9)), int(n_persons[at]))
        low[at], high[at] = np.fmin(low[at], ends[0]), np.fmax(high[at], ends[1])
    return Band(band.value, low, high, band.n_undefined)


def _persons_answered(confidence: np.ndarray, of: np.ndarray, layout: Layout) -> np.ndarray:
    """Different persons with a property among those answered, (G,): the least of the runs."""
    each = []
    for run in range(layout.n_runs):
        rows = np.flatnonzero(layout.run == run)
        rows = rows[np.argsort(-confidence[rows], kind="stable")]
        mine = np.flatnonzero(of[rows])
        is_new = np.zeros(len(rows) + 1)
        is_new[1 + mine[np.unique(layout.person[rows[mine]], return_index=True)[1]]] = 1
        each.append(np.cumsum(is_new)[np.ceil(SHARES * len(rows) - 1e-9).astype(int)])
    return np.asarray(np.min(each, axis=0))


def _thresholds(confidence: np.ndarray, layout: Layout) -> np.ndarray:
    """Probability from which on each share of the patients is answered, (G,): mean of the runs."""
    each = []
    for run in range(layout.n_runs):
        falling = np.sort(confidence[layout.run == run])[::-1]
        last = np.ceil(SHARES * len(falling) - 1e-9).astype(int) - 1
        each.append(falling[last])
    return np.asarray(np.mean(each, axis=0))


def _ends(band: Band, digits: int = 4) -> dict[str, Any]:
    return {name: _numbers(getattr(band, name), digits) for name in ("value", "low", "high")}


def _numbers(values: np.ndarray, digits: int = 4) -> list[float | None]:
    """JSON has no NaN."""
    return [round(v, digits) if np.isfinite(v) else None for v in values.tolist()]
