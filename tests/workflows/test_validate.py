"""From a bundle and labelled people of another cohort to a validation."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import soundfile
from support.project import TINY, Silent, kfold_hs, write_table
from support.traced import check

from kfold_hs.bundle.format import Bundle, write_content
from kfold_hs.cohort.readers.registry import read_cohort
from kfold_hs.config.compose import compose
from kfold_hs.errors import ConfigError, PredictionsError
from kfold_hs.judge.results.validation_result import Validation
from kfold_hs.predictions.table import Predictions
from kfold_hs.report.formats import FORMATS
from kfold_hs.report.validation_page import render_validation
from kfold_hs.workflows import bundles, cross_validation
from kfold_hs.workflows.options import RunOptions
from kfold_hs.workflows.validation import FinishedValidation, ValidationOptions, validate

DATA = ["data=table", "data.person_column=person", "data.site_column=site"]
OTHER = "data.tasks={diagnosis: {classes: [ill, well, unsure]}}"
MAP = "data.map.outcome={task: diagnosis, classes: {Abnormal: ill, Normal: well}}"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, shared_table_csv: Path) -> Path:
    """A folder with the run `one` on 15 people, 2 of them test persons, and its bundle."""
    folder = tmp_path_factory.mktemp("validate")
    words = [*TINY, "train.epochs=1", "split.test=[p12,p15]", f"data.path={shared_table_csv}"]
    options = RunOptions(root=folder, name="one", device="cpu")
    cross_validation.run(compose(words), Silent(), options)
    bundles.export(folder / "reports" / "one", folder / "bundle", Silent())
    return folder


@pytest.fixture(scope="module")
def other_csv(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Other people with the same ids, and a diagnosis in place of an outcome."""
    folder = tmp_path_factory.mktemp("other")
    path = write_table(folder, seed=1)
    table = pd.read_csv(path, dtype=object, keep_default_na=False)
    words = {"Abnormal": "ill", "Normal": "well"}
    table["diagnosis"] = table.pop("outcome").map(words)
    table.loc[table["patient_id"] == "p9", "diagnosis"] = "unsure"
    table.drop(columns="murmur").to_csv(path, index=False)
    return path


@pytest.fixture(scope="module")
def run(made: Path) -> Callable[..., FinishedValidation]:
    """Validate the bundle on what these words name."""

    def of(
        *words: str, name: str = "v", bundle: Path = made / "bundle", **options: Any
    ) -> FinishedValidation:
        where = RunOptions(name=name, root=made, device="cpu")
        data = compose([*DATA, *words]).data
        return validate(bundle, data, ValidationOptions(where, **options))

    return of


@pytest.fixture(scope="module")
def other(run: Callable[..., FinishedValidation], other_csv: Path) -> FinishedValidation:
    return run(f"data.path={other_csv}", OTHER, MAP, name="other")


def test_other_people_are_scored_by_all_models(other: FinishedValidation, other_csv: Path) -> None:
    result = other.result
    assert isinstance(result, Validation)
    people, task = result.people, result.tasks["outcome"]
    # All ids are of the bundle's people, and none of the recordings.
    assert (people.match, people.n_known_persons, people.n_same_ids) == ("samples", 0, 15)
    assert (people.n_persons, people.n_scored_persons, people.n_scored_patients) == (15, 15, 16)
    assert (task.source, task.class_map) == ("diagnosis", {"ill": "Abnormal", "well": "Normal"})
    assert task.left_out == [{"class": "unsure", "n_patients": 1}]
    assert task.n_patients == sum(task.counts.values()) == 15
    assert [each["task"] for each in result.not_compared] == ["murmur"]
    table = pd.read_csv(other.paths.rows, keep_default_na=False)
    assert (table["n_models"] == 2).all()
    assert (table["y.outcome"] == "").sum() == 1
    labelled = table[table["y.outcome"] != ""]
    right = (labelled["label.outcome"] == labelled["y.outcome"]).mean()
    assert task.metrics["accuracy"]["external"]["value"] == pytest.approx(right)
    held = [
        y in each.split("+")
        for y, each in zip(labelled["y.outcome"], labelled["set.outcome"], strict=True)
    ]
    assert task.conformal is not None
    assert task.conformal["covered"]["value"] == pytest.approx(np.mean(held))
    assert task.conformal["promise"] == "class"
    by_class = {name: each["n_patients"] for name, each in task.conformal["classes"].items()}
    assert by_class == task.counts


