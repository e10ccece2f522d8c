"""Onsets that were found beside those that were marked: counts, ratios and their intervals."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest

from kfold_hs.cohort.segmentation import Segmentation
from kfold_hs.errors import PredictionsError
from kfold_hs.files.paths import FoldId
from kfold_hs.judge.metrics.onsets import agreement, count, state_at, stretches
from kfold_hs.judge.results.segmentation import BOTH, counts_of, ratio, segmentation
from kfold_hs.judge.stats.clusters import Layout
from kfold_hs.judge.stats.estimates import Basis
from kfold_hs.predictions.segmentation import table_of


def marks(*rows: tuple[float, float, int]) -> Segmentation:
    start, end, state = np.array(rows, dtype=float).reshape(-1, 3).T
    return Segmentation(start, end, state.astype(np.int64))


def beats(
    n: int, shift_s: float = 0.0, first_s: float = 1.0, length_s: float = 0.8
) -> Segmentation:
    """So many beats of S1, systole, S2 and diastole."""
    rows = []
    for k in range(n):
        at = first_s + shift_s + k * length_s
        times = at + np.array([0, 0.12, 0.3, 0.4, length_s])
        rows += [(a, b, s) for s, (a, b) in enumerate(itertools.pairwise(times), start=1)]
    return marks(*rows)


WHOLE = np.array([[0.0, 10.0]])


@pytest.mark.parametrize(
    ("found", "marked", "counts"),
    [
        ([1.0, 2.0], [1.0, 2.0], (2, 0, 0)),
        ([1.06], [1.0], (1, 0, 0)),  # within the tolerance, its end counts
        ([1.061], [1.0], (0, 1, 1)),
        ([1.0, 1.02], [1.0], (1, 1, 0)),  # an onset is found once
        ([0.97, 1.03], [1.0, 1.05], (2, 0, 0)),
        ([1.05], [1.0, 1.1], (1, 0, 1)),  # and finds one
        ([], [1.0], (0, 0, 1)),
        ([1.0], [], (0, 1, 0)),
    ],
)
def test_an_onset_is_found_by_one_within_60_ms(
    found: list[float], marked: list[float], counts: tuple[int, int, int]
) -> None:
    assert count(np.array(found), np.array(marked), WHOLE) == counts


def test_the_pairs_are_as_many_as_can_be() -> None:
    from scipy.optimize import linear_sum_assignment

    rng = np.random.default_rng(0)
    for _ in range(200):
        found, marked = (np.sort(rng.uniform(0.1, 1.5, rng.integers(1, 12))) for _ in range(2))
        near = np.abs(found[:, None] - marked) <= 0.06
        most = near[linear_sum_assignment(~near)].sum()
        assert count(found, marked, WHOLE).hits == most


def test_what_lies_outside_of_marked_stretches_counts_neither_way() -> None:
    whole = np.array([[1.0, 2.0], [5.0, 6.0]])
    found = np.array([0.5, 0.97, 1.04, 1.5, 1.97, 3.0, 5.5])
    # 1.5 and 5.5 are false; 1.04 and 1.97 may be onsets beside the stretch.
    assert count(found, np.array([]), whole) == (0, 2, 0)


def test_stretches_are_joined_over_rounding_and_overlaps_and_no_further() -> None:
    rows = marks((0, 1, 0), (1, 2, 1), (2.0004, 3, 2), (2.9, 3.5, 3), (4, 5, 4), (5, 6, 0))
    assert stretches(rows).tolist() == [[1, 3.5], [4, 5]]
    assert stretches(marks((0, 3, 0))).shape == (0, 2)
    assert state_at(rows, np.array([0.5, 1.5, 2.95, 3.7, 4.5])).tolist() == [0, 1, 3, 0, 4]


def test_a_recording_that_was_found_exactly_and_one_that_is_late() -> None:
    marked = beats(5)
    same = agreement(marked, marked)
    assert same.sounds == {"S1": (5, 0, 0), "S2": (5, 0, 0)}
    assert same.right_s == same.marked_s == pytest.approx(4.0, abs=0.01)
    near = agreement(beats(5, 0.02), marked)
    assert near.sounds == same.sounds
    # Each of 20 states begins 20 ms late; the first one's 20 ms and all others'.
    assert near.right_s == pytest.approx(4.0 - 20 * 0.02, abs=0.06)
    # S2 where S1 is, and none where S2 is: every sound is missed, those in between are false.
    wrong = agreement(beats(5, 0.3), marked)
    assert wrong.sounds["S1"] == (0, 5, 5)
    assert wrong.sounds["S2"][0] == 0


def test_a_state_that_the_recording_begins_with_has_no_onset() -> None:
    marked = marks((0, 0.1, 1), (0.1, 0.3, 2), (0.3, 0.4, 3), (0.4, 0.8, 4), (0.8, 0.9, 1))
    found = marks((0, 0.3, 2), (0.3, 0.4, 3), (0.4, 0.8, 4), (0.8, 0.9, 1))
    assert agreement(found, marked).sounds == {"S1": (1, 0, 0), "S2": (1, 0, 0)}


# --- of a run -----------------------------------------------------------------------------------

PERSONS = {"a": "p", "b": "p", "c": "q", "d": "r", "e": "s", "x": "t"}
MARKS = {name: beats(10 + k) for k, name in enumerate("abcde")} | {"x": marks((0, 9, 0))}


def run_of(shifts: dict[str, float], repeat: int = 0, seed: int = 0) -> pd.DataFrame:
    """Two folds: a, b, c and d, e, x; each recording is found so late."""
    parts = []
    for fold, names in enumerate(("abc", "dex")):
        found = [beats(len(MARKS[each].state) // 4 or 4, shifts.get(each, 0.0)) for each in names]
        parts.append(table_of(list(names), found, FoldId(repeat, seed, fold)))
    return pd.concat(parts, ignore_index=True)


def basis() -> Basis:
    layout = Layout.of(np.zeros(4), np.array([0, 0, 1, 1]), np.array([0, 1, 2, 3]), 2)
    return Basis(layout, 0.5)


def test_the_numbers_of_a_run_are_those_of_all_its_beats() -> None:
    found = segmentation(run_of({"a": 0.1}), MARKS, PERSONS, basis())
    s1 = found["sounds"]["S1"]
    # Of 60 onsets all but the ten of a; what was found for a lies 100 ms late, one by the end.
    assert s1["n_marked"] == 60
    assert s1["sensitivity"]["value"] == pytest.approx(50 / 60)
    assert s1["ppv"]["value"] == pytest.approx(50 / 60)
    assert s1["f1"]["value"] == pytest.approx(100 / 120)
    assert s1["f1"]["low"] < 100 / 120 < s1["f1"]["high"]
    assert (found["n_recordings"], found["n_persons"], found["n_without"]) == (5, 4, 1)
    assert found["hours"] == pytest.approx(60 * 0.8 / 3600, rel=1e-3)
    assert found["recordings"] == {"n": 5, "median": 1.0, "p10": pytest.approx(0.4)}
    assert [fold["f1"]["S1"] for fold in found["folds"]] == [pytest.approx(46 / 66), 1.0]
    assert "0.833" in found["sentence"]
    assert "5 recordings" in found["sentence"]


def test_seeds_and_repeats_are_averaged() -> None:
    runs = [({"a": 0.1}, 0, 0), ({}, 0, 1), ({"e": 0.1}, 1, 0), ({}, 1, 1)]
    found = segmentation(pd.concat([run_of(*each) for each in runs]), MARKS, PERSONS, basis())
    assert found["sounds"]["S1"]["n_marked"] == 60
    expected = np.mean([[100 / 120, 1.0], [92 / 120, 1.0]])
    assert found["sounds"]["S1"]["f1"]["value"] == pytest.approx(expected)
    assert len(found["folds"]) == 8


def test_the_error_of_a_ratio_is_that_of_leaving_people_out() -> None:
    rng = np.random.default_rng(1)
    n = 400
    counts = pd.DataFrame(
        {
            "repeat": 0, "seed": 0, "fold": np.arange(n) % 5, "person_id": np.arange(n) // 2,
            "recording_id": np.arange(n), "over": rng.integers(0, 10, n),
        }
    )  # fmt: skip
    counts["under"] = counts["over"] + rng.integers(1, 5, n)
    influence = ratio(counts, counts["over"], counts["under"], 5)
    assert influence is not None
    assert influence.value == pytest.approx(counts["over"].sum() / counts["under"].sum())
    assert influence.psi.sum() == pytest.approx(0)
    sums = counts.groupby("person_id")[["over", "under"]].sum()
    left = sums.sum() - sums
    jackknife = left["over"] / left["under"]
    se = np.sqrt((len(sums) - 1) / len(sums) * ((jackknife - jackknife.mean()) ** 2).sum())
    assert np.sqrt(influence.of_people) == pytest.approx(se, rel=0.01)


def test_nothing_is_said_of_nothing() -> None:
    table = run_of({})
    empty = {name: marks((0, 9, 0)) for name in MARKS}
    found = segmentation(table, empty, PERSONS, basis())
    assert found["n_without"] == 6
    assert "unknown" in found["sentence"]
    assert "sounds" not in found
    # Marks without a sound: states alone are judged.
    silent = {name: marks((1, 2, 2), (2.5, 3, 4)) for name in MARKS}
    found = segmentation(table, silent, PERSONS, basis())
    assert found["sounds"][BOTH]["sensitivity"] is None
    assert found["states"]["value"] > 0
    with pytest.raises(PredictionsError, match="'a', which is no recording"):
        counts_of(table, {}, PERSONS)
