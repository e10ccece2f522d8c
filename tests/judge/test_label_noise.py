"""The ceiling of labels that disagree: by hand, by simulation, and in the summary."""

from __future__ import annotations

import json
from math import sqrt
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.stats.proportion import proportion_confint
from support.fake_run import TASKS, fake_run, summary_of
from support.fake_run import page_of as render

from kfold_hs.judge.stats.label_noise import ceiling, label_noise
from kfold_hs.predictions.table import Predictions


def labelled(labels: dict[str, list[str]]) -> Predictions:
    """Patients with an outcome each, by person."""
    pairs = [(person, label) for person, each in labels.items() for label in each]
    table = pd.DataFrame(pairs, columns=["person_id", "y.outcome"])
    table = table.assign(
        level="patient", repeat=0, seed=0, fold=0, epoch=0, recording_id="",
        patient_id=[f"p{i}" for i in range(len(pairs))],
    )  # fmt: skip
    return Predictions(
        table.assign(**{"p.outcome.Abnormal": 0.5, "p.outcome.Normal": 0.5}),
        {"outcome": ("Abnormal", "Normal")},
    )


def noise(labels: dict[str, list[str]]) -> dict[str, Any]:
    found = label_noise(labelled(labels), "outcome")
    assert found is not None
    return found


def test_by_hand() -> None:
    # CirCor in full: 13 of 70 pairs of outcomes disagree; Wilson as statsmodels has it.
    pairs = {f"q{i}": ["Abnormal", "Normal" if i < 13 else "Abnormal"] for i in range(70)}
    found = noise({**pairs, "once": ["Normal"]})
    assert (found["n_persons"], found["n_pairs"], found["n_disagree"]) == (70, 70, 13)
    low, high = proportion_confint(13, 70, method="wilson")
    expected = {"value": 13 / 70, "low": low, "high": high}
    assert found["disagreement"] == pytest.approx(expected)
    assert found["ceiling"]["value"] == pytest.approx((1 + sqrt(1 - 26 / 70)) / 2)
    assert found["ceiling"]["low"] == pytest.approx((1 + sqrt(1 - 2 * high)) / 2)
    assert found["at_least"] == pytest.approx(57 / 70)


def test_a_person_with_three_labels_counts_once() -> None:
    found = noise({"a": ["Normal", "Normal", "Abnormal"], "b": ["Normal", "Normal"]})
    assert (found["n_persons"], found["n_pairs"], found["n_disagree"]) == (2, 4, 2)
    assert found["disagreement"]["value"] == pytest.approx((2 / 3 + 0) / 2)


def test_nobody_labelled_twice_says_nothing() -> None:
    assert label_noise(labelled({"a": ["Normal"], "b": ["Abnormal"]}), "outcome") is None


@pytest.mark.parametrize("n_classes", [2, 3, 5])
def test_equal_noise_reaches_the_ceiling(n_classes: int) -> None:
    # Each label is right with 0.8, else any other class: who knows the truth is right in 0.8.
    q = np.r_[0.8, np.full(n_classes - 1, 0.2 / (n_classes - 1))]
    assert ceiling(1 - float(q @ q), n_classes) == pytest.approx(0.8)
    assert ceiling(1 - 1 / n_classes, n_classes) == pytest.approx(1 / n_classes)
    assert ceiling(1.0, n_classes) == 1 / n_classes
    assert ceiling(0.0, n_classes) == 1


@given(st.integers(0, 10_000), st.integers(2, 4))
def test_nobody_who_knows_every_chance_is_right_more_often(seed: int, n_classes: int) -> None:
    rng = np.random.default_rng(seed)
    q = rng.dirichlet(np.full(n_classes, rng.uniform(0.1, 3)), 50)
    disagreement = float(1 - (q**2).sum(axis=1).mean())
    best = float(q.max(axis=1).mean())
    assert 1 - disagreement <= best + 1e-12
    assert best <= ceiling(disagreement, n_classes) + 1e-12


def test_the_summary_and_the_page_say_it() -> None:
    predictions, history = fake_run()
    summary = summary_of(predictions, history)
    json.dumps(summary, allow_nan=False)
    for task in TASKS:
        found = summary["target"]["tasks"][task]["label_noise"]
        assert found["n_persons"] == 5  # q0 to q4 have two patients each
        assert found["at_least"] <= found["ceiling"]["value"] <= 1
        assert len(found["visits"]) == found["n_disagree"]  # two patients a person: one pair
        for visit in found["visits"]:
            first, second = visit["patients"]
            assert first["label"] != second["label"]
    page = render(summary, history, predictions)
    assert page.count("Ceiling of") == 2
    some = [t for t in TASKS if summary["target"]["tasks"][t]["label_noise"]["visits"]]
    assert page.count("labels of one person that disagree") == len(some) > 0
    assert "nobody can be expected to be right more often than" in " ".join(page.split())
