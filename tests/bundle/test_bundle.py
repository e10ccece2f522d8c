"""From a run to a bundle to predictions: the same bits, the right models, a row for everybody."""

from __future__ import annotations

import csv
import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime
import pandas as pd
import pytest
import soundfile
import torch
from click.testing import CliRunner
from support.project import TINY, Silent

from kfold_hs.bundle import portable
from kfold_hs.bundle.audio_reader import AudioReader, PatientAudio, bank_of
from kfold_hs.bundle.certificate import Certificate
from kfold_hs.bundle.format import Bundle, write_content
from kfold_hs.bundle.graph import Graph, check_graph
from kfold_hs.bundle.inputs import find_patients
from kfold_hs.bundle.patients import Patient, Sound
from kfold_hs.cli.main import cli
from kfold_hs.cohort.audio import inspect
from kfold_hs.config.compose import compose
from kfold_hs.errors import BundleError, CohortError, ConfigError
from kfold_hs.files.paths import write_json
from kfold_hs.judge.selection.calibration import CALIBRATORS
from kfold_hs.learn.models.network import Inputs, make_model
from kfold_hs.learn.prediction.crops import Predictor
from kfold_hs.predictions.table import Predictions
from kfold_hs.splits.split import TEST, TRAIN
from kfold_hs.workflows import bundles, cross_validation
from kfold_hs.workflows.options import RunOptions

WORDS = [
    *TINY,
    "train.epochs=1",
    "n_seeds=2",
    "model.covariates=[age]",
    "+data.tasks.outcome.stack=[murmur,outcome,age]",
]
PROBS = ["p.murmur.Present", "p.murmur.Unknown", "p.murmur.Absent"]
PROBS += ["p.outcome.Abnormal", "p.outcome.Normal"]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, shared_table_csv: Path) -> Path:
    """A folder with a finished run `one` and its bundle `bundle`."""
    folder = tmp_path_factory.mktemp("ship")
    config = compose([*WORDS, f"data.path={shared_table_csv}"])
    cross_validation.run(config, Silent(), RunOptions(root=folder, name="one", device="cpu"))
    bundles.export(folder / "reports" / "one", folder / "bundle", Silent())
    return folder


@pytest.fixture(scope="module")
def predict(made: Path) -> Callable[..., pd.DataFrame]:
    """Predict inputs by the bundle, by way of a JSON file; rows by patient."""

    def run(*inputs: Path, bundle: Path = made / "bundle") -> pd.DataFrame:
        output = made / "out.json"
        bundles.predict(bundle, inputs, Silent(), bundles.PredictOptions(output, device="cpu"))
        return pd.DataFrame(json.loads(output.read_text())).set_index("patient_id")

    return run


def test_known_people_get_their_out_of_fold_rows_to_the_bit(
    made: Path, predict: Callable[..., pd.DataFrame], shared_table_csv: Path
) -> None:
    scored = Predictions.read(made / "reports/one/scored.parquet").table.set_index("patient_id")
    found = predict(shared_table_csv)
    assert list(found.index) == [f"p{i}" for i in range(16)]
    pd.testing.assert_frame_equal(found[PROBS], scored.loc[found.index, PROBS], check_exact=True)
    assert (found["known"] == "yes").all()
    assert (found["n_models"] == 1).all()
    assert (found["scored_by"] == "r0-f" + scored.loc[found.index, "fold"].astype(str)).all()
    assert found["spread.murmur"].isna().all()


def test_who_is_predicted_with_others_does_not_matter(
    made: Path, predict: Callable[..., pd.DataFrame], shared_table_csv: Path, tmp_path: Path
) -> None:
    scored = Predictions.read(made / "reports/one/scored.parquet").table.set_index("patient_id")
    table = pd.read_csv(shared_table_csv, dtype=str, keep_default_na=False)
    table["recording"] = [str(shared_table_csv.parent / name) for name in table["recording"]]
    for ids in (["p5"], ["p14", "p2", "p3"]):
        table[table["patient_id"].isin(ids)].to_csv(tmp_path / "some.csv", index=False)
        found = predict(tmp_path / "some.csv")
        pd.testing.assert_frame_equal(
            found[PROBS], scored.loc[found.index, PROBS], check_exact=True
        )


