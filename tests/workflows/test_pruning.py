"""Racing: numbers by hand, the error that it promises, and a real trial that is stopped."""

from __future__ import annotations

import math
import multiprocessing
from pathlib import Path

import numpy as np
import pytest
from scipy import stats
from support.project import Silent
from support.racing import race

from kfold_hs.files.paths import FoldId, RunPaths
from kfold_hs.judge.metrics.scores import ACCURACY
from kfold_hs.judge.stats.clusters import Layout
from kfold_hs.judge.stats.influence import Influence
from kfold_hs.judge.stats.scored import influence
from kfold_hs.judge.stats.sequential import InterimTest, Race, level, spent
from kfold_hs.orchestrator.plan import Plan
from kfold_hs.workflows.search import pruning
from kfold_hs.workflows.search.pruning import PruningProgress, StoppedError


def right(hits: np.ndarray, fold: np.ndarray, n_folds: int) -> Influence:
    """Accuracy of somebody who is right where `hits` says so."""
    layout = Layout.of(np.zeros(len(fold), dtype=int), fold, np.arange(len(fold)), n_folds)
    y_true = np.zeros(len(fold), dtype=int)
    return influence(ACCURACY, y_true, np.stack([hits, 1 - hits], axis=1).astype(float), 0, layout)


def test_the_error_is_spent_once() -> None:
    # Lan & DeMets' Pocock-like function: half of the looks spend 0.62 of the error.
    assert spent(0.0) == 0
    assert spent(0.5) == pytest.approx(0.05 * math.log(1.8591409), rel=1e-6)
    assert spent(1.0) == pytest.approx(0.05)
    levels = [level(k, 5) for k in range(1, 6)]
    assert levels[:4] == pytest.approx([0.017869, 0.013137, 0.010394, 0.008601], abs=1e-6)
    assert sum(levels) == pytest.approx(0.05)
    assert levels[4] == 0  # nothing is left to save
    assert level(1, 2, 0.1) == pytest.approx(0.1)


def test_a_look_by_hand() -> None:
    fold = np.repeat(np.arange(4), 10)
    good = np.ones(40)
    other = np.where(np.arange(40) % 10 == 0, 0, 1)  # one of ten wrong in every fold
    race = Race({"good": right(good, fold, 4), "other": right(other, fold, 4)}, True)
    assert race.incumbent == "good"
    # Trials differ alike in every fold: nothing is left for the fold models.
    assert race.models_vary() == (pytest.approx(0.0), 3)
    first = fold == 0
    bad = np.array([0, 0, 0, 0, 1, 1, 1, 1, 1, 1])
    look = race.look(right(bad, fold[first], 4), right(good[first], fold[first], 4))
    assert (look.n_models, look.difference) == (1, pytest.approx(-0.4))
    # Persons: 10 differences of mean 0.4; sum of (d - 0.4)^2 / 10^2 = 0.024.
    p = stats.t.sf(0.4 / math.sqrt(0.024), 9)
    assert look.p == pytest.approx(p)
    assert look.level == pytest.approx(level(1, 4) / 2)
    assert not look.stops
    worse = race.look(right(0 * good[first], fold[first], 4), right(good[first], fold[first], 4))
    assert (worse.p, worse.stops) == (0.5**10, True)  # a sign test of ten people
    same = race.look(right(good[first], fold[first], 4), right(good[first], fold[first], 4))
    assert (same.p, same.stops) == (1.0, False)


def test_fold_models_that_differ_widen_it() -> None:
    fold = np.repeat(np.arange(2), 10)
    one, two = np.ones(20), np.ones(20)
    one[:4], two[10:14] = 0, 0  # values (0.6, 1) and (1, 0.6): residuals of 0.2 everywhere
    race = Race({"one": right(one, fold, 2), "two": right(two, fold, 2)}, True)
    variance, df = race.models_vary()
    assert (variance, df) == (pytest.approx(2 * 4 * 0.04), 1)
    first = fold == 0
    look = race.look(right(0 * two[first], fold[first], 2), right(two[first], fold[first], 2))
    assert look.p == pytest.approx(stats.t.sf(1 / math.sqrt(0.32), 1))


def test_one_finished_trial_is_no_race() -> None:
    fold = np.repeat(np.arange(2), 4)
    assert Race({}, True).incumbent is None
    assert Race({"one": right(np.ones(8), fold, 2)}, True).incumbent is None


@pytest.mark.parametrize("n_seeds", [1, 2, 3])
def test_a_twin_of_the_incumbent_is_stopped_no_oftener_than_promised(n_seeds: int) -> None:
    """Eight trials of one worth: the last is a best one, raced against the luckiest of seven.

    What is compared is the mean of the seeds' answers, with one look a fold.
    """
    rng, times, stopped, hopeless = np.random.default_rng(5), 100, 0, 0
    fold = np.repeat(np.arange(5), 60)
    for _ in range(times):
        hard = rng.random(300)
        models = rng.normal(0, 0.05, size=(9, n_seeds, 5))
        share = np.clip(0.8 + models[:, :, fold], 0, 1)
        share[8] -= 0.25
        # Half of what decides is the person, whom all trials share.
        luck = rng.random((2, 9, n_seeds, 300))
        hits = (np.where(luck[0] < 0.5, hard, luck[1]) < share).mean(axis=1)
        race = Race({str(t): right(hits[t], fold, 5) for t in range(7)}, True)
        against = hits[int(str(race.incumbent))]
        for trial in (7, 8):
            looks = []
            for done in range(1, 5):
                rows = fold < done
                mine = right(hits[trial][rows], fold[rows], 5)
                looks.append(race.look(mine, right(against[rows], fold[rows], 5)).stops)
            stopped += trial == 7 and any(looks)
            hopeless += trial == 8 and any(looks[:2])
    assert stopped / times <= 0.05
    assert hopeless / times > 0.7


