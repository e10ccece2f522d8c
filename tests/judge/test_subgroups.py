"""Groups of people: the same numbers as of the group alone, and differences that are corrected."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd
import pytest
from support.fake_run import SPLIT, fake_run, summary_of
from support.fake_run import page_of as render
from support.fake_run_parts import twice

from kfold_hs.judge.metrics.scores import METRICS
from kfold_hs.judge.results.subgroups import levels, subgroups
from kfold_hs.judge.selection.selected import Selected
from kfold_hs.judge.stats import expected_error
from kfold_hs.judge.stats.clusters import Layout
from kfold_hs.judge.stats.estimates import Basis
from kfold_hs.judge.stats.scored import Scored, influence
from kfold_hs.predictions.epoch_rules import kept_epochs
from kfold_hs.predictions.table import Predictions

POSITIVES = {"murmur": 0, "outcome": 0}
N = 200


def people(seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "patient_id": [f"p{i}" for i in range(N)],
            "sex": np.where(rng.random(N) < 0.5, "Female", "Male"),
            "height_cm": rng.normal(110, 20, N).round(),
            "campaign": np.where(np.arange(N) < 8, "first", "second"),
        }
    )


def run(skill: float = 1.0) -> Predictions:
    predictions, history = fake_run(n_epochs=1, skill=skill, n_patients=N)
    both, histories = twice(predictions, history)
    return both.at(kept_epochs(histories))


def of(kept: Predictions, patients: pd.DataFrame) -> dict[str, Any]:
    found = subgroups(Selected(kept, POSITIVES, 5), Basis.of(kept, SPLIT, honest=True), patients)
    json.dumps(found, allow_nan=False)
    return found["covariates"]


def test_a_group_is_judged_by_its_own_people_and_the_class_shares_of_all() -> None:
    kept, patients = run(), people()
    women = of(kept, patients)["sex"]["groups"][0]
    assert women["name"] == "Female"
    ids = patients["patient_id"][patients["sex"] == "Female"]
    rows = kept.table["patient_id"].isin(ids).to_numpy()
    alone = Predictions(kept.table[rows].reset_index(drop=True), kept.classes)
    layout = Layout.of_predictions(alone, 5)
    found = women["tasks"]["outcome"]
    whole = Layout.of_predictions(kept, 5)
    all_rows = Scored(kept.y_true("outcome"), kept.y_prob("outcome"), 0, whole)
    moved = 0
    for metric in METRICS.values():
        if metric.name in found:
            expected = influence(
                metric, alone.y_true("outcome"), alone.y_prob("outcome"), 0, layout
            )
            assert found[metric.name]["value"] == pytest.approx(expected.value)
            parts = expected_error.parts(expected)
            # Two copies of one repeat: nothing is drawn anew, and nothing is reciprocal.
            assert parts.reciprocal == pytest.approx(0, abs=1e-12)
            of_person = np.zeros(whole.n_persons)
            np.add.at(of_person, whole.person[rows], expected.psi)
            by_shares = all_rows.among(rows).influence(metric).moved
            with_shares = of_person + (np.zeros((2, 1)) if by_shares is None else by_shares)
            larger = max(parts.person, (with_shares**2).sum(axis=1).max())
            moved += larger > parts.person
            se = np.sqrt(larger + parts.fold_model)
            assert found[metric.name]["se"] == pytest.approx(se)
    assert moved
    assert women["n_patients"] == rows.sum() / 2
    assert women["n_persons"] == alone.table["person_id"].nunique()


def test_a_difference_that_is_there_is_found_and_one_that_is_not_is_not() -> None:
    patients, kept = people(), run()
    table = kept.table.copy()
    worse = table["patient_id"].map(patients.set_index("patient_id")["sex"]) == "Male"
    columns = ["p.outcome.Abnormal", "p.outcome.Normal"]
    table.loc[worse, columns] = table.loc[worse, columns[::-1]].to_numpy()
    found = of(Predictions(table, kept.classes), patients)
    women, men = found["sex"]["groups"]
    one, two = (g["tasks"]["outcome"]["accuracy"]["above_rest"] for g in (women, men))
    assert one["value"] == pytest.approx(-two["value"])
    assert one["p"] == pytest.approx(two["p"])
    assert one["p_holm"] == two["p_holm"] < 0.01
    # One test of the two sexes, three of the terciles: 4 in all.
    assert one["p_holm"] == pytest.approx(4 * one["p"])
    p = [g["tasks"]["murmur"]["accuracy"]["above_rest"]["p_holm"]
         for c in found.values() for g in c["groups"]]  # fmt: skip
    assert min(p) > 0.05


def test_few_people_are_named_and_left_out() -> None:
    found = of(run(), people())
    assert found["campaign"]["groups"] == []
    assert [g["name"] for g in found["campaign"]["left_out"]] == ["first", "second"]
    assert found["campaign"]["left_out"][0]["n_persons"] == 4  # p0 to p7 are four people


def test_numbers_are_cut_into_terciles_and_words_are_not() -> None:
    numbers = pd.Series([*map(str, range(1, 10)), None, "nan"], index=list("abcdefghijk"))
    words, kind = levels(numbers)
    assert kind == "terciles"
    assert list(words.categories) == [
        "up to 3.66667", "above 3.66667, up to 6.33333", "above 6.33333", "not known"
    ]  # fmt: skip
    assert list(words.codes) == [0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3]
    again, _ = levels(pd.concat([numbers, numbers]))
    assert list(again.categories) == list(words.categories)
    for values in ([0, 1, 0, 1], ["b", "a", None, "not known"]):
        words, kind = levels(pd.Series(values))
        assert kind == "words"
    assert list(words.categories) == ["a", "b", "not known"]


def test_a_fold_without_a_class_of_the_group_has_no_auroc() -> None:
    kept, patients = run(), people()
    table = kept.table.copy()
    here = (table["fold"] == 1) & table["patient_id"].isin(
        patients["patient_id"][patients["sex"] == "Male"]
    )
    table.loc[here, "y.outcome"] = "Normal"
    _, men = of(Predictions(table, kept.classes), patients)["sex"]["groups"]
    assert men["tasks"]["outcome"]["auroc"]["value"] is None
    assert men["tasks"]["outcome"]["auroc"]["above_rest"]["p_holm"] is None
    assert men["tasks"]["outcome"]["accuracy"]["value"] is not None


def test_the_page_shows_the_groups() -> None:
    predictions, history = fake_run(n_patients=N)
    summary = summary_of(predictions, history, patients=people())
    page = render(summary, history, predictions)
    assert ">Groups of people</h3>" in page
    assert "sex: Female" in page
    assert "Left out, campaign: first (4 people)" in " ".join(page.split())
    without = render(summary_of(predictions, history), history, predictions)
    assert "Groups of people" not in without


def test_a_murmurs_grade_is_compared_among_murmurs() -> None:
    kept, patients = run(), people()
    grade = np.where(np.arange(N) % 4 < 2, np.where(np.arange(N) % 2, "I/VI", "III/VI"), None)
    patients = patients[["patient_id"]].assign(grade=grade)
    basis = Basis.of(kept, SPLIT, honest=True)
    found = subgroups(Selected(kept, POSITIVES, 5), basis, patients, ["grade"])
    found = found["covariates"]["grade"]
    assert found["among_known"]
    assert [g["name"] for g in found["groups"]] == ["I/VI", "III/VI"]
    one, two = (g["tasks"]["outcome"]["accuracy"] for g in found["groups"])
    # The two are all there is of those known, so that each is set beside the other.
    assert one["above_rest"]["value"] == pytest.approx(one["value"] - two["value"])
    assert one["above_rest"]["p_holm"] == two["above_rest"]["p_holm"]
