"""Several variants at once: the right winner, nobody from other folds, the same in any order."""

from __future__ import annotations

import json

import pytest
from support.fake_comparison import POSITIVES, kept
from support.fake_run import SPLIT

from kfold_hs.errors import PredictionsError
from kfold_hs.judge.results.comparison import Terms, Variants, compare_variants
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


def test_other_folds_are_refused() -> None:
    other = kept(1.0).table.assign(fold=lambda t: (t["fold"] + 1) % 5)
    with pytest.raises(PredictionsError, match="b and a did not predict the same patients"):
        Variants.of({"a": kept(1.0), "b": Predictions(other, kept(1.0).classes)}, POSITIVES, SPLIT)
