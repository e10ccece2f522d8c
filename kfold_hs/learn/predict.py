"""Recordings -> probabilities, from every crop of a recording."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch

from kfold_hs.cohort import Task
from kfold_hs.learn.bank import Bank
from kfold_hs.learn.losses import TaskLosses
from kfold_hs.learn.models import HeartSoundNet
from kfold_hs.learn.precision import autocast
from kfold_hs.pool import pool_groups
from kfold_hs.settings import Config


def crop_starts(n_frames: int, crop_frames: int, overlap: float, n_shifts: int = 1) -> list[int]:
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
    return sorted(shifted)


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
        lengths = bank.length.cpu().numpy()[recordings]
        rule = config.train.crop_frames, config.predict.crop_overlap, config.predict.n_shifts
        starts = [crop_starts(int(n), *rule) for n in lengths]
        gains = config.predict.gains_db  # each crop once at each of them
        owner = np.repeat(np.arange(len(recordings)), [len(s) * len(gains) for s in starts])
        rows = torch.from_numpy(recordings[owner]).to(device)
        flat = torch.tensor([start for each in starts for start in each], device=device)
        added = torch.tensor(gains, device=device).repeat(len(flat)) if any(gains) else None
        return cls(owner, rows, flat.repeat_interleave(len(gains)), added)

    def batches(self, bank: Bank, config: Config) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Rows of the bank and the crops themselves, `predict.batch_size` at a time."""
        size = config.predict.batch_size
        batches = torch.split(self.rows, size)
        whole = bank.batches(batches, torch.split(self.starts, size), config.train.crop_frames)
        for k, (rows, x) in enumerate(zip(batches, whole, strict=True)):
            if self.gains_db is not None:
                x = x + self.gains_db[k * size : (k + 1) * size].view(-1, 1, 1, 1)
            yield rows, x.contiguous(memory_format=torch.channels_last)


@torch.inference_mode()
def predict_recordings(
    model: HeartSoundNet,
    bank: Bank,
    recordings: np.ndarray,
    tasks: tuple[Task, ...],
    targets: dict[str, torch.Tensor],
    losses: TaskLosses,
    config: Config,
    covariates: torch.Tensor | None = None,
) -> tuple[dict[str, np.ndarray], float]:
    """Probabilities of recordings, and the training loss over all of their crops.

    Parameters
    ----------
    recordings : ndarray of int64, shape (n,)
        Rows of the bank.
    targets : dict of Tensor, each (n_recordings of the cohort, C)
    covariates : Tensor, optional, (n_recordings of the cohort, width)

    Returns
    -------
    probs : dict of ndarray, each (n, C) float64, rows in the order of `recordings`
        Of the crops, pooled as `predict.crop_pool` says.
    loss : float
        The training loss (class weights, smoothing), every crop counting once.
    """
    crops = Crops.of(bank, recordings, config)
    model.eval()
    logits: dict[str, list[torch.Tensor]] = {name: [] for name in losses.weights}
    for rows, x in crops.batches(bank, config):
        with autocast(config.train.precision, x.device):
            out = model(x, None if covariates is None else covariates[rows])
        for name, each in out.items():
            logits[name].append(each.float())
    whole = {name: torch.cat(each) for name, each in logits.items()}
    loss = losses(whole, {name: targets[name][crops.rows] for name in whole})
    probs = {
        task.name: pool_groups(
            _probabilities(whole[task.name]),
            crops.owner,
            len(recordings),
            config.predict.crop_pool,
            task.positive_index,
        )
        for task in tasks
    }
    return probs, float(loss)


@torch.inference_mode()
def predict_patients(
    model: HeartSoundNet,
    bank: Bank,
    recordings: np.ndarray,
    patients: np.ndarray,
    targets: dict[str, torch.Tensor],
    losses: TaskLosses,
    config: Config,
    covariates: torch.Tensor | None = None,
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray], float]:
    """Probabilities by a model of patients, of patients and of their recordings alone.

    All crops of all recordings of a patient make one embedding: a crop's weight is its
    attention divided by the number of crops of its recording, so that a recording counts as
    in training, where it gives one crop, however long it is. A recording alone is a
    patient of whom nothing else was heard.

    Parameters
    ----------
    recordings : ndarray of int64, shape (n,)
        Rows of the bank.
    patients : ndarray of int64, shape (n,)
        Each one's patient, in [0, n_patients); each occurs.
    targets, covariates
        As of `predict_recordings`.

    Returns
    -------
    of_patients, of_recordings : dict of ndarray, each (n_patients or n, C) float64
    loss : float
        The training loss (class weights, smoothing), every patient counting once.
    """
    assert model.attention is not None
    crops = Crops.of(bank, recordings, config)
    device, attention = crops.rows.device, model.attention
    model.eval()
    features = []
    for _, x in crops.batches(bank, config):
        with autocast(config.train.precision, device):
            features.append(model.embed(x).float())
    whole = torch.cat(features)
    share = torch.from_numpy(1 / np.bincount(crops.owner).astype(np.float32)[crops.owner])
    first = np.array([np.argmax(patients == row) for row in range(patients.max() + 1)])

    def logits(owner: np.ndarray, rows: np.ndarray) -> dict[str, torch.Tensor]:
        """Of groups of crops; `rows` are the bank's of one recording of each."""
        at = torch.from_numpy(rows).to(device)
        groups = torch.from_numpy(owner).to(device)
        with autocast(config.train.precision, device):
            pooled = attention.of_groups(whole, groups, len(rows), share.to(device))
            out = model.classify(pooled, None if covariates is None else covariates[at])
        return {name: each.float() for name, each in out.items()}

    of_recordings = logits(crops.owner, recordings)
    of_patients = logits(patients[crops.owner], recordings[first])
    rows = torch.from_numpy(recordings[first]).to(device)
    loss = losses(of_patients, {name: targets[name][rows] for name in of_patients})
    return (
        {name: _probabilities(each) for name, each in of_patients.items()},
        {name: _probabilities(each) for name, each in of_recordings.items()},
        float(loss),
    )


def _probabilities(logits: torch.Tensor) -> np.ndarray:
    return np.asarray(logits.double().softmax(dim=1).cpu().numpy())
