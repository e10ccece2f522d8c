"""Recordings -> probabilities, from every crop of a recording.

The network is asked for batches of one size, the last one filled up with copies of a crop: on the
CPU what it predicts for a crop then does not depend on how many others there are, and a person who
is predicted alone gets, to the bit, what they got among the people of their fold. Epochs whose
weights nobody will ask again spare themselves the filling (`fill=False`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

import numpy as np
import torch

from kfold_hs.cohort import Task
from kfold_hs.config.schema import Config
from kfold_hs.learn.cuda_graphs import Given, Recorder
from kfold_hs.learn.device import autocast, to_device
from kfold_hs.learn.features.bank import Bank
from kfold_hs.learn.models.network import HeartSoundNet
from kfold_hs.predictions.aggregation import pool_groups


@lru_cache(maxsize=100_000)  # every epoch asks for the same recordings
def crop_starts(
    n_frames: int, crop_frames: int, overlap: float, n_shifts: int = 1
) -> tuple[int, ...]:
    """First frames of crops that cover a recording evenly, from its start to its end.

    Parameters
    ----------
    n_frames : int
        Of the recording; one shorter than a crop gives one crop.
    crop_frames : int
    overlap : float
        Least share by which neighbours overlap, in [0, 1).
    n_shifts : int
        Test-time augmentation: the crops are laid out so many times, each time shifted by a
        further part of the way from one crop to the next; no start counts twice.
    """
    room = max(0, n_frames - crop_frames)
    stride = max(1, round(crop_frames * (1 - overlap)))
    count = math.ceil(room / stride) + 1
    starts = [round(start) for start in np.linspace(0, room, count)]
    way = starts[1] - starts[0] if count > 1 else 0
    shifted = {min(room, s + round(k * way / n_shifts)) for s in starts for k in range(n_shifts)}
    return tuple(sorted(shifted))


def n_crops_of(n_frames: int, config: Config) -> int:
    """How many crops of a recording are predicted, each gain counting."""
    predict = config.predict
    starts = crop_starts(n_frames, config.train.crop_frames, predict.crop_overlap, predict.n_shifts)
    return len(starts) * len(predict.gains_db)


@dataclass(frozen=True)
class Crops:
    """Every crop of some recordings.

    Parameters
    ----------
    owner : ndarray of int64, shape (n_crops,)
        Which of the recordings, in [0, n_recordings), ascending.
    rows, starts : Tensor of int64, shape (n_crops,)
        Row of the bank and first frame within it.
    gains_db : Tensor, shape (n_crops,), or None
        What is added to the levels of each; None: nothing.
    """

    owner: np.ndarray
    rows: torch.Tensor
    starts: torch.Tensor
    gains_db: torch.Tensor | None

    @classmethod
    def of(cls, bank: Bank, recordings: np.ndarray, config: Config) -> Crops:
        device = bank.device
        lengths = bank.on_host[1][recordings]
        rule = config.train.crop_frames, config.predict.crop_overlap, config.predict.n_shifts
        starts = [crop_starts(int(n), *rule) for n in lengths]
        gains = config.predict.gains_db  # each crop once at each of them
        owner = np.repeat(np.arange(len(recordings)), [len(s) * len(gains) for s in starts])
        rows = to_device(recordings[owner], device)
        flat = to_device(np.concatenate(starts, dtype=np.int64), device)
        added = None
        if any(gains):
            added = to_device(np.tile(np.array(gains, dtype=np.float32), len(flat)), device)
        return cls(owner, rows, flat.repeat_interleave(len(gains)), added)

    def batches(
        self, bank: Bank, config: Config, fill: bool
    ) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Rows of the bank and the crops themselves, `predict.batch_size` at a time.

        With `fill` the last batch ends with copies of the last crop, so that all are of one size.
        """
        n_crops, size = len(self.rows), config.predict.batch_size
        n_asked = -(-n_crops // size) * size if fill else n_crops
        filled = torch.arange(n_asked, device=self.rows.device).clamp_max(n_crops - 1)
        batches = torch.split(self.rows[filled], size)
        starts = torch.split(self.starts[filled], size)
        gains = None if self.gains_db is None else torch.split(self.gains_db[filled], size)
        whole = bank.batches(batches, starts, config.train.crop_frames)
        for k, (rows, x) in enumerate(zip(batches, whole, strict=True)):
            if gains is not None:
                x = x + gains[k].view(-1, 1, 1, 1)
            yield rows, x.contiguous(memory_format=torch.channels_last)


@dataclass(frozen=True, eq=False)
class Predictor:
    """A trained network, asked about recordings of a bank.

    Parameters
    ----------
    covariates : Tensor, optional, shape (recordings of the bank, width)
    fill : bool
        Ask for whole batches only, so that each one's numbers are its own to the bit.
    recorder : Recorder, optional
        Of CUDA graphs: a batch's kernels are launched as one, and all batches are whole.
    """

    model: HeartSoundNet
    bank: Bank
    config: Config
    covariates: torch.Tensor | None = None
    fill: bool = True
    recorder: Recorder | None = None

    @torch.inference_mode()
    def of_recordings(
        self, recordings: np.ndarray, tasks: tuple[Task, ...]
    ) -> tuple[dict[str, np.ndarray], dict[str, torch.Tensor], Crops]:
        """What a model of recordings predicts for them, whatever their labels.

        Parameters
        ----------
        recordings : ndarray of int64, shape (n,)
            Rows of the bank.

        Returns
        -------
        probs : dict of ndarray, each (n, C) float64, rows in the order of `recordings`
            Of the crops, aggregated as `predict.crop_pool` says.
        logits : dict of Tensor, each (n_crops, C)
        crops : Crops
        """
        crops = Crops.of(self.bank, recordings, self.config)
        whole = self.logits(crops)
        probs = {
            task.name: pool_groups(
                _probabilities(whole[task.name]),
                crops.owner,
                len(recordings),
                self.config.predict.crop_pool,
                task.positive_index,
            )
            for task in tasks
        }
        return probs, whole, crops

    @torch.inference_mode()
    def of_patients(
        self, recordings: np.ndarray, patients: np.ndarray
    ) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray], dict[str, torch.Tensor]]:
        """What a model of patients predicts for them and for their recordings alone.

        All crops of all recordings of a patient make one embedding: a crop's weight is its
        attention divided by the number of crops of its recording, so that a recording counts as
        in training, where it gives one crop, however long it is. A recording alone is a
        patient with no other recording.

        Parameters
        ----------
        recordings : ndarray of int64, shape (n,)
            Rows of the bank.
        patients : ndarray of int64, shape (n,)
            Each one's patient, in [0, n_patients); each occurs.

        Returns
        -------
        of_patients, of_recordings : dict of ndarray, each (n_patients or n, C) float64
        logits : dict of Tensor, each (n_patients, C)
        """
        assert self.model.attention is not None
        crops = Crops.of(self.bank, recordings, self.config)
        of_crops = self.embeddings(crops)
        share = 1 / np.bincount(crops.owner).astype(np.float32)[crops.owner]
        pooled = partial(self._pooled, of_crops, to_device(share, crops.rows.device))
        alone = pooled(crops.owner, recordings)
        whole = pooled(patients[crops.owner], recordings[first_rows(patients)])
        return (
            {name: _probabilities(each) for name, each in whole.items()},
            {name: _probabilities(each) for name, each in alone.items()},
            whole,
        )

    @torch.inference_mode()
    def logits(self, crops: Crops) -> dict[str, torch.Tensor]:
        """Of every crop, by task: (n_crops, C) float32, on the device."""
        self.model.eval()
        found: dict[str, list[torch.Tensor]] = {}
        for rows, x in self._batches(crops):
            beside = self.beside(rows)
            given = {"x": x} if beside is None else {"x": x, "beside": beside}
            for name, each in self._ask(self._logits, given).items():
                found.setdefault(name, []).append(each)
        return {name: torch.cat(each)[: len(crops.rows)] for name, each in found.items()}

    @torch.inference_mode()
    def embeddings(self, crops: Crops) -> tuple[torch.Tensor, torch.Tensor]:
        """Of every crop: features (n_crops, width) float32, and their attention's scores."""
        self.model.eval()
        batches = [self._ask(self._embedding, {"x": x}) for _, x in self._batches(crops)]
        features, scores = zip(*batches, strict=True)
        n_crops = len(crops.rows)
        return torch.cat(features)[:n_crops], torch.cat(scores)[:n_crops]

    def _batches(self, crops: Crops) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        return crops.batches(self.bank, self.config, self.fill or self.recorder is not None)

    def _ask(self, run: Callable[[Given, HeartSoundNet], Any], given: Given) -> Any:
        # A recording is of one network: the trained one, or the mean of its weights.
        return self.recorder(run, given, self.model) if self.recorder else run(given, self.model)

    def _logits(self, given: Given, model: HeartSoundNet) -> dict[str, torch.Tensor]:
        with autocast(self.config.train.precision, given["x"].device):
            out = model(given["x"], given.get("beside"))
        return {name: each.float() for name, each in out.items()}

    def _embedding(self, given: Given, model: HeartSoundNet) -> tuple[torch.Tensor, torch.Tensor]:
        assert model.attention is not None
        with autocast(self.config.train.precision, given["x"].device):
            features = model.embed(given["x"]).float()
            return features, model.attention.scores(features)

    def _pooled(
        self,
        of_crops: tuple[torch.Tensor, torch.Tensor],
        share: torch.Tensor,
        owner: np.ndarray,
        rows: np.ndarray,
    ) -> dict[str, torch.Tensor]:
        """Logits of groups of crops; `rows` are the bank's of one recording of each."""
        assert self.model.attention is not None
        (features, scores), device = of_crops, share.device
        size, precision = self.config.predict.batch_size, self.config.train.precision
        groups = to_device(owner, device)
        with autocast(precision, device):
            pooled = self.model.attention.of_groups(
                features, groups, len(rows), share, scores=scores
            )
        n_asked = -(-len(rows) // size) * size if self.fill else len(rows)
        filled = torch.arange(n_asked, device=device).clamp_max(len(rows) - 1)
        at = to_device(rows, device)[filled]
        found: dict[str, list[torch.Tensor]] = {}
        for chosen, batch in zip(torch.split(filled, size), torch.split(at, size), strict=True):
            with autocast(precision, device):
                out = self.model.classify(pooled[chosen], self.beside(batch))
            for name, each in out.items():
                found.setdefault(name, []).append(each.float())
        return {name: torch.cat(each)[: len(rows)] for name, each in found.items()}

    def beside(self, rows: torch.Tensor) -> torch.Tensor | None:
        """Covariates of these rows of the bank."""
        return None if self.covariates is None else self.covariates[rows]


def first_rows(patients: np.ndarray) -> np.ndarray:
    """Where each of the patients 0, 1, ... occurs first, (n_patients,) int64."""
    return np.unique(patients, return_index=True)[1]


def _probabilities(logits: torch.Tensor) -> np.ndarray:
    return np.asarray(logits.double().softmax(dim=1).cpu().numpy())