def test_sets_of_an_older_bundle_promise_to_all_together(
    run: Callable[..., FinishedValidation], made: Path, other_csv: Path
) -> None:
    """Its scores have no labels; which promise was measured is said."""
    older = made / "older"
    shutil.copytree(made / "bundle", older)
    content = json.loads((older / "bundle.json").read_text())
    for each in (place for task in content["conformal"].values() for place in task):
        del each["label"]
    write_content(older, content)
    found = run(f"data.path={other_csv}", OTHER, MAP, name="older", bundle=older)
    assert isinstance(found.result, Validation)
    conformal = found.result.tasks["outcome"].conformal
    assert conformal is not None
    assert conformal["promise"] == "all"
    assert "the bundle is older, and can promise no more" in found.paths.page.read_text()


def test_the_probabilities_are_those_of_predict(
    other: FinishedValidation, made: Path, other_csv: Path, tmp_path: Path
) -> None:
    """To the bit, though labels are known here."""
    nameless = pd.read_csv(other_csv, dtype=object, keep_default_na=False)
    nameless["patient_id"] = "x" + nameless["patient_id"]
    nameless["recording"] = [str(other_csv.parent / name) for name in nameless["recording"]]
    nameless.drop(columns=["person", "diagnosis"]).to_csv(tmp_path / "n.csv", index=False)
    options = bundles.PredictOptions(tmp_path / "n.json", device="cpu")
    bundles.predict(made / "bundle", [tmp_path / "n.csv"], Silent(), options)
    said = pd.DataFrame(json.loads((tmp_path / "n.json").read_text()))
    found = pd.read_csv(other.paths.rows)
    for column in ("p.murmur.Present", "p.outcome.Abnormal", "calibrated.outcome.Abnormal"):
        assert found[column].tolist() == said[column].tolist()


def test_internal_estimates_are_the_runs(other: FinishedValidation, made: Path) -> None:
    summary = json.loads((made / "reports/one/summary.json").read_text())
    for name, each in other.result.tasks["outcome"].metrics.items():
        of_run = summary["tasks"]["outcome"]["metrics"][name]
        assert each["internal"]["value"] == of_run["value"]
        assert each["internal"]["low"] == of_run["these_models"]["low"]


def test_both_cohorts_stand_side_by_side(other: FinishedValidation) -> None:
    rows = {(r["part"], r["name"], r["level"]): r for r in other.result.side_by_side}
    persons = rows["people", "n_persons", ""]
    # Hold-out test persons are none of the people of the cross-validation.
    assert (persons["development"]["n"], persons["validation"]["n"]) == (13, 15)
    child = rows["patients", "age", "Child"]
    assert (child["development"]["n"], child["validation"]["n"]) == (10, 10)
    ill = rows["patients", "outcome", "Abnormal"]
    assert (ill["development"]["n"], ill["validation"]["n"]) == (7, 7)
    assert rows["patients", "outcome", "unsure"]["validation"]["n"] == 1
    assert rows["patients", "murmur", "Present"]["validation"] is None
    assert rows["recordings", "sampling rate (Hz)", "4000"]["validation"]["share"] == 1


def test_known_people_are_left_out_and_test_persons_are_not(
    run: Callable[..., FinishedValidation], shared_table_csv: Path
) -> None:
    """By their samples, under other ids; one of two patients makes the person known."""
    found = run(f"data.path={shared_table_csv}", name="known")
    people = found.result.people
    assert (people.n_known_persons, people.n_test_persons) == (13, 2)
    assert pd.read_csv(found.paths.rows)["patient_id"].tolist() == ["p12", "p15"]
    assert set(found.result.tasks) == {"murmur", "outcome"}


def test_a_known_recording_makes_the_whole_person_known(
    run: Callable[..., FinishedValidation],
    other_csv: Path,
    shared_table_csv: Path,
    tmp_path: Path,
) -> None:
    shutil.copytree(other_csv.parent, tmp_path / "d")
    samples, rate = soundfile.read(shared_table_csv.parent / "p7_1.wav", dtype="int16")
    soundfile.write(tmp_path / "d" / "p1_0.wav", samples, rate)  # q has the patients p0 and p1
    table = f"data.path={tmp_path / 'd' / 'table.csv'}"
    found = run(table, OTHER, MAP, name="part")
    assert found.result.people.n_known_persons == 1
    assert not {"p0", "p1"} & set(pd.read_csv(found.paths.rows)["patient_id"])
    held_out = run(table, OTHER, MAP, name="held", known="held-out")
    rows = pd.read_csv(held_out.paths.rows).set_index("patient_id")
    assert rows.loc["p0", "scored_by"] == rows.loc["p1", "scored_by"]
    assert set(rows.loc["p2":, "scored_by"]) == {"all"}  # type: ignore[misc]
    change = held_out.result.tasks["outcome"].metrics["accuracy"]["change"]
    assert change["low"] is None
    assert "people of the cross-validation are on both sides" in change["method"]


