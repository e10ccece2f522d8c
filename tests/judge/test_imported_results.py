"""Imported predictions are judged as a run's are, as far as they go."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import accuracy_score, average_precision_score, roc_auc_score
from statsmodels.stats.proportion import proportion_confint
from support.fake_run import fake_run, summary_of

from kfold_hs.judge.results.evaluation import EvaluationRecord, summarise_imported
from kfold_hs.predictions.imported import read_frame

FACTS = {
    "source": "t.csv", "digest": "d" * 64, "notes": [], "findings": [], "audited": True,
    "provenance": {"run": "e", "command": "", "digests": {}, "versions": {}, "started": "2026"},
}  # fmt: skip
JUDGING = {"target": 0.95, "band_resamples": 200, "bca": 0}


def judged(frame: pd.DataFrame, **judging: Any) -> dict[str, Any]:
    read = read_frame(frame)
    record = EvaluationRecord(
        read.predictions(), read.positives, read.primary, read.known, FACTS, read.patients,
        JUDGING | judging,
    )  # fmt: skip
    return summarise_imported(record).to_json()


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    """The last epoch of a run, as another program would write it."""
    table = fake_run(n_epochs=1)[0].table
    return table.drop(columns=["level", "epoch", "repeat", "seed", "recording_id"])


def test_with_folds_every_number_is_that_of_a_run(frame: pd.DataFrame) -> None:
    run, mine = summary_of(*fake_run(n_epochs=1)), judged(frame)
    assert mine["split"]["train_share"] == pytest.approx(0.8, abs=0.02)
    for task, result in run["tasks"].items():
        assert list(mine["tasks"][task]["metrics"]) == list(result["metrics"])
        for name, metric in result["metrics"].items():
            found = mine["tasks"][task]["metrics"][name]
            for key in ("value", "low", "high", "pooled", "method"):
                assert found[key] == metric[key], (task, name, key)
            assert found["these_models"] == metric["these_models"]
            folds = ([each["value"] for each in part["folds"]] for part in (found, metric))
            np.testing.assert_allclose(*folds, rtol=1e-12)
        assert mine["tasks"][task]["confusion"] == result["confusion"]
        assert mine["tasks"][task]["decided"].keys() == result["decided"].keys()
        mine_curve, its_curve = (each["curves"]["tasks"][task] for each in (mine, run))
        assert mine_curve["roc"]["value"] == its_curve["roc"]["value"]
        assert mine_curve["calibration"] == its_curve["calibration"]
    assert mine["headline"]["value"] == run["headline"]["value"]
    assert (
        mine["target"]["tasks"]["murmur"]["verdict"] == run["target"]["tasks"]["murmur"]["verdict"]
    )


def test_nothing_is_said_of_what_is_not_known(frame: pd.DataFrame) -> None:
    found = judged(frame)
    for key in (
        "select",
        "effort",
        "learning",
        "optimism",
        "seeds",
        "incomplete",
        "nested",
    ):
        assert key not in found
    assert found["folds"] == []
    assert found["headline"]["honest"] is None
    assert {"epoch", "training", "repeat", "seed"} <= set(found["imported"]["unknown"])


def test_without_folds_it_is_about_these_predictions(frame: pd.DataFrame) -> None:
    one = frame.drop(columns=["fold", *[c for c in frame if ".murmur" in c]])
    one = one.drop(columns="person_id")  # every patient is a person
    found = judged(one)
    metrics = found["tasks"]["outcome"]["metrics"]
    y, score = one["y.outcome"] == "Abnormal", one["p.outcome.Abnormal"]
    assert metrics["accuracy"]["value"] == accuracy_score(y, score > 0.5)
    assert metrics["auroc"]["value"] == pytest.approx(roc_auc_score(y, score), abs=1e-12)
    assert metrics["auprc"]["value"] == pytest.approx(average_precision_score(y, score), abs=1e-12)
    right = int(((score > 0.5) == y).sum())
    wilson = proportion_confint(right, len(y), method="wilson")
    assert (metrics["accuracy"]["low"], metrics["accuracy"]["high"]) == pytest.approx(
        wilson, abs=1e-9
    )
    assert found["split"]["n_folds"] is None
    assert found["split"]["train_share"] is None
    assert found["budget"] is None
    assert not found["choices"]["each"]
    assert "these models" in found["target"]["mean"]["target"]
    assert metrics["auroc"]["folds"] == []
    assert found["curves"]["tasks"]["outcome"]["roc"]["folds"] == []
    assert "folds are not known" in found["headline"]["sentence"]
    one_fold = judged(frame.assign(fold=0))
    assert "All rows are of one fold" in one_fold["headline"]["sentence"]
    assert "not known" not in one_fold["headline"]["sentence"]


def test_scores_have_what_ranks_people_and_nothing_else(frame: pd.DataFrame) -> None:
    one = frame[["patient_id", "fold", "y.outcome"]].rename(columns={"y.outcome": "label"})
    p = frame["p.outcome.Abnormal"].to_numpy()
    found = judged(one.assign(score=np.log(p / (1 - p)) * 100))
    as_probabilities = judged(one.assign(probability=p))
    assert list(found["tasks"]["label"]["metrics"]) == ["auroc", "auprc"]
    for name, metric in found["tasks"]["label"]["metrics"].items():
        other = as_probabilities["tasks"]["label"]["metrics"][name]
        assert (metric["value"], metric["low"]) == pytest.approx((other["value"], other["low"]))
    assert found["headline"]["key"] == "mean.auroc"
    assert found["headline"]["verdict"] == "not reached"  # a target is of what leads
    assert found["target"]["tasks"]["label"]["value"] == found["headline"]["value"]
    assert found["headline"]["sentence"].startswith("AUROC (label)")
    curves = found["curves"]["tasks"]["label"]
    assert curves["calibration"] is None
    assert curves["roc"]["value"][50] is not None
    assert found["beside"] == {}
    assert found["tasks"]["label"]["confusion"] == []


def test_decisions_have_what_counts_them(frame: pd.DataFrame) -> None:
    one = frame[["patient_id", "fold", "y.outcome"]].rename(columns={"y.outcome": "label"})
    called = np.where(frame["p.outcome.Abnormal"] > 0.7, "Abnormal", "Normal")
    found = judged(one.assign(called=called))
    metrics = found["tasks"]["label"]["metrics"]
    assert {"accuracy", "sensitivity", "cost", "weighted_accuracy"} <= set(metrics)
    assert not {"auroc", "brier", "log_loss", "ece"} & set(metrics)
    assert metrics["accuracy"]["value"] == accuracy_score(one["label"], called)
    assert "curves" not in found
    (always, *_) = found["beside"]["label"]["rules"]
    assert always["name"] == "always Abnormal"


def test_seeds_are_averaged_and_repeats_are_runs(frame: pd.DataFrame) -> None:
    one = frame.drop(columns=[c for c in frame if ".murmur" in c])
    flipped = one.assign(**{
        "p.outcome.Abnormal": 1 - one["p.outcome.Abnormal"],
        "p.outcome.Normal": 1 - one["p.outcome.Normal"],
    })  # fmt: skip
    both = pd.concat([one.assign(seed=0), flipped.assign(seed=1)], ignore_index=True)
    found = judged(both)
    assert found["tasks"]["outcome"]["metrics"]["auroc"]["value"] == 0.5
    assert found["split"]["n_seeds"] == 2
    probs = [c for c in one if c.startswith("p.")]
    anew = one.assign(**{c: 0.5 + (one[c] - 0.5) * 0.999 for c in probs})  # alike but for digits
    runs = judged(pd.concat([one.assign(repeat=0), anew.assign(repeat=1)], ignore_index=True))
    assert runs["split"]["n_repeats"] == 2
    accuracy = runs["tasks"]["outcome"]["metrics"]["accuracy"]
    assert accuracy["method"].endswith("with 9 df")
    assert accuracy["variance"]["sum"] == pytest.approx(accuracy["se"] ** 2)
    copied = judged(pd.concat([one.assign(repeat=0), one.assign(repeat=1)], ignore_index=True))
    assert copied["split"]["n_repeats"] == 1
    # One repeat, whose people count twice: the two call alike, and say less of it.
    alone = judged(one)["tasks"]["outcome"]["metrics"]["accuracy"]
    assert "one repeat" in alone["method"]
    assert alone["variance"]["reciprocal"] == alone["variance"]["person"]
    assert accuracy["variance"]["reciprocal"] == pytest.approx(0, abs=1e-12)
    assert copied["tasks"]["outcome"]["metrics"]["accuracy"]["low"] == alone["low"]


def test_groups_are_compared(frame: pd.DataFrame) -> None:
    read = read_frame(frame)
    sexes = read.patients.assign(sex=np.where(np.arange(len(read.patients)) % 2, "f", "m"))
    record = EvaluationRecord(
        read.predictions(), read.positives, read.primary, read.known, FACTS, sexes, JUDGING
    )
    groups = summarise_imported(record).to_json()["subgroups"]["covariates"]["sex"]["groups"]
    assert [each["name"] for each in groups] == ["f", "m"]
    assert judged(frame)["subgroups"] is None


def test_each_of_several_classes_stands_beside_the_others(frame: pd.DataFrame) -> None:
    murmur = frame.drop(columns=[c for c in frame if ".outcome" in c])
    whole = summary_of(*fake_run(n_epochs=1))["tasks"]["murmur"]["by_class"]
    assert len(whole) == 3
    for mine, other in zip(judged(murmur)["tasks"]["murmur"]["by_class"], whole, strict=True):
        assert (mine["class"], mine["n_called"]) == (other["class"], other["n_called"])
        for name, each in other["metrics"].items():
            found = mine["metrics"][name]
            assert [found[key] for key in ("value", "low", "high")] == [
                each[key] for key in ("value", "low", "high")
            ]
    probs = [f"p.murmur.{each['class']}" for each in whole]
    called = murmur[probs].idxmax(axis=1).str.removeprefix("p.murmur.")
    decided = murmur.drop(columns=probs).assign(called=called)
    found = judged(decided.rename(columns={"y.murmur": "label"}))["tasks"]["label"]["by_class"]
    by_name = {each["class"]: each for each in found}
    for each in whole:
        mine = by_name[each["class"]]["metrics"]
        assert list(mine) == ["sensitivity", "precision"]
        assert mine["sensitivity"]["value"] == each["metrics"]["sensitivity"]["value"]
