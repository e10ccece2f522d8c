"""Who a cohort is made of, in numbers that can stand beside those of another cohort.

Standardised difference of two cohorts (Austin, Statistics in Medicine 28, 2009), validation minus
development; from about 0.1 on, groups are usually called different:

    numbers   (m2 - m1) / sqrt((s1^2 + s2^2) / 2)
    shares    (p2 - p1) / sqrt((p1 (1 - p1) + p2 (1 - p2)) / 2)
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from math import isfinite, sqrt
from typing import Any

import numpy as np
import pandas as pd

from kfold_hs.cohort import Cohort
from kfold_hs.cohort.audio import CLIPPED_SHARE
from kfold_hs.cohort.values import are_missing

MOST_LEVELS = 12
"""Of a covariate of words or of a table of counts: the most frequent ones; the rest are one row."""
REST = "all others"
LEAST_COUNT = 5
"""A count below this may be of people whom somebody recognises."""
MISSING = "not known"


def characteristics(cohort: Cohort, patient_ids: Collection[str] | None = None) -> dict[str, Any]:
    """Counts, covariates and facts of the recordings.

    Parameters
    ----------
    cohort : Cohort
    patient_ids : collection of str, optional
        The patients that count; all by default.

    Returns
    -------
    dict
        n_persons, n_patients, n_recordings, hours, patients (a table of groups of patients: by
        name a mapping of level -> {n, share}, or {mean, sd, median, q1, q3, low, high, n}),
        recordings (the same of recordings).
    """
    patients, recordings = cohort.patients, cohort.recordings
    if patient_ids is not None:
        patients = patients[patients["patient_id"].isin(list(patient_ids))]
        recordings = recordings[recordings["patient_id"].isin(list(patient_ids))]
    found: dict[str, Any] = {task.name: _levels(patients[task.name]) for task in cohort.tasks}
    for name in (*cohort.covariates, *cohort.annotations):
        found[name] = _covariate(patients[name])
    person_of = dict(zip(patients["patient_id"], patients["person_id"], strict=True))
    of_person = recordings["patient_id"].map(person_of).value_counts()
    return {
        "n_persons": int(patients["person_id"].nunique()),
        "n_patients": len(patients),
        "n_recordings": len(recordings),
        "hours": float(recordings["duration_s"].sum() / 3600),
        "patients": found,
        "recordings": {
            "recordings a person": _numbers(of_person.to_numpy(dtype=np.float64)),
            "duration (s)": _numbers(recordings["duration_s"].to_numpy(dtype=np.float64)),
            "site": _levels(recordings["site"]),
            "sampling rate (Hz)": _levels(recordings["sample_rate_hz"]),
            "quality": _quality(recordings),
        },
    }


def side_by_side(
    development: Mapping[str, Any] | None, validation: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """A row for every count and every summary of two cohorts' `characteristics`.

    Returns
    -------
    list of dict
        part ("people", "patients" or "recordings"), name, level ("" for numbers and counts), kind
        ("count", "share" or "numbers"), development and validation (None: not recorded, or no such
        thing there), standardised_difference (None where it has no value).
    """
    rows = [
        _row(("people", name, ""), "count", _count(development, name), _count(validation, name))
        for name in ("n_persons", "n_patients", "n_recordings")
    ]
    for part in ("patients", "recordings"):
        first, second = (dict((each or {}).get(part, {})) for each in (development, validation))
        for name in dict.fromkeys([*first, *second]):
            rows += _of_name((part, name), first.get(name), second.get(name))
    return rows


def _of_name(
    place: tuple[str, str], first: Mapping[str, Any] | None, second: Mapping[str, Any] | None
) -> list[dict[str, Any]]:
    """The rows of one covariate; levels that one cohort has not are 0 of its patients."""
    rows = []
    if any(each is not None and "mean" in each for each in (first, second)):
        of_numbers = [each if each and "mean" in each else None for each in (first, second)]
        rows.append(_row((*place, ""), "numbers", *of_numbers))
    of_levels = [each if each is not None and "mean" not in each else None
                 for each in (first, second)]  # fmt: skip
    for level in dict.fromkeys(level for each in of_levels for level in each or ()):
        cells = [None if each is None else each.get(level, {"n": 0, "share": 0.0})
                 for each in of_levels]  # fmt: skip
        rows.append(_row((*place, level), "share", *cells))
    return rows


def _row(
    place: tuple[str, str, str],
    kind: str,
    first: Mapping[str, Any] | None,
    second: Mapping[str, Any] | None,
) -> dict[str, Any]:
    part, name, level = place
    apart = None
    if first is not None and second is not None and kind != "count":
        apart = _standardised(first, second)
    return {
        "part": part, "name": name, "level": level, "kind": kind,
        "development": None if first is None else dict(first),
        "validation": None if second is None else dict(second),
        "standardised_difference": apart,
    }  # fmt: skip


def _standardised(first: Mapping[str, Any], second: Mapping[str, Any]) -> float | None:
    if "share" in first:
        p, q = first["share"], second["share"]
        above, variance = q - p, (p * (1 - p) + q * (1 - q)) / 2
    else:
        if first["mean"] is None or second["mean"] is None:
            return None
        above = second["mean"] - first["mean"]
        variance = (first["sd"] ** 2 + second["sd"] ** 2) / 2
    if variance <= 0:
        return None if above else 0.0
    return float(above / sqrt(variance))


def _count(cohort: Mapping[str, Any] | None, name: str) -> dict[str, Any] | None:
    return None if cohort is None else {"n": cohort[name]}


def _covariate(values: pd.Series) -> dict[str, Any]:
    """Numbers where all that is known are numbers, else levels."""
    known = values[~are_missing(values)]
    numbers = pd.to_numeric(known, errors="coerce")
    if len(known) and not numbers.isna().any():
        return _numbers(numbers.to_numpy(dtype=np.float64)) | {
            "n_missing": len(values) - len(known)
        }
    return _levels(values.where(~are_missing(values), MISSING))


def _numbers(values: np.ndarray) -> dict[str, Any]:
    values = values[np.isfinite(values)]
    names = ("low", "q1", "median", "q3", "high")
    if not len(values):
        return {"n": 0, "mean": None, "sd": None, **dict.fromkeys(names)}
    ends = np.quantile(values, [0, 0.25, 0.5, 0.75, 1]).tolist()
    sd = float(values.std(ddof=1)) if len(values) > 1 else 0.0
    found = {"n": len(values), "mean": float(values.mean()), "sd": sd}
    return found | dict(zip(names, ends, strict=True))


def _levels(values: pd.Series) -> dict[str, Any]:
    """Count and share of every level, the most frequent first; of many, the rest as one."""
    counts = values.astype(str).value_counts()
    # Of equally frequent ones the order of the names decides, whatever order the rows have.
    ordered = sorted(counts.items(), key=lambda each: (-each[1], str(each[0])))
    shown, rest = ordered[:MOST_LEVELS], ordered[MOST_LEVELS:]
    if rest:
        shown.append((REST, sum(n for _, n in rest)))
    return {str(name): _part(int(n), len(values)) for name, n in shown}


def _quality(recordings: pd.DataFrame) -> dict[str, Any]:
    flags = {
        "silent": recordings["is_flat"],
        "saturated": recordings["clipped_share"] > CLIPPED_SHARE,
    }
    return {name: _part(int(flag.sum()), len(recordings)) for name, flag in flags.items()}


def _part(n: int, of: int) -> dict[str, Any]:
    return {"n": n, "share": n / of if of else 0.0}


def rounded(n: int) -> int:
    """To fives, below 5 to none: nobody finds a few people as the difference of two counts."""
    return 0 if n < LEAST_COUNT else LEAST_COUNT * round(n / LEAST_COUNT)


def flagged(flags: Sequence[Collection[str]]) -> dict[str, Any]:
    """Counts of the flags of recordings, in the form of `characteristics`; a set a recording."""
    names = dict.fromkeys(name for each in flags for name in each)
    return {name: _part(sum(name in each for each in flags), len(flags)) for name in names}


def linear_predictor(log_odds: np.ndarray) -> dict[str, Any]:
    """Mean and spread of the positive class's logit: how much people differ for a model
    (Debray et al., J. Clinical Epidemiology 68, 2015)."""
    found = _numbers(log_odds)
    return {name: value for name, value in found.items() if value is None or isfinite(value)}
