"""Stacking: what it learns, from whom, and what it leaves alone."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from support.fake_run import fake_run, summary_of

from kfold_hs.cohort.readers.registry import read_cohort
from kfold_hs.config.compose import compose
from kfold_hs.errors import ConfigError, PredictionsError
from kfold_hs.judge.selection.stacking import CLIP, INVERSE_PENALTY, Evidence, Rule, Stacking
from kfold_hs.predictions.cycle import columns_of
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
            of_cycle = predictions.table[columns_of(predictions.table)].iloc[[row]]
            said = again(Evidence(probs, whose, of_cycle))[0]
            np.testing.assert_array_equal(said, whole.y_prob("outcome")[row])


# Numbers of the heart cycle


def with_cycle(predictions: Predictions, **columns: np.ndarray | float) -> Predictions:
    named = {f"cycle.{name.replace('_of_', '.')}": each for name, each in columns.items()}
    return Predictions(predictions.table.assign(**named), predictions.classes)


def test_it_finds_what_the_heart_cycle_knows() -> None:
    rows = scored(n_patients=300)
    truth = (rows.table["y.murmur"] == "Present").to_numpy()
    noise = np.random.default_rng(0).normal(0, 0.3, len(rows))
    told = with_cycle(rows, murmur_of_max=truth + noise, quality_of_min=0.5)
    stacking = Stacking({"murmur": ("murmur", "cycle")}, rows.table[["patient_id"]])
    before = roc_auc_score(truth, rows.y_prob("murmur")[:, 0])
    stacked = stacking(told)
    assert roc_auc_score(truth, stacked.y_prob("murmur")[:, 0]) > max(before, 0.95)
    # Alone, too; and a column of one value says nothing and breaks nothing.
    alone = Stacking({"murmur": ("cycle",)}, rows.table[["patient_id"]])
    assert roc_auc_score(truth, alone(told).y_prob("murmur")[:, 0]) > 0.95
    constant = with_cycle(rows, quality_of_min=0.5)
    plain = Stacking({"murmur": ("murmur",)}, rows.table[["patient_id"]])(rows)
    np.testing.assert_allclose(
        stacking(constant).y_prob("murmur"), plain.y_prob("murmur"), atol=1e-8
    )


def test_no_label_of_a_fold_has_a_part_in_what_its_cycles_count() -> None:
    rows = scored()
    rng = np.random.default_rng(0)
    told = with_cycle(rows, murmur_of_max=rng.normal(size=len(rows)))
    stacking = Stacking({"murmur": ("murmur", "cycle")}, rows.table[["patient_id"]])
    table, here = told.table.copy(), (told.table["fold"] == 2).to_numpy()
    table.loc[here, "y.murmur"] = rng.permutation(table.loc[here, "y.murmur"])
    table.loc[here, "cycle.murmur.max"] += 5.0
    changed = Predictions(table, rows.classes)
    rule = stacking.rules(told)["murmur"][0, 0, 2].to_dict()
    assert stacking.rules(changed)["murmur"][0, 0, 2].to_dict() == rule
    assert stacking.rules(changed)["murmur"][0, 0, 1].to_dict() != rule


def test_predictions_without_a_frame_branch_are_refused_where_it_is_asked() -> None:
    rows = scored()
    for sources in (("cycle",), ("murmur", "cycle")):
        with pytest.raises(PredictionsError, match=r"no columns cycle\.\*.*frames=none"):
            Stacking({"murmur": sources}, rows.table[["patient_id"]])(rows)


SYNTHETIC = ["data.n_patients=12"]


def test_the_heart_cycle_is_left_out_without_a_frame_branch() -> None:
    plain = compose(SYNTHETIC)
    cohort = read_cohort(plain.data)
    assert plain.data.tasks["murmur"].stack == ("murmur", "cycle")
    assert not Stacking.of(plain, cohort).sources  # murmur alone is no stacking
    assert Stacking.of(compose([*SYNTHETIC, "frames=cycle"]), cohort).sources == {
        "murmur": ("murmur", "cycle")
    }
    beside = compose([*SYNTHETIC, "+data.tasks.outcome.stack=[murmur,cycle]"])
    assert Stacking.of(beside, cohort).sources == {"outcome": ("murmur",)}
    alone = compose([*SYNTHETIC, "+data.tasks.outcome.stack=[cycle]"])
    with pytest.raises(ConfigError, match=r"outcome\.stack=\[cycle\].*set frames=cycle"):
        Stacking.of(alone, cohort)
    off = compose([*SYNTHETIC, "frames=cycle", "predict.stack=none"])
    assert not Stacking.of(off, cohort).sources
    own = compose([*SYNTHETIC, "frames=cycle", "data.tasks.murmur.stack=[murmur,age]"])
    assert Stacking.of(own, cohort).sources == {"murmur": ("murmur", "age")}
    wrong = compose([*SYNTHETIC, "frames=cycle", "data.tasks.murmur.stack=[murmur,cycles]"])
    with pytest.raises(ConfigError, match=r"'cycles'.*Did you mean 'cycle'"):
        Stacking.of(wrong, cohort)


@pytest.mark.parametrize("frames", ["none", "cycle"])
def test_a_name_of_two_meanings_is_refused(frames: str) -> None:
    config = compose([*SYNTHETIC, f"frames={frames}"])
    cohort = read_cohort(config.data)
    covariates = (*cohort.covariates, "cycle")
    twice = replace(cohort, patients=cohort.patients.assign(cycle="Absent"), covariates=covariates)
    with pytest.raises(ConfigError, match="task or a column of that name"):
        Stacking.of(config, twice)
    assert not Stacking.of(compose([*SYNTHETIC, "predict.stack=none"]), twice).sources
    task = replace(cohort.tasks[0], name="cycle")
    with pytest.raises(ConfigError, match="task or a column of that name"):
        Stacking.of(config, replace(twice, tasks=(*cohort.tasks, task), covariates=()))