def test_a_recording_is_known_by_its_samples_under_any_name(
    made: Path, predict: Callable[..., pd.DataFrame], shared_table_csv: Path, tmp_path: Path
) -> None:
    samples, rate = soundfile.read(shared_table_csv.parent / "p7_1.wav", dtype="int16")
    soundfile.write(tmp_path / "somebody_MV.flac", samples, rate)
    found = predict(tmp_path / "somebody_MV.flac").loc["somebody"]
    table = Predictions.read(made / "reports/one/predictions.parquet").table
    rows = table[(table["level"] == "recording") & (table["recording_id"] == "p7_1.wav")]
    assert found["known"] == "yes"
    assert found["scored_by"] == f"r0-f{rows['fold'].iloc[0]}"
    (site,) = found["sites"]
    assert (site["site"], site["recording_id"]) == ("MV", "somebody_MV")
    # The model has covariates, and nothing but the sound came along here.
    assert set(site["murmur"]) == {"Present", "Unknown", "Absent"}


def test_silence_and_a_number_make_nobody_known(
    made: Path, shared_table_csv: Path, tmp_path: Path
) -> None:
    """Digests of silence in an old bundle, and a person's number as a new patient's."""
    bundle = Bundle.read(made / "bundle")
    silence, still = np.zeros(8000), np.full(8000, 0.25)
    for name, samples in {"silence": silence, "still": still}.items():
        soundfile.write(tmp_path / f"{name}.wav", samples, 4000, subtype="PCM_16")
        bundle.certificate.people[3]["patients"][0]["sha256"].append(
            inspect(tmp_path / f"{name}.wav").sha256
        )
    ear = AudioReader(bundle.config, bundle.channel, bundle.content["typical"])
    for patient in find_patients([tmp_path], bundle.config.data).patients:
        heard = ear.read(patient)
        assert (len(heard.sounds), heard.problems) == (1, [])
        assert not bundle.certificate.known(patient.ids, heard.digests, patient.persons)
    known = Patient("x", (Sound("x", shared_table_csv.parent / "p3_0.wav"),), ("x",))
    assert bundle.certificate.names(bundle.certificate.known((), ear.read(known).digests)) == ["p3"]
    (tmp_path / "t.csv").write_text("recording,patient_id,person\nstill.wav,q,\nsilence.wav,y,q\n")
    new, same = find_patients([tmp_path / "t.csv"], bundle.config.data).patients
    assert not bundle.certificate.known(new.ids, (), new.persons)  # q is a person, no patient
    assert bundle.certificate.names(bundle.certificate.known(same.ids, (), same.persons)) == ["q"]


def noise(folder: Path, *names: str, seconds: float = 2.0, seed: int = 7) -> None:
    rng = np.random.default_rng(seed)
    for name in names:
        sound = 0.1 * rng.standard_normal(round(4000 * seconds))
        soundfile.write(folder / f"{name}.wav", sound, 4000, subtype="PCM_16")


def test_new_people_are_scored_by_all_models(
    predict: Callable[..., pd.DataFrame], tmp_path: Path
) -> None:
    noise(tmp_path, "a_AV", "a_PV", "b")
    found = predict(tmp_path)
    assert list(found.index) == ["a", "b"]
    assert found["known"].tolist() == ["no", "no"]
    assert found["scored_by"].tolist() == ["all", "all"]
    assert found["n_models"].tolist() == [2, 2]
    assert found["n_recordings"].tolist() == [2, 1]
    assert (found["spread.murmur"] > 0).all()
    for prefix in ("p", "calibrated"):
        columns = [c for c in found if c.startswith(f"{prefix}.murmur.")]
        np.testing.assert_allclose(found[columns].sum(axis=1), 1)
    most = found[PROBS[:3]].idxmax(axis=1).str.removeprefix("p.murmur.")
    assert most.tolist() == found["label.murmur"].tolist()
    for row in found.to_dict("records"):
        assert row["label.murmur"] in row["set.murmur"].split("+")
    assert set(found["decided.murmur"]) <= {"Present", "Unknown", "Absent"}
    assert set(map(type, found["refer.outcome"])) == {bool}