def test_held_out_models_say_of_known_people_what_the_run_said(
    run: Callable[..., FinishedValidation], made: Path, shared_table_csv: Path
) -> None:
    found = run(f"data.path={shared_table_csv}", name="all", known="held-out")
    scored = Predictions.read(made / "reports/one/scored.parquet").table.set_index("patient_id")
    rows = pd.read_csv(found.paths.rows).set_index("patient_id").loc[scored.index]
    columns = [name for name in scored if str(name).startswith("p.")]
    pd.testing.assert_frame_equal(rows[columns], scored[columns], check_exact=True)
    assert found.result.people.n_scored_persons == 15


def test_by_ids_everybody_of_the_same_numbering_is_known(
    run: Callable[..., FinishedValidation], other_csv: Path
) -> None:
    found = run(f"data.path={other_csv}", OTHER, MAP, name="ids", match="ids")
    assert (found.result.people.n_known_persons, found.result.people.n_test_persons) == (13, 2)


def test_when_nobody_is_left(
    run: Callable[..., FinishedValidation], shared_table_csv: Path, tmp_path: Path
) -> None:
    table = pd.read_csv(shared_table_csv, dtype=object, keep_default_na=False)
    table["recording"] = [str(shared_table_csv.parent / name) for name in table["recording"]]
    table[~table["patient_id"].isin(["p12", "p15"])].to_csv(tmp_path / "t.csv", index=False)
    with pytest.raises(PredictionsError, match=r"all 13 persons of table .* --known held-out"):
        run(f"data.path={tmp_path / 't.csv'}")


def test_one_class_is_no_validation(
    run: Callable[..., FinishedValidation], other_csv: Path, tmp_path: Path
) -> None:
    shutil.copytree(other_csv.parent, tmp_path / "d")
    path = tmp_path / "d" / "table.csv"
    table = pd.read_csv(path, dtype=object, keep_default_na=False)
    table[table["diagnosis"] == "ill"].to_csv(path, index=False)
    with pytest.raises(
        PredictionsError, match=r"nothing can be compared\. .*outcome: .*labels Abnor"
    ):
        run(f"data.path={path}", OTHER, MAP)


def test_a_cohort_in_memory(made: Path, other: FinishedValidation, other_csv: Path) -> None:
    cohort = read_cohort(compose([*DATA, f"data.path={other_csv}", OTHER]).data)
    given = {"outcome": {"task": "diagnosis", "classes": {"Abnormal": "ill", "Normal": "well"}}}
    where = RunOptions(name="memory", root=made, device="cpu")
    found = validate(made / "bundle", cohort, ValidationOptions(where, label_map=given))
    assert found.result.tasks == other.result.tasks
    wrong = ValidationOptions(where, label_map={"outcome": {"tusk": "diagnosis"}})
    with pytest.raises(ConfigError, match=r"label_map\.outcome\.\w+: .*Give a task of the data"):
        validate(made / "bundle", cohort, wrong)


def test_a_stereo_file_is_read_as_these_data_say(
    run: Callable[..., FinishedValidation],
    other: FinishedValidation,
    other_csv: Path,
    tmp_path: Path,
) -> None:
    shutil.copytree(other_csv.parent, tmp_path / "d")
    for path in (tmp_path / "d").glob("*.wav"):
        samples, rate = soundfile.read(path, dtype="int16")
        soundfile.write(path, np.column_stack([np.zeros_like(samples), samples]), rate)
    found = run(f"data.path={tmp_path / 'd/table.csv'}", "data.channel=1", OTHER, MAP, name="two")
    first, second = (pd.read_csv(each.paths.rows) for each in (other, found))
    assert first["p.outcome.Abnormal"].tolist() == second["p.outcome.Abnormal"].tolist()


def test_every_number_of_the_page_is_the_files(other: FinishedValidation) -> None:
    content = json.loads(other.paths.content.read_text())
    assert Validation.from_json(content).to_json() == content
    assert check(other.paths.page.read_text(), content, FORMATS) > 150
    assert str(other.page) == other.paths.page.read_text()


def test_a_damaged_file_is_an_error(other: FinishedValidation, tmp_path: Path) -> None:
    folder = tmp_path / "reports" / "other"
    shutil.copytree(other.paths.folder, folder)
    content = json.loads((folder / "validation.json").read_text())
    del content["tasks"]["outcome"]["versions"]
    shutil.rmtree(folder / ".sha256")
    (folder / "validation.json").write_text(json.dumps(content))
    done = kfold_hs("report", folder, cwd=tmp_path)
    assert done.returncode == 1
    assert "validation.json is damaged, or was written by another version" in done.stderr
    assert kfold_hs("report", "--root", tmp_path, cwd=tmp_path).returncode == 0
    assert "unreadable" in (tmp_path / "reports" / "index.html").read_text()


