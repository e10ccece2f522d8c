"""Planning: power by hand and by simulation, parts from a run, and what cannot be planned."""

from __future__ import annotations

import json
from math import sqrt
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from support.fake_run import fake_run, summary_of

from kfold_hs.cli.main import cli
from kfold_hs.errors import ConfigError, KfoldHsError
from kfold_hs.judge.metrics.challenge2022 import metrics_for
from kfold_hs.judge.stats import power, sample_size
from kfold_hs.judge.stats.clusters import Layout
from kfold_hs.judge.stats.sample_size import Assumptions, design, of_run, stated
from kfold_hs.judge.stats.scored import influence
from kfold_hs.workflows.sample_size import Designs, Known
from kfold_hs.workflows.sample_size import plan as make_plan


@pytest.mark.parametrize("name", sorted(sample_size.TOTALS))
def test_a_persons_variance_is_that_of_the_influence_values(name: str) -> None:
    # Scores of which a share v lies on the right side; for AUROC exponential ones, as the
    # formula of Hanley & McNeil has it (A / (A + 1) is the AUROC of rates 1 and A).
    rng, n, v, p = np.random.default_rng(0), 20_000, 0.8, 0.25
    y = (rng.random(n) > p).astype(int)
    if name == "auroc":
        score = rng.exponential(np.where(y == 0, v / (1 - v), 1.0))
    else:
        score = np.where((rng.random(n) < v) == (y == 0), 2.0, 0.0)
    prob = score / (1 + score)
    layout = Layout.of(np.zeros(n), np.zeros(n), np.arange(n), 5)
    metric = next(m for m in metrics_for(("Abnormal", "Normal")) if m.name == name)
    found = influence(metric, y, np.c_[prob, 1 - prob], 0, layout)
    assert found.value == pytest.approx(v, abs=0.02)
    expected = sample_size.TOTALS[name](v, p)
    assert n**2 * np.mean(found.psi**2) == pytest.approx(expected, rel=0.06)


def test_a_plan_knows_that_repeats_do_not_replace_people() -> None:
    outlook = stated(Assumptions("accuracy", 0.85, 0.2))
    base = design(outlook, 0.03, n_people=300, n_runs=3, n_folds=5)
    more_runs = design(outlook, 0.03, n_people=300, n_runs=10, n_folds=5)
    more_people = design(outlook, 0.03, n_people=1200, n_runs=3, n_folds=5)
    assert base["power"] < more_runs["power"] < more_people["power"]
    assert more_people["width"] < more_runs["width"] < base["width"]
    runs, people = power.settling(0.03, outlook.two, power.Design(300, 3, 5))
    assert people == base["people_needed"]
    settled = design(outlook, 0.03, n_people=people, n_runs=3, n_folds=5)
    assert settled["power"] == pytest.approx(0.8, abs=0.01)
    fewer = design(outlook, 0.03, n_people=people - 1, n_runs=3, n_folds=5)
    assert fewer["power"] < 0.8
    assert power.settling(0.001, power.Components(2.0, 0.01, 0.1), power.Design(300, 3, 5)) == (
        None,
        None,
    )
    assert runs is None or runs > 3


