"""Throughput of predicting, in recordings a second. Run by name, decides no test.

    python tests/bench/predict_throughput.py [--rounds N] [--quick] [--write]

New people (real recordings, each with one bit changed, so that nobody is known) by a bundle of
EfficientNet-Lite0 with random weights, as CSV. The ceiling is the network alone: as many batches of
the same shape, on a fixed tensor. `predict` reads files and bundle, hears, asks, and writes rows;
ONNX Runtime is given the samples of one recording after another, reading and filtering included.
All take turns in one process.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import onnxruntime
import soundfile
import torch
from measure import PACKAGE, in_turns, options, publish, ratio, table

from kfold_hs.bundle.audio_reader import AudioReader, bank_of
from kfold_hs.bundle.format import CONTENT, Bundle, write_content
from kfold_hs.bundle.inputs import find_patients
from kfold_hs.cohort.audio import read_samples
from kfold_hs.config.compose import compose
from kfold_hs.learn.prediction.crops import Crops
from kfold_hs.orchestrator.rich_progress import RichProgress
from kfold_hs.workflows import bundles as shipping
from kfold_hs.workflows import cross_validation
from kfold_hs.workflows.options import RunOptions

DATA = Path(os.environ.get("KFOLD_HS_DATA", PACKAGE.parent / "shared")) / "circor-wav-sample"
N_FOLDS, N_SEEDS = 2, 2  # the sample has few persons of some classes
N_MODELS = N_FOLDS * N_SEEDS
CPU = torch.device("cpu")


def bundles(folder: Path) -> tuple[Path, Path]:
    """A bundle of N_MODELS models that were hardly trained, and the same with the first alone."""
    words = ["recipe=lite", "model.weights=none", "train.epochs=1", f"n_seeds={N_SEEDS}"]
    config = compose(
        [
            *words,
            f"split.n_folds={N_FOLDS}",
            "predict.stack=none",
            "data=circor",
            f"data.root={DATA}",
        ]
    )
    whole, one = folder / "whole", folder / "one"
    with RichProgress(quiet=True) as terminal:
        cross_validation.run(config, terminal, RunOptions(root=folder, name="run", device="cpu"))
        shipping.export(folder / "reports" / "run", whole, terminal, ["onnx"])
    shutil.copytree(whole, one)
    content = json.loads((one / CONTENT).read_text())
    write_content(one, {**content, "models": content["models"][:1]})
    return whole, one


def strangers(folder: Path, times: int) -> Path:
    """Recordings of nobody that a bundle knows."""
    folder.mkdir()
    for path in sorted((DATA / "training_data").glob("*.wav")):
        samples, rate = soundfile.read(path, dtype="int16")
        for k in range(times):
            samples[k] ^= 1
            soundfile.write(folder / f"new{k}-{path.name}", samples, rate)
    return folder


def timed(job: Callable[[], object]) -> float:
    started = time.perf_counter()
    job()
    return time.perf_counter() - started


class Ceiling:
    """The first model alone, on as many batches as all crops of all recordings fill."""

    def __init__(self, folder: Path, people: Path) -> None:
        bundle = Bundle.read(folder)
        self.model = bundle.model(bundle.members[0], CPU)
        ear = AudioReader(bundle.config, bundle.channel, dict(bundle.content["typical"]))
        heard = [
            ear.read(patient) for patient in find_patients([people], bundle.config.data).patients
        ]
        self.n_recordings = sum(len(one.sounds) for one in heard)
        bank = bank_of(heard, bundle.config.features.normalise == "recording", CPU)
        self.n_crops = len(Crops.of(bank, np.arange(self.n_recordings), bundle.config).rows)
        size = bundle.config.predict.batch_size
        self.n_batches = -(-self.n_crops // size)
        shape = (size, 1, bank.n_mels, bundle.config.train.crop_frames)
        self.x = torch.randn(shape).contiguous(memory_format=torch.channels_last)

    @torch.inference_mode()
    def __call__(self) -> None:
        for _ in range(self.n_batches):
            self.model(self.x)


def predicted(bundle: Path, people: Path, output: Path) -> None:
    with RichProgress(quiet=True) as terminal:
        options = shipping.PredictOptions(output, device="cpu")
        shipping.predict(bundle, [people], terminal, options)


def by_onnx(bundle: Path, name: str, people: Path) -> None:
    session = onnxruntime.InferenceSession(bundle / "onnx" / f"{name}.onnx")
    config = Bundle.read(bundle).config
    transform = AudioReader(config, None, {}).transform
    for patient in find_patients([people], config.data).patients:
        for sound in patient.sounds:
            wave = transform.prepare(*read_samples(sound.path)).numpy()
            session.run(None, {"samples": wave})


def main() -> None:
    given = options(__doc__, rounds=5).parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        whole, one = bundles(folder)
        people = strangers(folder / "people", 1 if given.quick else 4)
        ceiling, output = Ceiling(one, people), folder / "out.csv"
        jobs: dict[str, Callable[[], object]] = {
            "the network alone": ceiling,
            "predict, 1 model": partial(predicted, one, people, output),
            f"predict, {N_MODELS} models": partial(predicted, whole, people, output),
            "ONNX, 1 model": partial(by_onnx, one, "r0-s0-f0", people),
            f"ONNX, {N_MODELS} models": partial(by_onnx, whole, "ensemble", people),
        }
        ceiling()  # warm
        found = in_turns({name: partial(timed, job) for name, job in jobs.items()}, given.rounds)
    bare, rows = found["the network alone"], []
    for name, seconds in found.items():
        n_models = N_MODELS if name.endswith("models") else 1
        alone = [each * n_models for each in bare]
        rows.append(
            {
                "what": name,
                "recordings/s": f"{ceiling.n_recordings / statistics.median(seconds):.1f}",
                "network alone / this": "–" if seconds is bare else ratio(alone, seconds),
                "wanted": "0.90" if name.startswith("predict") else "",
            }
        )
    lines = [f"{ceiling.n_recordings} recordings, {ceiling.n_crops} crops.", "", *table(rows)]
    publish("predict", lines, given.write)


if __name__ == "__main__":
    main()
