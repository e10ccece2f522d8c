"""Tables that other programs made, read as predictions."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from support.fake_run import fake_run

from kfold_hs.errors import PredictionsError
from kfold_hs.predictions.import_columns import Columns
from kfold_hs.predictions.imported import Imported, from_arrays, read_frame, read_table
from kfold_hs.predictions.table import DECISIONS, SCORES, Predictions


def table(**columns: object) -> pd.DataFrame:
    """Four people, of whom the first two are Present."""
    found = {
        "patient": ["a", "b", "c", "d"],
        "label": ["Present", "Present", "Absent", "Absent"],
        "p.Present": [0.9, 0.4, 0.3, 0.2],
        "p.Absent": [0.1, 0.6, 0.7, 0.8],
    }
    return pd.DataFrame(found | columns)


def probs(found: Imported, task: str = "label") -> np.ndarray:
    return found.predictions().y_prob(task)


@pytest.mark.parametrize(
    "names",
    [
        {},
        {"p.Present": "Present", "p.Absent": "Absent"},
        {"p.Present": "prob_Present", "p.Absent": "prob_Absent"},
        {"p.Present": "present", "p.Absent": "ABSENT"},
        {"p.Present": "Present_proba", "p.Absent": "Absent_proba"},
        {"patient": "Patient ID", "label": "y_true"},
        {"patient": "subject", "label": "target"},
        {"label": "label.murmur", "p.Present": "p.murmur.Present", "p.Absent": "p.murmur.Absent"},
    ],
)
def test_usual_names_of_columns_are_known(names: dict[str, str]) -> None:
    found = read_frame(table().rename(columns=names))
    task = "murmur" if "label.murmur" in names.values() else "label"
    assert found.classes == {task: ("Present", "Absent")}
    assert not found.kinds
    np.testing.assert_allclose(probs(found, task)[:, 0], [0.9, 0.4, 0.3, 0.2])
    assert found.rows["person_id"].tolist() == ["a", "b", "c", "d"]
    assert found.positives == {task: 0}


def test_named_columns_are_read_and_the_rest_is_counted() -> None:
    frame = table(who=list("xxyz"), part=[3, 1, 2, 10], yes=[0.8, 0.5, 0.5, 0], age=[1, 2, 3, 4])
    frame["no"] = 1 - frame["yes"]
    found = read_frame(
        frame.assign(site="AV"),
        Columns(
            person="who", fold="part", probability={"Present": "yes", "Absent": "no"}, group=["age"]
        ),
    )
    np.testing.assert_allclose(probs(found)[:, 0], [0.8, 0.5, 0.5, 0])
    assert found.rows["person_id"].tolist() == list("xxyz")
    assert found.rows["fold"].tolist() == [2, 0, 1, 3]  # by number, not by letters
    assert found.patients["age"].tolist() == [1, 2, 3, 4]
    assert found.known == {"person", "fold"}
    (note,) = [each for each in found.notes if each.name == "columns not read"]
    assert set(note.items) == {"site", "p.Present", "p.Absent"}


def test_a_long_table_is_that_of_its_classes() -> None:
    wide = table(fold=[0, 1, 0, 1])
    long = wide.melt(["patient", "label", "fold"], ["p.Present", "p.Absent"], "class", "prob")
    long["class"] = long["class"].str.removeprefix("p.")
    found = read_frame(long.sample(frac=1, random_state=0))
    rows = found.rows.sort_values("patient_id")
    np.testing.assert_allclose(rows["p.label.Present"], wide["p.Present"])
    assert rows["y.label"].tolist() == wide["label"].tolist()
    assert rows["fold"].tolist() == [0, 1, 0, 1]
    with pytest.raises(PredictionsError, match=r"1 row too many: patient a.*class Present twice"):
        read_frame(pd.concat([long, long[long["patient"].eq("a")].iloc[:1]]))


def test_a_long_table_of_several_tasks() -> None:
    parts = []
    for task in ("one", "two"):
        part = table().melt(["patient", "label"], ["p.Present", "p.Absent"], "class", "prob")
        part["class"] = part["class"].str.removeprefix("p.")
        flipped = {"Present": "Absent", "Absent": "Present"}
        label = part["label"] if task == "one" else part["label"].map(flipped)
        parts.append(part.assign(task=task, label=label))
    found = read_frame(pd.concat(parts, ignore_index=True))
    assert list(found.classes) == ["one", "two"]
    assert (found.rows["y.one"] != found.rows["y.two"]).all()
    np.testing.assert_allclose(probs(found, "one"), probs(found, "two"))


def test_one_probability_says_that_of_the_other_class() -> None:
    frame = table().drop(columns="p.Absent")
    np.testing.assert_allclose(probs(read_frame(frame)).sum(axis=1), 1)
    alone = frame.rename(columns={"p.Present": "probability"})
    found = read_frame(alone)
    at = found.classes["label"].index("Present")
    np.testing.assert_allclose(probs(found)[:, at], [0.9, 0.4, 0.3, 0.2])
    named = read_frame(
        alone.rename(columns={"probability": "x"}), Columns(probability="x", positive="Absent")
    )
    at = named.classes["label"].index("Absent")
    assert named.positives["label"] == at
    np.testing.assert_allclose(probs(named)[:, at], [0.9, 0.4, 0.3, 0.2])
    with pytest.raises(PredictionsError, match=r"between -2 and 9.*--score"):
        read_frame(alone.assign(probability=[9, 1, 0, -2]))


def test_scores_keep_their_order_and_their_ties() -> None:
    frame = table(score=[7.5, -1.0, -1.0, -300.0]).drop(columns=["p.Present", "p.Absent"])
    found = read_frame(frame)
    assert found.kinds == {"label": SCORES}
    at = found.positives["label"]
    assert found.classes["label"][at] == "Present"
    mine = probs(found)[:, at]
    assert mine[0] > mine[1] == mine[2] > mine[3]
    assert any(each.name == "scores, not probabilities" for each in found.notes)


def test_what_does_not_sum_to_1_is_a_score_unless_it_is_normalised() -> None:
    frame = table(label=list("xyzz"), x=[0.9, 0.3, 0.2, 0.5], y=[0.9, 0.6, 0.1, 0.5], z=0.5)
    frame = frame.drop(columns=["p.Present", "p.Absent"])
    found = read_frame(frame, Columns(positive="x"))
    assert found.kinds == {"label": SCORES}
    assert found.classes["label"] == ("x", "not x")
    assert found.rows["y.label"].tolist() == ["x", "not x", "not x", "not x"]
    assert found.rows["p.label.x"].rank().tolist() == [4, 2, 1, 3]
    divided = read_frame(frame, Columns(positive="x", normalise=True))
    assert not divided.kinds
    np.testing.assert_allclose(probs(divided)[0], [0.9 / 2.3, 0.9 / 2.3, 0.5 / 2.3])
    rounded = read_frame(
        frame.assign(x=[0.33, 0.33, 0.33, 0.33], y=0.33, z=0.33), Columns(positive="x")
    )
    (note,) = [each for each in rounded.notes if each.name == "rounded rows"]
    assert note.count == 4
    assert not rounded.kinds
    np.testing.assert_allclose(probs(rounded), 1 / 3)


def test_decisions_are_a_task_of_their_own_where_they_say_something_new() -> None:
    alone = table(called=["Present", "Present", "Absent", "Present"])
    alone = alone.drop(columns=["p.Present", "p.Absent"])
    found = read_frame(alone)
    assert found.kinds == {"label": DECISIONS}
    assert [(each.name, each.count) for each in found.notes if "without" in each.text] == [
        ("decisions alone", 4)
    ]
    at = found.classes["label"].index("Present")
    np.testing.assert_array_equal(probs(found)[:, at], [1, 1, 0, 1])
    both = read_frame(table(called=["Present", "Present", "Absent", "Absent"]))
    assert list(both.classes) == ["label", "label (as called)"]
    assert both.primary == ("label (as called)",)
    same = read_frame(table(called=["Present", "Absent", "Absent", "Absent"]))
    assert list(same.classes) == ["label"] == list(same.primary)
    with pytest.raises(PredictionsError, match="label was called 'Perhaps'"):
        read_frame(table(called="Perhaps"))


def test_numbers_are_classes_whatever_their_spelling() -> None:
    frame = table(label=[1.0, 1, 0, 0]).rename(columns={"p.Present": "p.1", "p.Absent": "p.0"})
    found = read_frame(frame)
    assert found.classes["label"][found.positives["label"]] == "1"
    assert found.rows["y.label"].tolist() == ["1", "1", "0", "0"]
    text = read_frame(frame.assign(label=["1.0", "1", "0", "0.0"]))
    assert text.rows["y.label"].tolist() == ["1", "1", "0", "0"]


def test_rows_without_a_label_and_copies_are_left_out_and_counted() -> None:
    frame = pd.concat([table(label=["Present", None, "Absent", "Absent"]), table().iloc[2:3]])
    found = read_frame(frame)
    assert found.rows["patient_id"].tolist() == ["a", "c", "d"]
    counts = {each.name: (each.count, each.items) for each in found.notes}
    assert counts["rows without a label"] == (1, ("b",))
    assert counts["copied rows"] == (1, ("c",))


def test_recordings_are_pooled_to_their_patient() -> None:
    frame = pd.concat([table(recording="AV"), table(recording="PV")], ignore_index=True)
    frame.loc[4, ["p.Present", "p.Absent"]] = [0.5, 0.5]
    found = read_frame(frame)
    assert len(found.rows) == 4
    assert found.rows.set_index("patient_id").loc["a", "p.label.Present"] == pytest.approx(0.7)
    assert any(each.name == "rows of recordings" and each.count == 8 for each in found.notes)
    frame.loc[0, "label"] = "Absent"
    with pytest.raises(PredictionsError, match="recordings of 1 patient have different labels: a"):
        read_frame(frame)


def test_arrays_are_those_of_cross_val_predict() -> None:
    y, p = np.array([0, 1, 1, 2]), np.full((4, 3), 1 / 3)
    frame, columns = from_arrays(y, p)
    assert columns.probability == {"0": "p.0", "1": "p.1", "2": "p.2"}
    assert from_arrays(y[:3], p[:3, 0])[1].probability == "value"
    assert from_arrays(y[:3], np.array([3.0, -1, 0]))[1].score == "value"
    with pytest.raises(PredictionsError, match=r"3 columns, and there are 2 classes: 0, 1"):
        from_arrays(y[:3], p[:3])
    with pytest.raises(PredictionsError, match=r"\(4,\) and y_proba \(3, 3\)"):
        from_arrays(y, p[:3])
    with pytest.raises(PredictionsError, match="one number a row, and there are 3 classes"):
        from_arrays(y, p[:, 0])
    assert frame["p.2"].tolist() == pytest.approx([1 / 3] * 4)


def test_values_may_stand_in_place_of_names() -> None:
    # As AutoGluon's out-of-fold probabilities: one column a class, and labels in another frame.
    oof = table()[["p.Present", "p.Absent"]].set_axis(["Present", "Absent"], axis=1)
    train = table()[["patient", "label"]].sample(frac=1, random_state=1)
    found = read_frame(oof, Columns(person=train["patient"], label=train["label"]))
    assert found.rows["person_id"].tolist() == ["a", "b", "c", "d"]
    assert found.rows["y.label"].tolist() == table()["label"].tolist()
    with pytest.raises(PredictionsError, match="person is a Series whose index is not that of"):
        read_frame(
            oof, Columns(person=train["patient"].set_axis(list("wxyz")), label=train["label"])
        )
    with pytest.raises(PredictionsError, match=r"label has the shape \(3,\).*4 rows"):
        read_frame(oof, Columns(person=train["patient"], label=["Present", "Absent", "Absent"]))


def test_predictions_of_ours_are_read_at_the_last_epoch(tmp_path: Path) -> None:
    predictions, _ = fake_run(n_patients=20, n_epochs=3)
    predictions.write(tmp_path / "predictions.parquet")
    found = read_frame(read_table(tmp_path / "predictions.parquet"))
    last = predictions.where(epoch=2)
    assert found.classes == dict(last.classes)
    for task in last.tasks:
        np.testing.assert_allclose(probs(found, task), last.y_prob(task))
        np.testing.assert_array_equal(found.predictions().y_true(task), last.y_true(task))
    assert found.rows["fold"].tolist() == last.table["fold"].tolist()
    assert any(each.name == "earlier epochs" and each.count == 40 for each in found.notes)


def test_ids_may_be_the_index() -> None:
    found = read_frame(table().set_index("patient"))
    assert found.rows["patient_id"].tolist() == ["a", "b", "c", "d"]


def test_kinds_outlive_a_file(tmp_path: Path) -> None:
    frame = table(score=[3, 2, 1, 0]).drop(columns=["p.Present", "p.Absent"])
    written = read_frame(frame).predictions()
    written.write(tmp_path / "p.parquet")
    assert Predictions.read(tmp_path / "p.parquet").kind("label") == SCORES


@pytest.mark.parametrize(
    ("frame", "columns", "message"),
    [
        (table().drop(columns="patient"), Columns(), "does not say whose the rows are.*--person"),
        (table().drop(columns="label"), Columns(), "no column says what is true.*--label COLUMN"),
        (table()[["patient", "label"]], Columns(), "no column has predictions of label.*--score"),
        (table(), Columns(person="persn"), "unknown column 'persn'.*p.Absent"),
        (table(fold=[0, None, 1, 1]), Columns(), "1 row has no fold"),
        (table(patient=["a", " ", "c", "d"]), Columns(), "1 row has no person"),
        (table(**{"p.Present": [0.9, "x", 0.3, 0.2]}), Columns(), "no finite number.*'x' in row 2"),
        (table(label="Present").drop(columns="p.Absent"), Columns(), "has one class, Present"),
        (table(label=list("xyzz")), Columns(probability={"x": "p.Present", "y": "p.Absent"}),
         "label 'z'.*probabilities of x, y only"),
        (table(), Columns(positive="Unknown"), "'Unknown' is not a class of label"),
        (table(**{"Case ID": 1, "case-id": 1}).drop(columns="patient"), Columns(),
         "Case ID, case-id, which both look like the patient"),
        (table(), Columns(group=["fold"]), "unknown column 'fold'"),
        (pd.concat([table(), table()["label"]], axis=1), Columns(), "several columns.*label"),
        (table().iloc[:0], Columns(), "has no row"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_refused(
    frame: pd.DataFrame, columns: Columns, message: str
) -> None:
    with pytest.raises(PredictionsError, match=message):
        read_frame(frame, columns)


def test_three_unknown_classes_need_a_positive_one() -> None:
    frame = table(label=list("xyzz"), x=0.2, y=0.3, z=0.5)
    frame = frame.drop(columns=["p.Present", "p.Absent"])
    with pytest.raises(PredictionsError, match=r"classes x, y, z: name the positive.*--positive"):
        read_frame(frame)
    assert read_frame(frame, Columns(positive="y")).positives == {"label": 1}


def test_decimal_commas_are_numbers(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("patient;label;p.a;p.b\n1;a;0,25;0,75\n2;b;0,5;0,5\n", encoding="utf-8")
    found = read_frame(read_table(path), Columns(positive="a"))
    np.testing.assert_allclose(probs(found)[:, 0], [0.25, 0.5])
    with pytest.raises(PredictionsError, match="not a table that can be read"):
        read_table(tmp_path / "t.xlsx")


def test_a_repeat_that_is_a_copy_counts_once() -> None:
    one = table(fold=[0, 1, 0, 1], repeat=0)
    copies = [one.assign(repeat=1), one.assign(repeat=3, fold=[0, 0, 1, 1])[::-1]]
    anew = one.assign(
        repeat=2, **{"p.Present": [0.9, 0.4, 0.3, 0.1], "p.Absent": [0.1, 0.6, 0.7, 0.9]}
    )
    found = read_frame(pd.concat([one, *copies, anew]))
    assert sorted(found.rows["repeat"].unique()) == [0, 2]
    note = next(each for each in found.notes if each.name == "copied repeats")
    assert note.count == 2
    assert note.items[0] == "repeat 1, seed 0 as repeat 0, seed 0"


def test_decisions_that_agree_in_other_folds_are_two_trainings() -> None:
    one = table(called=["Present", "Present", "Absent", "Absent"], fold=[0, 1, 0, 1], repeat=0)
    one = one.drop(columns=["p.Present", "p.Absent"])
    copy, anew = one.assign(repeat=1), one.assign(repeat=2, fold=[0, 0, 1, 1])
    found = read_frame(pd.concat([one, copy, anew]))
    assert sorted(found.rows["repeat"].unique()) == [0, 2]
    counts = {each.name: each.count for each in found.notes}
    assert (counts["copied repeats"], counts["alike repeats"]) == (1, 1)


def test_the_row_of_a_wrong_number_is_counted_below_the_header(tmp_path: Path) -> None:
    frame = table().astype({"p.Present": object})
    frame.loc[2, "p.Present"] = "none"
    frame.to_csv(path := tmp_path / "t.csv", index=False)
    with pytest.raises(PredictionsError, match="'none' in row 3 below the header"):
        read_frame(read_table(path))


@pytest.mark.parametrize("name", [-1, -1.0, "-1", "train", " Training ", "imagesTr"])
def test_people_who_were_trained_on_are_no_fold(name: object) -> None:
    """-1 is scikit-learn's word for it; a split from elsewhere is read in the same way."""
    frame = table(fold=[0, 1, name, 1])
    with pytest.raises(PredictionsError, match=r"1 row is of the fold .* trained on these people"):
        read_frame(frame)
    with pytest.raises(PredictionsError, match="trained on these people"):
        read_frame(frame.drop(columns="fold"), Columns(fold=np.array([0, 1, name, 1], object)))


@pytest.mark.parametrize("name", ["test", "val", "fold_1", "A"])
def test_other_names_of_folds_are_taken_as_they_are(name: str) -> None:
    assert set(read_frame(table(fold=["0", name, name, "0"])).rows["fold"]) == {0, 1}
