"""Stacking: what it learns, from whom, and what it leaves alone."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from support.fake_run import fake_run, summary_of

from kfold_hs.cohort.readers.registry import read_cohort
from kfold_hs.config.compose import compose
from kfold_hs.errors import ConfigError
from kfold_hs.judge.selection.stacking import CLIP, INVERSE_PENALTY, Rule, Stacking
from kfold_hs.predictions.epoch_rules import kept_epochs
from kfold_hs.predictions.table import Predictions

SOURCES = {"outcome": ("murmur", "outcome", "age", "sex")}


def scored(**arguments: object) -> Predictions:
    predictions, history = fake_run(**arguments)  # type: ignore[arg-type]
    return predictions.at(kept_epochs(history))


def patients_of(predictions: Predictions, rng: np.random.Generator) -> pd.DataFrame:
    ids = sorted(set(predictions.table["patient_id"]))
    age = pd.Series(rng.integers(1, 18, len(ids)).astype(str))
    return pd.DataFrame(
        {"patient_id": ids, "age": age.mask(rng.random(len(ids)) < 0.2), "sex": "F"}
    )


def stacking_of(predictions: Predictions) -> Stacking:
    return Stacking(SOURCES, patients_of(predictions, np.random.default_rng(0)))


def test_it_is_a_logistic_regression_on_the_other_folds() -> None:
    rows = scored()
    found = Stacking({"outcome": ("murmur", "outcome")})(rows)
    for fold in range(5):
        here = (rows.table["fold"] == fold).to_numpy()
        probs = np.concatenate([rows.y_prob(t)[:, :-1] for t in ("murmur", "outcome")], axis=1)
        probs = np.clip(probs, CLIP, 1 - CLIP)
        columns = np.log(probs) - np.log1p(-probs)
        mean, std = columns[~here].mean(axis=0), columns[~here].std(axis=0)
        model = LogisticRegression(C=INVERSE_PENALTY, tol=1e-8, max_iter=1000)
        model.fit((columns[~here] - mean) / std, rows.y_true("outcome")[~here])
        expected = model.predict_proba((columns[here] - mean) / std)
        np.testing.assert_allclose(found.y_prob("outcome")[here], expected, atol=1e-10)


def test_no_label_of_a_fold_has_a_part_in_its_own_scores() -> None:
    rows = scored()
    stacking = stacking_of(rows)
    table = rows.table.copy()
    here = table["fold"] == 2
    swapped = {"Abnormal": "Normal", "Normal": "Abnormal"}
    table.loc[here, "y.outcome"] = table.loc[here, "y.outcome"].map(swapped)
    before, after = stacking(rows), stacking(Predictions(table, rows.classes))
    np.testing.assert_array_equal(before.y_prob("outcome")[here], after.y_prob("outcome")[here])
    assert (before.y_prob("outcome")[~here] != after.y_prob("outcome")[~here]).all()


def test_it_finds_what_another_head_knows() -> None:
    rows = scored(n_patients=300)
    table = rows.table.copy()
    rng = np.random.default_rng(1)
    table["p.outcome.Abnormal"] = rng.uniform(0.3, 0.7, len(table))  # a head that knows nothing
    table["p.outcome.Normal"] = 1 - table["p.outcome.Abnormal"]
    present = np.where(table["y.outcome"] == "Abnormal", 0.6, 0.3) + rng.normal(0, 0.1, len(table))
    table["p.murmur.Present"] = np.clip(present, 0.05, 0.9)
    rest = (1 - table["p.murmur.Present"]) / 2
    table["p.murmur.Unknown"], table["p.murmur.Absent"] = rest, rest
    blind = Predictions(table, rows.classes)
    stacked = stacking_of(blind)(blind)
    truth = (table["y.outcome"] == "Abnormal").to_numpy()
    assert roc_auc_score(truth, blind.y_prob("outcome")[:, 0]) < 0.6
    assert roc_auc_score(truth, stacked.y_prob("outcome")[:, 0]) > 0.9
    columns = [name for name in table if not name.startswith("p.outcome")]
    pd.testing.assert_frame_equal(stacked.table[columns], blind.table[columns])


def test_what_cannot_be_stacked_is_left_and_said() -> None:
    rows = scored()
    one = rows.where(fold=3)
    stacking = stacking_of(rows)
    assert stacking(one) is one
    assert stacking.obstacles(one) == ["repeat 0, seed 0 has one fold, and none to learn from"]
    table = rows.table.copy()
    table.loc[table["fold"] > 0, "y.outcome"] = "Normal"
    same = Predictions(table, rows.classes)
    assert stacking(same) is same
    assert stacking.obstacles(same) == ["outside of fold 0, outcome has a single class"]


def test_the_summary_shows_both() -> None:
    predictions, history = fake_run()
    stacking = stacking_of(predictions.at(kept_epochs(history)))
    plain, summary = (
        summary_of(predictions, history),
        summary_of(predictions, history, stacking=stacking),
    )
    assert summary["stacking"]["sources"] == {"outcome": list(SOURCES["outcome"])}
    head = plain["tasks"]["outcome"]["metrics"]
    assert summary["tasks"]["outcome"]["unstacked"]["auroc"] == head["auroc"]["pooled"]
    assert summary["tasks"]["outcome"]["metrics"]["auroc"]["value"] != head["auroc"]["value"]
    assert "unstacked" not in summary["tasks"]["murmur"]
    assert summary["tasks"]["murmur"] == plain["tasks"]["murmur"]


def test_sources_are_checked_and_no_part_of_the_digest() -> None:
    config = compose(["data.n_patients=12"])
    stacked = compose(["data.n_patients=12", "+data.tasks.outcome.stack=[murmur,age]"])
    assert (
        config.digest
        == stacked.digest
        == compose(["data.n_patients=12", "predict.stack=none"]).digest
    )
    cohort = read_cohort(config.data)
    assert Stacking.of(stacked, cohort).sources == {"outcome": ("murmur", "age")}
    assert not Stacking.of(
        compose(["+data.tasks.outcome.stack=[murmur]", "predict.stack=none"]), cohort
    ).sources
    wrong = compose(["data.n_patients=12", "+data.tasks.outcome.stack=[murmur,agee]"])
    with pytest.raises(ConfigError, match=r"'agee'.*Did you mean 'age'"):
        Stacking.of(wrong, cohort)


def test_a_rule_says_of_one_what_it_says_of_many_and_survives_json() -> None:
    predictions = scored()
    stacking = stacking_of(predictions)
    whole = stacking(predictions)
    rules = stacking.rules(predictions)["outcome"]
    assert sorted(rules) == [(0, 0, fold) for fold in range(5)]
    for place, rule in rules.items():
        again = Rule.from_dict(json.loads(json.dumps(rule.to_dict())))
        for row in np.flatnonzero(predictions.table["fold"] == place[2])[:4]:
            probs = {task: predictions.y_prob(task)[[row]] for task in predictions.tasks}
            who = predictions.table["patient_id"].iloc[[row]]
            whose = stacking.patients.set_index("patient_id").loc[who]
            np.testing.assert_array_equal(again(probs, whose)[0], whole.y_prob("outcome")[row])
