"""ONNX against torch on real recordings. Run by name, decides no test.

    python tests/bench/onnx_agreement.py [--bundle DIR] [--data DIR] [--write]

Largest difference between the probabilities that onnxruntime gives for a bundle's files and those
that predicting gives for the same recordings, over all recordings of a folder, all fold models and
their mean, all classes. Without --bundle, `model=lite0` without pretrained weights is trained for
two epochs on that folder first. --write puts the figures into docs/ship.md.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from measure import PACKAGE, publish, table

from kfold_hs.bundle.audio_reader import AudioReader, bank_of
from kfold_hs.bundle.format import Bundle
from kfold_hs.bundle.inputs import find_patients
from kfold_hs.cohort.audio import read_samples
from kfold_hs.config.compose import compose
from kfold_hs.learn.prediction.crops import Predictor
from kfold_hs.orchestrator.rich_progress import RichProgress
from kfold_hs.workflows import bundles, cross_validation
from kfold_hs.workflows.options import RunOptions

DATA = Path(os.environ.get("KFOLD_HS_DATA", PACKAGE.parent / "shared")) / "circor-wav-sample"
WORDS = ("recipe=lite", "model.weights=none", "train.epochs=2", "split.n_folds=2")


def trained(folder: Path, data: Path) -> Path:
    """A bundle with ONNX files, of a short run on these recordings."""
    config = compose([*WORDS, "data=circor", f"data.root={data}"])
    with RichProgress(quiet=True) as terminal:
        cross_validation.run(config, terminal, RunOptions(root=folder, name="run", device="cpu"))
        bundles.export(folder / "reports" / "run", folder / "bundle", terminal, ["onnx"])
    return folder / "bundle"


def differences(folder: Path, data: Path) -> tuple[dict[str, float], int]:
    """By file, the largest difference of a probability; and how many recordings there were."""
    bundle, cpu = Bundle.read(folder), torch.device("cpu")
    models = [bundle.model(each, cpu) for each in bundle.members]
    names = [Path(each.file).stem for each in bundle.members]
    ear = AudioReader(bundle.config, bundle.channel, dict(bundle.content["typical"]))
    sessions = {
        name: onnxruntime.InferenceSession(folder / "onnx" / f"{name}.onnx")
        for name in [*names, "ensemble"]
    }
    normalised = bundle.config.features.normalise == "recording"
    worst, n_recordings = dict.fromkeys(sessions, 0.0), 0
    for patient in find_patients([data], bundle.config.data).patients:
        heard = ear.read(patient)
        bank, rows = bank_of([heard], normalised, cpu), np.arange(len(heard.sounds))
        each = [
            Predictor(model, bank, bundle.config).of_recordings(rows, bundle.tasks)[0]
            for model in models
        ]
        for row, sound in enumerate(heard.sounds):
            n_recordings += 1
            samples, rate = read_samples(sound.path, bundle.channel)
            wave = ear.transform.prepare(samples, rate).numpy()
            for task in bundle.tasks:
                wanted = np.stack([probs[task.name][row] for probs in each])
                for k, name in enumerate(names):
                    (found,) = sessions[name].run([task.name], {"samples": wave})
                    worst[name] = max(worst[name], float(np.abs(found - wanted[k]).max()))
                (found,) = sessions["ensemble"].run([task.name], {"samples": wave})
                apart = float(np.abs(found - wanted.mean(axis=0)).max())
                worst["ensemble"] = max(worst["ensemble"], apart)
    return worst, n_recordings


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bundle", type=Path, help="made with --onnx")
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--write", action="store_true", help="into docs/ship.md")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        worst, n = differences(given.bundle or trained(Path(name), given.data), given.data)
    rows = [
        {"file": f"`{name}.onnx`", "largest difference": f"{value:.1e}"}
        for name, value in worst.items()
    ]
    what = f"onnxruntime {onnxruntime.__version__}, {n} recordings of `{given.data.name}`"
    lines = [f"{what}: **{max(worst.values()):.1e}** at most, wanted 1e-4.", "", *table(rows)]
    publish("onnx", lines, given.write, PACKAGE / "docs" / "ship.md")


if __name__ == "__main__":
    main()
