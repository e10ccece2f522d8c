"""A bundle of a run with a frame branch: the same bits, and what a row says of a heart."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pandas as pd
import pytest
import soundfile
import torch
from fastapi.testclient import TestClient
from support.frame_branches import QUIET
from support.project import TINY, Silent, write_table

from kfold_hs.bundle import portable
from kfold_hs.bundle.ensemble import Ensemble
from kfold_hs.bundle.format import Bundle, write_content
from kfold_hs.bundle.graph import FrameGraph
from kfold_hs.bundle.rows import RowOptions, columns
from kfold_hs.bundle.server.app import make_app
from kfold_hs.bundle.server.limits import Limits
from kfold_hs.bundle.server.service import Answers
from kfold_hs.bundle.single_model import write_alternative
from kfold_hs.cohort import Cohort
from kfold_hs.cohort.audio import read_samples
from kfold_hs.config.compose import compose, load_yaml
from kfold_hs.errors import BundleError
from kfold_hs.files.paths import FoldId
from kfold_hs.learn import checkpoint
from kfold_hs.learn.features.bank import Bank
from kfold_hs.learn.features.mel import MelFeatures
from kfold_hs.learn.frames import decoding
from kfold_hs.learn.frames.sojourn import Sojourn
from kfold_hs.orchestrator.context import build_bank
from kfold_hs.orchestrator.finished import finished_run
from kfold_hs.predictions import cycle
from kfold_hs.predictions.table import Predictions
from kfold_hs.workflows import bundles, challenge_entry, cross_validation
from kfold_hs.workflows.inputs import load_cohort
from kfold_hs.workflows.options import RunOptions
from kfold_hs.workflows.validation import ValidationOptions, validate

WORDS = [
    *TINY,
    *QUIET,
    "train.epochs=1",
    "frames=cycle",
    "frames.epochs=2",
    "frames.channels=8",
    "+data.tasks.outcome.stack=[outcome,cycle]",
]
PROBS = ["p.murmur.Present", "p.murmur.Unknown", "p.murmur.Absent"]
PROBS += ["p.outcome.Abnormal", "p.outcome.Normal"]
STATES = ((1, 0.1), (2, 0.25), (3, 0.1), (4, 0.35))


@pytest.fixture(scope="module")
def marked_csv(tmp_path_factory: pytest.TempPathFactory, shared_table_csv: Path) -> Path:
    """The recordings with a segmentation beside each: 75 beats a minute."""
    folder = tmp_path_factory.mktemp("marked")
    shutil.copytree(shared_table_csv.parent, folder, dirs_exist_ok=True)
    for number, path in enumerate(sorted(folder.glob("*.wav"))):
        start, lines = 0.0, []
        for state, seconds in (*STATES, *STATES):
            end = start + seconds * (1 + number % 4 / 20)
            lines.append(f"{start:.4f}\t{end:.4f}\t{state}\n")
            start = end
        path.with_suffix(".tsv").write_text("".join(lines))
    return folder / shared_table_csv.name


def run_and_bundle(folder: Path, marked_csv: Path, *words: str) -> Path:
    """A folder with a finished run `one` and its bundle `bundle`."""
    config = compose([*WORDS, f"data.path={marked_csv}", *words])
    cross_validation.run(config, Silent(), RunOptions(root=folder, name="one", device="cpu"))
    bundles.export(folder / "reports/one", folder / "bundle", Silent())
    return folder


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, marked_csv: Path) -> Path:
    return run_and_bundle(tmp_path_factory.mktemp("hearts"), marked_csv, "n_seeds=2")


@pytest.fixture(scope="module")
def cohort(made: Path) -> Cohort:
    return load_cohort(finished_run(made / "reports/one").config, Silent())


@pytest.fixture(scope="module")
def bank(made: Path, cohort: Cohort) -> Bank:
    return build_bank(finished_run(made / "reports/one").config, cohort, Silent())


def predicted(bundle: Path, recordings: Path) -> pd.DataFrame:
    """Of recordings alone: nobody marks the heart cycle of new people."""
    assert not list(recordings.parent.glob("*.tsv"))
    output = bundle.parent / "rows.parquet"
    bundles.predict(bundle, [recordings], Silent(), bundles.PredictOptions(output, device="cpu"))
    return pd.read_parquet(output).set_index("patient_id")


def test_known_people_get_their_out_of_fold_rows_to_the_bit(
    made: Path, shared_table_csv: Path
) -> None:
    check_known_people(made, shared_table_csv)


@pytest.mark.slow
def test_of_one_seed_they_get_them_too(
    marked_csv: Path, shared_table_csv: Path, tmp_path: Path
) -> None:
    check_known_people(run_and_bundle(tmp_path, marked_csv), shared_table_csv)


def check_known_people(made: Path, recordings: Path) -> None:
    scored = Predictions.read(made / "reports/one/scored.parquet").table
    scored = scored.set_index("patient_id")
    found = predicted(made / "bundle", recordings)
    assert sorted(found.index) == sorted(scored.index)
    scored = scored.loc[found.index]
    shown = [name for name in found if name.startswith(cycle.PREFIX)]
    assert shown == ["cycle.heart_rate_bpm.mean", "cycle.quality.min"]
    columns = [*PROBS, *shown]
    pd.testing.assert_frame_equal(found[columns], scored[columns], check_exact=True)
    assert (found["known"] == "yes").all()


def test_what_it_holds_of_frame_branches(made: Path) -> None:
    bundle, cpu = Bundle.read(made / "bundle"), torch.device("cpu")
    names = [f"r0-s{seed}-f{fold}" for seed in range(2) for fold in range(2)]
    assert {each.name for each in (made / "bundle/models").iterdir()} == {
        f"{name}{kind}.safetensors" for name in names for kind in ("", ".frames")
    }
    paths = finished_run(made / "reports/one").paths
    for member in bundle.members:
        place = FoldId(member.repeat, member.seed, member.fold)
        state = checkpoint.load(paths.fold(place).last_model)["frames"]
        branch = bundle.branch(member, cpu)
        assert branch is not None
        assert branch.to_state()["sojourn"] == state["sojourn"]
        for name, weights in branch.net.state_dict().items():
            assert torch.equal(weights, state["net"][name])
    card = (made / "bundle/README.md").read_text()
    assert "S1, systole, S2 and diastole in a recording and where it murmurs" in card
    assert "no segmentation (`.tsv`)" in card


def test_a_branch_that_is_missing_or_was_changed_is_refused(made: Path, tmp_path: Path) -> None:
    def changed(change: Callable[[dict[str, Any]], object]) -> Path:
        shutil.rmtree(tmp_path / "b", ignore_errors=True)
        shutil.copytree(made / "bundle", tmp_path / "b")
        content = json.loads((tmp_path / "b/bundle.json").read_text())
        change(content)
        write_content(tmp_path / "b", content)
        return tmp_path / "b"

    def none(content: dict[str, Any]) -> None:
        for each in content["models"]:
            del each["frames"]

    def neither(content: dict[str, Any]) -> None:
        none(content)
        content["stacking"] = {}

    with pytest.raises(
        BundleError, match=r"lacks the frame branch of .*murmur, outcome cannot be stacked"
    ):
        Bundle.read(changed(none))
    with pytest.raises(
        BundleError, match=r"r0-s0-f1\.safetensors, and .* cannot be stacked without it"
    ):
        Bundle.read(changed(lambda content: content["models"][1].pop("frames")))
    # As bundles of older versions are.
    older = Bundle.read(changed(neither))
    assert not older.has_branch
    assert older.branch(older.members[0], torch.device("cpu")) is None
    assert not [name for name in columns(older) if name.startswith(cycle.PREFIX)]
    file = changed(lambda content: None) / "models/r0-s1-f0.frames.safetensors"
    raw = bytearray(file.read_bytes())
    raw[-9] ^= 1
    file.write_bytes(raw)
    with pytest.raises(BundleError, match=r"frames\.safetensors was changed after it was written"):
        Ensemble(Bundle.read(tmp_path / "b"), torch.device("cpu"))
    file.unlink()
    with pytest.raises(BundleError, match="cannot load the frame branch"):
        Ensemble(Bundle.read(tmp_path / "b"), torch.device("cpu"))


def test_one_model_has_its_branch_in_every_place(
    made: Path, shared_table_csv: Path, tmp_path: Path
) -> None:
    paths = finished_run(made / "reports/one").paths
    trained = checkpoint.load(paths.fold(FoldId(0, 0, 1)).last_model)
    bundle = Bundle.read(made / "bundle")
    write_alternative(tmp_path / "one", bundle, "refit", "Some.", trained)
    one, cpu = Bundle.read(tmp_path / "one"), torch.device("cpu")
    assert {each.frames["file"] for each in one.members if each.frames} == {
        "models/refit.frames.safetensors"
    }
    right, found = bundle.branch(bundle.members[1], cpu), one.branch(one.members[0], cpu)
    assert right is not None
    assert found is not None
    assert found.sojourn == right.sojourn
    samples, rate = soundfile.read(shared_table_csv.parent / "p3_0.wav", dtype="int16")
    soundfile.write(tmp_path / "new.wav", samples[1:], rate)
    row, whole = (predicted(each, tmp_path / "new.wav").iloc[0] for each in (one.folder,
                  made / "bundle"))  # fmt: skip
    assert (row["known"], row["n_models"], row["spread.outcome"] > 0) == ("no", 2, True)
    assert 30 < row["cycle.heart_rate_bpm.mean"] < 300
    assert 0 < whole["cycle.quality.min"] < 1
    assert row["cycle.quality.min"] != whole["cycle.quality.min"]


def test_a_graph_of_a_branch_says_what_it_says(made: Path, cohort: Cohort, bank: Bank) -> None:
    bundle = Bundle.read(made / "bundle")
    branch = bundle.branch(bundle.members[0], torch.device("cpu"))
    assert branch is not None
    graph = FrameGraph(bundle.config, branch).eval()
    program = portable._traced(graph, bundle).module()
    for row in range(4):
        found = program(wave_of(cohort, row, bundle))
        wanted = branch.log_probs(bank, row)
        assert tuple(found.shape) == wanted.shape == (bank.on_host[1][row], 6)
        np.testing.assert_allclose(found.detach().exp(), np.exp(wanted), atol=2e-4)


def wave_of(cohort: Cohort, row: int, bundle: Bundle) -> torch.Tensor:
    path = Path(cohort.recordings["path"].iloc[row])
    return MelFeatures(bundle.config.features).prepare(*read_samples(path))


@pytest.mark.slow
def test_graphs_lie_beside_the_models(made: Path, cohort: Cohort, bank: Bank) -> None:
    content = bundles.export(made / "reports/one", made / "b", Silent(), ["onnx", "pt2"])
    bundle, card = Bundle.read(made / "b"), (made / "b/README.md").read_text()
    names = [f"r0-s{seed}-f{fold}{kind}" for seed in range(2) for fold in range(2)
             for kind in ("", ".frames")]  # fmt: skip
    files = {each["file"] for each in content["graphs"]["files"]}
    assert files == {f"{k}/{name}.{k}" for k in ("onnx", "pt2") for name in [*names, "ensemble"]}
    assert all(name in card for name in files)
    assert "Those named `.frames` give log probabilities" in card
    session = onnxruntime.InferenceSession(made / "b/onnx/r0-s1-f0.frames.onnx")
    about = session.get_modelmeta().custom_metadata_map
    assert json.loads(about["classes"])[:4] == ["S1", "systole", "S2", "diastole"]
    assert json.loads(about["frame_s"]) == 0.04
    assert json.loads(about["models"]) == ["r0-s1-f0"]
    (member,) = [each for each in bundle.members if each.file.endswith("r0-s1-f0.safetensors")]
    assert member.frames is not None
    assert json.loads(about["sojourn"]) == member.frames["sojourn"]
    assert json.loads(about["weights_sha256"]) == [member.frames["sha256"]]
    assert "kfold_hs.learn.frames.decoding" in about["after"]
    program = torch.export.load(made / "b/pt2/r0-s1-f0.frames.pt2").module()
    assert [each.name for each in session.get_outputs()] == ["log_probs"]
    branch = bundle.branch(member, torch.device("cpu"))
    assert branch is not None
    for row in range(4):
        wave = wave_of(cohort, row, bundle)
        wanted = np.exp(branch.log_probs(bank, row))
        (of_onnx,) = session.run(None, {"samples": wave.numpy()})
        np.testing.assert_allclose(np.exp(of_onnx), wanted, atol=2e-4)
        np.testing.assert_allclose(program(wave).detach().exp(), wanted, atol=2e-4)


def test_over_http(made: Path, shared_table_csv: Path) -> None:
    bundle = Bundle.read(made / "bundle")
    answers = Answers(bundle, torch.device("cpu"), Limits(), RowOptions())
    wavs = [shared_table_csv.parent / f"p5_{k}.wav" for k in range(2)]
    with TestClient(make_app(answers, ["testserver"])) as client:
        files = [("files", (each.name, each.read_bytes(), "audio/wav")) for each in wavs]
        said = client.post("/predict", files=files, data={"patient_id": "p5"})
        row = said.raise_for_status().json()
        schema = answers.schema()["properties"]
    wanted = predicted(bundle.folder, shared_table_csv).loc["p5"]
    for name in ("cycle.heart_rate_bpm.mean", "cycle.quality.min"):
        assert schema[name] == {"type": ["number", "null"]}
        assert row[name] == wanted[name]


def test_other_people_are_validated_without_segmentations(made: Path, tmp_path: Path) -> None:
    words = [
        "data=table",
        "data.person_column=person",
        f"data.path={write_table(tmp_path, seed=1)}",
    ]
    where = RunOptions(name="v", root=tmp_path, device="cpu")
    done = validate(made / "bundle", compose(words).data, ValidationOptions(where))
    rows = pd.read_csv(done.paths.rows)
    assert len(rows) == 16
    assert (rows["n_models"] == 2).all()
    assert rows["cycle.heart_rate_bpm.mean"].between(30, 300).all()
    assert rows["p.murmur.Present"].notna().all()


def test_an_entry_to_the_challenge_has_it(
    made: Path, shared_table_csv: Path, tmp_path: Path
) -> None:
    """Its model is asked for arrays of samples; headers name .tsv files that are not there."""
    config = finished_run(made / "reports/one").config
    challenge_entry.write_entry(tmp_path / "entry", config, made / "reports/one", Silent())
    written = load_yaml(tmp_path / "entry/config.yaml")
    assert (written.frames, written.data.kind) == (config.frames, "circor")
    model = challenge_entry.Model(tmp_path / "entry/model")
    text, sounds = "p6 2 4000\n", []
    for k, site in enumerate(("AV", "MV")):
        text += f"{site} p6_{site}.hea p6_{site}.wav p6_{site}.tsv\n"
        sounds.append(soundfile.read(shared_table_csv.parent / f"p6_{k}.wav", dtype="int16")[0])
    classes, labels, probabilities = model(text + "#Age: Child\n", sounds)
    row = predicted(made / "bundle", shared_table_csv).loc["p6"]
    assert classes == ["Present", "Unknown", "Absent", "Abnormal", "Normal"]
    assert sum(labels) == 2
    np.testing.assert_array_equal(probabilities, row[PROBS].to_numpy(dtype=float))


def test_long_recordings_are_decoded_in_smaller_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    sojourn = Sojourn((0.05, 0.1, 0.05, 0.0), (0.08, 0.2, 0.08, 0.64), (0.02, 0.03, 0.02, 0.06))
    rng = np.random.default_rng(0)
    lengths = [130, 40, 300, 90, 41, 200]
    log_probs = [np.log(rng.dirichlet(np.ones(6), n)).astype(np.float32) for n in lengths]
    assert list(decoding._together(lengths)) == [[1, 4, 3, 0, 5, 2]]
    whole = decoding.decode(log_probs, sojourn, 0.04)
    monkeypatch.setattr(decoding, "MOST_FRAMES", 250)
    assert list(decoding._together(lengths)) == [[1, 4], [3], [0], [5], [2]]
    for one, other in zip(whole, decoding.decode(log_probs, sojourn, 0.04), strict=True):
        np.testing.assert_array_equal(one.states, other.states)
        assert (one.murmur, one.cycle_s) == (other.murmur, other.cycle_s)
