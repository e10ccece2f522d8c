"""The score that a run leads with: which there are, in which direction, and its target."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from support.fake_run import COHORT, PROVENANCE, SPLIT, TASKS, fake_run

from kfold_hs.config.compose import compose, left_out_target
from kfold_hs.errors import ConfigError
from kfold_hs.judge.metrics.challenge2022 import cost_of_shares
from kfold_hs.judge.results.comparison import Terms, Variants, compare_variants
from kfold_hs.judge.results.headline import Answer, check_judging, verdict
from kfold_hs.judge.results.run import summarise
from kfold_hs.judge.results.run_record import RunRecord
from kfold_hs.judge.results.summary import Headline, Summary
from kfold_hs.judge.selection.objective import Objective
from kfold_hs.judge.stats.clusters import Layout
from kfold_hs.judge.stats.intervals import Estimate
from kfold_hs.predictions.table import Predictions

RUN = fake_run(skill=1.5)


def record_of(headline: str | None = None, target: float | None = None) -> RunRecord:
    config = {"select": "last", "target": target, "seed": 0, "data": {"kind": "circor"}}
    config |= {} if headline is None else {"headline": headline}
    return RunRecord(*RUN, COHORT, SPLIT, config, PROVENANCE)


def led_by(headline: str | None = None, target: float | None = None) -> dict:  # type: ignore[type-arg]
    return summarise(record_of(headline, target)).to_json()


@pytest.fixture(scope="module")
def plain() -> dict:  # type: ignore[type-arg]
    return led_by()


def labels(task: str) -> pd.Series:
    """Of every patient."""
    table = RUN[0].table
    return table[table["epoch"] == 0][f"y.{task}"]


def test_without_a_word_it_is_the_mean_accuracy_and_no_target(plain: dict) -> None:  # type: ignore[type-arg]
    head = plain["headline"]
    each = [plain["tasks"][task]["metrics"]["accuracy"]["value"] for task in TASKS]
    assert head["value"] == pytest.approx(np.mean(each))
    assert (head["key"], head["metric"], head["tasks"]) == (
        "mean.accuracy", "accuracy", ["murmur", "outcome"],
    )  # fmt: skip
    assert (head["higher_is_better"], head["lowest"], head["highest"]) == (True, 0.0, 1.0)
    assert (head["verdict"], head["target"], plain["target"]["value"]) == (None, None, None)
    assert "target" not in head["sentence"]
    assert head["chance"] == pytest.approx(
        np.mean([labels(task).value_counts(normalize=True).max() for task in TASKS])
    )


@pytest.mark.parametrize(
    ("key", "target", "says"),
    [
        ("murmur.auroc", 0.5, "the target of 0.5 is"),
        ("outcome.cost", 10_800, "the target of at most 10,800 is"),
        ("outcome.brier", 0.3, "the target of at most 0.3 is"),
        ("murmur.log_loss", 2.5, "the target of at most 2.5 is"),
        ("murmur.macro_f1", None, "Macro F1 (murmur)"),
    ],
)
def test_a_metric_of_a_task_is_its_row_of_the_table(
    plain: dict, key: str, target: float | None, says: str  # type: ignore[type-arg]
) -> None:  # fmt: skip
    found, (task, metric) = led_by(key, target), key.split(".")
    row, head = plain["tasks"][task]["metrics"][metric], found["headline"]
    assert [head[end] for end in ("value", "low", "high")] == [
        row[end] for end in ("value", "low", "high")
    ]
    assert head["higher_is_better"] == row["higher_is_better"]
    assert says in head["sentence"]
    if target is not None:
        ends = (row["low"], row["high"])
        if row["higher_is_better"]:
            is_reached, is_missed = ends[0] >= target, ends[1] < target
        else:
            is_reached, is_missed = ends[1] <= target, ends[0] > target
        expected = "reached" if is_reached else "not reached" if is_missed else "cannot tell"
        assert head["verdict"] == expected
        assert found["target"]["tasks"][task]["verdict"] == expected
    assert found["tasks"] == plain["tasks"]  # what is led with moves no number of the tables
    assert Summary.from_json(found).headline.key == key


@pytest.mark.parametrize("key", ["murmur.weighted_accuracy_decided", "outcome.cost_decided"])
def test_what_the_other_folds_decided(plain: dict, key: str) -> None:  # type: ignore[type-arg]
    task, metric = key.removesuffix("_decided").split(".")
    row, head = plain["tasks"][task]["decided"][metric], led_by(key)["headline"]
    assert [head[end] for end in ("value", "low", "high")] == [
        row[end] for end in ("value", "low", "high")
    ]
    one = Objective.of(key, TASKS)
    chosen = RUN[0].at(dict.fromkeys(_folds(), 5))
    found = one.influence(chosen, {"murmur": 0, "outcome": 0}, Layout.of_predictions(chosen, 5))
    assert found.value == pytest.approx(row["value"])
    with pytest.raises(ConfigError, match=r"is decided on the other folds, and there is one fold"):
        one.check_folds(1)


def _folds() -> list[tuple[int, int, int]]:
    return [(0, 0, fold) for fold in range(5)]


def test_a_mean_of_another_metric_is_over_the_tasks_that_have_it() -> None:
    head = led_by("mean.auroc")["headline"]
    assert head["sentence"].startswith("AUROC (mean of murmur and outcome) on people")
    assert head["chance"] == 0.5
    only = led_by("mean.macro_auroc")["headline"]  # of three classes or more
    assert (only["tasks"], only["label"]) == (["murmur"], "murmur AUROC, mean of classes")


def test_what_a_guess_scores_by_hand(plain: dict) -> None:  # type: ignore[type-arg]
    ill = float((labels("outcome") == "Abnormal").mean())
    shares = labels("murmur").value_counts(normalize=True)
    worth = {"Present": 5, "Unknown": 3, "Absent": 1}
    weighed = {name: worth[name] * share for name, share in shares.items()}
    x = np.linspace(0, 1, 100_001)
    cheapest = cost_of_shares(x, ill * x, ill * (1 - x)).min()
    expected = {
        "outcome.accuracy": max(ill, 1 - ill),
        "outcome.balanced_accuracy": 1 / 2,
        "murmur.balanced_accuracy": 1 / 3,
        "outcome.auprc": ill,
        "outcome.brier": 2 * ill * (1 - ill),
        "outcome.log_loss": -ill * np.log(ill) - (1 - ill) * np.log(1 - ill),
        "murmur.weighted_accuracy": max(weighed.values()) / sum(weighed.values()),
        "outcome.cost": cheapest,
        "murmur.ece": None,
        "outcome.sensitivity": None,
    }
    record = record_of()
    for key, value in expected.items():
        one = Objective.among(key, record.selected.scored, what="headline")
        found = Answer.of(one, record.selected, record.basis, plain["tasks"], None).chance
        assert found == (None if value is None else pytest.approx(value)), key


@pytest.mark.parametrize(
    ("low", "high", "target", "up", "said"),
    [
        (0.8, 0.9, 0.8, True, "reached"),
        (0.8, 0.9, 0.9, True, "cannot tell"),
        (0.8, 0.9, 0.91, True, "not reached"),
        (9000, 10_800, 10_800, False, "reached"),
        (9000, 10_800, 9000, False, "cannot tell"),
        (9000, 10_800, 8999, False, "not reached"),
        (None, None, 0.5, False, "cannot tell"),
    ],
)
def test_a_verdict_is_on_the_better_side(
    low: float | None, high: float | None, target: float, up: bool, said: str
) -> None:
    assert verdict(Estimate(0.0, low, high), target, up) == said


def test_a_wrong_name_lists_what_there_is() -> None:
    with pytest.raises(ConfigError) as error:
        check_judging(compose(["headline=murmur.aurok"]))
    said = "unknown headline 'murmur.aurok'. Did you mean 'murmur.auroc'? murmur has accuracy, "
    assert str(error.value).startswith(said)
    for typed, said in (
        ("auc", "unknown headline 'auc'. Did you mean 'auroc'? There is METRIC or TASK.METRIC of"),
        ("MURMUR.AUROC", "unknown headline 'MURMUR.AUROC'. Did you mean 'murmur.auroc'?"),
    ):
        with pytest.raises(ConfigError) as error:
            check_judging(compose([f"headline={typed}"]))
        assert str(error.value).startswith(said)
        assert len(str(error.value)) < 500
    with pytest.raises(ConfigError, match=r"unknown headline 'outcome\.macro_auroc'"):
        check_judging(compose(["headline=outcome.macro_auroc"]))  # two classes have none
    with pytest.raises(ConfigError, match=r"target=0\.9 is no outcome cost.* above 35 and below"):
        check_judging(compose(["headline=outcome.cost", "target=0.9"]))
    with pytest.raises(ConfigError, match=r"target=1\.5 is no .*AUROC.* above 0 and below 1"):
        check_judging(compose(["headline=mean.auroc", "target=1.5"]))
    assert check_judging(compose(["headline=outcome.cost", "target=10800"])).sign == -1


CIRCOR = ["data=circor", "data.root=/a", "recipe=lite"]


def test_the_target_of_a_recipe_is_of_its_headline() -> None:
    assert compose(CIRCOR).target == 0.95
    assert compose([*CIRCOR, "headline=accuracy"]).headline == "mean.accuracy"
    assert compose([*CIRCOR, "headline=accuracy"]).target == 0.95
    other = compose([*CIRCOR, "headline=outcome.cost"])
    assert (other.headline, other.target) == ("outcome.cost", None)
    assert "recipe=lite, 0.95, is of the mean accuracy" in str(left_out_target(other))
    assert compose([*CIRCOR, "headline=outcome.cost", "target=10800"]).target == 10_800
    assert compose([*CIRCOR, "target=null"]).target is None
    assert compose([*CIRCOR, "recipe=quick"]).target is None
    assert left_out_target(compose(CIRCOR)) is None


def test_the_built_in_people_lead_with_what_their_sounds_tell() -> None:
    one = compose()
    assert (one.headline, one.target) == ("murmur.auroc", 0.7)
    real = compose(["recipe=lite"])  # a recipe asks what it asks, whomever it is trained on
    assert (real.headline, real.target) == ("mean.accuracy", 0.95)
    alone = compose(["data.tasks={outcome: {classes: [Abnormal, Normal]}}"])
    assert (alone.headline, alone.target) == ("mean.accuracy", None)
    assert compose(["headline=outcome.accuracy"]).target is None


def test_no_digest_knows_the_headline() -> None:
    one, other = (compose([*CIRCOR, *more]) for more in ([], ["headline=murmur.auroc"]))
    assert one.digest == other.digest
    assert one.training_digest == other.training_digest
    assert one.variant_digest == other.variant_digest


def test_a_summary_of_an_earlier_version_leads_with_the_accuracy() -> None:
    old = {"sentence": "x", "value": 0.5, "low": 0.4, "high": 0.6, "verdict": "cannot tell",
           "honest": True}  # fmt: skip
    found = Headline.from_json(old)
    assert (found.key, found.higher_is_better, found.target) == ("mean.accuracy", True, None)
    assert found.to_json() == old


def two_variants() -> Variants:
    each = {}
    for name, skill in (("weak", 0.5), ("strong", 4.0)):
        predictions, _ = fake_run(skill=skill, n_patients=300)
        each[name] = predictions.at(dict.fromkeys(_folds(), 5))
    return Variants.of(each, {"murmur": 0, "outcome": 0}, SPLIT)


@pytest.mark.parametrize("headline", ["outcome.brier", "outcome.cost", "murmur.auroc", ""])
def test_a_comparison_leads_with_it(headline: str) -> None:
    found = compare_variants(two_variants(), Terms("weak", n_resamples=200, headline=headline))
    head = found["headline"]
    assert head["against_baseline"]["strong"]["winner"] == "second"
    assert head["best"]["name"] == "strong"
    if not headline:
        assert head["key"] == "mean.accuracy"
        return
    task, metric = headline.split(".")
    row = found["tasks"][task][metric]
    assert head["values"] == row["values"]
    assert head["higher_is_better"] == (metric == "auroc")
    assert head["against_baseline"]["strong"]["margin"] == row["against_baseline"]["strong"][
        "margin"
    ]  # fmt: skip
    assert head["best"]["corrected"]["value"] == row["best"]["corrected"]["value"]


def test_imported_scores_have_a_headline_of_their_own() -> None:
    of_scores = Predictions(RUN[0].table, TASKS, {"outcome": "scores"})
    known = "outcome.auroc"
    assert Objective.among(known, of_scores).first.needs == "ranks"
    with pytest.raises(ConfigError, match=r"unknown objective 'outcome\.accuracy'"):
        Objective.among("outcome.accuracy", of_scores)
    assert Objective.among("mean.accuracy", of_scores).tasks == ("murmur",)
    assert Objective.among("mean.auroc", of_scores, ["outcome"]).tasks == ("outcome",)


def test_models_that_call_everybody_alike_are_said_to() -> None:
    """Where the sentence alone is read, as on a terminal, the confusion is not at hand."""
    table = RUN[0].table.copy()
    table[["p.outcome.Abnormal", "p.outcome.Normal"]] = [0.25, 0.75]
    record = RunRecord(
        Predictions(table, TASKS), RUN[1], COHORT, SPLIT,
        {"select": "last", "target": None, "seed": 0, "data": {"kind": "circor"}}, PROVENANCE,
    )  # fmt: skip
    said = "The models call all patients Normal (outcome)."
    assert said in summarise(record).headline.sentence
    assert "The models call" not in led_by()["headline"]["sentence"]
