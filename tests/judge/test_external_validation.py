"""Numbers of an external validation: the change, recalibration, both cohorts side by side."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit, logit
from support.fake_run import fake_run, summary_of

from kfold_hs.cohort import Cohort
from kfold_hs.errors import PredictionsError
from kfold_hs.judge.metrics.scores import METRICS
from kfold_hs.judge.results.characteristics import MOST_LEVELS, REST, characteristics, side_by_side
from kfold_hs.judge.results.validation import (
    AS_PREDICTED,
    OVERLAP,
    TaskRows,
    change,
    internal_estimates,
    sentences_of,
    validated_task,
)
from kfold_hs.judge.selection.recalibrated import BOTH, INTERCEPT, recalibrated
from kfold_hs.judge.stats.clusters import Layout
from kfold_hs.judge.stats.intervals import Estimate, wilson
from kfold_hs.predictions.table import Predictions


def test_the_change_is_newcombes_example() -> None:
    """56 of 70 and 48 of 80, Statistics in Medicine 17, 1998, table II, method 10."""
    sides = [Estimate(k / n, *wilson(k / n, n)) for k, n in ((56, 70), (48, 80))]
    found = change(*sides, METRICS["accuracy"])
    assert found.value == pytest.approx(0.2)
    assert (found.low, found.high) == pytest.approx((0.0524, 0.3339), abs=5e-5)


def test_variances_of_symmetric_intervals_add() -> None:
    external, internal = Estimate(0.9, 0.9 - 0.3, 0.9 + 0.3), Estimate(0.5, 0.1, 0.9)
    found = change(external, internal, METRICS["log_loss"])
    assert (found.low, found.high) == pytest.approx((0.4 - 0.5, 0.4 + 0.5))
    without = change(external, Estimate(0.5, None, None), METRICS["log_loss"])
    assert (without.value, without.low) == (pytest.approx(0.4), None)


@pytest.fixture(scope="module")
def kept() -> Predictions:
    """100 patients of 95 persons, once."""
    predictions, _ = fake_run(n_epochs=1, n_folds=1)
    return predictions


@pytest.fixture(scope="module")
def internal() -> dict:  # type: ignore[type-arg]
    predictions, history = fake_run(n_epochs=1, seed=5, skill=2.0)
    metrics = summary_of(predictions, history)["tasks"]["outcome"]["metrics"]
    return internal_estimates(predictions, "outcome", 0, metrics)


def test_a_task_beside_its_cross_validation(kept: Predictions, internal: dict) -> None:  # type: ignore[type-arg]
    found = validated_task("outcome", TaskRows(kept, 0, internal=internal))
    y, p = kept.y_true("outcome"), kept.y_prob("outcome")
    assert (found["n_persons"], found["n_patients"]) == (95, 100)
    assert found["counts"] == {"Abnormal": int((y == 0).sum()), "Normal": int((y == 1).sum())}
    accuracy = found["metrics"]["accuracy"]
    assert accuracy["external"]["value"] == pytest.approx((p.argmax(axis=1) == y).mean())
    assert accuracy["internal"]["value"] == internal["metrics"]["accuracy"]["value"]
    assert accuracy["change"]["value"] == pytest.approx(
        accuracy["external"]["value"] - accuracy["internal"]["value"]
    )
    # Of skill 1 after 2: worse for sure in what every row adds to, whichever way is better.
    assert found["metrics"]["log_loss"]["verdict"] == accuracy["verdict"] == "worse"
    assert found["metrics"]["brier"]["change"]["low"] > 0
    assert sum(map(sum, found["confusion"])) == 100
    said = sentences_of("outcome", found, "elsewhere")
    assert "95 people of elsewhere" in said[0]
    assert "worse here" in said[1]
    assert said[2].startswith("outcome, calibration of Abnormal: intercept ")


def test_people_on_both_sides_have_no_interval_of_the_change(
    kept: Predictions,
    internal: dict,  # type: ignore[type-arg]
) -> None:
    found = validated_task("outcome", TaskRows(kept, 0, internal=internal, overlaps=True))
    moved = found["metrics"]["accuracy"]["change"]
    assert (moved["low"], moved["method"]) == (None, OVERLAP)
    assert {each["verdict"] for each in found["metrics"].values()} == {"cannot tell"}


def test_without_internal_estimates_nothing_is_made_up(kept: Predictions) -> None:
    found = validated_task("outcome", TaskRows(kept, 0))
    assert found["internal"] is None
    for each in found["metrics"].values():
        assert (each["internal"], each["change"], each["verdict"]) == (None, None, None)
    assert "does not hold" in sentences_of("outcome", found, "x")[0]


def test_decisions_of_the_bundle_are_scored_as_they_are(kept: Predictions) -> None:
    y = kept.y_true("outcome")
    found = validated_task(
        "outcome", TaskRows(kept, 0, decided={"weighted_accuracy": (np.eye(2)[y], None)})
    )
    assert found["decided"]["weighted_accuracy"]["external"]["value"] == 1.0
    assert found["decided"]["weighted_accuracy"]["internal"] is None


def test_one_class_cannot_be_validated(kept: Predictions) -> None:
    rows = kept.where(**{"y.outcome": "Normal"})
    with pytest.raises(PredictionsError, match=r"have the labels Normal\. Abnormal and another"):
        validated_task("outcome", TaskRows(rows, 0))


def shifted(n: int = 600) -> tuple[np.ndarray, np.ndarray, Layout]:
    """Three classes; the first is said to be rarer, and surer, than it is."""
    rng = np.random.default_rng(2)
    x = rng.normal(size=n)
    p = np.column_stack([expit(2 * x - 1), np.zeros(n), np.zeros(n)])
    p[:, 1], p[:, 2] = 0.25 * (1 - p[:, 0]), 0.75 * (1 - p[:, 0])
    y = np.where(rng.random(n) < expit(x + 0.5), 0, rng.integers(1, 3, n))
    same = np.zeros(n, dtype=int)
    return y, p, Layout.of(same, same, np.arange(n) // 2)


def test_recalibration_mends_what_it_is_for() -> None:
    y, p, layout = shifted()
    probs, fitted = recalibrated(y, p, 0, layout)
    assert fitted["n_folds"] == 10
    # P(y) is of x + 0.5 and logit p = 2 x - 1: a = 1, b = 1 / 2.
    both = fitted["intercept_and_slope"]
    assert (both["a"], both["b"]) == pytest.approx((1.0, 0.5), abs=0.2)
    for each in probs.values():
        assert each.sum(axis=1) == pytest.approx(np.ones(len(y)))
        assert each[:, 1] / each[:, 2] == pytest.approx(np.full(len(y), 1 / 3))
    moved = logit(probs[INTERCEPT][:, 0]) - logit(p[:, 0])
    assert moved == pytest.approx(np.full(len(y), fitted["intercept"]["a"]), abs=0.15)
    losses = {
        name: -np.log(each[np.arange(len(y)), y]).mean()
        for name, each in (probs | {AS_PREDICTED: p}).items()
    }
    assert losses[BOTH] < losses[INTERCEPT] < losses[AS_PREDICTED]


def test_nobodys_own_label_is_in_their_probability() -> None:
    """Every person is corrected by one of ten fits, and each fit is of the other persons."""
    y, p, layout = shifted(200)
    probs, _ = recalibrated(y, p, 0, layout)
    constants = np.round(logit(probs[INTERCEPT][:, 0]) - logit(p[:, 0]), 6)
    assert len(np.unique(constants)) == 10
    for constant in np.unique(constants):
        mine = constants == constant
        assert not set(layout.person[mine]) & set(layout.person[~mine])
        is_positive, x = y[~mine] == 0, logit(p[~mine, 0])
        # At the maximum of the likelihood as many are expected as were seen.
        assert expit(x + constant).sum() == pytest.approx(is_positive.sum(), rel=1e-3)


def test_too_few_people_are_not_recalibrated() -> None:
    y, p, _ = shifted(40)
    same = np.zeros(40, dtype=int)
    y[:] = 1
    y[:2] = 0
    probs, fitted = recalibrated(y, p, 0, Layout.of(same, same, np.arange(40) // 2))
    assert probs == {}
    assert "one person of a class" in fitted["obstacle"]


def test_internal_estimates_are_the_summarys(internal: dict) -> None:  # type: ignore[type-arg]
    predictions, history = fake_run(n_epochs=1, seed=5, skill=2.0)
    of_run = summary_of(predictions, history)["tasks"]["outcome"]["metrics"]
    for name, each in of_run.items():
        assert internal["metrics"][name]["low"] == each["these_models"]["low"]
    earlier = {name: {**each} for name, each in of_run.items()}
    for each in earlier.values():
        del each["these_models"]
    older = internal_estimates(predictions, "outcome", 0, earlier)["metrics"]["accuracy"]
    assert (older["low"], older["target"]) == tuple(
        of_run["accuracy"][key] for key in ("low", "target")
    )
    x = logit(np.clip(predictions.y_prob("outcome")[:, 0], 1e-6, 1 - 1e-6))
    assert internal["linear_predictor"]["mean"] == pytest.approx(x.mean())
    assert internal["linear_predictor"]["sd"] == pytest.approx(x.std(ddof=1))
    assert set(internal["calibration"]) == {"intercept", "slope", "o_e"}


def test_both_cohorts_by_hand(cohort: Cohort) -> None:
    whole = characteristics(cohort)
    some = characteristics(cohort, {f"p{i}" for i in range(4, 8)})
    assert (whole["n_persons"], whole["n_patients"], whole["n_recordings"]) == (15, 16, 32)
    assert whole["patients"]["murmur"]["Absent"] == {"n": 8, "share": 0.5}
    assert some["patients"]["murmur"]["Present"] == {"n": 1, "share": 0.25}
    of_person = whole["recordings"]["recordings a person"]
    assert (of_person["n"], of_person["high"], of_person["median"]) == (15, 4.0, 2.0)
    assert of_person["mean"] == pytest.approx(32 / 15)
    assert whole["recordings"]["duration (s)"]["mean"] == pytest.approx(2.0)
    assert whole["recordings"]["sampling rate (Hz)"] == {"4000": {"n": 32, "share": 1.0}}
    rows = {(r["name"], r["level"]): r for r in side_by_side(whole, some)}
    assert rows["n_persons", ""]["validation"] == {"n": 4}
    age = rows["age", "Child"]
    assert (age["development"]["n"], age["validation"]["n"]) == (10, 3)
    p, q = 10 / 16, 3 / 4
    expected = (q - p) / np.sqrt((p * (1 - p) + q * (1 - q)) / 2)
    assert age["standardised_difference"] == pytest.approx(expected)
    assert rows["site", "AV"]["standardised_difference"] == 0
    alone = {(r["name"], r["level"]): r for r in side_by_side(None, some)}
    assert alone["age", "Child"]["development"] is None


def test_numbers_and_many_words_of_two_cohorts(cohort: Cohort) -> None:
    n = cohort.n_patients
    more = cohort.patients.assign(
        height=pd.Series([100.0, 120.0] * (n // 2)), village=[f"v{i}" for i in range(n)]
    )
    mine = dataclasses.replace(cohort, patients=more, covariates=("height", "village"))
    theirs = dataclasses.replace(mine, patients=more.assign(height=more["height"] + 10))
    first, second = characteristics(mine), characteristics(theirs)
    sd = float(np.std([100.0, 120.0] * (n // 2), ddof=1))
    assert first["patients"]["height"]["sd"] == pytest.approx(sd)
    rows = {(r["name"], r["level"]): r for r in side_by_side(first, second)}
    assert rows["height", ""]["standardised_difference"] == pytest.approx(10 / sd)
    assert len(first["patients"]["village"]) == MOST_LEVELS + 1
    assert first["patients"]["village"][REST]["n"] == n - MOST_LEVELS


def test_coverage_of_conformal_sets_is_a_share_of_patients(kept: Predictions) -> None:
    """With the interval that accuracy has; sets of the label alone cover everybody."""
    y = kept.y_true("outcome")
    called = np.eye(2, dtype=bool)[kept.y_prob("outcome").argmax(axis=1)]
    found = validated_task("outcome", TaskRows(kept, 0, sets=called))
    accuracy, covered = found["metrics"]["accuracy"]["external"], found["conformal"]["covered"]
    assert [covered[end] for end in ("value", "low", "high")] == pytest.approx(
        [accuracy[end] for end in ("value", "low", "high")]
    )
    assert found["conformal"]["mean_size"] == 1
    by_class = {name: each["n_patients"] for name, each in found["conformal"]["classes"].items()}
    assert by_class == found["counts"]
    whole = validated_task("outcome", TaskRows(kept, 0, sets=np.ones((len(y), 2), dtype=bool)))
    assert (whole["conformal"]["covered"]["value"], whole["conformal"]["mean_size"]) == (1, 2)
