"""Are a network's probabilities on a likelihood's scale? The class-share term assumes about that.

    python tests/bench/likelihood_scale.py train DIR FOLDER     DIR holds CirCor; minutes a variant
    python tests/bench/likelihood_scale.py simulate FOLDER --sets 100
    python tests/bench/likelihood_scale.py table FOLDER --write

The term asks how calls move when the log odds of the training people's classes do. A model that was
fitted by likelihood moves its log odds by as much; one that is T times as sharp by T times as much,
and T is the temperature of least log loss out of fold, allowed from 1 to 2. Here our own network is
trained on real people, one run of 5 folds, by every loss that changes the scale; and what small
learners say of simulated people is given the scales that such losses give, so that coverage is
seen.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from coverage_network import Pool, asked, fold_model
from coverage_tables import write
from judged_sets import N_RUNS, DataSet, Judged, judge, stacked
from learners import N_NEW, draw, folds, tell
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax

from kfold_hs.cohort.readers.registry import read_cohort
from kfold_hs.config.compose import compose
from kfold_hs.files.paths import FoldId
from kfold_hs.judge.stats.class_shares import WAYS
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


def focal(p: np.ndarray, gamma: float = 2.0) -> np.ndarray:
    """What the focal loss makes of true probabilities p: q of least sum_c -p_c (1-q_c)^g log q_c.

    Where p_c v(q_c)^-1 is alike for all classes, 1 / v = (1-q)^g / q - g (1-q)^(g-1) log q.
    """
    q = np.r_[np.geomspace(1e-9, 0.01, 200), np.linspace(0.011, 1 - 1e-6, 4000)]
    v = 1 / ((1 - q) ** gamma / q - gamma * (1 - q) ** (gamma - 1) * np.log(q))
    low, high = np.full(p.shape[:-1], -25.0), np.full(p.shape[:-1], 25.0)
    for _ in range(50):
        middle = (low + high) / 2
        found = np.interp(p * np.exp(middle)[..., None], v, q)
        over = found.sum(axis=-1) > 1
        low, high = np.where(over, low, middle), np.where(over, middle, high)
    return found / found.sum(axis=-1, keepdims=True)


def weighted(p: np.ndarray) -> np.ndarray:
    """What class weights of 3, 2 and 1 (two classes: 2 and 1) make of probabilities."""
    found = p * np.arange(p.shape[-1], 0, -1)
    return found / found.sum(axis=-1, keepdims=True)


def sharper(p: np.ndarray, factor: float) -> np.ndarray:
    return softmax(factor * np.log(np.maximum(p, 1e-12)), axis=-1)


SCALES = {
    "as fitted": lambda p: p,
    "smoothing 0.05": lambda p: 0.95 * p + 0.05 / p.shape[-1],
    "smoothing 0.2": lambda p: 0.8 * p + 0.2 / p.shape[-1],
    "focal, gamma 2": focal,
    "class weights": weighted,
    "temperature 2": lambda p: sharper(p, 1 / 2),
    "temperature 1/2": lambda p: sharper(p, 2),
    "temperature 1/3": lambda p: sharper(p, 3),
}
WORLDS = (("LDA", "none", 200), ("random features", "weak", 200), ("logistic", "weak", 942))
SHOWN = ("outcome weighted_accuracy", "murmur weighted_accuracy", "outcome accuracy",
         "murmur accuracy", "murmur macro_f1")  # fmt: skip


def simulate(folder: Path, n_sets: int) -> None:
    """Data sets of every world, on every scale; a file a world."""
    folder.mkdir(parents=True, exist_ok=True)
    for learner, signal, n in WORLDS:
        file = folder / f"{learner} {signal} {n}.npz"
        if file.is_file():
            continue
        rng, found = np.random.default_rng(n), {name: [] for name in SCALES}
        for _ in range(n_sets // 25):
            people, strangers = (draw(signal, 25, np.arange(m), rng) for m in (n, N_NEW))
            fold = folds(people, N_RUNS, N_FOLDS, rng)
            told = tell(learner, people, strangers, fold, 0, rng)
            for i in range(25):
                one = DataSet.of(people, strangers, told, fold, i)
                for name, scale in SCALES.items():
                    p, new_p = ({t: scale(e) for t, e in x.items()} for x in (one.p, one.new_p))
                    found[name].append(judge(replace(one, p=p, new_p=new_p)))
        parts = {name: stacked(each) for name, each in found.items()}
        np.savez(file, **{f"{a}/{b}": x for a, each in parts.items() for b, x in each.items()})
        print(file, flush=True)


def of_scales(folder: Path) -> list[str]:
    """Coverage by the two ways and by both, of what is told on every scale."""
    lines = []
    for world in WORLDS:
        file = folder / f"{' '.join(map(str, world))}.npz"
        if not file.is_file():
            continue
        told = np.load(file)
        lines += ["", f"{file.stem}, {len(told['as fitted/true'])} sets: by probability alone, by "
                  "call alone, both", "", f"| scale | {' | '.join(SHOWN)} |",
                  "|---" * (1 + len(SHOWN)) + "|"]  # fmt: skip
        for name in SCALES:
            arrays = {k.split("/")[-1]: told[k] for k in told if k.startswith(name + "/")}
            rows = {(r["metric"], r["formula"]): r for r in Judged(name, **arrays).rows()}
            cells = (
                ", ".join(f"{rows[c, f]['covered']:.1f}" for f in (*WAYS, "now 3")) for c in SHOWN
            )
            lines.append(f"| {name} | {' | '.join(cells)} |")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(dest="what", required=True)
    of_training = commands.add_parser("train")
    of_training.add_argument("data")
    of_learners = commands.add_parser("simulate")
    of_learners.add_argument("--sets", type=int, default=100)
    for each in (of_training, of_learners, commands.add_parser("table")):
        each.add_argument("folder", type=Path)
        each.add_argument("--write", action="store_true", help="into docs/statistics.md")
    arguments = parser.parse_args()
    if arguments.what == "train":
        train(arguments.data, arguments.folder)
    if arguments.what == "simulate":
        simulate(arguments.folder, arguments.sets)
    real, scales = table(arguments.folder), of_scales(arguments.folder)
    print("\n".join([*real, *scales]))
    if arguments.write:
        write("scale-real", "\n".join(real))
        write("scale-simulated", "\n".join(scales))


if __name__ == "__main__":
    main()
