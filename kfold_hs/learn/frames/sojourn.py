"""How long a heart stays in a state, by the length of its cycle: from people's segmentations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from kfold_hs.cohort.segmentation import STATES, Segmentation
from kfold_hs.errors import CohortError

LEAST_S = 0.03
"""No state is expected to be shorter."""
LEAST_SHARE = 0.1
"""Of a mean: its least standard deviation, so that nothing that was not seen is ruled out."""
LEAST_SPREAD_S = 0.02
"""Cycles of people that differ by less tell nothing of how states go with them."""


@dataclass(frozen=True)
class Sojourn:
    """Times in the four states as normal distributions, by the length of a cycle.

    Springer et al., IEEE Trans. Biomed. Eng. 63(4), 2016 and Schmidt et al., Physiol. Meas. 31(4),
    2010 take such distributions, those of the sounds fixed and those of the intervals by the heart
    rate. Here all four means are lines over the cycle, fitted on recordings.

    Parameters
    ----------
    at_zero_s, slope : tuple of float, 4 each
        Mean time in S1, systole, S2, diastole: at_zero_s + slope * length of the cycle.
    sd_s : tuple of float, 4
    """

    at_zero_s: tuple[float, ...]
    slope: tuple[float, ...]
    sd_s: tuple[float, ...]

    @classmethod
    def fit(cls, marked: Sequence[Segmentation]) -> Sojourn:
        """From recordings in which all four states are marked.

        Raises
        ------
        CohortError
            There are none.
        """
        each = [_times(one) for one in marked]
        times = np.array([t for t in each if t is not None])  # (n, 2, 4): mean, sd
        if not len(times):
            raise no_times(len(marked))
        mean, sd = times[:, 0], times[:, 1]
        cycle = mean.sum(axis=1)
        if cycle.std() < LEAST_SPREAD_S:
            slope, at_zero = mean.mean(axis=0) / cycle.mean(), np.zeros(len(STATES))
        else:
            slope, at_zero = np.polyfit(cycle, mean, 1)
        rest = mean - (at_zero + cycle[:, None] * slope)
        spread = np.sqrt((sd**2).mean(axis=0) + (rest**2).mean(axis=0))
        return cls(*(tuple(values.tolist()) for values in (at_zero, slope, spread)))

    def times_s(self, cycle_s: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation in s, (n, 4) each, for cycles of these lengths, (n,)."""
        mean = np.array(self.at_zero_s) + cycle_s[:, None] * np.array(self.slope)
        mean = np.maximum(mean, LEAST_S)
        mean *= (cycle_s / mean.sum(axis=1))[:, None]
        return mean, np.maximum(np.array(self.sd_s), LEAST_SHARE * mean)

    def to_dict(self) -> dict[str, Any]:
        return {name: list(getattr(self, name)) for name in ("at_zero_s", "slope", "sd_s")}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Sojourn:
        return cls(**{name: tuple(float(v) for v in each) for name, each in values.items()})


def no_times(n: int) -> CohortError:
    """What is wrong with `n` segmented recordings of which none has all four states."""
    return CohortError(
        f"in none of {n} segmented training recordings are S1, systole, S2 and diastole all "
        "marked: nothing says how long a state lasts. Set frames=none."
    )


def _times(marked: Segmentation) -> np.ndarray | None:
    """Mean and standard deviation of the time in each state, (2, 4) in s; None: not all there."""
    if not marked.is_whole:
        return None
    times = [(marked.end_s - marked.start_s)[marked.state == state] for state in STATES]
    return np.array([[each.mean() for each in times], [each.std() for each in times]])
