"""Training examples as bags of crops: a recording's one, or one of each of a patient's.

A patient's bag has `train.sites_per_patient` slots. With more recordings than slots, those
that are heard are drawn anew in every epoch; with fewer, the slots left over hold further
crops of the same recordings and are marked as padding: attention gives them no weight, and
batch statistics see sound alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from kfold_hs.cohort import Cohort
from kfold_hs.config.schema import TrainConfig


@dataclass(frozen=True)
class Bags:
    """Who an example is made of.

    Parameters
    ----------
    table : ndarray of int64, shape (n_bags, most)
        Rows of `cohort.recordings`; a row with fewer than `most` repeats its own.
    counts : ndarray of int64, shape (n_bags,)
        How many of them are different, at least 1.
    n_slots : int
        Crops of an example.
    """

    table: np.ndarray
    counts: np.ndarray
    n_slots: int

    @classmethod
    def of(cls, cohort: Cohort, recordings: np.ndarray, config: TrainConfig) -> Bags:
        """A bag a recording, or a bag a patient in the order of their first recordings."""
        if config.level == "recording":
            return cls(recordings[:, None], np.ones(len(recordings), dtype=np.int64), 1)
        codes = pd.factorize(cohort.recordings["patient_id"].iloc[recordings])[0]
        groups = [recordings[codes == code] for code in range(codes.max() + 1)]
        most = max(len(group) for group in groups)
        table = np.stack([np.resize(group, most) for group in groups])
        return cls(table, np.array([len(group) for group in groups]), config.sites_per_patient)

    def __len__(self) -> int:
        return len(self.table)

    @property
    def first(self) -> np.ndarray:
        """One recording of every bag: what holds for a patient can be read at its row."""
        return np.asarray(self.table[:, 0])

    def draw(self, order: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Recordings of the examples of an epoch.

        Parameters
        ----------
        order : ndarray of int64, shape (n,)
            Bags in the order they are trained on.

        Returns
        -------
        recordings : ndarray of int64, shape (n, n_slots)
        present : ndarray of float32, shape (n, n_slots)
            1, or 0 where the slot is padding.
        """
        counts = self.counts[order, None]
        keys = rng.random((len(order), self.table.shape[1]))
        keys[counts <= np.arange(self.table.shape[1])] = 2  # repeats come last
        slots = np.arange(self.n_slots)
        chosen = np.take_along_axis(np.argsort(keys, axis=1), slots % counts, axis=1)
        present = (slots < counts).astype(np.float32)
        return np.take_along_axis(self.table[order], chosen, axis=1), present
