"""Riley's criteria, against the example of pmsampsize."""

from __future__ import annotations

from math import ceil, log

import numpy as np
import pytest

from kfold_hs.judge.stats.riley import development, fit_of, people_for_parameters, reached

# pmsampsize(type = "b", csrsquared = 0.288, parameters = 24, prevalence = 0.174): 623, 662, 221.
FIT = {
    "share": 0.174,
    "cox_snell": 0.288,
    "cox_snell_most": 1 - (0.174**0.174 * 0.826**0.826) ** 2,
}


def test_people_for_parameters_are_those_of_pmsampsize() -> None:
    found = people_for_parameters(FIT, 24)
    assert {name: ceil(n) for name, n in found.items() if n} == {
        "shrinkage": 623, "optimism": 662, "share": 221,
    }  # fmt: skip


def test_parameters_that_people_allow_are_the_other_way_round() -> None:
    found = development(FIT, 662)
    assert found["parameters_optimism"] == 24
    assert found["parameters_shrinkage"] == 25
    assert found["people_share"] == 221
    assert development(FIT, 661)["parameters_optimism"] == 23


def test_fit_of_the_share_alone_is_0_and_of_certainty_the_most() -> None:
    y = np.repeat([True, False], [30, 70])
    nothing = fit_of(y, np.full(100, 0.3))
    assert nothing["cox_snell"] == pytest.approx(0)
    assert nothing["cox_snell_most"] == pytest.approx(1 - (0.3**0.3 * 0.7**0.7) ** 2)
    all_of_it = fit_of(y, y.astype(float))
    assert all_of_it["cox_snell"] == pytest.approx(all_of_it["cox_snell_most"], abs=1e-5)
    half = fit_of(y, np.where(y, 0.6, 0.2))
    gain = 0.3 * log(0.6 / 0.3) + 0.7 * log(0.8 / 0.7)
    assert half["cox_snell"] == pytest.approx(1 - np.exp(-2 * gain))


def test_what_is_worse_than_the_share_allows_no_parameter() -> None:
    worse = {"share": 0.5, "cox_snell": -0.1, "cox_snell_most": 0.75}
    assert people_for_parameters(worse, 3)["shrinkage"] is None
    assert development(worse, 1000)["parameters_shrinkage"] == 0


def test_half_the_width_takes_four_times_the_people() -> None:
    found = reached("auroc", {"low": 0.7, "high": 0.9}, 100)
    assert found["people"] == 400
    assert found["width"] == pytest.approx(0.2)
    assert reached("slope", {"low": None, "high": None}, 100)["people"] is None
