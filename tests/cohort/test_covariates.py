"""Covariates: fitted on training patients alone, missing values told apart."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from support.project import TINY

from kfold_hs.cohort.covariates import CovariateEncoder
from kfold_hs.cohort.readers.registry import read_cohort
from kfold_hs.config.compose import compose
from kfold_hs.errors import ConfigError
from kfold_hs.learn.data.covariates import Covariates, check_covariates

PATIENTS = pd.DataFrame({"height_cm": ["100", None, "120", "140"], "sex": ["F", "M", None, "F"]})


def test_columns_by_hand() -> None:
    encoder = CovariateEncoder.fit(PATIENTS, ["height_cm", "sex"])
    scale = np.sqrt(800 / 3)  # of 100, 120, 140 about 120
    expected = [
        [-20 / scale, 0, 1, 0, 0],
        [0, 1, 0, 1, 0],
        [0, 0, 0, 0, 1],
        [20 / scale, 0, 1, 0, 0],
    ]
    np.testing.assert_allclose(encoder.transform(PATIENTS), expected, rtol=1e-6)
    assert encoder.width == 5
    unseen = pd.DataFrame({"height_cm": [120.0], "sex": ["X"]})
    np.testing.assert_allclose(encoder.transform(unseen), [[0, 0, 0, 0, 0]], atol=1e-7)


def test_a_constant_and_an_empty_covariate_stay_finite() -> None:
    table = pd.DataFrame({"a": [3.0, 3.0], "b": [None, None]})
    encoder = CovariateEncoder.fit(table, ["a", "b"])
    assert np.isfinite(encoder.transform(table)).all()


def test_held_out_patients_do_not_enter_the_rules(shared_table_csv: Path) -> None:
    cohort = read_cohort(compose([*TINY, f"data.path={shared_table_csv}"]).data)
    patients = cohort.patients.assign(height=[float(i) for i in range(cohort.n_patients)])
    cohort = dataclasses.replace(cohort, patients=patients, covariates=("age", "height"))
    train = np.flatnonzero(cohort.recordings["patient_id"].isin(["p2", "p3", "p4"]))
    found = Covariates.of(cohort, train, ["height"], torch.device("cpu"))
    encoder, values = found.encoder, found.values
    assert encoder is not None
    assert values is not None
    assert encoder.rules[0]["mean"] == pytest.approx(3.0)
    assert values.shape == (cohort.n_recordings, 2)
    other = patients.assign(height=patients["height"].where(patients["height"].between(2, 4), 99))
    again = Covariates.of(
        dataclasses.replace(cohort, patients=other), train, ["height"], torch.device("cpu")
    )
    assert again.encoder == encoder
    with pytest.raises(ConfigError, match=r"'hight'; .*Did you mean 'height'"):
        check_covariates(cohort, ["hight"])


def test_what_cannot_be_read_is_told_and_missing_is_not() -> None:
    patients = pd.DataFrame({"age": ["1", "2,5", None], "sex": ["f", "m", None]})
    encoder = CovariateEncoder.fit(patients, ["age", "sex"])
    assert encoder.rules[0]["mean"] == 1.75
    assert encoder.unreadable({}) == {}
    assert encoder.unreadable({"age": "N/A", "sex": "-"}) == {}
    assert encoder.unreadable({"age": "7,5", "sex": "f "}) == {}
    found = encoder.unreadable({"age": "7 years", "sex": "w"})
    assert found == {
        "age": "age '7 years' is not a number; it counts as missing",
        "sex": "sex 'w' does not occur in the training data",
    }
    odd = pd.DataFrame({"age": ["7 years", "nan"], "sex": ["w", "none"]})
    np.testing.assert_array_equal(encoder.transform(odd), [[0, 1, 0, 0, 0], [0, 1, 0, 0, 1]])
