"""All labels of a patient, and each class against the others, beside scikit-learn and by hand."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics as sk
from support.fake_run import problem

from kfold_hs.judge.results.labels import PRECISION, all_labels, each_class
from kfold_hs.judge.selection.selected import Selected
from kfold_hs.judge.stats.clusters import Layout
from kfold_hs.judge.stats.estimates import Basis
from kfold_hs.judge.stats.scored import influence
from kfold_hs.predictions.table import Predictions

N, K = 60, 3


def selected(tasks: dict[str, int], seed: int = 0) -> tuple[Selected, Basis]:
    """Out-of-fold rows of tasks with so many classes each; half of the labels are known well."""
    rng = np.random.default_rng(seed)
    table = pd.DataFrame(
        {
            "level": "patient", "repeat": 0, "seed": 0, "fold": np.arange(N) % K, "epoch": 0,
            "person_id": [f"q{i}" for i in range(N)], "patient_id": [f"p{i}" for i in range(N)],
            "recording_id": "",
        }
    )  # fmt: skip
    classes = {}
    for task, n_classes in tasks.items():
        names = classes[task] = tuple(f"c{c}" for c in range(n_classes))
        y = rng.permutation(np.arange(N) % n_classes)
        p = rng.dirichlet(np.ones(n_classes), N)
        p[: N // 2] = (p[: N // 2] + 2 * np.eye(n_classes)[y[: N // 2]]) / 3
        table[f"y.{task}"] = np.array(names)[y]
        for c, name in enumerate(names):
            table[f"p.{task}.{name}"] = p[:, c]
    rows = Predictions(table, classes)
    found = Selected(rows, dict.fromkeys(tasks, 0), K)
    return found, Basis.of(found.scored, {"n_folds": K, "train_share": 1 - 1 / K}, True)


def test_labels_taken_together_are_scikit_learns() -> None:
    chosen, basis = selected({"a": 2, "b": 2, "many": 4, "c": 2})
    found = all_labels(chosen, basis)
    assert found is not None
    assert found["tasks"] == ["a", "b", "c"]  # a task of four classes is no label
    kept = chosen.scored
    y = np.stack([kept.y_true(t) == 0 for t in "abc"], axis=1).astype(int)
    scores = np.stack([kept.y_prob(t)[:, 0] for t in "abc"], axis=1)
    called = np.stack([kept.y_prob(t).argmax(axis=1) == 0 for t in "abc"], axis=1).astype(int)
    metrics = found["metrics"]
    assert metrics["exact_match"]["value"] == pytest.approx(sk.accuracy_score(y, called))
    assert metrics["accuracy"]["value"] == pytest.approx(1 - sk.hamming_loss(y, called))
    fold = kept.table["fold"].to_numpy()
    for name, reference in (("auroc", sk.roc_auc_score), ("auprc", sk.average_precision_score)):
        each = [reference(y[fold == k], scores[fold == k], average="macro") for k in range(K)]
        assert metrics[name]["value"] == pytest.approx(np.mean(each))
    for each in metrics.values():
        assert each["low"] < each["value"] < each["high"]
        assert each["low"] <= each["these_models"]["low"]
    n_right = (y == called).sum(axis=1)
    assert found["n_right"] == [int((n_right == n).sum()) for n in range(4)]
    assert sum(found["n_right"]) == N


def test_the_commonest_combination_is_what_calling_it_for_everybody_matches() -> None:
    chosen, basis = selected({"a": 2, "b": 2})
    found = all_labels(chosen, basis)
    assert found is not None
    table = chosen.scored.table
    said = found["commonest"]["labels"]
    matches = (table["y.a"] == said["a"]) & (table["y.b"] == said["b"])
    assert found["commonest"]["share"] == pytest.approx(matches.mean())
    assert matches.sum() == table.groupby(["y.a", "y.b"]).size().max()


def test_one_label_is_not_taken_together() -> None:
    assert all_labels(*selected({"a": 2, "many": 3})) is None


def test_each_class_is_scikit_learns_one_against_the_rest() -> None:
    chosen, basis = selected({"many": 4})
    kept = chosen.scored
    y, p = kept.y_true("many"), kept.y_prob("many")
    rows = each_class(kept, "many", basis)
    precision = sk.precision_score(y, p.argmax(axis=1), average=None)
    recall = sk.recall_score(y, p.argmax(axis=1), average=None)
    for c, row in enumerate(rows):
        assert row["metrics"]["precision"]["value"] == pytest.approx(precision[c])
        assert row["metrics"]["sensitivity"]["value"] == pytest.approx(recall[c])
        assert row["n_patients"] == (y == c).sum()
        assert row["n_called"] == (p.argmax(axis=1) == c).sum()
    assert each_class(*_with_task(selected({"two": 2}), "two")) == []


def _with_task(found: tuple[Selected, Basis], task: str) -> tuple[Predictions, str, Basis]:
    return found[0].scored, task, found[1]


def test_a_class_that_nobody_is_called_has_no_precision() -> None:
    chosen, basis = selected({"many": 3})
    table = chosen.scored.table.copy()
    table["p.many.c0"], table["p.many.c1"] = 0.0, table["p.many.c1"] + table["p.many.c0"]
    kept = Predictions(table, chosen.scored.classes)
    row = each_class(kept, "many", basis)[0]
    assert row["n_called"] == 0
    assert row["metrics"]["precision"]["value"] is None
    assert row["metrics"]["sensitivity"]["value"] == 0


def test_gradient_of_precision_is_the_jackknifes_to_first_order() -> None:
    y, p, _ = problem(2, n=300)
    layout = Layout.of(np.zeros(300, int), np.arange(300) % 5, np.arange(300), 5)
    closed = influence(PRECISION, y, p, 1, layout)
    left_out = influence(dataclasses.replace(PRECISION, gradient=None), y, p, 1, layout)
    assert closed.value == pytest.approx(left_out.value)
    np.testing.assert_allclose(closed.psi, left_out.psi, atol=2e-2 * np.abs(closed.psi).max())
