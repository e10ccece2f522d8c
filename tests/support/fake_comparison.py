"""Predictions of variants that nobody trained."""

from __future__ import annotations

import numpy as np

from kfold_hs.predictions.table import Predictions
from support.fake_run import fake_run
from support.fake_run_parts import twice

POSITIVES = {"murmur": 0, "outcome": 0}


def kept(skill: float, seed: int = 0) -> Predictions:
    """Two repeats of one epoch; labels are of seed 0, whatever the model's."""
    labels = fake_run(n_epochs=1, seed=0)[0].table
    table = twice(*fake_run(n_epochs=1, skill=skill, seed=seed))[0].table
    for task in POSITIVES:
        table[f"y.{task}"] = np.tile(labels[f"y.{task}"], 2)
    return Predictions(table, fake_run()[0].classes)