def test_an_older_bundle_says_what_it_does_not_hold(
    run: Callable[..., FinishedValidation], made: Path, other_csv: Path, tmp_path: Path
) -> None:
    shutil.copytree(made / "bundle", tmp_path / "old")
    content = json.loads((tmp_path / "old" / "bundle.json").read_text())
    del content["development"]
    write_content(tmp_path / "old", content)
    found = run(f"data.path={other_csv}", OTHER, MAP, name="old", bundle=tmp_path / "old")
    metrics = found.result.tasks["outcome"].metrics
    assert {each["internal"] is None for each in metrics.values()} == {True}
    assert {row["development"] is None for row in found.result.side_by_side} == {True}
    assert "not recorded" in render_validation(found.result)
    assert "does not hold the value of its cross-validation" in found.result.sentences[0]
    assert Bundle.read(tmp_path / "old").content["run"] == found.result.run


def test_on_the_command_line(made: Path, other_csv: Path, other: FinishedValidation) -> None:
    words = [made / "bundle", *DATA, f"data.path={other_csv}", OTHER, MAP, "-q", "--device", "cpu"]
    done = kfold_hs("validate", *words, cwd=made)
    assert done.returncode == 0, done.stderr
    folder = next((made / "reports").glob("validate-one-table-*"))
    assert str(folder.name) in done.stdout.replace("\n", "")
    assert "15 of 15 people were scored; 0 known to the bundle." in done.stdout
    as_json = kfold_hs("validate", *words, "--name", "json", "--json", cwd=made)
    assert (
        json.loads(as_json.stdout)["tasks"] == json.loads(other.paths.content.read_text())["tasks"]
    )
    page = (folder / "validation.html").read_text()
    (folder / "validation.html").unlink()
    drawn = kfold_hs("report", folder, "--tables", made / "tables", cwd=made)
    assert (folder / "validation.html").read_text() == page
    assert "files of tables" in drawn.stdout
    csv_file = made / "tables" / "metrics-outcome.csv"
    rows = {row["metric"]: row for row in csv.DictReader(csv_file.read_text().splitlines())}
    value = other.result.tasks["outcome"].metrics["auroc"]["external"]["value"]
    assert float(rows["AUROC"]["these people"]) == value
    assert "validations" in kfold_hs("report", "--root", made, cwd=made).stdout
    assert folder.name in (made / "reports" / "index.html").read_text()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), r"name the people: data=NAME"),
        (("data=table", "target=0.9"), r"target=0\.9: a validation judges no target"),
        (("data=table", "optim.lr=1e-4"), r"optim\.lr=1e-4 is a setting of a training"),
        (("data=table", "data.path=x.csv", "--known", "some"), r"'leave-out', 'held-out'"),
        (("data=table", "data.path=x.csv", "--name", "one"), r"x\.csv"),
    ],
)
def test_wrong_usage(made: Path, words: tuple[str, ...], message: str) -> None:
    done = kfold_hs("validate", made / "bundle", *words, cwd=made)
    assert done.returncode != 0
    assert pd.Series([done.stderr]).str.contains(message).all(), done.stderr


def test_the_folder_of_a_run_is_not_taken(
    run: Callable[..., FinishedValidation], other_csv: Path
) -> None:
    with pytest.raises(ConfigError, match=r"one is the folder of other results.*--name"):
        run(f"data.path={other_csv}", OTHER, MAP, name="one")
    with pytest.raises(ConfigError, match=r"known='both' must be one of leave-out, held-out"):
        ValidationOptions(known="both")  # type: ignore[arg-type]


def test_recordings_that_no_model_can_read(
    run: Callable[..., FinishedValidation], other_csv: Path, tmp_path: Path
) -> None:
    """One patient: named. All of them: an error with the first problem."""
    shutil.copytree(other_csv.parent, tmp_path / "d")
    files = sorted((tmp_path / "d").glob("*.wav"))
    for path in [each for each in files if each.name.startswith("p5_")]:
        soundfile.write(path, np.zeros(3), 4000)
    table = f"data.path={tmp_path / 'd' / 'table.csv'}"
    found = run(table, OTHER, MAP, name="short")
    (one,) = found.result.to_json()["people"]["not_scored"]
    assert one["patient_id"] == "p5"
    assert found.result.people.n_scored_patients == 15
    assert found.result.to_json()["people"]["n_not_scored_patients"] == 1
    assert "p5" in found.page
    for path in files:
        soundfile.write(path, np.zeros(3), 4000)
    with pytest.raises(PredictionsError, match=r"none of the 16 patients .* The first problem: "):
        run(table, OTHER, MAP, name="none")
