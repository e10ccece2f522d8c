"""Are a network's probabilities on a likelihood's scale? The class-share term assumes about that.

    python tests/bench/likelihood_scale.py train DIR FOLDER     DIR holds CirCor; minutes a variant
    python tests/bench/likelihood_scale.py table FOLDER

The term asks how calls move when the log odds of the training people's classes do. A model that was
fitted by likelihood moves its log odds by as much; one that is T times as sharp by T times as much,
and T is the temperature of least log loss out of fold, allowed from 1 to 2. Here our own network is
trained on real people, one run of 5 folds, by every loss that changes the scale.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from coverage_network import Pool, asked, fold_model
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

from kfold_hs.cohort.readers.registry import read_cohort
from kfold_hs.config.compose import compose
from kfold_hs.files.paths import FoldId
from kfold_hs.learn.data.fold import FoldData
from kfold_hs.learn.features import bank as banks
from kfold_hs.splits import stratify

N_FOLDS = 5
PLAIN = (
    "features.n_mels=24", "features.hop_s=0.03", "train.crop_frames=64", "train.batch_size=32",
    "optim.lr=6e-3", "train.epochs=12", "train.threads=1", "augment=none",
    "loss.label_smoothing=0", "loss.class_weights=none",
)  # fmt: skip
VARIANTS = {
    "cross-entropy": (),
    "smoothing 0.05": ("loss.label_smoothing=0.05",),
    "smoothing 0.2": ("loss.label_smoothing=0.2",),
    "mixup 0.3": ("augment.mixup_alpha=0.3",),
    "focal, gamma 2": ("loss=focal",),
    "class weights": ("loss.class_weights=task",),
    "as configured": ("augment=light", "augment.time_mask_frames=8", "augment.band_mask_bands=3",
                      "loss.label_smoothing=0.05", "loss.class_weights=task"),
    "cross-entropy, 48 epochs": ("train.epochs=48",),
}  # fmt: skip


def train(data: str, folder: Path) -> None:
    torch.set_num_threads(1)
    folder.mkdir(parents=True, exist_ok=True)
    for name, words in VARIANTS.items():
        file = folder / f"{name}.npz"
        if file.is_file():
            continue
        config = compose(["data=circor", f"data.root={data}", *PLAIN, *words])
        cohort = read_cohort(config.data)
        people = Pool(cohort, banks.build(cohort, config.features))
        fold = stratify(cohort, N_FOLDS, 0).fold_of_patients(cohort, 0)
        found = {f"p_{t.name}": np.empty((cohort.n_patients, t.n_classes)) for t in cohort.tasks}
        found |= {f"y_{t.name}": t.encode(cohort.patients[t.name]) for t in cohort.tasks}
        for k in range(N_FOLDS):
            part = FoldData.of(cohort, fold, k)
            training = fold_model(config, people, part, FoldId(0, 0, k))
            for task, each in asked(training, people, part.scored).items():
                found[f"p_{task}"][part.patients] = each
        np.savez(file, fold=fold, **found)
        print(file, flush=True)


def temperature(y: np.ndarray, p: np.ndarray) -> float:
    """Of least log loss, from 1/10 to 10."""
    logit = np.log(np.maximum(p, 1e-9))

    def loss(log_t: float) -> float:
        told = log_softmax(logit / np.exp(log_t), axis=-1)
        return -float(np.take_along_axis(told, y[:, None], axis=1).mean())

    return float(np.exp(minimize_scalar(loss, bounds=(-2.3, 2.3), method="bounded").x))


def table(folder: Path) -> list[str]:
    lines = [
        "| trained by | task | accuracy | mean of the highest | temperature |",
        "|---" * 5 + "|",
    ]
    for name in VARIANTS:
        if not (folder / f"{name}.npz").is_file():
            continue
        told = np.load(folder / f"{name}.npz")
        for task in ("murmur", "outcome"):
            y, p = told[f"y_{task}"], told[f"p_{task}"]
            right = float((p.argmax(axis=1) == y).mean())
            lines.append(
                f"| {name} | {task} | {right:.3f} | {p.max(axis=1).mean():.3f} "
                f"| {temperature(y, p):.2f} |"
            )
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(dest="what", required=True)
    of_training = commands.add_parser("train")
    of_training.add_argument("data")
    for each in (of_training, commands.add_parser("table")):
        each.add_argument("folder", type=Path)
    arguments = parser.parse_args()
    if arguments.what == "train":
        train(arguments.data, arguments.folder)
    print("\n".join(table(arguments.folder)))


if __name__ == "__main__":
    main()
