"""The laws of the out-of-fold table."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from kfold_hs.errors import PredictionsError
from kfold_hs.predictions.table import Predictions

CLASSES = {"t": ("a", "b")}


def table() -> pd.DataFrame:
    rows = []
    for epoch in range(2):
        for fold, patient in enumerate(["x", "y", "z"]):
            score = 0.1 + 0.2 * fold + 0.3 * epoch
            rows.append(
                {
                    "level": "patient", "repeat": 0, "seed": 0, "fold": fold, "epoch": epoch,
                    "person_id": patient, "patient_id": patient, "recording_id": "",
                    "y.t": "a" if fold else "b", "p.t.a": score, "p.t.b": 1 - score,
                }
            )  # fmt: skip
    return pd.DataFrame(rows)


def test_views() -> None:
    predictions = Predictions(table(), CLASSES)
    last = predictions.where(epoch=1)
    np.testing.assert_allclose(last.y_prob("t")[:, 0], [0.4, 0.6, 0.8])
    np.testing.assert_array_equal(last.y_true("t"), [1, 0, 0])
    kept = predictions.at({(0, 0, 0): 0, (0, 0, 1): 1, (0, 0, 2): 0})
    assert kept.table["patient_id"].tolist() == ["x", "z", "y"]
    np.testing.assert_allclose(kept.y_prob("t")[:, 0], [0.1, 0.5, 0.6])
    kept.check_partition(["z", "y", "x"])


def test_round_trip_with_digests(tmp_path: Path) -> None:
    predictions = Predictions(table(), CLASSES)
    path = tmp_path / "p.parquet"
    predictions.write(path, {"split": "abc"})
    again = Predictions.read(path)
    assert again.table.equals(predictions.table)
    assert dict(again.classes) == CLASSES
    assert Predictions.digests(path) == {"split": "abc"}


def test_a_patient_predicted_twice_is_refused() -> None:
    wrong = table()
    wrong.loc[1, "patient_id"] = "x"
    with pytest.raises(PredictionsError, match="patient x is predicted twice"):
        Predictions(wrong, CLASSES)


@pytest.mark.parametrize(
    ("value", "match"), [(np.nan, "not a finite"), (1.2, "outside"), (0.35, "do not sum to 1")]
)
def test_probabilities_are_checked(value: float, match: str) -> None:
    wrong = table()
    wrong.loc[2, "p.t.a"] = value
    with pytest.raises(PredictionsError, match=match):
        Predictions(wrong, CLASSES)


def test_a_missing_patient_is_named() -> None:
    predictions = Predictions(table(), CLASSES).where(epoch=0)
    with pytest.raises(PredictionsError, match="1 patients were never predicted out of fold: w"):
        predictions.check_partition(["w", "x", "y", "z"])


def test_every_epoch_at_once_is_no_partition() -> None:
    with pytest.raises(PredictionsError, match="6 predictions for 3 patients"):
        Predictions(table(), CLASSES).check_partition(["x", "y", "z"])


def test_a_missing_column_is_named() -> None:
    with pytest.raises(PredictionsError, match=r"lacks p\.t\.b"):
        Predictions(table().drop(columns="p.t.b"), CLASSES)


def test_other_tasks_cannot_be_joined() -> None:
    one = Predictions(table(), CLASSES)
    two = Predictions(table().rename(columns=lambda c: c.replace(".t", ".u")), {"u": ("a", "b")})
    with pytest.raises(PredictionsError, match="different tasks"):
        Predictions.concat([one, two])


def test_unreadable_file(tmp_path: Path) -> None:
    (tmp_path / "p.parquet").write_bytes(b"PAR1 no")
    with pytest.raises(PredictionsError, match="cannot read the predictions"):
        Predictions.read(tmp_path / "p.parquet")
