"""An inverse power law through the values of several sizes: by hand, and when it may not fit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from kfold_hs.judge.results.comparison import Variants
from kfold_hs.judge.results.people_curve import (
    NO_VARIANCE,
    TOO_FEW,
    Sizes,
    _take_holm,
    people_curves,
    sentence,
)
from kfold_hs.judge.stats.paired import BETTER, CANNOT_TELL, EQUIVALENT
from kfold_hs.judge.stats.power_law import Measured, fit
from kfold_hs.predictions.table import Predictions

SIZES = np.array([100.0, 200.0, 300.0, 400.0])


def points(values: np.ndarray, sd: float = 0.01, alike: float = 0.7) -> Measured:
    m = len(values)
    covariance = sd**2 * (alike * np.ones((m, m)) + (1 - alike) * np.eye(m))
    return Measured(SIZES[:m], np.asarray(values), covariance, 30.0)


@pytest.mark.parametrize("sign", [1, -1])
def test_a_law_without_noise_is_found(sign: int) -> None:
    truth = lambda n: 0.9 * (sign > 0) + 0.1 * (sign < 0) - sign * 2.0 * n**-0.7  # noqa: E731
    law = fit(points(truth(SIZES), sd=1e-6), (0.0, 1.0), higher_is_better=sign > 0)
    assert law is not None
    value, low, high = law.band(800.0)
    assert value == pytest.approx(truth(800.0), abs=2e-3)
    assert low <= value <= high
    gain, least, most = law.gain(400.0, 800.0)
    assert gain == pytest.approx(sign * (truth(800.0) - truth(400.0)), abs=2e-3)
    assert 0 < least <= gain <= most
    assert law.misfit is not None


def test_values_that_fall_make_a_flat_law_within_them() -> None:
    """Weights by the covariance would put it outside of all values (Peelle's puzzle)."""
    falling = np.array([0.55, 0.47, 0.54, 0.41])
    spread = np.diag([0.06, 0.04, 0.06, 0.02]) @ (0.9 + 0.1 * np.eye(4))
    uneven = Measured(SIZES, falling, spread @ np.diag([0.06, 0.04, 0.06, 0.02]), 10.0)
    law = fit(uneven, (0.0, 1.0), higher_is_better=True)
    assert law is not None
    assert falling.min() < float(law.at(800.0)[0]) < falling.max()
    assert law.gain(400.0, 800.0)[:2] == (pytest.approx(0, abs=1e-9), 0.0)


def test_no_law_leaves_what_is_possible() -> None:
    law = fit(points(np.array([0.2, 0.6, 0.9, 0.97]), sd=0.1), (0.0, 1.0), higher_is_better=True)
    assert law is not None
    assert 0 <= law.at(np.array([100.0, 1e9])).min() <= law.at(1e9).max() <= 1


def test_two_sizes_are_no_curve() -> None:
    assert fit(points(np.array([0.7, 0.8])), (0.0, 1.0), higher_is_better=True) is None


def test_the_band_holds_and_a_flat_truth_is_seldom_called_a_gain() -> None:
    """95 % within four standard errors, and at most 2.5 % false calls likewise."""
    rng = np.random.default_rng(0)
    inside = called = 0
    n = 40
    for k in range(n):
        noise = np.linalg.cholesky(points(SIZES).covariance) @ rng.standard_normal(4)
        rising = fit(points(0.9 - 1.0 * SIZES**-0.4 + noise), (0.0, 1.0), True, seed=k)
        flat = fit(points(0.85 + noise), (0.0, 1.0), True, seed=k)
        assert rising is not None
        assert flat is not None
        low, high = rising.band(800.0)[1:]
        inside += bool(low <= 0.9 - 800.0**-0.4 <= high)
        called += flat.gain(400.0, 800.0)[1] > 0
    assert inside >= 0.95 * n - 4 * np.sqrt(n * 0.95 * 0.05)
    assert called <= 0.025 * n + 4 * np.sqrt(n * 0.025 * 0.975)


def _predictions(skill: float, seed: int) -> Predictions:
    """120 people in three folds and two repeats, told by a score of so much skill."""
    noise = np.random.default_rng(seed)
    truth = np.arange(120) % 2
    rows = []
    for repeat in range(2):
        logit = skill * (2 * truth - 1) + noise.standard_normal(120)
        p = 1 / (1 + np.exp(-2 * logit))
        rows.append(
            pd.DataFrame(
                {
                    "level": "patient", "repeat": repeat, "seed": 0,
                    "fold": (np.arange(120) // 2 + repeat) % 3, "epoch": 0,
                    "person_id": [f"p{i}" for i in range(120)],
                    "patient_id": [f"p{i}" for i in range(120)], "recording_id": "",
                    "y.outcome": np.where(truth, "b", "a"), "p.outcome.a": 1 - p, "p.outcome.b": p,
                }
            )
        )  # fmt: skip
    return Predictions(pd.concat(rows, ignore_index=True), {"outcome": ("a", "b")})


def curves(*skills: float, headline: str = "mean.accuracy", target: float | None = None) -> dict:
    scored = {f"{k}": _predictions(skill, seed=5) for k, skill in enumerate(skills)}
    variants = Variants.of(scored, {"outcome": 1}, {"n_folds": 3, "train_share": 2 / 3})
    shares = np.arange(1, len(skills) + 1) / len(skills)
    people = list(80 * shares)
    sizes = Sizes(list(shares), people, {"accuracy": 0.01}, headline, target=target)
    return people_curves(variants, sizes)


def test_more_people_help_where_values_rise() -> None:
    found = curves(0.2, 0.5, 0.7, 0.8)
    curve = found["tasks"]["outcome"]["auroc"]
    assert curve["verdict"] == BETTER
    assert [p["n_people"] for p in curve["points"]] == [20, 40, 60, 80]
    assert curve["points"][0]["value"] < curve["points"][-1]["value"] < curve["twice"]["value"]
    assert curve["twice"]["n_people"] == curve["gain"]["to"] == 160
    assert curve["line"][-1]["value"] == pytest.approx(curve["twice"]["value"])
    assert curve["hindcast"]["measured"] == curve["points"][-1]["value"]
    assert "More people would help: training on 160" in sentence(curve)
    worse = found["tasks"]["outcome"]["log_loss"]
    assert not worse["higher_is_better"]
    assert worse["gain"]["value"] > 0
    assert worse["twice"]["value"] < worse["points"][-1]["value"]


def test_more_people_do_not_help_where_values_are_the_same() -> None:
    curve = curves(0.8, 0.8, 0.8, 0.8)["tasks"]["outcome"]["auroc"]
    assert curve["verdict"] == EQUIVALENT
    assert "hardly" in sentence(curve)


def test_two_sizes_and_metrics_without_interval_say_why_there_is_no_curve() -> None:
    two = curves(0.2, 0.8)
    assert two["headline"]["why"] == TOO_FEW
    assert two["headline"]["verdict"] == CANNOT_TELL
    assert TOO_FEW in sentence(two["headline"])
    assert curves(0.2, 0.5, 0.8)["tasks"]["outcome"]["ece"]["why"] == NO_VARIANCE


def test_models_that_are_no_better_than_a_guess_tell_nothing() -> None:
    found = curves(0.0, 0.0, 0.0, 0.0, headline="outcome.auroc")
    head = found["headline"]
    assert (head["verdict"], head["chance"]) == (CANNOT_TELL, 0.5)
    assert "is unknown: no size is better for sure than a guess, which gets 0.500. Tr" in sentence(
        head
    )
    assert {each["verdict"] for each in found["tasks"]["outcome"].values()} == {CANNOT_TELL}


def test_the_numbers_of_the_sentence_add_up() -> None:
    curve = curves(0.2, 0.5, 0.7, 0.8, headline="outcome.auroc")["headline"]
    now = curve["twice"]["value"] - curve["gain"]["value"]
    said = f", from {now:.3f} to {curve['twice']['value']:.3f} ("
    assert said in sentence(curve)
    assert "on the fitted curve, an inverse power law." in sentence(curve)


def test_a_gain_is_told_from_the_best_of_many_metrics() -> None:
    """Holm by hand: of two metrics the smaller p counts twice, and both must not pass."""
    curves_: dict[str, dict[str, Any]] = {
        name: {"gain": {"p": p}, "verdict": BETTER, "why": ""}
        for name, p in (("one", 0.03), ("other", 0.2), ("lead", 0.04))
    }
    _take_holm(curves_, "lead")
    assert {name: c["verdict"] for name, c in curves_.items()} == {
        "one": CANNOT_TELL, "other": CANNOT_TELL, "lead": BETTER,
    }  # fmt: skip
    assert curves_["one"]["gain"]["p_holm"] == pytest.approx(0.06)
    assert "2 metrics were looked at" in curves_["one"]["why"]


def test_a_target_says_how_many_people_reach_it() -> None:
    skills = (0.2, 0.5, 0.7, 0.8)
    never = curves(*skills, headline="outcome.auroc", target=0.999)["headline"]
    assert never["target"] == {"value": 0.999, "n_people": None}
    assert "does not reach the target of 0.999 up to 160 people, twice as many." in sentence(never)
    one = curves(*skills, headline="outcome.log_loss", target=0.5)["headline"]
    n = one["target"]["n_people"]
    below = [e["n_people"] for e in one["line"] if e["value"] <= 0.5]
    assert n == below[0]
    assert f"the target of 0.5 is reached from about {n:.0f} people on." in sentence(one)
