"""What more people would bring: an inverse power law through the values of several sizes.

With n training people a value is v(n) = a - b n^-c where higher is better, and a + b n^-c where
lower is: b >= 0, a the value that no number of people passes (Cortes et al., NIPS 6, 1993; Figueroa
et al., BMC Med. Inform. Decis. Mak. 12:8, 2012; reviewed by Viering & Loog, IEEE TPAMI 45(6),
2023). The law is fitted by least squares: c is searched on a grid, a and b follow in closed form, a
within what is possible. A law that may only rise never says that more people harm.

Values of one split share people and folds: their covariance is

    cov(i, j) = (V_i + V_j - V_i-j) / 2

with V the variances of `expected_error`, of each value and of each difference. The band is that of
fits to values drawn around the fitted ones with this covariance and t tails (a parametric
bootstrap), between the 2.5 % and 97.5 % points at every size. How often it holds was simulated:
docs/statistics.md. The covariance does not weight the fit: where errors are this much alike,
weights put the law outside of all values (Peelle's pertinent puzzle).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from kfold_hs.judge.metrics.bounds import Bounds
from kfold_hs.judge.stats.expected_error import spread
from kfold_hs.judge.stats.influence import Influence
from kfold_hs.judge.stats.intervals import LEVEL

FEWEST_SIZES = 3
N_DRAWS = 2000
_EXPONENTS = np.geomspace(0.05, 3, 24)
_FLOOR = 0.01
"""Of the mean eigenvalue: a covariance that was put together from pairs may have less or none."""


@dataclass(frozen=True, eq=False)
class Measured:
    """A value at several sizes.

    sizes : (m,) training people, ascending
    values : (m,)
    covariance : (m, m)
    df : of the t tails
    """

    sizes: np.ndarray
    values: np.ndarray
    covariance: np.ndarray
    df: float

    def first(self, m: int) -> Measured:
        """The smallest m sizes alone."""
        return Measured(self.sizes[:m], self.values[:m], self.covariance[:m, :m], self.df)


@dataclass(frozen=True, eq=False)
class PowerLaw:
    """Fitted laws: the first is that of the values, the others are those of draws around it.

    a, b, c : (1 + draws,)
    sign : 1 where higher is better, -1 where lower is
    bounds : of the metric
    misfit : chance of values as far from a power law as these, None where three points fit any
    """

    a: np.ndarray
    b: np.ndarray
    c: np.ndarray
    sign: int
    bounds: Bounds
    misfit: float | None

    def at(self, n: np.ndarray | float) -> np.ndarray:
        """Values of all laws with n training people, (1 + draws, ...)."""
        n = np.asarray(n, dtype=np.float64)
        a, b, c = (each.reshape(-1, *[1] * n.ndim) for each in (self.a, self.b, self.c))
        return np.asarray(np.clip(a - self.sign * b * n**-c, *self.bounds))

    def band(self, n: np.ndarray | float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Value, low and high at n."""
        return _ends(self.at(n))

    def gain(self, now: float, then: float) -> tuple[float, float, float]:
        """What `then` people bring over `now`, and its ends; better is above 0."""
        found = _ends(self.sign * (self.at(then) - self.at(now)))
        value, low, high = (float(each) for each in found)
        return value, max(0.0, low), high

    def p_of_gain(self, now: float, then: float) -> float:
        """Two-sided p of no gain: twice the share of the draws that bring none."""
        found = self.sign * (self.at(then) - self.at(now))[1:]
        return float(min(1, 2 * (1 + np.sum(found <= 0)) / (1 + len(found))))


def measured(sizes: Sequence[float], influences: Sequence[Influence]) -> Measured | None:
    """The values of one metric at several sizes; None where one has no variance to stand on."""
    each = [spread(one) for one in influences]
    if any(one is None or one.untold for one in each):
        return None
    m, known = len(influences), [one for one in each if one is not None]
    covariance = np.diag([one.variance for one in known])
    for i in range(m):
        for j in range(i):
            apart = spread(influences[i].minus(influences[j]))
            of_apart = 0.0 if apart is None else apart.variance
            shared = (known[i].variance + known[j].variance - of_apart) / 2
            covariance[i, j] = covariance[j, i] = shared
    values = np.array([one.value for one in influences])
    return Measured(
        np.asarray(sizes, dtype=np.float64), values, _definite(covariance),
        min(one.df for one in known),
    )  # fmt: skip


