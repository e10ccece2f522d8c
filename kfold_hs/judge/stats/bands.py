"""Bands of curves: people are resampled, the fold models stay as they are.

A curve is a statistic that gives (B, G) values at G places for B weightings of the people, the
mean over the runs as `influence.of_persons` takes it. Its band is pointwise: at each place the
percentiles of the resamples (Efron 1979). Like every interval of *these models* it does not say
how other trainings would differ.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from kfold_hs.judge.stats.clusters import Layout
from kfold_hs.judge.stats.conditional_error import person_weights
from kfold_hs.judge.stats.intervals import LEVEL

METHOD = "pointwise percentiles of a bootstrap over persons"
_CELLS = 4_000_000

# (row numbers, (B, n_rows) weights of these rows) -> (B, G)
OfRows = Callable[[np.ndarray, np.ndarray], np.ndarray]
# (B, n_persons) weights of the persons -> (B, G)
Statistic = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True, eq=False)
class Band:
    """A curve, or several, at G places; NaN where it, or every resample of it, is undefined.

    value, low, high : (G,), the ends NaN without resamples
    n_undefined : resamples in which some place has no value, e.g. for want of a class
    """

    value: np.ndarray
    low: np.ndarray
    high: np.ndarray
    n_undefined: int = 0

    def part(self, start: int, stop: int | None) -> Band:
        """Some of the places, where a statistic gives several curves."""
        value, low, high = (each[start:stop] for each in (self.value, self.low, self.high))
        return Band(value, low, high, self.n_undefined)


def by_model(function: OfRows, layout: Layout) -> Statistic:
    """Mean over the runs of the mean over each run's fold models."""
    return _mean(function, layout, layout.model, layout.run_of_model)


def by_run(function: OfRows, layout: Layout) -> Statistic:
    """Mean over the runs of what all rows of a run give at once."""
    return _mean(function, layout, layout.run, np.arange(layout.n_runs))


def bands(
    statistics: Mapping[str, Statistic],
    layout: Layout,
    n_resamples: int,
    seed: int = 0,
    whole: bool = True,
) -> dict[str, Band]:
    """Curves and their bands, all of the same resamples.

    Parameters
    ----------
    statistics : mapping
        Name -> statistic, see `by_model` and `by_run`.
    layout : Layout
    n_resamples : int
        0 for curves without bands.
    seed : int
    whole : bool
        Whether resamples and curves count only where they have a value at every place; otherwise
        each place has the percentiles of the resamples that have a value there, and none where
        more than 1 - `LEVEL` of them lack one.
    """
    found: dict[str, list[np.ndarray]] = {name: [] for name in statistics}
    at_once = max(1, _CELLS // len(layout.person))
    for i, start in enumerate(range(0, n_resamples, at_once)):
        # Counts and sums of some thousands of them are exact in float32, and twice as fast.
        drawn = person_weights(layout, min(at_once, n_resamples - start), seed + i)
        drawn = drawn.astype(np.float32)
        for name, statistic in statistics.items():
            found[name].append(statistic(drawn))
    once = np.ones((1, layout.n_persons))
    made = _band if whole else _band_by_place
    return {name: made(statistic(once)[0], found[name]) for name, statistic in statistics.items()}


def _band(value: np.ndarray, parts: list[np.ndarray]) -> Band:
    nothing = np.full(len(value), np.nan)
    if not parts:
        return Band(value, nothing, nothing)
    values = np.concatenate(parts)
    defined = np.isfinite(values).all(axis=1)
    if not defined.any() or not np.isfinite(value).all():
        return Band(value, nothing, nothing, int((~defined).sum()))
    tail = (1 - LEVEL) / 2
    by_place = np.ascontiguousarray(values[defined].T, dtype=np.float64)
    low, high = np.quantile(by_place, [tail, 1 - tail], axis=1)
    return Band(value, low, high, int((~defined).sum()))


def _band_by_place(value: np.ndarray, parts: list[np.ndarray]) -> Band:
    low, high = np.full((2, len(value)), np.nan)
    if not parts:
        return Band(value, low, high)
    values = np.concatenate(parts)
    defined = np.isfinite(values)
    there = np.isfinite(value) & (defined.mean(axis=0) >= LEVEL)
    tail = (1 - LEVEL) / 2
    low[there], high[there] = np.nanquantile(values[:, there], [tail, 1 - tail], axis=0)
    return Band(value, low, high, int((~defined).any(axis=1).sum()))


def _mean(
    function: OfRows, layout: Layout, group: np.ndarray, run_of_group: np.ndarray
) -> Statistic:
    rows_of = [np.flatnonzero(group == each) for each in range(len(run_of_group))]
    share = 1 / (np.bincount(run_of_group)[run_of_group] * layout.n_runs)

    def statistic(of_person: np.ndarray) -> np.ndarray:
        each = (
            part * function(rows, of_person[:, layout.person[rows]])
            for rows, part in zip(rows_of, share, strict=True)
        )
        return np.asarray(sum(each))

    return statistic