def test_width_by_hand() -> None:
    # V = (0.7 t + 0.3 t / 3 + 0.25 0.7 t) / 300 + 0.0001 / 15 with t = .85 .15.
    outlook = stated(Assumptions("accuracy", 0.85, 0.2))
    t = 0.85 * 0.15
    expected = sqrt((0.7 * t + 0.3 * t / 3 + 0.25 * 0.7 * t) / 300 + 0.0001 / 15)
    assert design(outlook, 0.03, n_people=300, n_runs=3, n_folds=5)["se"] == pytest.approx(expected)
    # One repeat: all that people add, twice; near the normal quantile, and wider for all that.
    one = design(outlook, 0.03, n_people=300, n_runs=1, n_folds=5)
    assert one["se"] == pytest.approx(sqrt(2 * t / 300 + 0.0001 / 5))
    assert one["width"] > design(outlook, 0.03, n_people=300, n_runs=3, n_folds=5)["width"]
    # Half of the difference of two variants is the person's: 2 (1 - 0.7) t / 2 each.
    apart = 0.3 * t
    expected = sqrt((apart + apart / 3 + 2 * 0.3 * 0.25 * 0.7 * t) / 300 + 0.0002 / 15)
    found = design(outlook, 0.03, n_people=300, n_runs=3, n_folds=5)
    assert found["se_difference"] == pytest.approx(expected)
    near_chance = stated(Assumptions("accuracy", 0.55, 0.5, reciprocal_share=1.0))
    t = 0.55 * 0.45
    expected = sqrt((1.4 * t + 0.1 * t) / 300 + 0.0001 / 15)
    found = design(near_chance, 0.03, n_people=300, n_runs=3, n_folds=5)
    assert found["se"] == pytest.approx(expected)


def test_parts_of_a_run_give_back_its_own_interval() -> None:
    predictions, history = fake_run()
    summary = json.loads(json.dumps(summary_of(predictions, history)))
    metric = summary["tasks"]["outcome"]["metrics"]["auroc"]
    outlook = of_run(summary, "outcome", "auroc")
    people = metric["budget"]["components"]["people"]
    found = design(outlook, 0.05, n_people=people, n_runs=1, n_folds=5)
    assert (outlook.value, outlook.people) == (metric["value"], (people, 2 * people))
    assert found["se"] == pytest.approx(metric["se"], rel=1e-3)
    half = np.log([metric["high"], found["high"]]) - np.log1p([-metric["high"], -found["high"]])
    assert half[1] == pytest.approx(half[0], rel=1e-3)
    assert any("one repeat cannot tell" in sentence for sentence in outlook.assumptions)
    cost = of_run(summary, "outcome", "cost")
    assert not cost.is_share
    assert design(cost, 500.0, n_people=people, n_runs=3, n_folds=5)["high"] > cost.value


def test_what_cannot_be_planned_is_told() -> None:
    with pytest.raises(ConfigError, match="Did you mean 'accuracy'"):
        Assumptions("acuracy", 0.8, 0.2)
    for wrong in ({"value": 1.0}, {"prevalence": 0.0}, {"prevalence": float("nan")}):
        with pytest.raises(ConfigError, match="above 0 and below 1"):
            Assumptions("accuracy", **{"value": 0.8, "prevalence": 0.2, **wrong})
    bad = ({"person_share": 1.1}, {"correlation": 1.0}, {"model_sd": -0.1})
    for wrong in (*bad, {"reciprocal_share": 2.0}):
        with pytest.raises(ConfigError, match=next(iter(wrong))):
            Assumptions("accuracy", 0.8, 0.2, **wrong)
    outlook = stated(Assumptions("accuracy", 0.8, 0.2))
    for n_people, n_runs, n_folds in ((50, 1, 1), (50, 0, 5), (4, 1, 5)):
        with pytest.raises(ConfigError, match="at least 2"):
            design(outlook, 0.1, n_people=n_people, n_runs=n_runs, n_folds=n_folds)
    for difference in (0.0, -0.1, 1.0, float("nan")):
        with pytest.raises(ConfigError, match="difference="):
            design(outlook, difference, n_people=50, n_runs=1, n_folds=5)


def test_a_run_that_lacks_what_is_asked_for_says_so() -> None:
    summary = summary_of(*fake_run())
    with pytest.raises(ConfigError, match="Did you mean 'murmur'"):
        of_run(summary, "murmurs", "accuracy")
    with pytest.raises(ConfigError, match="Did you mean 'auroc'"):
        of_run(summary, None, "auruc")
    parts = summary["tasks"]["murmur"]["metrics"]["auroc"]["budget"]["components"]
    del parts["reciprocal"]  # as an earlier version wrote them
    with pytest.raises(KfoldHsError, match="of an earlier version"):
        of_run(summary, "murmur", "auroc")
    summary["tasks"]["murmur"]["metrics"]["auroc"]["budget"] = None
    with pytest.raises(KfoldHsError, match="judges it anew"):
        of_run(summary, "murmur", "auroc")