def fit(points: Measured, bounds: Bounds, higher_is_better: bool, seed: int = 0) -> PowerLaw | None:
    """The law through these values; None with fewer than three sizes.

    Parameters
    ----------
    bounds : Bounds
        Of the metric: no law ends beyond them.
    """
    m = len(points.sizes)
    if m < FEWEST_SIZES:
        return None
    sign = 1 if higher_is_better else -1
    best = sign * (bounds[1] if higher_is_better else bounds[0])
    solver = _Solver(points.sizes, best)
    of_values = solver.solve(sign * points.values[None])
    a, b, c, left = of_values
    fitted = a - b * points.sizes ** -c[:, None]
    rng = np.random.default_rng([seed, m])
    tails = np.sqrt(rng.chisquare(points.df, N_DRAWS) / points.df)
    root = np.linalg.cholesky(points.covariance)
    noise = rng.standard_normal((N_DRAWS, m)) @ root.T / tails[:, None]
    of_draws = solver.solve(fitted + noise)
    misfit = float(np.mean(of_draws[3] >= left)) if m > FEWEST_SIZES else None
    a, b, c = (np.concatenate(pair) for pair in zip(of_values[:3], of_draws[:3], strict=True))
    return PowerLaw(sign * a, b, c, sign, bounds, misfit)


class _Solver:
    """Least squares of a - b n^-c, b >= 0 and a at most `best`, for many sets of values at once."""

    def __init__(self, sizes: np.ndarray, best: float) -> None:
        self.best = best
        # Scaled by the smallest size, so that no power underflows.
        self.smallest = sizes[0]
        self.falls = [(sizes / self.smallest) ** -c for c in _EXPONENTS]

    def solve(self, y: np.ndarray) -> tuple[np.ndarray, ...]:
        """a, b, c and the squares of what is left, each (n,), of values (n, m)."""
        least = np.full(len(y), np.inf)
        found = np.zeros((3, len(y)))
        for c, fall in zip(_EXPONENTS, self.falls, strict=True):
            for a, b in self._candidates(y, fall):
                left = ((y - a[:, None] + np.outer(b, fall)) ** 2).sum(axis=1)
                is_less = (b >= 0) & (a <= self.best) & (left < least)
                least = np.where(is_less, left, least)
                these = np.stack([a, b * self.smallest**c, np.full(len(y), c)])
                found = np.where(is_less, these, found)
        return (*found, least)

    def _candidates(self, y: np.ndarray, fall: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
        """a and b of the free solution and of those on the two edges: the best allowed is it."""
        mean, away = y.mean(axis=1), fall - fall.mean()
        b = -(y @ away) / (away @ away)
        found = [
            (mean + b * fall.mean(), b),
            (np.minimum(mean, self.best), np.zeros(len(y))),
        ]
        if np.isfinite(self.best):
            at_best = np.full(len(y), self.best)
            found.append((at_best, (self.best - y) @ fall / (fall @ fall)))
        return found


def _ends(values: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The first of the values and the ends that the others give it."""
    value, tail = values[0], (1 - LEVEL) / 2
    low, high = np.quantile(values[1:], [tail, 1 - tail], axis=0)
    return value, np.minimum(low, value), np.maximum(high, value)


def _definite(covariance: np.ndarray) -> np.ndarray:
    """The nearest matrix without eigenvalues of nothing or less."""
    values, vectors = np.linalg.eigh(covariance)
    floor = _FLOOR * max(float(values.mean()), np.finfo(float).tiny)
    return np.asarray((vectors * np.maximum(values, floor)) @ vectors.T)
