"""Trivial rules by hand, and the challenge's official entries as they were published."""

from __future__ import annotations

import html

import numpy as np
import pytest
from support.fake_run import fake_run, summary_of
from support.fake_run import page_of as render

from kfold_hs.judge.metrics.challenge2022 import MURMUR, OUTCOME
from kfold_hs.judge.results.baselines import beside_entries, best_referral, entries
from kfold_hs.report.formats import number, signed, signed_whole


@pytest.fixture(scope="module")
def summary() -> dict:  # type: ignore[type-arg]
    return summary_of(*fake_run())


def test_rules_by_hand(summary: dict) -> None:  # type: ignore[type-arg]
    kept = fake_run()[0].where(epoch=5)
    y, n = kept.y_true("outcome"), len(kept)
    abnormal = int((y == 0).sum())
    rules = {rule["name"]: rule for rule in summary["beside"]["outcome"]["rules"]}
    always = rules["always Abnormal"]["values"]
    assert always["accuracy"] == pytest.approx(abnormal / n)
    assert always["weighted_accuracy"] == pytest.approx(5 * abnormal / (4 * abnormal + n))
    assert always["cost"] == pytest.approx(35 + 397 - 1718 + 11296 + 10000 * abnormal / n)
    assert always["brier"] is None
    shares = np.bincount(y) / n
    prevalence = rules["prevalence"]["values"]
    assert prevalence["brier"] == pytest.approx(1 - (shares**2).sum())
    assert prevalence["log_loss"] == pytest.approx(-(shares * np.log(shares)).sum())
    murmur = {rule["name"] for rule in summary["beside"]["murmur"]["rules"]}
    assert {"always Present", "prevalence", "random referral"} <= murmur


def test_a_difference_is_of_the_same_people(summary: dict) -> None:  # type: ignore[type-arg]
    for task, each in summary["beside"].items():
        for rule in each["rules"]:
            for name, above in rule["run_above"].items():
                ours = summary["tasks"][task]["metrics"][name]["value"]
                assert above["value"] == pytest.approx(ours - rule["values"][name])
                assert above["low"] <= above["value"] <= above["high"]
            for name, above in rule["decided_above"].items():
                ours = summary["tasks"][task]["decided"][name]["value"]
                assert above["value"] == pytest.approx(ours - rule["values"][name])
            assert set(rule["decided_above"]) == {"weighted_accuracy", "cost"} & set(
                rule["run_above"]
            )


def test_the_best_random_referral_is_the_cheapest() -> None:
    def cost(x: float, prevalence: float) -> float:
        screening = 10 + 25 + 397 * x - 1718 * x**2 + 11296 * x**4
        return screening + prevalence * (10000 * x + 50000 * (1 - x))

    for prevalence in (0.0, 0.01, 0.2, 0.5, 1.0):
        share, least = best_referral(prevalence)
        assert least == pytest.approx(cost(share, prevalence))
        assert least <= min(cost(x, prevalence) for x in np.linspace(0, 1, 501)) + 1e-6
    assert best_referral(0.0)[0] == 0
    assert best_referral(1.0)[0] > 0.9


def test_the_official_entries_are_complete_and_ranked() -> None:
    for classes, metric, n, best in (
        (MURMUR, "weighted_accuracy", 40, 0.780),
        (OUTCOME, "cost", 39, 11144),
    ):
        found = entries(classes)
        assert found is not None
        table = found[1]
        assert len(table) == n
        assert table[metric].iloc[0] == best
        assert table["rank"].is_monotonic_increasing
        assert not table["team"].duplicated().any()
        assert not table.isna().any(axis=None)
    assert entries(("Yes", "No")) is None
    # Everybody Abnormal is what two of the outcome entries are: the same cost on the test set.
    outcome = entries(OUTCOME)
    assert outcome is not None
    assert outcome[1].loc[outcome[1]["auroc"] == 0.5, "cost"].tolist()[-2:] == [15083, 15083]


def test_where_a_value_would_lie() -> None:
    ours = {"mine": {"weighted_accuracy": {"value": 0.77, "low": 0.6, "high": 0.79}}}
    found = beside_entries(MURMUR, ours)
    assert found is not None
    standing = found["standing"][0]
    counts = [standing[name] for name in ("n_better", "n_better_low", "n_better_high")]
    assert counts == [4, 29, 0]
    costs = {"mine": {"cost": {"value": 11500.0, "low": None, "high": None}}}
    by_cost = beside_entries(OUTCOME, costs)
    assert by_cost is not None
    assert by_cost["standing"][0]["n_better"] == 2
    assert by_cost["standing"][0]["n_better_low"] is None


def test_the_page_shows_them(summary: dict) -> None:  # type: ignore[type-arg]
    predictions, history = fake_run()
    page = html.unescape(render(summary, history, predictions))
    assert "This is no rank" in page
    for each in summary["beside"].values():
        for rule in each["rules"]:
            for name, above in rule["run_above"].items():
                assert number(rule["values"][name]) in page
                large = max(abs(above[end]) for end in ("value", "low", "high")) >= 100
                assert (signed_whole if large else signed)(above["value"]) in page
    assert "HearHeart" in page
    older = {key: value for key, value in summary.items() if key != "beside"}
    assert "holds no comparison with trivial rules" in render(older, history, predictions)