# --- the command --------------------------------------------------------------------------------


def plan(*words: object) -> dict[str, Any]:
    done = CliRunner().invoke(cli, ["plan", "--json", *map(str, words)])
    assert done.exit_code == 0, done.output
    found: dict[str, Any] = json.loads(done.output)
    return found


STATED = ("--people", 300, "--prevalence", 0.2, "--metric", "auroc", "--difference", 0.03)


def test_every_design_and_every_assumption_is_printed() -> None:
    found = plan(*STATED, "--repeats", "1,3")
    assert [(d["folds"], d["repeats"], d["people"]) for d in found["designs"]] == [
        (5, 1, 300), (5, 3, 300), (10, 1, 300), (10, 3, 300),
    ]  # fmt: skip
    done = CliRunner().invoke(cli, ["plan", *map(str, STATED)])
    assert "a difference of 0.03" in done.output
    words = " ".join(done.output.split())
    for sentence in found["assumptions"]:
        assert sentence in words


def test_a_run_says_what_would_be_assumed(tmp_path: Path) -> None:
    folder = tmp_path / "reports" / "one"
    folder.mkdir(parents=True)
    (folder / "summary.json").write_text(json.dumps(summary_of(*fake_run())))
    found = plan("--run", folder, "--task", "outcome", "--metric", "cost", "--difference", 500)
    people = sorted({d["people"] for d in found["designs"]})
    assert people[1] == 2 * people[0]
    assert {d["folds"] for d in found["designs"]} == {5}  # those of the run
    known = Known({"value": 0.8, "model_sd": 0.01}, folder)
    with pytest.raises(ConfigError, match="--run says what --model-sd, --value"):
        make_plan("cost", 1, Designs((), (1,), (5,)), known)


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("--people", 300, "--difference", 0.1), "--prevalence must be given"),
        (("--prevalence", 0.2, "--difference", 0.1), "--people must be given"),
        (("--people", "many", "--difference", 0.1), "'many' is not a whole number"),
        ((*STATED, "--task", "murmur"), "--task murmur is a task of a run"),
        (("--run", "nowhere", "--difference", 0.1), "not the folder of a finished run"),
        ((*STATED, "--difference", 0.5), "would have 1.35"),
        ((*STATED, "--people", 6, "--folds", 5), "at least 25 --people."),
        ((*STATED, "--people", "20,900", "--folds", "3,5"), "people, or at most 4 --folds"),
        ((*STATED, "--prevalence", 0), "prevalence=0 must be above 0 and below 1"),
    ],
)
def test_wrong_words_are_told(words: tuple[object, ...], text: str) -> None:
    done = CliRunner().invoke(cli, ["plan", *map(str, words)])
    assert done.exit_code != 0
    assert text in done.output + str(done.exception)


def test_a_plan_with_fewer_positives_than_folds_says_so() -> None:
    words = ("--people", 12, "--prevalence", 0.2, "--difference", 0.1, "--folds", "2,5")
    assert any(
        "2.4 of the rarest class, for 5 folds" in each for each in plan(*words)["assumptions"]
    )
    assert not any("rarest" in each for each in plan(*words, "--people", 25)["assumptions"])


def test_a_run_bounds_the_difference_and_the_folds(tmp_path: Path) -> None:
    folder = tmp_path / "reports" / "one"
    folder.mkdir(parents=True)
    (folder / "summary.json").write_text(json.dumps(summary_of(*fake_run())))
    known = Known({}, folder, "outcome")
    with pytest.raises(ConfigError, match="a variant better by it than auroc"):
        make_plan("auroc", 0.5, Designs((100,), (1,), (5,)), known)
    with pytest.raises(ConfigError, match="of the rarest class, for 50 folds"):
        make_plan("auroc", 0.01, Designs((50,), (1,), (50,)), known)
