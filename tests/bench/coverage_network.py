"""Coverage for a real network on the built-in simulator, whose people never run out.

    python tests/bench/coverage_network.py train FOLDER --sets 200     resumable; a file a set
    python tests/bench/coverage_network.py judge FOLDER --write

A pool of people is simulated once. Each set draws 150 of them and trains our own network on them,
3 repeats of 5 folds, as a run does: mixup, smoothing, class weights and all. Every fold model is
asked about its held-out people and about 100 people of the pool who are not in its set; the mean
over all models of all sets is the truth. A draw of 150 of thousands hardly differs from one of an
endless population. The network is smaller than a user's, and its epochs are fewer: 3,000 of them
must be trained.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from coverage_tables import of_one, write
from judged_sets import DataSet, Judged, judge, stacked
from learners import CLASSES as N_CLASSES

from kfold_hs.cohort import Cohort
from kfold_hs.cohort.build import tasks_of
from kfold_hs.cohort.synthetic.people import draw_patients, render
from kfold_hs.cohort.synthetic.phonocardiogram import SAMPLE_RATE_HZ
from kfold_hs.config.compose import compose
from kfold_hs.config.schema import Config
from kfold_hs.files.paths import FoldId
from kfold_hs.learn.data.fold import Fold, FoldData, People
from kfold_hs.learn.features.bank import Bank
from kfold_hs.learn.features.transform import transform_of
from kfold_hs.learn.prediction.crops import Predictor
from kfold_hs.learn.prediction.held_out import score
from kfold_hs.learn.training.epoch import train_epoch
from kfold_hs.learn.training.setup import Training
from kfold_hs.splits import stratify

SETTINGS = [
    "data=synthetic", "features.n_mels=16", "features.n_fft=256", "features.hop_s=0.03",
    "train.crop_frames=64", "train.epochs=8", "train.batch_size=32", "optim.lr=8e-3",
    "augment.time_mask_frames=8", "augment.band_mask_bands=2", "train.threads=1",
]  # fmt: skip
N_POOL, N_PEOPLE, N_NEW, N_RUNS, N_FOLDS = 3000, 150, 100, 3, 5
SITES = 2
"""Recordings of a patient that are kept."""


@dataclasses.dataclass(frozen=True, eq=False)
class Pool:
    """Simulated people and the features of their recordings."""

    cohort: Cohort
    bank: Bank

    @classmethod
    def draw(cls, config: Config, n_patients: int, seed: int, file: Path) -> Pool:
        """The first patients of a seed; features are kept in `file`."""
        patients = draw_patients(n_patients, seed)
        kept = [(patient, each) for patient in patients for each in patient.recordings[:SITES]]
        people = pd.DataFrame(
            [
                {"patient_id": p.patient_id, "person_id": p.person_id, "murmur": p.murmur,
                 "outcome": p.outcome}
                for p in patients
            ]
        )  # fmt: skip
        sounds = pd.DataFrame(
            [
                {"recording_id": each.recording_id, "patient_id": p.patient_id, "path": "",
                 "site": each.site, "sample_rate_hz": SAMPLE_RATE_HZ, "n_samples": 0,
                 "duration_s": each.duration_s, "sha256": each.recording_id, "clipped_share": 0.0,
                 "is_flat": False, "murmur": each.murmur_at_site}
                for p, each in kept
            ]
        )  # fmt: skip
        persons = pd.DataFrame({"person_id": sorted(people["person_id"].unique())})
        cohort = Cohort("pool", tasks_of(config.data.tasks), persons, people, sounds)
        if not file.is_file():
            transform = transform_of(config.features)
            frames = [
                transform.measure(
                    (render(each).samples / 32768).astype(np.float32), SAMPLE_RATE_HZ
                )[0]
                for _, each in kept
            ]
            lengths = np.array([len(each) for each in frames])
            np.savez(file, frames=np.concatenate(frames).astype(np.float16), lengths=lengths)
        with np.load(file) as found:
            frames, lengths = torch.from_numpy(found["frames"]), found["lengths"]
        first = torch.from_numpy(np.cumsum(lengths) - lengths)
        return cls(cohort, Bank(frames, first, torch.from_numpy(lengths), "pool"))

    def of(self, persons: np.ndarray) -> Pool:
        """Some of the people, by rows of `cohort.persons`."""
        names = set(self.cohort.persons["person_id"].iloc[persons])
        patients = self.cohort.patients[self.cohort.patients["person_id"].isin(names)]
        mine = self.cohort.recordings["patient_id"].isin(set(patients["patient_id"])).to_numpy()
        rows = torch.from_numpy(np.flatnonzero(mine))
        cohort = dataclasses.replace(
            self.cohort,
            persons=self.cohort.persons.iloc[np.sort(persons)].reset_index(drop=True),
            patients=patients.reset_index(drop=True),
            recordings=self.cohort.recordings[mine].reset_index(drop=True),
        )
        bank = dataclasses.replace(
            self.bank, first=self.bank.first[rows], length=self.bank.length[rows]
        )
        return Pool(cohort, bank)

    def everybody(self) -> People:
        return People(np.arange(self.cohort.n_recordings), np.arange(self.cohort.n_patients))


def fold_model(config: Config, mine: Pool, data: FoldData, where: FoldId) -> Training:
    """Trained to its last epoch."""
    fold = Fold(where, config, mine.cohort, data, mine.bank, torch.device("cpu"), {})
    training = Training.of(fold)
    past: list[float] = []
    for epoch in range(config.train.epochs):
        losses = train_epoch(training, epoch, past)
        past.append(float(torch.stack(losses).mean()))
    return training


def asked(training: Training, pool: Pool, people: People) -> dict[str, np.ndarray]:
    """Probabilities of patients by task, (n_patients, C)."""
    config, cohort = training.fold.config, pool.cohort
    predictor = Predictor(training.model, pool.bank, config, None, fill=False)
    targets = {t.name: torch.zeros(cohort.n_recordings, t.n_classes) for t in cohort.tasks}
    return score(predictor, cohort, people, targets, training.losses)[0].patients


def one_set(config: Config, pool: Pool, number: int) -> dict[str, np.ndarray]:
    """Out-of-fold probabilities of a set's people, and what its models say of new ones.

    Returns
    -------
    dict
        person (n,), fold (S, n), y_TASK (n,), p_TASK (S, n, C); new_y_TASK (S K, m),
        new_p_TASK (S K, m, C).
    """
    rng = np.random.default_rng((7, number))
    order = rng.permutation(pool.cohort.n_persons)
    mine, others = pool.of(order[:N_PEOPLE]), order[N_PEOPLE:]
    cohort, tasks = mine.cohort, mine.cohort.tasks
    n = cohort.n_patients
    found = {f"p_{t.name}": np.empty((N_RUNS, n, t.n_classes), np.float32) for t in tasks}
    found |= {f"y_{t.name}": t.encode(cohort.patients[t.name]) for t in tasks}
    found["person"] = np.unique(cohort.patients["person_id"], return_inverse=True)[1]
    found["fold"] = np.empty((N_RUNS, n), np.int64)
    new: dict[str, list[np.ndarray]] = {}
    config = config.model_copy(update={"seed": number})
    for run in range(N_RUNS):
        split = stratify(cohort, N_FOLDS, 1000 * number + run)
        found["fold"][run] = split.fold_of_patients(cohort, 0)
        for k in range(N_FOLDS):
            data = FoldData.of(cohort, found["fold"][run], k)
            training = fold_model(config, mine, data, FoldId(run, 0, k))
            for name, each in asked(training, mine, data.scored).items():
                found[f"p_{name}"][run, data.patients] = each
            strangers = pool.of(rng.choice(others, N_NEW, replace=False))
            told = asked(training, strangers, strangers.everybody())
            for task in tasks:
                labels = task.encode(strangers.cohort.patients[task.name])
                new.setdefault(f"new_y_{task.name}", []).append(labels)
                new.setdefault(f"new_p_{task.name}", []).append(told[task.name])
    # Two visits of a person are two patients, so that strangers are not equally many.
    least = min(len(each) for each in new["new_y_murmur"])
    return found | {
        name: np.stack([each[:least] for each in every]).astype(
            np.float32 if "_p_" in name else np.int64
        )
        for name, every in new.items()
    }


def train(folder: Path, n_sets: int, more: list[str]) -> None:
    torch.set_num_threads(1)
    config = compose([*SETTINGS, *more])
    folder.mkdir(parents=True, exist_ok=True)
    started = time.perf_counter()
    pool = Pool.draw(config, N_POOL, 0, folder / "pool.npz")
    print(f"pool: {time.perf_counter() - started:.0f} s", flush=True)
    for number in range(n_sets):
        file = folder / f"set{number:04d}.npz"
        if file.is_file():
            continue
        started = time.perf_counter()
        part = folder / f".{os.getpid()}.npz"
        np.savez(part, **one_set(config, pool, number))
        part.replace(file)
        print(f"{file.name}: {time.perf_counter() - started:.0f} s", flush=True)


def read(file: Path) -> DataSet:
    with np.load(file) as kept:
        told = dict(kept)
    by_run = {
        task: told[f"new_p_{task}"].astype(float).reshape(N_RUNS, N_FOLDS, -1, n)
        for task, n in N_CLASSES.items()
    }
    # Every model was asked about people of its own.
    labels = {task: told[f"new_y_{task}"].reshape(N_RUNS, N_FOLDS, -1) for task in N_CLASSES}
    return DataSet(
        {task: told[f"y_{task}"] for task in N_CLASSES},
        {task: told[f"p_{task}"].astype(float) for task in N_CLASSES},
        told["person"], told["fold"], labels, by_run,
    )  # fmt: skip


def judged(folder: Path) -> str:
    """Tables of all sets that are there; `coverage_network.json` is written beside them."""
    files = sorted(folder.glob("set*.npz"))
    found = Judged("network", **stacked([judge(read(file)) for file in files]))
    rows = list(found.rows())
    (folder / "coverage_network.json").write_text(json.dumps(rows))
    error = 100 * np.sqrt(0.95 * 0.05 / len(files))
    said = f"{len(files)} data sets; a column at 95 has a Monte-Carlo error of {error:.1f}."
    return "\n".join([said, "", *of_one(rows)])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["train", "judge"])
    parser.add_argument("folder", type=Path)
    parser.add_argument("overrides", nargs="*", help="of the configuration")
    parser.add_argument("--sets", type=int, default=200)
    parser.add_argument("--write", action="store_true", help="into docs/statistics.md")
    arguments = parser.parse_args()
    if arguments.what == "train":
        train(arguments.folder, arguments.sets, arguments.overrides)
    else:
        text = judged(arguments.folder)
        print(text)
        if arguments.write:
            write("coverage-network", text)


if __name__ == "__main__":
    sys.exit(main())
