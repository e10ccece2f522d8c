"""Every source of a run that held sources out, and the next one, from its summary to its page."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit, logit, stdtrit
from statsmodels.stats.meta_analysis import combine_effects
from statsmodels.stats.proportion import proportion_confint
from support.fake_run import COHORT, PROVENANCE, SPLIT, fake_run, page_of

from kfold_hs.judge.results.for_papers import derived
from kfold_hs.judge.results.run import summarise
from kfold_hs.judge.results.run_record import RunRecord
from kfold_hs.judge.results.summary import Summary
from kfold_hs.predictions.table import Predictions
from kfold_hs.report.paper.paper import paper_of
from kfold_hs.report.paper.writers import markdown

NAMES = ["Abuja", "Bern", "Cork", "Delhi", "Essen", "Faro"]


def record_of(
    predictions: Predictions, history: pd.DataFrame, n_folds: int, select: str = "last"
) -> RunRecord:
    settings = {
        "by": "person", "stratify": [], "test": 0.0, "source": "one clinic held out at a time",
        "hold_out": "clinic", "values": NAMES[:n_folds], "in_several": ["q7", "q8"],
    }  # fmt: skip
    split = SPLIT | {"n_folds": n_folds, "settings": settings}
    config = {"select": select, "target": 0.95, "seed": 0, "data": {"kind": "table"}}
    return RunRecord(predictions, history, COHORT, split, config, PROVENANCE)


def judged(n_folds: int, n_patients: int = 200, **more: Any) -> tuple[Predictions, Summary]:
    predictions, history = fake_run(n_patients, 2, n_folds, **more)
    record = record_of(predictions, history, n_folds)
    return record.selected.scored, summarise(record)


def test_rows_are_of_one_source_each() -> None:
    scored, summary = judged(5)
    found = summary.sources
    assert found is not None
    assert (found.column, found.n_in_several, found.missing) == ("clinic", 2, [])
    assert [(row.source, row.fold) for row in found.rows] == [
        (NAMES[fold], fold) for fold in range(5)
    ]
    for row in found.rows:
        mine = scored.where(fold=row.fold)
        assert row.n_patients == len(mine) == 40
        assert row.n_persons == 40
        accuracy = row.tasks["outcome"]["accuracy"]
        right = (mine.y_prob("outcome").argmax(axis=1) == mine.y_true("outcome")).mean()
        assert accuracy["value"] == pytest.approx(right)
        ends = proportion_confint(round(right * 40), 40, method="wilson")
        assert (accuracy["low"], accuracy["high"]) == pytest.approx(ends)
    assert summary.sources == Summary.from_json(summary.to_json()).sources


def test_the_next_source_is_predicted_from_these() -> None:
    """The sensitivities of the rows, combined by hand on the logit scale."""
    _, summary = judged(6, 400, skill=1.5)
    assert summary.sources is not None
    each = [row.tasks["outcome"]["sensitivity"] for row in summary.sources.rows]
    p, se = (np.array([one[key] for one in each]) for key in ("value", "se"))
    direct = combine_effects(logit(p), (se / (p * (1 - p))) ** 2)
    mean, spread = direct.mean_effect_re, direct.tau2 + direct.sd_eff_w_re**2
    half = stdtrit(4, 0.975) * np.sqrt(spread)
    found = summary.sources.next["outcome"]["sensitivity"]
    assert found.n_sources == 6
    assert found.value == pytest.approx(expit(mean))
    assert (found.low, found.high) == pytest.approx((expit(mean - half), expit(mean + half)))
    assert found.method.endswith("4 df")
    assert summary.sources.sentence in summary.headline.sentence
    assert "95 % prediction interval" in summary.sources.sentence
    assert "--repeats" not in summary.headline.sentence


def test_hospitals_that_differ_widen_the_prediction() -> None:
    def width(n_wrong: int) -> float:
        predictions, history = fake_run(300, 2, 5, skill=2.5)
        table = predictions.table.copy()
        hurt = (table["fold"] < 2) & (table["patient_id"].str[1:].astype(int) < n_wrong)
        columns = ["p.outcome.Abnormal", "p.outcome.Normal"]
        table.loc[hurt, columns] = table.loc[hurt, columns[::-1]].to_numpy()
        wrong = Predictions(table, predictions.classes)
        summary = summarise(record_of(wrong, history, 5))
        assert summary.sources is not None
        found = summary.sources.next["outcome"]["accuracy"]
        assert found.low is not None
        assert found.high is not None
        assert found.i2 is not None
        assert (found.i2 > 0.5) == (n_wrong > 0)
        return found.high - found.low

    assert width(90) > 2 * width(0)


def test_two_sources_cannot_tell() -> None:
    _, summary = judged(2)
    assert summary.sources is not None
    found = summary.sources.mean_accuracy
    assert found.low is found.high is found.spread_low is None
    assert found.value is not None
    assert found.method == "cannot tell: 2 sources, and a prediction needs 3 at least"
    assert "cannot tell: 2 sources" in summary.headline.sentence
    page = page_of(summary.to_json(), *fake_run(200, 2, 2)[::-1])
    assert "Cannot tell: 2 sources, and a prediction needs 3 at least." in page


def test_a_mean_without_an_interval_says_why() -> None:
    _, summary = judged(2, 24)
    assert summary.sources is not None
    found = [each for of in summary.sources.next.values() for each in of.values()]
    untold = [each for each in found if each.value is not None and each.mean_low is None]
    assert untold
    assert all(each.method.endswith("would hold 99 % or more of what is possible")
               for each in untold)  # fmt: skip
    assert not any("99 %" in each.method for each in found if each.mean_low is not None)


def test_three_small_sources_leave_everything_possible() -> None:
    _, summary = judged(3, 24)
    assert summary.sources is not None
    found = summary.sources.next["murmur"]["sensitivity"]
    assert found.low is None
    assert (
        found.method == "cannot tell: 3 sources leave every value possible; more sources would tell"
    )


def test_folds_that_are_missing_are_named() -> None:
    predictions, history = fake_run(200, 2, 5)
    some = Predictions(
        predictions.table[predictions.table["fold"] != 1].reset_index(drop=True),
        predictions.classes,
    )
    summary = summarise(record_of(some, history[history["fold"] != 1], 5))
    assert summary.sources is not None
    assert summary.sources.missing == ["Bern"]
    assert [row.source for row in summary.sources.rows] == ["Abuja", "Cork", "Delhi", "Essen"]
    assert summary.sources.mean_accuracy.n_sources == 4
    page = page_of(summary.to_json(), history, some)
    assert "Not finished: Bern." in page


def test_the_page_says_it() -> None:
    predictions, history = fake_run(200, 2, 5)
    summary = summarise(record_of(predictions, history, 5, "best"))
    page = page_of(summary.to_json(), history, predictions)
    tables = {table.caption: table for table in page.tables if table.section == "sources"}
    assert list(tables) == [
        "murmur by clinic, with 95 % intervals (optimistic)",
        "outcome by clinic, with 95 % intervals (optimistic)",
        "Random effects over the values of clinic (optimistic)",
    ]
    for name in NAMES[:5]:
        assert f"{name} (fold" in tables["murmur by clinic, with 95 % intervals (optimistic)"].csv()
    assert "2 people have" in page
    assert summary.sources is not None
    *_, mean, another = page.figures["sources"]["data"]
    overall = summary.sources.mean_accuracy
    assert (mean["x"], another["y"]) == ([overall.value], ["another clinic"])
    assert overall.value is not None
    assert another["error_x"]["array"] == [pytest.approx((overall.high or 0) - overall.value)]
    assert "each fold is one clinic, fold\n0 Abuja" in page
    whole = summary.to_json()
    text = markdown(paper_of(whole, {}, derived(whole, None)), {})
    assert "internal-external cross-validation: each clinic held out once (Abuja" in text
    ordinary = summarise(
        RunRecord(
            predictions, history, COHORT, SPLIT, {"select": "last", "target": 0.9}, PROVENANCE
        )
    )
    assert ordinary.sources is None
    assert "sources" not in ordinary.to_json()
