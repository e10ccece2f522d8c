"""From a run on real recordings to its bundle, its graphs and its predictions."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from support.project import Silent

from kfold_hs.bundle import portable
from kfold_hs.bundle.audio_reader import AudioReader, bank_of
from kfold_hs.bundle.format import Bundle, sha256
from kfold_hs.bundle.inputs import find_patients
from kfold_hs.bundle.patients import Patient
from kfold_hs.cohort.audio import read_samples
from kfold_hs.config.compose import compose
from kfold_hs.learn.features.mel import MelFeatures
from kfold_hs.learn.prediction.crops import Predictor
from kfold_hs.predictions.table import Predictions
from kfold_hs.workflows import bundles, cross_validation
from kfold_hs.workflows.options import RunOptions

PROBS = ["p.murmur.Present", "p.murmur.Unknown", "p.murmur.Absent"]
PROBS += ["p.outcome.Abnormal", "p.outcome.Normal"]
MODELS = ["r0-s0-f0", "r0-s0-f1"]


@dataclass(frozen=True)
class Real:
    """A run on real recordings and its bundle with graphs."""

    folder: Path
    recordings: Path

    @property
    def bundle(self) -> Path:
        return self.folder / "bundle"

    @cached_property
    def patients(self) -> list[Patient]:
        return find_patients([self.recordings], Bundle.read(self.bundle).config.data).patients

    def networks_say(self, patient: Patient) -> dict[str, np.ndarray]:
        """By task: (n_models, n_recordings, C), as predicting asks them."""
        bundle, cpu = Bundle.read(self.bundle), torch.device("cpu")
        heard = AudioReader(bundle.config, bundle.channel, bundle.content["typical"]).read(patient)
        bank = bank_of([heard], True, cpu)
        rows = np.arange(len(heard.sounds))
        each = [
            Predictor(bundle.model(m, cpu), bank, bundle.config).of_recordings(rows, bundle.tasks)[
                0
            ]
            for m in bundle.members
        ]
        return {task.name: np.stack([probs[task.name] for probs in each]) for task in bundle.tasks}


@pytest.fixture(scope="module")
def real(circor_wav: Path, tmp_path_factory: pytest.TempPathFactory) -> Real:
    folder = tmp_path_factory.mktemp("real")
    words = ["data=circor", f"data.root={circor_wav}", "model=tiny", "train.epochs=1"]
    config = compose([*words, "split.n_folds=2", "features.n_mels=32"])
    cross_validation.run(config, Silent(), RunOptions(root=folder, name="real", device="cpu"))
    bundles.export(folder / "reports/real", folder / "bundle", Silent(), ["onnx", "pt2"])
    return Real(folder, circor_wav)


@pytest.mark.slow
def test_everybody_is_scored_by_held_out_folds_and_gets_their_rows_to_the_bit(
    real: Real, tmp_path: Path
) -> None:
    scored = Predictions.read(real.folder / "reports/real/scored.parquet").table
    scored = scored.set_index("patient_id")
    certificate = Bundle.read(real.bundle).certificate
    # All of them, and one alone: by the headers, whose labels are not looked at.
    alone = tmp_path / "alone"
    alone.mkdir()
    for path in (real.recordings / "training_data").glob("13918*"):
        shutil.copy(path, alone)
    for folder in (real.recordings, alone):
        output = tmp_path / "rows.parquet"
        done = bundles.predict(
            real.bundle, [folder], Silent(), bundles.PredictOptions(output, device="cpu")
        )
        found = pd.read_parquet(output).set_index("patient_id")
        pd.testing.assert_frame_equal(
            found[PROBS], scored.loc[found.index, PROBS], check_exact=True
        )
        folds = scored.loc[found.index, "fold"].astype(str)
        assert (found["scored_by"] == "r0-f" + folds).all()
        assert (found["n_models"] == 1).all()
        assert done.counts["known"] == len(found)
        assert done.counts["new"] == done.counts["not_scored"] == 0
        by = ", ".join(f"r0-f{fold}: {n}" for fold, n in folds.value_counts().sort_index().items())
        assert done.sentences[0] == (
            f"Audit: {len(found)} known to the bundle, each scored only by models that did not "
            f"train on them ({by}); 0 new, scored by all 2 models."
        )
    # What the audit says, against who was trained on by whom.
    for patient, fold in scored["fold"].items():
        (row,) = certificate.known([str(patient)], [])
        assert certificate.untouched([row]).tolist() == [[k == fold for k in range(2)]]


@pytest.mark.slow
def test_onnx_says_what_torch_says(real: Real) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    features = MelFeatures(Bundle.read(real.bundle).config.features)
    sessions = {
        name: onnxruntime.InferenceSession(real.bundle / "onnx" / f"{name}.onnx")
        for name in [*MODELS, "ensemble"]
    }
    outputs = [each.name for each in sessions["ensemble"].get_outputs()]
    assert outputs == ["murmur", "outcome", "murmur.models", "outcome.models"]
    for patient in real.patients[:3]:
        wanted = real.networks_say(patient)
        for row, sound in enumerate(patient.sounds):
            wave = features.prepare(*read_samples(sound.path)).numpy()
            for k, name in enumerate(MODELS):
                found = sessions[name].run(["murmur", "outcome"], {"samples": wave})
                for task, each in zip(("murmur", "outcome"), found, strict=True):
                    np.testing.assert_allclose(each, wanted[task][k, row], atol=1e-4)
            found = sessions["ensemble"].run(None, {"samples": wave})
            for name, each in zip(outputs, found, strict=True):
                right = wanted[name.removesuffix(".models")][:, row]
                right = right if name.endswith(".models") else right.mean(axis=0)
                np.testing.assert_allclose(each, right, atol=1e-4)


@pytest.mark.slow
def test_what_a_file_says_of_itself(real: Real) -> None:
    onnx = pytest.importorskip("onnx")
    bundle = Bundle.read(real.bundle)
    files = {each["file"]: each["sha256"] for each in bundle.content["graphs"]["files"]}
    names = [*MODELS, "ensemble"]
    assert set(files) == {f"{kind}/{name}.{kind}" for kind in ("onnx", "pt2") for name in names}
    for name, digest in files.items():
        assert sha256((real.bundle / name).read_bytes()) == digest
        assert name in (real.bundle / "README.md").read_text()
    model = onnx.load(real.bundle / "onnx/ensemble.onnx")
    about = {each.key: each.value for each in model.metadata_props}
    assert json.loads(about["classes"])["murmur"] == ["Present", "Unknown", "Absent"]
    before = {"sample_rate_hz": 4000, "band_pass_hz": None, "remove_spikes": False}
    assert json.loads(about["before"]) == before
    assert json.loads(about["models"]) == MODELS
    assert json.loads(about["weights_sha256"]) == [m.sha256 for m in bundle.members]
    assert json.loads(about["digests"]) == bundle.content["digests"]
    assert [each.version for each in model.opset_import if not each.domain] == [portable.OPSET]
    assert model.graph.input[0].type.tensor_type.shape.dim[0].dim_param


@pytest.mark.slow
def test_torch_export_files_say_the_same(real: Real) -> None:
    bundle = Bundle.read(real.bundle)
    extra = {"metadata.json": ""}
    program = torch.export.load(real.bundle / "pt2/ensemble.pt2", extra_files=extra)
    about = json.loads(extra["metadata.json"])
    assert about["outputs"] == json.dumps(["murmur", "outcome", "murmur.models", "outcome.models"])
    wave = MelFeatures(bundle.config.features).prepare(
        *read_samples(real.patients[0].sounds[0].path)
    )
    wanted = real.networks_say(real.patients[0])
    with torch.inference_mode():
        found = program.module()(wave)
        short = program.module()(wave[:9000])  # less than a crop
    for task, each in zip(("murmur", "outcome"), found[2:], strict=True):
        np.testing.assert_allclose(each, wanted[task][:, 0], atol=1e-4)
    assert float(short[0].sum()) == pytest.approx(1, abs=1e-5)