@pytest.mark.parametrize("n_seeds", [2, 3])
def test_a_fold_is_looked_at_once_when_all_its_seeds_are_done(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, n_seeds: int
) -> None:
    """Of two repeats: a look a fold but the last, each of whole folds."""
    seen = []

    def look(places: list[tuple[int, int, int]]) -> InterimTest:
        seen.append(places)
        return InterimTest(len(places), 0.0, 1.0, 0.01)

    monkeypatch.setattr(pruning, "kept_of_folds", lambda _, places: list(places))
    plan = list(Plan(2, n_seeds, 3))
    watch = PruningProgress(Silent(), RunPaths("t", tmp_path), look, "best", plan)  # type: ignore[arg-type]
    for place in plan:
        watch.fold(place, "done")
    assert len(seen) == 2 * 3 - 1
    for number, places in enumerate(seen, start=1):
        folds = {(repeat, fold) for repeat, _, fold in places}
        assert len(folds) == number
        assert len(places) == number * n_seeds
    # Without one of its seeds a fold is none that can be compared.
    seen.clear()
    watch = PruningProgress(Silent(), RunPaths("t", tmp_path), look, "best", plan)  # type: ignore[arg-type]
    for place in plan:
        watch.fold(place, "failed" if place == plan[0] else "done")
    assert all((repeat, fold) != (0, 0) for places in seen for repeat, _, fold in places)


@pytest.mark.parametrize("way", ["any order", "the plan's order"])
def test_folds_are_looked_at_in_the_order_of_the_plan(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, way: str
) -> None:
    seen = []

    def look(kept: tuple[int, ...]) -> InterimTest:
        seen.append(kept)
        return InterimTest(len(kept), -0.5, 0.0 if len(kept) == 2 else 1.0, 0.01)

    monkeypatch.setattr(
        pruning, "kept_of_folds", lambda _, places: tuple(fold for *_, fold in places)
    )
    listener, plan = Silent(), [FoldId(0, 0, fold) for fold in range(5)]
    watch = PruningProgress(listener, RunPaths("t", tmp_path), look, "best", plan)  # type: ignore[arg-type]
    order = [3, 2, 1, 0] if way == "any order" else [0, 1, 2, 3]

    def train() -> None:
        for fold in order:
            watch.fold(FoldId(0, 0, fold), "start")
            watch.fold(FoldId(0, 0, fold), "failed" if fold == 1 else "done")

    with pytest.raises(StoppedError, match=r"stopped after fold 2 of 5: -0\.500 against best") as e:
        train()
    assert seen == [(0,), (0, 2)]  # fold 1 could not be trained
    assert e.value.n_trained == (3 if way == "any order" else 2)
    assert listener.states.count("failed") == 1


@pytest.mark.slow
def test_a_real_trial_is_stopped_and_its_other_folds_are_not_trained(
    raced: Path, tmp_path: Path
) -> None:
    found, shown = race(raced, tmp_path)
    assert [each["state"] for each in found["trials"]] == ["complete", "complete", "stopped"]
    third = found["trials"][2]
    assert third["cause"].startswith("stopped after fold ")
    folds = sorted(tmp_path.glob(f"checkpoints/{third['run']}/*/predictions.parquet"))
    assert len(folds) == third["n_models"] < 3
    assert found["racing"]["n_models"] == 6 + len(folds)
    assert found["racing"]["n_models_without"] == 9
    assert found["n_tried"] == 3
    assert "trial 3 stopped after fold" in shown
    page = (tmp_path / "reports" / "t" / "tune.html").read_text()
    assert "Racing stopped 1 trial between" in page


@pytest.mark.slow
def test_folds_at_once_stop_the_same_trial_by_the_same_look(raced: Path, tmp_path: Path) -> None:
    one, _ = race(raced, tmp_path / "one")
    two, _ = race(raced, tmp_path / "two", "--jobs", "2")
    for first, second in zip(one["trials"], two["trials"], strict=True):
        same = ("number", "params", "state", "value", "cause", "run", "estimate")
        assert [first[key] for key in same] == [second[key] for key in same]
        assert second["n_models"] >= first["n_models"]
    assert two["trials"][2]["state"] == "stopped"
    assert one["winner"]["corrected"] == two["winner"]["corrected"]
    assert not multiprocessing.active_children()
    assert not list((tmp_path / "two" / "reports" / "t" / "trials").glob(".*.lock"))
