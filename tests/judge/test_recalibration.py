"""Calibration intercept, slope and O:E, held against statsmodels and against hand."""

from __future__ import annotations

import numpy as np
import pytest
import statsmodels.api as sm
from scipy.special import expit, logit

from kfold_hs.judge.stats.clusters import Layout
from kfold_hs.judge.stats.recalibration import (
    ONE_CLASS,
    SEPARATED,
    calibration_model,
    intercept_of,
    log_odds,
)

Z = 1.959963984540054


def layout(persons: np.ndarray) -> Layout:
    same = np.zeros(len(persons), dtype=int)
    return Layout.of(same, same, persons)


@pytest.fixture(scope="module")
def people() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Outcomes, overconfident probabilities, and persons with up to three rows."""
    rng = np.random.default_rng(3)
    persons = np.sort(rng.integers(0, 150, 300))
    x = rng.normal(0, 1.5, 300)
    return rng.random(300) < expit(0.4 + 0.6 * x), expit(x), persons


def test_intercept_and_slope_are_those_of_statsmodels(
    people: tuple[np.ndarray, np.ndarray, np.ndarray],
) -> None:
    y, p, persons = people
    found = calibration_model(y, p, layout(persons))
    groups = {"groups": persons, "use_correction": False}
    how = {"cov_type": "cluster", "cov_kwds": groups, "tol": 1e-14}
    family = sm.families.Binomial()
    alone = sm.GLM(y * 1.0, np.ones((300, 1)), family, offset=logit(p)).fit(**how)
    both = sm.GLM(y * 1.0, sm.add_constant(logit(p)), family).fit(**how)
    for name, value, se in (
        ("intercept", alone.params[0], alone.bse[0]),
        ("slope", both.params[1], both.bse[1]),
    ):
        estimate = found[name]
        assert estimate.value == pytest.approx(value, rel=1e-8)
        assert estimate.se == pytest.approx(se, rel=1e-6)
        ends = (value - Z * se, value + Z * se)
        assert (estimate.low, estimate.high) == pytest.approx(ends, rel=1e-6)
    assert intercept_of(y, p) == pytest.approx(alone.params[0], rel=1e-8)


def test_observed_to_expected_by_hand() -> None:
    y, p = np.array([True, True, False, False]), np.array([0.5, 0.3, 0.1, 0.1])
    found = calibration_model(y, p, layout(np.arange(4)))["o_e"]
    assert found.value == pytest.approx(2.0)
    # y / 2 - p: 0, 0.2, -0.1, -0.1
    se = np.sqrt(0.04 + 0.01 + 0.01)
    assert (found.low, found.high) == pytest.approx((2 * np.exp(-Z * se), 2 * np.exp(Z * se)))
    # Two rows of one person count once: (0.2)^2 + (-0.2)^2.
    pair = calibration_model(y, p, layout(np.array([0, 0, 1, 1])))["o_e"]
    assert pair.se == pytest.approx(2 * np.sqrt(0.08))


def test_well_calibrated_probabilities_are_found_so() -> None:
    """Rows whose shares are exactly what was said: the intercept is 0 and the slope 1."""
    p = np.repeat([0.2, 0.5, 0.8], 10)
    y = np.concatenate([np.arange(10) < n for n in (2, 5, 8)])
    found = calibration_model(y, p, layout(np.arange(30)))
    assert found["intercept"].value == pytest.approx(0, abs=1e-9)
    assert found["slope"].value == pytest.approx(1, abs=1e-9)
    assert found["o_e"].value == pytest.approx(1)


def test_what_is_not_finite_says_why() -> None:
    p, persons = np.array([0.1, 0.4, 0.4, 0.9]), np.arange(4)
    parted = calibration_model(np.array([False, False, True, True]), p, layout(persons))
    assert (parted["slope"].value, parted["slope"].method) == (None, SEPARATED)
    assert parted["intercept"].value is not None
    constant = calibration_model(np.array([True, False] * 2), np.full(4, 0.3), layout(persons))
    assert constant["slope"].method == SEPARATED
    for y in (np.zeros(4, dtype=bool), np.ones(4, dtype=bool)):
        of_one = calibration_model(y, p, layout(persons))
        assert {of_one[name].method for name in ("intercept", "slope")} == {ONE_CLASS}
    nobody = calibration_model(np.zeros(4, dtype=bool), p, layout(persons))["o_e"]
    assert (nobody.value, nobody.low) == (0.0, None)
    assert "nobody of the positive class" in nobody.method


def test_certain_probabilities_do_not_decide_everything() -> None:
    assert log_odds(np.array([0.0, 1.0])) == pytest.approx([-13.8155, 13.8155], abs=1e-4)
    rng = np.random.default_rng(0)
    y, p = rng.random(40) < 0.5, np.r_[0.0, 1.0, rng.random(38)]
    found = calibration_model(y, p, layout(np.arange(40)))
    assert all(np.isfinite(each.value) for each in found.values() if each.value is not None)
    assert found["slope"].value is not None


def test_newton_finds_extreme_probabilities_out() -> None:
    """Log odds ten times too large: whole steps of Newton's would run away."""
    rng = np.random.default_rng(1)
    x = rng.normal(size=400)
    y = rng.random(400) < expit(x)
    found = calibration_model(y, expit(np.clip(10 * x, -13, 13)), layout(np.arange(400)))
    fit = sm.Logit(y, sm.add_constant(np.clip(10 * x, -13, 13))).fit(disp=False)
    assert found["slope"].value == pytest.approx(fit.params[1], rel=1e-6)
