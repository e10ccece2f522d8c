"""The headline by every door that trains nothing: evaluate, tables, plan, words of others."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner, Result
from support.fake_run import COHORT, PROVENANCE, SPLIT, fake_run

import kfold_hs as kf
from kfold_hs.cli.main import cli
from kfold_hs.config.sweep import design
from kfold_hs.errors import ConfigError, KfoldHsError
from kfold_hs.judge.results.run import summarise
from kfold_hs.judge.results.run_record import RunRecord
from kfold_hs.judge.results.validation import TaskRows, sentences_of, validated_task
from kfold_hs.judge.selection.objective import Objective
from kfold_hs.judge.stats.sample_size import of_run
from kfold_hs.workflows.sample_size import Designs, Known, plan
from kfold_hs.workflows.search.spec import Search, SearchOptions


def people(skill: float, n: int = 120) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    y = rng.random(n) < 0.5
    p = 1 / (1 + np.exp(-(skill * (2 * y - 1.0) + rng.standard_normal(n))))
    return pd.DataFrame(
        {
            "patient_id": [f"p{i}" for i in range(n)], "fold": np.arange(n) % 4,
            "y.outcome": np.where(y, "Abnormal", "Normal"),
            "p.outcome.Abnormal": p, "p.outcome.Normal": 1 - p,
        }
    )  # fmt: skip


def run(*words: str) -> Result:
    return CliRunner().invoke(cli, [*words], catch_exceptions=False)


def test_evaluate_leads_with_what_is_asked_for(tmp_path: Path) -> None:
    people(1).to_csv(tmp_path / "t.csv", index=False)
    done = run(
        "evaluate", str(tmp_path / "t.csv"), "--headline", "outcome.cost", "--target", "20000",
        "--bands", "0", "--root", str(tmp_path), "--json", "-q",
    )  # fmt: skip
    found = json.loads(done.stdout)
    head, row = found["headline"], found["tasks"]["outcome"]["metrics"]["cost"]
    assert (head["value"], head["high"]) == (row["value"], row["high"])
    assert head["verdict"] == ("reached" if row["high"] <= 20_000 else "cannot tell")
    plain = kf.evaluate(people(1), root=tmp_path, band_resamples=0)
    assert plain.summary.headline.verdict is None
    assert "target" not in plain.page.read_text().split("<main>")[1].split("</section>")[0]
    with pytest.raises(ConfigError, match=r"unknown headline 'outcome\.kost'.*'outcome\.cost'"):
        kf.evaluate(people(1), root=tmp_path, headline="outcome.kost")
    with pytest.raises(ConfigError, match=r"target=2 is no .*Brier score.* above 0 and below 2"):
        kf.evaluate(people(1), root=tmp_path, headline="outcome.brier", target=2)


def test_tables_are_compared_by_it(tmp_path: Path) -> None:
    for name, skill in (("weak", 0.3), ("strong", 3.0)):
        people(skill).to_csv(tmp_path / f"{name}.csv", index=False)
    tables = [str(tmp_path / f"{name}.csv") for name in ("weak", "strong")]
    done = run(
        "compare", *tables, "headline=outcome.brier", "--root", str(tmp_path), "--json", "-q"
    )
    head = json.loads(done.stdout)["headline"]
    assert (head["key"], head["higher_is_better"]) == ("outcome.brier", False)
    assert head["values"]["strong"] < head["values"]["weak"]
    assert head["against_baseline"]["strong"]["winner"] == "second"


def test_a_search_improves_the_headline_unless_it_is_told_otherwise() -> None:
    words = ["data=synthetic", "optim.lr=1e-3,1e-4"]
    asked = [("headline=outcome.cost", None), ("headline=mean.auroc", None),
             ("headline=mean.auroc", "accuracy"), ("headline=auroc", "mean.accuracy")]  # fmt: skip
    found = [Search.of([*words, word], SearchOptions(objective=own)).objective
             for word, own in asked]  # fmt: skip
    assert found == ["outcome.cost", "auroc", "accuracy", "accuracy"]
    # As it was before there was a headline: searches that were begun then go on.
    before = Search.of(["data=circor", "data.root=/a", *words[1:]], SearchOptions())
    assert before.objective == "accuracy"


def test_variants_have_one_headline() -> None:
    with pytest.raises(ConfigError, match="differ in headline"):
        design(["headline=mean.accuracy", "headline=mean.auroc"])
    with pytest.raises(ConfigError, match=r"differ in headline .*judged alike"):
        design(["sched=cosine headline=mean.auroc", "sched=onecycle headline=mean.accuracy"])


def test_a_plan_takes_a_runs_names(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    config = {"select": "last", "target": None, "seed": 0, "data": {"kind": "circor"}}
    summary = summarise(RunRecord(*fake_run(), COHORT, SPLIT, config, PROVENANCE)).to_json()

    class Finished:
        def __init__(self, folder: Path) -> None:
            self.summary = summary

    monkeypatch.setattr("kfold_hs.workflows.sample_size.finished_run", Finished)
    asked = Designs((), (1,), (5,))
    by_name = plan("outcome.auroc", 0.05, asked, Known({}, tmp_path))
    assert by_name == plan("auroc", 0.05, asked, Known({}, tmp_path, "outcome"))
    assert plan("outcome.cost", 500, asked, Known({}, tmp_path))["value"] > 35
    mean = plan("mean.accuracy", 0.05, asked, Known({}, tmp_path))
    assert mean["value"] == summary["headline"]["value"]
    assert of_run(summary, None, "mean.accuracy").is_share
    with pytest.raises(ConfigError, match=r"leads with mean\.accuracy .*headline=mean\.auroc"):
        plan("mean.auroc", 0.05, asked, Known({}, tmp_path))
    with pytest.raises(ConfigError, match="name two: give one"):
        plan("outcome.auroc", 0.05, asked, Known({}, tmp_path, "murmur"))
    assumed = Known({"prevalence": 0.3})
    designs = Designs((300,), (1,), (5,))
    assert plan("mean.auroc", 0.05, designs, assumed) == plan("auroc", 0.05, designs, assumed)
    with pytest.raises(KfoldHsError, match="is a task of a run"):
        plan("murmur.auroc", 0.05, designs, assumed)


@pytest.mark.parametrize(("key", "first"), [
    ("outcome.cost", "outcome, cost (challenge): "),
    ("mean.brier", "outcome, Brier score: "),
    ("mean.accuracy", "outcome, AUROC: "),
])  # fmt: skip
def test_a_validation_leads_with_it(key: str, first: str) -> None:
    predictions, _ = fake_run(n_epochs=1)
    rows = predictions.of_tasks(["outcome"])
    found = validated_task("outcome", TaskRows(rows, 0))
    one = Objective.of(key, {"outcome": ("Abnormal", "Normal")})
    sentences = sentences_of("outcome", found, "others", one)
    assert sentences[0].startswith(first)
    assert len(sentences) == (3 if key == "mean.accuracy" else 4)