def test_every_patient_has_a_row_whatever_is_wrong(
    predict: Callable[..., pd.DataFrame], shared_table_csv: Path, tmp_path: Path
) -> None:
    noise(tmp_path, "good_AV")
    noise(tmp_path, "short", seconds=0.6)
    noise(tmp_path, "tooshort", seconds=0.01)
    (tmp_path / "broken.wav").write_bytes(b"RIFF, and then nothing")
    (tmp_path / "good_PV.wav").write_bytes(b"")
    soundfile.write(tmp_path / "silent.wav", np.zeros(8000), 4000)
    loud = np.sign(np.sin(np.arange(8000) / 3)) * 0.999999
    soundfile.write(tmp_path / "loud.wav", loud, 4000, subtype="PCM_16")
    soundfile.write(tmp_path / "stereo.wav", np.zeros((8000, 2)), 4000)
    found = predict(tmp_path)
    assert found["problem"].str.contains("cannot be read as audio").to_dict()["broken"]
    assert "shorter than 0.05 s" in found.loc["tooshort", "problem"]
    assert "2 channels" in found.loc["stereo", "problem"]
    assert "the file is empty" in found.loc["good", "problem"]
    assert found.loc["good", "n_recordings"] == 1
    for name in ("broken", "tooshort", "stereo"):
        assert pd.isna(found.loc[name, "label.murmur"])
        assert found.loc[name, PROBS].isna().all()
        assert found.loc[name, "n_models"] == 0
    assert found.loc["silent", "quality"] == "silent"
    assert found.loc["short", "quality"].split("; ")[0] == "short"
    assert "saturated" in found.loc["loud", "quality"]
    assert "unlike training" in found.loc["loud", "quality"]
    assert (predict(shared_table_csv)["quality"] == "ok").all()


