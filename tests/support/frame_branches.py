"""A cohort whose heart cycles are known, and frame branches of its folds that take seconds."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from sklearn.metrics import roc_auc_score

from kfold_hs.cohort import Cohort
from kfold_hs.cohort.readers.registry import read_cohort
from kfold_hs.cohort.segmentation import segmentations_of
from kfold_hs.cohort.synthetic.dataset import ensure_cohort
from kfold_hs.config.compose import compose
from kfold_hs.config.schema import Config
from kfold_hs.files.paths import FoldId, RunPaths
from kfold_hs.learn.data.fold import Fold
from kfold_hs.learn.features import bank as banks
from kfold_hs.learn.frames.branch import FrameBranch
from kfold_hs.orchestrator.context import RunContext, RunInputs
from kfold_hs.splits import stratify

QUIET = ["track=[]", "judge.band_resamples=0", "judge.gallery.patients=0"]
"""No trackers, bands or gallery: what is looked at are predictions."""
FRAMES = [
    *QUIET, "features=logmel",
    "features.n_mels=16", "features.n_fft=256", "train.crop_frames=100", "train.epochs=1",
    "train.batch_size=8", "model.backbone=test_efficientnet", "model.weights=none",
    "split.n_folds=2", "frames=cycle", "frames.channels=8", "frames.epochs=1", "frames.crop_s=2",
    "frames.batch_size=8",
]  # fmt: skip
"""A frame branch in less than a second, which learns little; add `table_words`."""
LEARNS = ["frames.channels=24", "frames.epochs=15", "frames.lr=0.01"]
"""One that learns the built-in cohort in some seconds."""
LEAST_AGREEMENT = 0.9
"""What it reaches; half of the frames are diastole."""


def copy_of_built_in(folder: Path, of_each: int = 24) -> Path:
    """The table of 24 people of the built-in cohort in a folder of its own, free to be changed.

    of_each : so many persons of each class of murmur
    """
    path = Path(shutil.copytree(ensure_cohort(24, 0).parent, folder)) / "table.csv"
    table = pd.read_csv(path, dtype=str, keep_default_na=False)
    place = table.groupby("murmur")["person_id"].transform(lambda each: pd.factorize(each)[0])
    table[place < of_each].to_csv(path, index=False)
    return path


def table_words(table: Path) -> list[str]:
    columns = {"person": "person_id", "site": "site", "timing": "murmur_timing"}
    return [
        *("data=table", f"data.path={table}", "data.tasks.murmur.recording_column=murmur_at_site"),
        *(f"data.{name}_column={column}" for name, column in columns.items()),
    ]


def settings(table: Path, *words: str) -> Config:
    return compose([*FRAMES, *table_words(table), *words])


def fold_of(
    config: Config,
    number: int = 0,
    split_of: Cohort | None = None,
    device: torch.device = torch.device("cpu"),  # noqa: B008 - no state
) -> Fold:
    """One of a run's folds.

    split_of : people of the same names, whose split counts
    """
    cohort = read_cohort(config.data)
    inputs = RunInputs(cohort, stratify(split_of or cohort, config.split.n_folds, 0))
    bank = banks.build(cohort, config.features)
    context = RunContext(config, inputs, RunPaths("run"), {"config": "d"}, device, bank)
    return context.on_device().fold(FoldId(0, 0, number))


def learnt(fold: Fold, branch: FrameBranch) -> tuple[float, float]:
    """Of held-out recordings: median share of frames in the right state, AUROC of murmurs."""
    found, marks = branch.cycles(fold.bank, fold.data.held_out), segmentations_of(fold.cohort)
    agreement = []
    for decoded, row in zip(found.decoded, fold.data.held_out, strict=True):
        at, marked = np.arange(len(decoded.states)) * branch.frame_s, marks[row]
        within = (at >= marked.start_s[:, None]) & (at < marked.end_s[:, None])
        truth = (within * marked.state[:, None]).max(axis=0)
        agreement.append((decoded.states == truth)[truth > 0].mean())
    has_murmur = fold.cohort.recordings["murmur"].iloc[fold.data.held_out] == "Present"
    auroc = roc_auc_score(has_murmur, found.measures["murmur"])
    return float(np.median(agreement)), float(auroc)
