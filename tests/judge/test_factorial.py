"""Main effects and interactions by hand, and the patients who flip."""

from __future__ import annotations

import json

import numpy as np
import pytest
from support.fake_comparison import POSITIVES, kept
from support.fake_run import SPLIT

from kfold_hs.errors import PredictionsError
from kfold_hs.judge.results.comparison import Terms, Variants, compare_variants
from kfold_hs.judge.results.discordant import flips
from kfold_hs.judge.stats.factorial import Crossing
from kfold_hs.predictions.table import Predictions

SKILLS = {("a=1", "b=1"): 0.0, ("a=1", "b=2"): 1.0, ("a=2", "b=1"): 2.0, ("a=2", "b=2"): 6.0}


def test_effects_are_means_over_the_other_factor() -> None:
    variants = {" ".join(levels): kept(skill) for levels, skill in SKILLS.items()}
    crossing = Crossing(("a", "b"), {" ".join(levels): levels for levels in SKILLS})
    found = compare_variants(
        Variants.of(variants, POSITIVES, SPLIT),
        Terms("a=1 b=1", n_resamples=50, crossing=crossing),
    )
    json.dumps(found, allow_nan=False)
    for result in (found["tasks"]["outcome"]["log_loss"], found["headline"]):
        a1b1, a1b2, a2b1, a2b2 = result["values"].values()
        a, b, ab = result["effects"]
        assert (a["kind"], a["factors"], a["levels"], a["of"]) == ("main", ["a"], ["a=2"], ["a=1"])
        assert a["difference"]["value"] == pytest.approx((a2b1 + a2b2) / 2 - (a1b1 + a1b2) / 2)
        assert b["difference"]["value"] == pytest.approx((a1b2 + a2b2) / 2 - (a1b1 + a2b1) / 2)
        assert ab["kind"] == "interaction"
        assert ab["difference"]["value"] == pytest.approx((a2b2 - a1b2) - (a2b1 - a1b1))
        assert a["p_holm"] >= a["p"]
    assert found["headline"]["effects"][0]["winner"] == "second"


def test_one_factor_has_no_effects_apart_from_its_pairs() -> None:
    variants = {"a=1": kept(0.0), "a=2": kept(1.0)}
    crossing = Crossing(("a",), {"a=1": ("a=1",), "a=2": ("a=2",)})
    found = compare_variants(
        Variants.of(variants, POSITIVES, SPLIT), Terms("a=1", n_resamples=20, crossing=crossing)
    )
    assert found["headline"]["effects"] == []


def test_the_headline_is_the_mean_of_the_tasks_accuracies() -> None:
    variants = {"weak": kept(0.0), "strong": kept(6.0)}
    found = compare_variants(Variants.of(variants, POSITIVES, SPLIT), Terms("weak", n_resamples=50))
    for name in variants:
        each = [found["tasks"][task]["accuracy"]["values"][name] for task in POSITIVES]
        assert found["headline"]["values"][name] == pytest.approx(np.mean(each))
    assert found["headline"]["label"] == "Accuracy, mean of murmur and outcome"
    assert found["headline"]["against_baseline"]["strong"]["verdict"] == "better"


def test_patients_who_flip() -> None:
    one, two = kept(1.0), kept(2.0, seed=3)
    found = flips(one, two, "murmur")
    right = [each.y_prob("murmur").argmax(1) == each.y_true("murmur") for each in (one, two)]
    assert found["only_first"] == (right[0] & ~right[1]).sum()
    assert found["only_second"] == (~right[0] & right[1]).sum()
    assert sum(found[name] for name in ("only_first", "only_second", "both", "neither")) == 200
    top = found["patients"][0]
    assert (top["n_rows"], abs(top["first_right"] - top["second_right"])) == (2, 2)
    rows = one.table["patient_id"] == top["patient_id"]
    assert right[0][rows].sum() == top["first_right"]
    assert right[1][rows].sum() == top["second_right"]
    assert top["label"] != (top["second_called"] if top["first_right"] else top["first_called"])
    # The same in any order of rows, and mirrored.
    mixed = Predictions(two.table.sample(frac=1, random_state=0, ignore_index=True), two.classes)
    assert flips(one, mixed, "murmur") == found
    assert flips(two, one, "murmur")["only_first"] == found["only_second"]
    assert flips(one, one, "murmur")["patients"] == []
    with pytest.raises(PredictionsError, match="not of the same patients in the same folds"):
        flips(one, one.where(repeat=0), "murmur")
