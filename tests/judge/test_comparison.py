"""Several variants at once: the right winner, nobody from other folds, the same in any order."""

from __future__ import annotations

import json

import pytest
from support.fake_comparison import POSITIVES, kept
from support.fake_run import SPLIT

from kfold_hs.errors import PredictionsError
from kfold_hs.judge.results.comparison import Terms, Variants, compare_variants, ordered
from kfold_hs.judge.selection.decisions import decisions
from kfold_hs.judge.stats.scored import influence
from kfold_hs.predictions.table import Predictions


def test_the_better_one_wins_on_every_kind_of_metric() -> None:
    variants = {"weak": kept(0.0), "strong": kept(6.0), "weak again": kept(0.0)}
    found = compare_variants(
        Variants.of(variants, POSITIVES, SPLIT), Terms("weak", n_resamples=300)
    )
    json.dumps(found, allow_nan=False)
    for name in ("accuracy", "auroc", "brier", "log_loss", "cost", "macro_f1"):
        result = found["tasks"]["outcome"][name]
        strong, again = (result["against_baseline"][v] for v in ("strong", "weak again"))
        assert (strong["verdict"], strong["winner"]) == ("better", "second")
        assert (again["p"], again["verdict"]) == (1, "cannot tell")
        assert result["best"]["name"] == "strong"
        assert len(result["pairs"]) == 3
    assert found["n_tried"] == 3


def test_order_of_rows_does_not_matter() -> None:
    one, two = kept(0.5), kept(1.0)
    mixed = Predictions(two.table.sample(frac=1, random_state=0, ignore_index=True), two.classes)
    how = Terms("a", n_resamples=50)
    first, second = (
        compare_variants(Variants.of({"a": one, "b": each}, POSITIVES, SPLIT), how)
        for each in (two, mixed)
    )
    assert first == second


def test_decisions_of_the_other_folds_are_compared() -> None:
    """Present made ten times less likely: fewer are called so, and as many decided to be."""
    plain = kept(1.0)
    table = plain.table.copy()
    columns = [f"p.murmur.{name}" for name in plain.classes["murmur"]]
    table[columns] *= [0.1, 1, 1]
    table[columns] = table[columns].div(table[columns].sum(axis=1), axis=0)
    tables = {"plain": plain, "shy": Predictions(table, plain.classes)}
    variants = Variants.of(tables, POSITIVES, SPLIT)
    margins = {"weighted_accuracy": 0.03, "cost": 700.0}
    found = compare_variants(variants, Terms("plain", margins, n_resamples=50))["tasks"]["murmur"]
    named = found["weighted_accuracy_decided"]
    assert named["label"] == ("weighted accuracy (challenge), class weights of the other folds")
    assert found["cost_decided"]["against_baseline"]["shy"]["margin"] == 700
    assert found["weighted_accuracy"]["against_baseline"]["shy"]["difference"]["value"] < -0.05
    assert named["against_baseline"]["shy"]["difference"]["value"] == pytest.approx(0, abs=1e-9)
    assert named["against_baseline"]["shy"]["margin"] == 0.03
    # The same as a run's own summary has.
    kept_in_order = ordered(plain)
    choices = {c.name: c for c in decisions(kept_in_order, "murmur", variants.layout)}
    for name, metric in (("class weights", "weighted_accuracy"), ("referral threshold", "cost")):
        alone = influence(
            choices[name].metric, choices[name].y_true, choices[name].crossfit, 0, variants.layout
        )
        assert found[f"{metric}_decided"]["values"]["plain"] == alone.value


def test_nothing_is_decided_where_there_is_no_other_fold() -> None:
    table = kept(1.0).table
    one = Predictions(table[table["fold"] == 0].reset_index(drop=True), kept(1.0).classes)
    found = compare_variants(
        Variants.of({"a": one, "b": one}, POSITIVES, {**SPLIT, "n_folds": 1}),
        Terms("a", n_resamples=50),
    )
    assert not [name for name in found["tasks"]["murmur"] if name.endswith("_decided")]
    assert found["tasks"]["murmur"]["weighted_accuracy"]["values"]["a"] > 0


def test_other_folds_are_refused() -> None:
    other = kept(1.0).table.assign(fold=lambda t: (t["fold"] + 1) % 5)
    with pytest.raises(PredictionsError, match="b and a did not predict the same patients"):
        Variants.of({"a": kept(1.0), "b": Predictions(other, kept(1.0).classes)}, POSITIVES, SPLIT)