def test_an_interrupted_prediction_goes_on(
    made: Path, shared_table_csv: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kfold_hs.bundle.audio_reader.CHUNK_CROPS", 4)
    heard: list[str] = []
    hear = AudioReader.read

    def watched(ear: AudioReader, patient: Patient) -> PatientAudio:
        heard.append(patient.patient_id)
        return hear(ear, patient)

    monkeypatch.setattr(AudioReader, "read", watched)

    class Interrupting(Silent):
        def step(self, done: int, total: int) -> None:
            if done >= 5:
                raise KeyboardInterrupt

    def run(listener: Silent, output: Path, **more: float) -> None:
        options = bundles.PredictOptions(output, device="cpu", **more)  # type: ignore[arg-type]
        bundles.predict(made / "bundle", [shared_table_csv], listener, options)

    run(Silent(), tmp_path / "whole.csv")
    output, journal = tmp_path / "out.csv", tmp_path / ".out.csv.rows"
    with pytest.raises(KeyboardInterrupt):
        run(Interrupting(), output)
    assert not output.exists()
    done = len(journal.read_text().splitlines()) - 1
    assert 5 <= done < 16
    with journal.open("a") as file:
        file.write('{"patient_id": "p1')  # cut off as it was written
    heard.clear()
    listener = Silent()
    run(listener, output)
    assert listener.notes == [f"Going on after {done} of 16 patients."]
    assert heard == [f"p{i}" for i in range(done, 16)]
    assert output.read_bytes() == (tmp_path / "whole.csv").read_bytes()
    assert not journal.exists()

    # What was begun with other settings is begun anew.
    with pytest.raises(KeyboardInterrupt):
        run(Interrupting(), output)
    listener = Silent()
    run(listener, output, coverage=0.8)
    assert listener.notes == []
    assert len(pd.read_csv(output)) == 16


@pytest.mark.parametrize("name", ["vector", "isotonic"])
def test_another_calibration(made: Path, tmp_path: Path, name: str) -> None:
    noise(tmp_path, "a_AV", "b")
    output = tmp_path / "out.parquet"
    bundles.predict(
        made / "bundle",
        [tmp_path],
        Silent(),
        bundles.PredictOptions(output, device="cpu", calibration=name),
    )
    found = pd.read_parquet(output)
    fitted = json.loads((made / "bundle/bundle.json").read_text())["calibration"]["outcome"]
    wanted = CALIBRATORS[name].apply(found[PROBS[3:]].to_numpy(), fitted["methods"][name]["fitted"])
    columns = ["calibrated.outcome.Abnormal", "calibrated.outcome.Normal"]
    np.testing.assert_array_equal(found[columns].to_numpy(), wanted)


def test_sets_hold_what_few_persons_cannot_exclude(
    made: Path, shared_table_csv: Path, tmp_path: Path
) -> None:
    """8 or fewer persons of a class promise less than 90 % to it, and 50 % is promised by one."""
    noise(tmp_path, "a_AV", "b")
    persons: dict[int, set[str]] = {0: set(), 1: set(), 2: set()}
    for each in json.loads((made / "bundle/bundle.json").read_text())["conformal"]["murmur"]:
        for person, label in zip(each["person_id"], each["label"], strict=True):
            persons[label].add(person)
    classes = ("Present", "Unknown", "Absent")
    rare = [name for c, name in enumerate(classes) if len(persons[c]) < 9]
    assert rare

    def predicted(*words: str, bundle: Path = made / "bundle") -> tuple[list[str], str]:
        output = tmp_path / "sets.csv"
        options = ["-o", str(output), "--device", "cpu", *words]
        done = CliRunner().invoke(cli, ["predict", str(bundle), str(tmp_path / "a_AV.wav"),
                                        str(tmp_path / "b.wav"), *options])  # fmt: skip
        assert done.exit_code == 0, done.output
        return pd.read_csv(output)["set.murmur"].tolist(), " ".join(done.output.split())

    sets, said = predicted()
    for name in rare:
        assert all(name in each.split("+") for each in sets)
        assert f"with {name} can promise a coverage of" in said
        assert f"{name} is in every set" in said
    assert "can promise" not in predicted("--coverage", "0.5")[1]
    by_all, said = predicted("--sets", "all")
    assert "can promise" not in said
    assert "and to no class" in said

    assert "other people of their fold only" not in said  # nobody here is known
    of_run = tmp_path / "of_run.csv"
    done = CliRunner().invoke(
        cli, ["predict", str(made / "bundle"), str(shared_table_csv), "-o", str(of_run),
              "--device", "cpu"],
    )  # fmt: skip
    assert "its being there says nothing: murmur Present, murmur Unknown" in " ".join(
        done.output.split()
    )

    # Scores of people who chose the epochs are too good.
    chosen = tmp_path / "chosen"
    shutil.copytree(made / "bundle", chosen)
    content = json.loads((chosen / "bundle.json").read_text())
    content["select"] |= {"rule": "best", "honest": False}
    write_content(chosen, content)
    assert "coverage of the conformal sets is not promised" in predicted(bundle=chosen)[1]
    assert "is not promised" not in predicted()[1]

    # A bundle of an older version does not say which class a score is of.
    older = tmp_path / "older"
    shutil.copytree(made / "bundle", older)
    content = json.loads((older / "bundle.json").read_text())
    for place in (place for task in content["conformal"].values() for place in task):
        del place["label"]
    write_content(older, content)
    with pytest.raises(BundleError, match=r"older was made by an older version.*--sets all"):
        bundles.predict(older, [tmp_path / "b.wav"], Silent(), bundles.PredictOptions(device="cpu"))
    assert predicted("--sets", "all", bundle=older)[0] == by_all
    with pytest.raises(ConfigError, match="--sets 'some' must be one of class, all"):
        bundles.PredictOptions(promise="some")


def test_inputs_that_cannot_be_used_at_all(
    predict: Callable[..., pd.DataFrame], tmp_path: Path
) -> None:
    with pytest.raises(CohortError, match="nowhere does not exist"):
        predict(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(CohortError, match="holds no recording"):
        predict(tmp_path / "empty")
    noise(tmp_path, "a")
    assert list(predict(tmp_path / "a.wav", tmp_path / "a.wav").index) == ["a"]
    for folder in ("x", "y"):
        (tmp_path / "two" / folder).mkdir(parents=True)
        noise(tmp_path / "two" / folder, "a", "b" + folder)
    assert list(predict(tmp_path / "two").index) == ["x/a", "bx", "y/a", "by"]
    (tmp_path / "odd.csv").write_text("file\na.wav\n")
    with pytest.raises(CohortError, match=r"lacks 'recording'"):
        predict(tmp_path / "odd.csv")


def test_a_table_as_a_spreadsheet_saves_it_is_read_as_in_training(
    made: Path, predict: Callable[..., pd.DataFrame], shared_table_csv: Path, tmp_path: Path
) -> None:
    table = pd.read_csv(shared_table_csv, dtype=str, keep_default_na=False)
    table["recording"] = [str(shared_table_csv.parent / name) for name in table["recording"]]
    table = table[table["patient_id"].isin(["p3", "p4", "p5", "p6"])]
    table.to_csv(tmp_path / "plain.csv", index=False)
    plain = predict(tmp_path / "plain.csv")
    assert (plain["problem"] == "").all()
    odd = table.assign(age=table["age"].replace("", "N/A"), person_id="somebody", sha256="x")
    odd.iloc[::2, odd.columns.get_loc("patient_id")] += "\u00a0"
    odd.to_csv(tmp_path / "odd.csv", index=False, sep=";", encoding="utf-16")
    pd.testing.assert_frame_equal(predict(tmp_path / "odd.csv"), plain)


def test_a_covariate_that_cannot_be_read_is_named_in_the_row(
    predict: Callable[..., pd.DataFrame], shared_table_csv: Path, tmp_path: Path
) -> None:
    table = pd.read_csv(shared_table_csv, dtype=str, keep_default_na=False)
    table["recording"] = [str(shared_table_csv.parent / name) for name in table["recording"]]
    table = table[table["patient_id"].isin(["p3", "p4"])].copy()
    table["age"] = ["Kind", "", "Child", "Teenager"]
    table.to_csv(tmp_path / "odd.csv", index=False)
    found = predict(tmp_path / "odd.csv")
    assert found["problem"].tolist() == [
        "age 'Kind' does not occur in the training data",
        "age 'Child and Teenager' does not occur in the training data",
    ]
    assert found[PROBS].notna().all(axis=None)
    table.drop(columns="age").assign(note="x").to_csv(tmp_path / "less.csv", index=False)
    assert set(predict(tmp_path / "less.csv")["problem"]) == {
        "age is not given; it counts as missing"
    }


# --- the bundle ---------------------------------------------------------------------------------


def test_what_a_bundle_holds(made: Path) -> None:
    folder = made / "bundle"
    files = sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())
    models = [f"models/r0-s{s}-f{f}.safetensors" for s in range(2) for f in range(2)]
    assert files == sorted(["README.md", "bundle.json", "certificate.json", *models])
    text = (folder / "bundle.json").read_text() + (folder / "certificate.json").read_text()
    assert str(made) not in text
    assert "table.csv" not in text
    content = json.loads((folder / "bundle.json").read_text())
    assert set(content["decisions"]["murmur"]["weights"]) == {"Present", "Unknown", "Absent"}
    assert content["calibration"]["outcome"]["log_loss"]["crossfit"]["value"] > 0
    for task in ("murmur", "outcome"):
        methods = content["calibration"][task]["methods"]
        assert set(methods) == {"temperature", "vector", "isotonic"}
        # Two computations of the same: the summary's, and the bundle's own.
        assert methods["temperature"]["log_loss"] == content["calibration"][task]["log_loss"]
        for each in methods.values():
            assert each["brier"]["crossfit"]["value"] > 0
    card = (folder / "README.md").read_text()
    summary = json.loads((made / "reports/one/summary.json").read_text())
    assert summary["headline"]["sentence"] in card
    assert content["digests"]["split"] in card
    assert "None" not in card
    unknown = {
        person
        for each in content["conformal"]["murmur"]
        for person, label in zip(each["person_id"], each["label"], strict=True)
        if label == 1
    }
    n = len(unknown)
    assert f"| murmur | Unknown | {n} | {100 * n / (n + 1):.1f} % |" in card


def test_tasks_and_classes_of_any_name(shared_table_csv: Path, tmp_path: Path) -> None:
    """What torch and ONNX call things themselves, and what separates names in files."""
    table = pd.read_csv(shared_table_csv, dtype=str, keep_default_na=False)
    table["recording"] = [str(shared_table_csv.parent / name) for name in table["recording"]]
    names = {"Present": "S3+S4", "Absent": 'no "sound"', "Unknown": "a/b, ../ü"}
    table["mean"] = table["murmur"].map(names)
    table["items"] = table["keys"] = table["outcome"]
    table.to_csv(tmp_path / "odd.csv", index=False)
    classes = ",".join("'" + name + "'" for name in names.values())
    two = "{classes:[Abnormal,Normal]}"
    tasks = "{mean:{classes:[" + classes + "]},keys:" + two + ",items:" + two + "}"
    words = [*TINY, "train.epochs=1", f"data.path={tmp_path / 'odd.csv'}", f"data.tasks={tasks}"]
    cross_validation.run(
        compose(words), Silent(), RunOptions(root=tmp_path, name="odd", device="cpu")
    )
    bundles.export(tmp_path / "reports/odd", tmp_path / "b", Silent())
    words = [tmp_path / "b", [tmp_path / "odd.csv"], Silent()]
    bundles.predict(
        *words, bundles.PredictOptions(tmp_path / "rows.parquet", device="cpu", coverage=0.99)
    )
    for row in pd.read_parquet(tmp_path / "rows.parquet").to_dict("records"):
        (inside,) = csv.reader([row["set.mean"]], delimiter="+")
        assert set(inside) <= set(names.values())
        assert row["label.mean"] in inside
        assert sum(row[f"p.mean.{name}"] for name in names.values()) == pytest.approx(1)
    # One model as a graph: whatever torch calls its parts, the outputs are the tasks.
    bundle = Bundle.read(tmp_path / "b")
    model = bundle.model(bundle.members[0], torch.device("cpu"))
    graph = Graph(bundle.config, bundle.tasks, [model]).eval()
    raw = portable.WRITERS["onnx"](portable._traced(graph, bundle), graph, {})
    session = onnxruntime.InferenceSession(raw)
    assert [each.name for each in session.get_outputs()] == ["mean", "keys", "items"]
    (mean,) = session.run(["mean"], {"samples": np.zeros(8000, np.float32)})
    assert mean.sum() == pytest.approx(1)


@pytest.mark.parametrize("heads", ["binary", pytest.param("joint", marks=pytest.mark.slow)])
def test_a_graph_of_other_heads_says_what_torch_says(
    made: Path, shared_table_csv: Path, heads: str
) -> None:
    bundle = Bundle.read(made / "bundle")
    settings = bundle.config.model.model_copy(update={"covariates": (), "heads": heads})
    config = bundle.config.model_copy(update={"model": settings})
    bundle = dataclasses.replace(bundle, config=config)
    model = make_model(settings, bundle.tasks, 1, Inputs.of(config, 0)).eval()
    graph = Graph(config, bundle.tasks, [model]).eval()
    raw = portable.WRITERS["onnx"](portable._traced(graph, bundle), graph, {})
    patient = Patient("p", (Sound("p", shared_table_csv.parent / "p0_0.wav"),), ("p",))
    heard = AudioReader(config, bundle.channel, bundle.content["typical"]).read(patient)
    bank = bank_of([heard], config.features.normalise == "recording", torch.device("cpu"))
    probs, *_ = Predictor(model, bank, config).of_recordings(np.arange(1), bundle.tasks)
    samples, _ = soundfile.read(patient.sounds[0].path, dtype="float32")
    found = onnxruntime.InferenceSession(raw).run([*probs], {"samples": samples})
    for task, each in zip(probs, found, strict=True):
        np.testing.assert_allclose(each, probs[task][0], atol=1e-5)
        assert np.ptp(each) > 1e-3


def test_names_that_would_be_two_of_a_graph(made: Path) -> None:
    config = Bundle.read(made / "bundle").config
    task = config.data.tasks["outcome"]
    for tasks in ({"samples": task}, {"a": task, "a.models": task}):
        data = config.data.model_copy(update={"tasks": tasks})
        model = config.model.model_copy(update={"covariates": ()})
        other = config.model_copy(update={"data": data, "model": model})
        with pytest.raises(
            BundleError, match=f"named after the tasks, and .'{[*tasks][-1]}'. would"
        ):
            check_graph(other, Path("reports/one"))


def test_a_bundle_that_was_changed_is_refused(made: Path, tmp_path: Path) -> None:
    noise(tmp_path, "a")

    def fails(message: str, change: Callable[[Path], object]) -> None:
        bundle = tmp_path / "bundle"
        shutil.rmtree(bundle, ignore_errors=True)
        shutil.copytree(made / "bundle", bundle)
        change(bundle)
        options = bundles.PredictOptions(tmp_path / "x.csv", device="cpu")
        with pytest.raises(BundleError, match=message):
            bundles.predict(bundle, [tmp_path / "a.wav"], Silent(), options)
        assert not list(tmp_path.glob("*x.csv*"))

    def flip(name: str) -> Callable[[Path], object]:
        def change(bundle: Path) -> None:
            raw = bytearray((bundle / name).read_bytes())
            raw[-9] ^= 1
            (bundle / name).write_bytes(raw)

        return change

    fails("safetensors was changed after it was written", flip("models/r0-s0-f1.safetensors"))
    fails(r"certificate\.json was changed", flip("certificate.json"))
    fails("cannot load the model", lambda b: (b / "models/r0-s0-f0.safetensors").unlink())
    fails("is not a bundle: it has no bundle.json", lambda b: (b / "bundle.json").unlink())
    fails("cannot read the bundle", lambda b: (b / "bundle.json").write_text("{}"))
    content = json.loads((made / "bundle" / "bundle.json").read_text())
    later = {**content, "schema": 99}
    fails("has schema 99", lambda b: write_json(b / "bundle.json", later))


def test_what_cannot_be_exported(made: Path, tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="is there already"):
        bundles.export(made / "reports" / "one", made / "bundle", Silent())
    shutil.copytree(made / "reports" / "one", tmp_path / "reports" / "one")
    path = tmp_path / "reports" / "one" / "summary.json"
    summary = json.loads(path.read_text())
    summary["incomplete"] = [{"repeat": 0, "seed": 1, "fold": 1}]
    write_json(path, summary)
    with pytest.raises(BundleError, match="lacks r0-s1-f1: without every fold"):
        bundles.export(path.parent, tmp_path / "b", Silent())
    write_json(path, {**summary, "incomplete": [], "nested": {}})
    with pytest.raises(BundleError, match="nested search: each fold has settings of its own"):
        bundles.export(path.parent, tmp_path / "b", Silent())
    assert not (tmp_path / "b").exists()


def test_who_is_known_is_told_too_well_by_epochs_chosen_on_them(
    made: Path, shared_table_csv: Path, tmp_path: Path
) -> None:
    shutil.copytree(made / "bundle", tmp_path / "b")
    content = json.loads((tmp_path / "b/bundle.json").read_text())
    content["select"] |= {"honest": False, "rule": "best"}
    write_content(tmp_path / "b", content)
    noise(tmp_path, "a")
    for found, inputs in ((True, shared_table_csv), (False, tmp_path / "a.wav")):
        options = bundles.PredictOptions(tmp_path / "out.csv", device="cpu")
        done = bundles.predict(tmp_path / "b", [inputs], Silent(), options)
        assert (
            "the epochs were chosen on these people (select=best)" in " ".join(done.sentences)
        ) is found


def test_who_may_be_asked_about_whom() -> None:
    def person(name: str, *folds: list[int]) -> dict[str, object]:
        patients = [
            {"patient_id": f"{name}{i}", "folds": each, "sha256": [f"sha-{name}{i}"]}
            for i, each in enumerate(folds)
        ]
        return {"person_id": name, "patients": patients}

    people = (
        person("a", [0, 1]), person("b", [2, 2]), person("test", [TEST, TEST]),
        person("train", [TRAIN, TRAIN]), person("torn", [0, 1], [1, 1]),
    )  # fmt: skip
    certificate = Certificate(people, 3, 2, "split", "cohort")
    assert Certificate.from_dict(certificate.to_dict()) == certificate

    def asked(
        *, ids: tuple[str, ...] = (), digests: tuple[str, ...] = (), persons: tuple[str, ...] = ()
    ) -> list[list[int]]:
        rows = certificate.known(ids, digests, persons)
        return certificate.untouched(rows).astype(int).tolist()

    assert asked(ids=("new",), digests=("sha-new",)) == [[1, 1, 1], [1, 1, 1]]
    assert asked(ids=("a0",)) == asked(digests=("sha-a0",)) == [[1, 0, 0], [0, 1, 0]]
    assert asked(persons=("a",), digests=("sha-b0",)) == [[0, 0, 0], [0, 0, 0]]
    assert asked(ids=("a",), persons=("b0",)) == [[1, 1, 1], [1, 1, 1]]  # two numberings
    assert asked(persons=("test",)) == [[1, 1, 1], [1, 1, 1]]
    assert asked(ids=("train0",)) == [[0, 0, 0], [0, 0, 0]]
    assert asked(digests=("sha-torn1",)) == [[0, 0, 0], [0, 1, 0]]


# --- the commands -------------------------------------------------------------------------------


def test_the_commands(made: Path, shared_table_csv: Path, tmp_path: Path) -> None:
    def run(*words: object) -> str:
        done = CliRunner().invoke(cli, list(map(str, words)))
        assert done.exit_code == 0, done.output
        return done.output

    bundle = made / "bundle"
    words = ["predict", bundle, shared_table_csv, "--device", "cpu", "-q"]
    text = run(*words)
    (tmp_path / "a.csv").write_text(text)
    one = pd.read_csv(tmp_path / "a.csv", dtype=dict.fromkeys(PROBS, str))
    one[PROBS] = one[PROBS].map(float)
    run(*words, "-o", tmp_path / "b.parquet")
    two = pd.read_parquet(tmp_path / "b.parquet")
    assert list(one) == list(two)
    pd.testing.assert_frame_equal(one[PROBS], two[PROBS], check_exact=True)
    counts = json.loads(run(*words, "-o", tmp_path / "c.json", "--json"))
    assert (counts["known"], counts["new"], counts["not_scored"]) == (16, 0, 0)
    assert sum(counts["known_by_models"].values()) == 16
    loud = CliRunner().invoke(cli, [*map(str, words[:-1]), "-o", str(tmp_path / "d.csv")])
    assert "Audit: 16 known to the bundle, each scored only by models that did not" in loud.output

    run(*words, "-o", tmp_path / "outputs", "--format", "challenge")
    (tmp_path / "labels").mkdir()
    labels = pd.read_csv(shared_table_csv).drop_duplicates("patient_id")
    for row in labels.itertuples():
        lines = [f"{row.patient_id} 2 4000", f"#Murmur: {row.murmur}", f"#Outcome: {row.outcome}"]
        (tmp_path / "labels" / f"{row.patient_id}.txt").write_text("\n".join(lines) + "\n")
    scores = json.loads(run("score", tmp_path / "labels", tmp_path / "outputs", "--json"))
    right = (one["decided.murmur"].to_numpy() == labels["murmur"].to_numpy()).mean()
    assert scores["murmur"]["accuracy"] == right
    again = run("export", made / "reports" / "one", "-o", tmp_path / "again", "-q")
    assert again.startswith("4 models of one: ")
    mine, theirs = (Bundle.read(each).content for each in (tmp_path / "again", bundle))
    assert mine == theirs


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["-o", "x.txt"], "does not say how to write"),
        (["--format", "parquet"], "needs -o with a file"),
        (["--format", "challenge"], "needs -o with a folder"),
    ],
)
def test_where_rows_can_go(made: Path, words: list[str], message: str) -> None:
    done = CliRunner().invoke(cli, ["predict", str(made / "bundle"), str(made), *words])
    assert isinstance(done.exception, ConfigError)
    assert message in str(done.exception)


def test_rows_are_not_written_over_what_is_read(made: Path, tmp_path: Path) -> None:
    samples = 0.1 * np.random.default_rng(3).standard_normal(8000)
    soundfile.write(tmp_path / "a.wav", samples, 4000, subtype="PCM_16")
    table = tmp_path / "people.csv"
    table.write_text("recording\na.wav\n")
    (tmp_path / "link.csv").hardlink_to(table)
    kept = {path: path.read_bytes() for path in (table, tmp_path / "a.wav")}
    kept[made / "bundle/bundle.json"] = (made / "bundle/bundle.json").read_bytes()
    for output in (*kept, tmp_path / "link.csv"):
        options = bundles.PredictOptions(output, kind="csv")
        with pytest.raises(ConfigError, match="would overwrite a file"):
            bundles.predict(made / "bundle", [table], Silent(), options)
    assert all(path.read_bytes() == content for path, content in kept.items())
