"""Random effects, against published numbers, their own definition and simulation."""

from __future__ import annotations

from math import log, sqrt

import numpy as np
import pytest
from scipy import stats
from scipy.special import expit, logit

from kfold_hs.judge.stats.random_effects import combine, on_logit_scale

# BCG vaccine against tuberculosis (Colditz et al., JAMA 1994; `dat.bcg` of R's metafor):
# vaccinated with and without the disease, others with and without.
BCG = np.array(
    [
        [4, 119, 11, 128], [6, 300, 29, 274], [3, 228, 11, 209], [62, 13536, 248, 12619],
        [33, 5036, 47, 5761], [180, 1361, 372, 1079], [8, 2537, 10, 619],
        [505, 87886, 499, 87892], [29, 7470, 45, 7232], [17, 1699, 65, 1600],
        [186, 50448, 141, 27197], [5, 2493, 3, 2338], [27, 16886, 29, 17825],
    ]
)  # fmt: skip


def log_risk_ratios() -> tuple[np.ndarray, np.ndarray]:
    a, b, c, d = BCG.T.astype(float)
    return np.log(a / (a + b) / (c / (c + d))), 1 / a - 1 / (a + b) + 1 / c - 1 / (c + d)


def test_bcg_is_as_published() -> None:
    """Q and I² of Viechtbauer (J. Stat. Software 36(3), 2010); the rest as metafor's method PM."""
    y, v = log_risk_ratios()
    found = combine(y, v)
    assert found.q == pytest.approx(152.2330, abs=1e-4)
    assert found.i2 == pytest.approx(0.9212, abs=1e-4)
    assert found.p_value < 1e-4
    assert found.tau**2 == pytest.approx(0.3181, abs=1e-4)
    assert found.mean == pytest.approx(-0.7150, abs=1e-4)
    assert found.se == pytest.approx(0.1809, abs=1e-4)
    # By hand: t(11) is 2.20099, t(12) is 2.17881.
    half = 2.20099 * sqrt(0.31807 + 0.18089**2)
    assert found.prediction == pytest.approx((-0.71497 - half, -0.71497 + half), abs=1e-3)
    half = 2.17881 * 0.18089
    assert found.interval == pytest.approx((-0.71497 - half, -0.71497 + half), abs=1e-3)
    # What defines Paule and Mandel's tau.
    weights = 1 / (v + found.tau**2)
    assert (weights * (y - found.mean) ** 2).sum() == pytest.approx(12, abs=1e-3)


def test_sources_that_differ_by_less_than_chance() -> None:
    found = combine(np.array([0.1, 0.2, 0.3, 0.2]), np.full(4, 1.0))
    assert (found.tau, found.i2) == (0, 0)
    assert found.se_corrected == found.se == pytest.approx(0.5)
    assert found.prediction == pytest.approx((0.2 - 2.15133, 0.2 + 2.15133), abs=1e-4)  # t(2) / 2
    same = combine(np.zeros(3), np.ones(3))
    assert (same.i2, same.p_value) == (0, 1)


def test_two_sources_predict_nothing() -> None:
    found = combine(np.array([0.0, 1.0]), np.array([0.1, 0.1]))
    assert found.prediction is None
    assert found.tau**2 == pytest.approx(0.4, abs=1e-3)  # 1 / 2 - 0.1
    assert found.interval == pytest.approx((0.5 - 12.7062 / 2, 0.5 + 12.7062 / 2), abs=1e-2)


def test_shares_on_the_logit_scale() -> None:
    assert on_logit_scale(0.8, 0.8 * 0.2 / 50, 50) == pytest.approx((log(4), 1 / (50 * 0.8 * 0.2)))
    # 10.5 of 11, and none of 4 is 0.5 of 5.
    assert on_logit_scale(1.0, 0.0, 10) == pytest.approx((log(21), 1 / 10.5 + 1 / 0.5))
    assert on_logit_scale(0.0, 0.0, 4) == pytest.approx((log(1 / 9), 1 / 0.5 + 1 / 4.5))
    assert on_logit_scale(0.5, 0.0, 4) is None


@pytest.mark.parametrize(("k", "tau"), [(5, 0.5), (8, 1.0)])
def test_the_next_source_lies_inside_as_often_as_claimed(k: int, tau: float) -> None:
    """Sources of 60 to 300 people, with sensitivities around 0.8; 1000 simulated studies."""
    rng, hits, width = np.random.default_rng(k), 0, []
    for _ in range(1000):
        n = rng.integers(60, 300, k)
        own = expit(1.4 + tau * rng.standard_normal(k + 1))
        shares = rng.binomial(n, own[:k]) / n
        scaled = [
            on_logit_scale(p, p * (1 - p) / m, m) for p, m in zip(shares, n.tolist(), strict=True)
        ]
        low, high = combine(*np.array(scaled).T).prediction or (np.nan, np.nan)
        hits += low <= logit(own[k]) <= high
        width.append(high - low)
    assert abs(hits / 1000 - 0.95) < 3 * sqrt(0.95 * 0.05 / 1000) + 0.01
    # The narrowest that could be, were mean and spread known.
    assert np.median(width) > 2 * stats.norm.ppf(0.975) * tau
