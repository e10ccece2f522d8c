"""How well fold models found the heart cycle of people they were not trained on.

n_recordings, n_persons, hours    with marks, and so many hours of them
n_without                         recordings that nobody marked
tolerance_s
sentence
sounds     S1, S2 and both: n_marked, and estimates of f1, sensitivity and ppv
states     estimate of the share of marked time whose state is right
recordings n, median and p10 (10th percentile) of a recording's F1 of both sounds
folds      repeat, seed, fold, n_recordings, f1 of S1, S2 and both, states

Every value is one of all beats (or of all marked time) of a run, the mean over repeats and seeds.
Each is a ratio of sums, so that a recording moves it by (numerator - value denominator) / sum of
denominators; people and fold models are what varies, as for every other metric
(`judge.stats.expected_error`).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from kfold_hs.cohort.segmentation import Segmentation
from kfold_hs.errors import PredictionsError, counted
from kfold_hs.judge.metrics.onsets import SOUNDS, TOLERANCE_S, agreement
from kfold_hs.judge.results.sentences import ends, number
from kfold_hs.judge.stats.clusters import Layout
from kfold_hs.judge.stats.estimates import Basis
from kfold_hs.judge.stats.influence import Influence
from kfold_hs.predictions.segmentation import by_recording

BOTH = "both"
_PLACE = ["repeat", "seed", "fold"]


def segmentation(
    table: pd.DataFrame, marks: Mapping[str, Segmentation], persons: Mapping[str, str], basis: Basis
) -> dict[str, Any]:
    """What the module's head says, as summary.json has it.

    Parameters
    ----------
    table : DataFrame
        `predictions.segmentation`'s, of all fold models.
    marks : mapping
        Of every recording by its id, empty ones too.
    persons : mapping
        Whose every recording is.
    basis : Basis
        Of the run: number of folds and share of people that models trained on.

    Raises
    ------
    PredictionsError
        A recording of the table is not of the cohort.
    """
    counts = counts_of(table, marks, persons)
    n_folds = basis.layout.n_folds
    # Which epoch counts is nothing to a frame branch: its estimates are honest.
    basis = dataclasses.replace(basis, honest=True)
    n_without = table["recording_id"].nunique() - counts["recording_id"].nunique()
    content: dict[str, Any] = {
        "n_recordings": int(counts["recording_id"].nunique()),
        "n_persons": int(counts["person_id"].nunique()),
        "n_without": int(n_without),
        "hours": float(counts.groupby("recording_id")["marked_s"].first().sum() / 3600),
        "tolerance_s": TOLERANCE_S,
    }
    if content["n_persons"] < 2:
        why = f"{counted(content['n_recordings'], 'recording')} with marks: not enough to judge."
        return content | {"sentence": f"How well the heart cycle was found is unknown: {why}"}
    sounds = {name: _sound(counts, name, n_folds, basis) for name in (*SOUNDS, BOTH)}
    states = _estimate(counts, counts["right_s"], counts["marked_s"], n_folds, basis)
    each = _by_recording(counts)
    content |= {
        "sounds": sounds,
        "states": states,
        "recordings": {
            "n": len(each),
            "median": float(np.median(each)) if len(each) else None,
            "p10": float(np.percentile(each, 10)) if len(each) else None,
        },
        "folds": _folds(counts),
    }
    return content | {"sentence": _sentence(content)}


def counts_of(
    table: pd.DataFrame, marks: Mapping[str, Segmentation], persons: Mapping[str, str]
) -> pd.DataFrame:
    """A row a fold model and recording with marks: hits.S1, false.S1, missed.S1, ..., right_s."""
    if unknown := sorted(set(table["recording_id"]) - set(marks)):
        raise PredictionsError(
            f"the segmentation holds {unknown[0]!r:.80}, which is no recording of the cohort: the "
            "files of two runs were mixed. Repeat the run's command."
        )
    rows = []
    for place, of_fold in table.groupby(_PLACE):
        for recording_id, found in by_recording(of_fold).items():
            if marks[recording_id].is_empty:
                continue
            said = agreement(found, marks[recording_id])
            row = dict(zip(_PLACE, place, strict=True)) | {"recording_id": recording_id}
            row |= {"right_s": said.right_s, "marked_s": said.marked_s}
            for name, each in said.sounds.items():
                row |= {f"{what}.{name}": n for what, n in each._asdict().items()}
            rows.append(row | {"person_id": persons[recording_id]})
    columns = [f"{what}.{name}" for what in ("hits", "false", "missed") for name in SOUNDS]
    names = [*_PLACE, "recording_id", "person_id", "right_s", "marked_s", *columns]
    counts = pd.DataFrame(rows, columns=names)
    for what in ("hits", "false", "missed"):
        counts[f"{what}.{BOTH}"] = counts[[f"{what}.{name}" for name in SOUNDS]].sum(axis=1)
    return counts


def ratio(
    counts: pd.DataFrame, over: pd.Series, under: pd.Series, n_folds: int
) -> Influence | None:
    """The ratio of two sums, a run's own, mean over seeds and repeats; None: of nothing.

    Seeds share their folds, so that they are one run; what a recording adds is its mean over them.
    """
    top, bottom = (each.to_numpy(dtype=np.float64) for each in (over, under))
    value, psi = np.empty((2, len(counts)))
    for rows in counts.groupby(["repeat", "seed"]).indices.values():
        total = bottom[rows].sum()
        if not total > 0:
            return None
        value[rows] = top[rows].sum() / total
        psi[rows] = (top[rows] - value[rows] * bottom[rows]) / total
    table = counts.assign(value=value, psi=psi)
    runs = table.groupby(["repeat", "seed"])["value"].first().groupby("repeat").mean().to_numpy()
    keys = ["repeat", "fold", "person_id", "recording_id"]
    moved = table.groupby(keys)["psi"].mean().reset_index()
    repeat, fold, person = (moved[name].to_numpy() for name in keys[:3])
    share = moved["psi"].to_numpy() / len(runs)
    layout = Layout.of(repeat, fold, person, n_folds)
    return Influence(float(runs.mean()), share, share, runs, layout)


def _sound(counts: pd.DataFrame, name: str, n_folds: int, basis: Basis) -> dict[str, Any]:
    hits, false, missed = (counts[f"{what}.{name}"] for what in ("hits", "false", "missed"))
    pairs = {
        "f1": (2 * hits, 2 * hits + false + missed),
        "sensitivity": (hits, hits + missed),
        "ppv": (hits, hits + false),
    }
    n_models = counts.groupby(["repeat", "seed"]).ngroups
    found: dict[str, Any] = {"n_marked": round(int((hits + missed).sum()) / n_models)}
    for what, (over, under) in pairs.items():
        found[what] = _estimate(counts, over, under, n_folds, basis)
    return found


def _estimate(
    counts: pd.DataFrame, over: pd.Series, under: pd.Series, n_folds: int, basis: Basis
) -> dict[str, Any] | None:
    """As a metric's in summary.json: the recipe's, and `these_models`; None: of nothing."""
    influence = ratio(counts, over, under, n_folds)
    if influence is None:
        return None
    estimate, fixed = basis.estimates(influence, influence.layout.n_persons)
    return {**dataclasses.asdict(estimate), "these_models": dataclasses.asdict(fixed)}


def _f1(rows: pd.DataFrame, name: str) -> pd.Series:
    hits = 2 * rows[f"hits.{name}"]
    return hits / (hits + rows[f"false.{name}"] + rows[f"missed.{name}"])  # NaN: of nothing


def _by_recording(counts: pd.DataFrame) -> np.ndarray:
    """F1 of both sounds of every recording with an onset, mean over repeats and seeds."""
    each = _f1(counts, BOTH).groupby(counts["recording_id"]).mean()
    return np.asarray(each.dropna().to_numpy())


def _folds(counts: pd.DataFrame) -> list[dict[str, Any]]:
    sums = counts.groupby(_PLACE).sum(numeric_only=True)
    n_recordings = counts.groupby(_PLACE).size()
    found = []
    for place, row in sums.iterrows():
        values = {name: float(_f1(row.to_frame().T, name).iloc[0]) for name in (*SOUNDS, BOTH)}
        assert isinstance(place, tuple)
        found.append(
            {
                **{name: int(each) for name, each in zip(_PLACE, place, strict=True)},
                "n_recordings": int(n_recordings[place]),
                "f1": {name: _known(each) for name, each in values.items()},
                "states": _known(float(row["right_s"] / row["marked_s"])),
            }
        )
    return found


def _known(value: float) -> float | None:
    return value if np.isfinite(value) else None


def _sentence(found: Mapping[str, Any]) -> str:
    parts = [
        f"of {name} onsets {number(each['value'])} (95 % interval {ends(each)})"
        for name in SOUNDS
        if (each := found["sounds"][name]["f1"]) is not None
    ]
    if not parts:
        return "How well the heart cycle was found is unknown: no onset is marked."
    return (
        f"F1 {' and '.join(parts)}, out of fold, within {1000 * TOLERANCE_S:.0f} ms of the marks "
        f"of {counted(found['n_recordings'], 'recording')} ({found['hours']:.1f} hours)."
    )
