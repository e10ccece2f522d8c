"""Recordings -> probabilities: every crop of a recording, averaged."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import nn

from kfold_hs.learn.bank import Bank
from kfold_hs.learn.losses import TaskLosses
from kfold_hs.learn.precision import autocast
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


@torch.inference_mode()
def predict_recordings(
    model: nn.Module,
    bank: Bank,
    recordings: np.ndarray,
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
    loss : float
        The training loss (class weights, smoothing), every crop counting once.
    """
    device = bank.frames.device
    lengths = bank.length.cpu().numpy()[recordings]
    rule = config.train.crop_frames, config.predict.crop_overlap, config.predict.n_shifts
    starts = [crop_starts(int(n), *rule) for n in lengths]
    owner = np.repeat(np.arange(len(recordings)), [len(each) for each in starts])
    rows = torch.from_numpy(recordings[owner]).to(device)
    first = torch.tensor([start for each in starts for start in each], device=device)

    model.eval()
    logits: dict[str, list[torch.Tensor]] = {name: [] for name in losses.weights}
    size = config.predict.batch_size
    for at in range(0, len(rows), size):
        part = slice(at, at + size)
        x = bank.crops(rows[part], first[part], config.train.crop_frames)
        with autocast(config.train.precision, device):
            beside = None if covariates is None else covariates[rows[part]]
            out = model(x.contiguous(memory_format=torch.channels_last), beside)
        for name, each in out.items():
            logits[name].append(each.float())
    whole = {name: torch.cat(each) for name, each in logits.items()}
    loss = losses(whole, {name: targets[name][rows] for name in whole})
    count = np.bincount(owner, minlength=len(recordings))[:, None]
    probs = {}
    for name, each in whole.items():
        crops = each.double().softmax(dim=1).cpu().numpy()
        summed = np.zeros((len(recordings), crops.shape[1]))
        np.add.at(summed, owner, crops)
        probs[name] = summed / count
    return probs, float(loss)
