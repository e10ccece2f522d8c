"""Likelihood ratios and predictive values, by hand and by the formulas of the books."""

from __future__ import annotations

from math import exp, log, sqrt

import numpy as np
import pytest

from kfold_hs.errors import ConfigError
from kfold_hs.judge.stats.clusters import Layout
from kfold_hs.judge.stats.conditional_error import fixed_estimate
from kfold_hs.judge.stats.predictive_values import likelihood_ratios, predictive_values
from kfold_hs.judge.stats.scored import Scored


def ratios(tp: int, fn: int, fp: int, tn: int) -> dict[str, dict[str, float | None]]:
    y_true = np.repeat([0, 0, 1, 1], [tp, fn, fp, tn])
    called = np.repeat([0, 1, 0, 1], [tp, fn, fp, tn])
    same = np.zeros(len(y_true), dtype=int)
    layout = Layout.of(same, same, np.arange(len(y_true)).astype(str))
    rows = Scored(y_true, np.eye(2)[called], 0, layout)
    return likelihood_ratios(rows, lambda each: fixed_estimate(each, 5))


def test_ratios_have_the_intervals_of_simel() -> None:
    """Simel et al. 1991: se of log LR+ is sqrt(1/TP - 1/(TP + FN) + 1/FP - 1/(FP + TN))."""
    found = ratios(80, 20, 30, 170)
    assert found["positive"]["value"] == pytest.approx(0.8 / 0.15)
    assert found["negative"]["value"] == pytest.approx(0.2 / 0.85)
    se = sqrt(1 / 80 - 1 / 100 + 1 / 30 - 1 / 200)
    assert found["positive"]["low"] == pytest.approx(exp(log(0.8 / 0.15) - 1.96 * se), rel=1e-3)
    assert found["positive"]["high"] == pytest.approx(exp(log(0.8 / 0.15) + 1.96 * se), rel=1e-3)
    se = sqrt(1 / 20 - 1 / 100 + 1 / 170 - 1 / 200)
    assert found["negative"]["low"] == pytest.approx(exp(log(0.2 / 0.85) - 1.96 * se), rel=1e-3)
    assert found["negative"]["high"] == pytest.approx(exp(log(0.2 / 0.85) + 1.96 * se), rel=1e-3)


def test_predictive_values_are_those_of_the_table_at_its_own_prevalence() -> None:
    found = predictive_values(ratios(80, 20, 30, 170), 1 / 3)
    assert found["ppv"]["value"] == pytest.approx(80 / 110)
    assert found["npv"]["value"] == pytest.approx(170 / 190)
    for each in found.values():
        assert each["low"] < each["value"] < each["high"]
    rare = predictive_values(ratios(80, 20, 30, 170), 0.01)
    assert rare["ppv"]["value"] == pytest.approx(0.008 / (0.008 + 0.99 * 0.15))
    assert rare["npv"]["value"] == pytest.approx(0.99 * 0.85 / (0.99 * 0.85 + 0.002))


def test_nobody_called_wrongly_has_no_ratio_and_no_interval() -> None:
    found = ratios(14, 38, 0, 34)
    assert found["positive"]["value"] is None
    assert found["negative"]["value"] == pytest.approx(38 / 52)
    assert found["negative"]["low"] is None  # a specificity of 1 has no spread
    assert "more people" in found["positive"]["method"]
    assert "more people" in found["negative"]["method"]
    values = predictive_values(found, 0.1)
    assert values["ppv"] == {"value": None, "low": None, "high": None}
    assert values["npv"]["low"] is None
    assert values["npv"]["value"] > 0.9


@pytest.mark.parametrize("prevalence", [0, 1, -0.1, 1.5])
def test_a_prevalence_lies_between_0_and_1(prevalence: float) -> None:
    with pytest.raises(ConfigError, match=f"prevalence={prevalence:g} must be above 0"):
        predictive_values(ratios(8, 2, 3, 17), prevalence)
