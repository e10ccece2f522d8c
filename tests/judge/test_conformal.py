"""Conformal sets by hand, against the formula, and on people who are made up."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import pytest
from support.fake_run import fake_run

from kfold_hs.judge.selection.conformal import (
    ALL,
    CLASS,
    PROMISES,
    Conformal,
    calibration_scores,
    conformal_set,
    most_promised,
    out_of_fold,
    persons_needed,
)

Row = tuple[str, int, float]  # person, label, score


def fold(repeat: int, number: int, rows: Sequence[Row]) -> dict[str, Any]:
    persons, labels, scores = map(list, zip(*rows, strict=True))
    place = {"repeat": repeat, "fold": number}
    return place | {"person_id": persons, "label": labels, "score": scores}


KNOWN = [
    # b has two patients of class 0, and one of class 1.
    fold(0, 0, [("a", 0, 0.2), ("b", 0, 0.2), ("b", 0, 0.7), ("b", 1, 0.4)]),
    fold(0, 1, [("c", 0, 0.5), ("d", 1, 0.6), ("e", 1, 0.6)]),
]
PROBS = np.array([[[0.8, 0.6, 0.1], [0.5, 0.4, 0.3]]])  # s = 0.2, 0.4, 0.9 and 0.5, 0.6, 0.7


def test_p_values_of_every_class_by_hand() -> None:
    conformal = Conformal(KNOWN)
    # Class 0, fold 0, from 0.2 on: a, and both of b, a half each; fold 1, from 0.5 on: c.
    # Class 1, fold 0, from 0.4 on: b; fold 1, from 0.6 on: d and e. Nobody is of class 2.
    found = conformal.p_values(PROBS)
    np.testing.assert_allclose(found, [(1 + 1 + 1 + 1) / 4, (1 + 1 + 2) / 4, 1])
    assert conformal.n_persons(3) == [3, 3, 0]
    assert conformal.n_persons_of_fold(3) == [1, 1, 0]
    # Without b: one person less of class 0, and of class 1.
    np.testing.assert_allclose(conformal.p_values(PROBS, ["b"]), [3 / 3, 3 / 3, 1])
    # Surer of another class: 0.3 for class 0 by fold 0 leaves b's second patient, a half person.
    less = PROBS.copy()
    less[0, :, 0] = 0.7, 0.45
    np.testing.assert_allclose(conformal.p_values(less)[0], (1 + 0.5 + 0) / 4)
    # By fold 1 alone, as for people of fold 1.
    less[0, 0] = np.nan
    np.testing.assert_allclose(conformal.p_values(less, ["d"]), [1 / 2, (1 + 1) / 2, 1])


def test_p_values_of_everybody_by_hand() -> None:
    # b counts once: a third for each patient. Fold 0 from 0.2, 0.4, 0.9 on; fold 1 from 0.5, ...
    found = Conformal(KNOWN).p_values(PROBS, promise=ALL)
    wanted = [1 + (1 + 1) + 3, 1 + 2 / 3 + 2, 1 + 0 + 0]
    np.testing.assert_allclose(found, np.array(wanted) / 6)


def test_scores_without_labels_promise_to_everybody_only() -> None:
    older = Conformal([{k: v for k, v in each.items() if k != "label"} for each in KNOWN])
    assert Conformal(KNOWN).has_labels
    assert not older.has_labels
    np.testing.assert_array_equal(
        older.p_values(PROBS, ["c"], ALL), Conformal(KNOWN).p_values(PROBS, ["c"], ALL)
    )


def test_sets_and_what_a_number_of_persons_can_promise() -> None:
    assert conformal_set(np.array([0.5, 0.25]), 0.75, 0) == [0]
    assert conformal_set(np.array([0.5, 0.25]), 0.8, 0) == [0, 1]
    assert conformal_set(np.array([0.01, 0.02]), 0.9, 1) == [1]
    assert [persons_needed(each) for each in (0.5, 0.8, 0.9, 0.95, 0.99)] == [1, 4, 9, 19, 99]
    for coverage in (0.8, 0.9, 0.95):
        needed = persons_needed(coverage)
        assert most_promised(needed - 1) < coverage <= most_promised(needed) + 1e-12
        for n, is_outside in ((needed, True), (needed - 1, False)):
            many = fold(0, 0, [(f"p{i}", 0, 0.1) for i in range(n)])
            values = Conformal([many]).p_values(np.array([[[0.1, 0.9]]]))  # far above all scores
            assert (0 not in conformal_set(values, coverage, 1)) == is_outside


@pytest.mark.parametrize("promise", PROMISES)
def test_sorted_scores_say_what_the_formula_says(promise: str) -> None:
    rng = np.random.default_rng(3)
    known = []
    for repeat in range(3):
        people = rng.permutation(list("abcdefghijkl")).reshape(4, 3)
        for number in range(4):  # few different scores, so that many are equal to a patient's
            who = rng.choice(people[number], 9)
            rows = [(str(p), int(rng.integers(2)), float(rng.integers(0, 5) / 4)) for p in who]
            known.append(fold(repeat, number, rows))
    conformal = Conformal(known)
    for _ in range(30):
        probs = rng.integers(0, 5, (3, 4, 2)) / 4
        probs[rng.random((3, 4)) < 0.5] = np.nan
        persons = rng.choice(list("abcxyz"), 2).tolist()
        n_repeats = (~np.isnan(probs[..., 0])).any(axis=1).sum()
        for c in range(2):
            above = n = 0.0
            for each in known:
                of_model = probs[each["repeat"], each["fold"]]
                rows = list(zip(each["person_id"], each["label"], each["score"], strict=True))
                if promise == CLASS:
                    rows = [row for row in rows if row[1] == c]
                for person, _, score in rows:
                    if not np.isnan(of_model[0]) and person not in persons:
                        weight = 1 / [row[0] for row in rows].count(person)
                        above += weight * (score >= 1 - of_model[c])
                        n += weight
            wanted = (1 + above / n_repeats) / (1 + n / n_repeats)
            found = conformal.p_values(probs, persons, promise)[c]
            assert found == pytest.approx(wanted, abs=1e-12)


def people(n: int, rng: np.random.Generator, n_folds: int = 5) -> tuple[np.ndarray, np.ndarray]:
    """Labels, of which class 2 is rare and hardly told, and probabilities by every fold model."""
    y = rng.choice(3, n, p=[0.7, 0.22, 0.08])
    skill = np.array([3.0, 2.0, 0.3])[y]
    logits = rng.standard_normal((n, 1, 3)) + 0.4 * rng.standard_normal((n, n_folds, 3))
    logits[np.arange(n), :, y] += skill[:, None]
    logits[..., 0] += 1.5
    return y, np.exp(logits) / np.exp(logits).sum(axis=2, keepdims=True)


def held(scores: Conformal, y: np.ndarray, probs: np.ndarray, promise: str) -> np.ndarray:
    """Whether the sets at 90 % of new people, scored by all models, hold their labels."""
    return np.array(
        [
            label in conformal_set(
                scores.p_values(each[None], promise=promise), 0.9, int(each.mean(axis=0).argmax())
            )
            for label, each in zip(y, probs, strict=True)
        ]
    )  # fmt: skip


def test_every_class_of_new_people_is_covered_and_a_rare_one_is_not_by_sets_for_all() -> None:
    rng = np.random.default_rng(1)
    y, probs = people(2000, rng)
    number = np.arange(len(y)) % 5
    score = 1 - probs[np.arange(len(y)), number, y]
    known = [
        fold(0, k, [(str(i), int(y[i]), float(score[i])) for i in np.flatnonzero(number == k)])
        for k in range(5)
    ]
    scores = Conformal(known)
    new, by_models = people(1500, rng)
    by_class, by_all = (held(scores, new, by_models, promise) for promise in (CLASS, ALL))
    for c in range(3):
        assert by_class[new == c].mean() > 0.9 - 3 * np.sqrt(0.09 / (new == c).sum())
    assert abs(by_all.mean() - 0.9) < 0.03
    assert by_all[new == 2].mean() < 0.6

    # People of the run, by the one model that held them out, without their own rows.
    inside = []
    for i in range(600):
        mine = np.full((1, 5, 3), np.nan)
        mine[0, number[i]] = probs[i, number[i]]
        values = scores.p_values(mine, [str(i)])
        inside.append(y[i] in conformal_set(values, 0.9, int(mine[0, number[i]].argmax())))
    for c in range(3):
        those = np.array(inside)[y[:600] == c]
        assert those.mean() > 0.9 - 3 * np.sqrt(0.09 / len(those))


def test_a_person_with_many_patients_counts_once() -> None:
    """Who comes often is told well here: as rows, their patients would promise too much."""
    rng = np.random.default_rng(2)
    n = 4000
    often = rng.random(n) < 0.5
    hard = np.where(often, rng.beta(1, 20, n), rng.beta(5, 5, n))
    rows = [
        (str(i), 0, float(np.clip(hard[i] + rng.normal(0, 0.01), 0, 1)))
        for i in range(n // 2)
        for _ in range(10 if often[i] else 1)
    ]
    # A patient of each of the other people.
    new = np.array([[[1 - each, 0.0]] for each in hard[n // 2 :]])
    once = Conformal([fold(0, 0, rows)])
    as_rows = Conformal([fold(0, 0, [(str(i), *row[1:]) for i, row in enumerate(rows)])])
    inside = [
        np.mean([each.p_values(probs[None])[0] > 0.1 for probs in new[:700]])
        for each in (once, as_rows)
    ]
    assert abs(inside[0] - 0.9) < 0.035
    assert inside[1] < 0.7


def test_out_of_fold_sets_are_those_beside_all_other_people_of_the_repeat() -> None:
    predictions, _ = fake_run(40)
    one = predictions.where(epoch=5)
    again = one.table.assign(repeat=1, fold=(one.table["fold"] + 1) % 5)
    kept = type(one)(pd.concat([one.table, again], ignore_index=True), one.classes)
    found = out_of_fold(kept, "murmur")
    scores = calibration_scores(kept, "murmur")
    assert [each["fold"] for each in scores] == 2 * [0, 1, 2, 3, 4]
    for repeat in range(2):
        of_repeat = [each for each in scores if each["repeat"] == repeat]
        together = {"repeat": 0, "fold": 0} | {
            name: [value for each in of_repeat for value in each[name]]
            for name in ("person_id", "label", "score")
        }
        conformal = Conformal([together])
        rows = np.flatnonzero(kept.table["repeat"] == repeat)
        for row in rows:
            person = kept.table["person_id"].iloc[row]
            probs = kept.y_prob("murmur")[row][None, None]
            for promise in PROMISES:
                wanted = conformal.p_values(probs, [person], promise)
                np.testing.assert_allclose(found[promise][row], wanted, rtol=1e-12)
