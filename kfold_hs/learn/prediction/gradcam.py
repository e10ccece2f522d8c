"""What a model looked at: gradient-weighted class activation on the last convolution's map.

With the map's channels A_k (bands x frames) of a crop and the logit y of a class,

    a_k = mean over bands and frames of dy / dA_k,   L = max(0, sum_k a_k A_k)

Selvaraju et al., "Grad-CAM: Visual Explanations from Deep Networks via Gradient-based
Localization", ICCV 2017, eq. 1 and 2. L has the map's few cells, e.g. 2 x 8 for 64 bands and 256
frames: it says roughly where, and that something there raised the logit, not why.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn.functional import interpolate

from kfold_hs.cohort import Task
from kfold_hs.config.schema import Config
from kfold_hs.learn.device import autocast
from kfold_hs.learn.features.bank import Bank
from kfold_hs.learn.models.network import HeartSoundNet
from kfold_hs.learn.prediction.crops import Crops, Predictor
from kfold_hs.predictions.aggregation import pool_groups


@dataclass(frozen=True, eq=False)
class Looks:
    """What a model looked at in some recordings, for one class of one task of each patient.

    Parameters
    ----------
    maps : list of ndarray, each (n_mels, n_frames) float32
        L of each recording, at least 0, averaged where crops overlap, in the units of the logit;
        lowest band first.
    cells : (int, int)
        Bands and frames of the map of one crop.
    probs : ndarray, shape (n_recordings,) or (n_patients,)
        Of the class: of each recording or, of a model of patients, of each patient.
    """

    maps: list[np.ndarray]
    cells: tuple[int, int]
    probs: np.ndarray


def has_map(model: HeartSoundNet, n_mels: int, n_frames: int, device: torch.device) -> bool:
    """Whether the backbone gives a map of bands and frames: a transformer gives tokens."""
    if not hasattr(model.backbone, "forward_head"):
        return False
    with torch.no_grad():
        found = model.eval().feature_map(torch.zeros(1, 1, n_mels, n_frames, device=device))
    return found.ndim == 4 and found.shape[1] == model.backbone.num_features


def look(
    predictor: Predictor,
    recordings: np.ndarray,
    owner: np.ndarray,
    wanted: Sequence[tuple[Task, int]],
) -> Looks:
    """Where a model that has a map looked in all crops of some recordings.

    Parameters
    ----------
    predictor : Predictor
        The parameters of its network take no more gradients afterwards.
    recordings : ndarray of int64, shape (n,)
        Rows of the bank.
    owner : ndarray of int64, shape (n,)
        Each one's patient, in [0, n_patients), ascending; each occurs.
    wanted : sequence of (Task, int)
        Of each patient: the task and the class whose logit is asked about.
    """
    model, bank, config = predictor.model, predictor.bank, predictor.config
    model.eval().requires_grad_(False)
    crops = Crops.of(bank, recordings, config)
    n_crops, parts = len(crops.rows), []
    with torch.no_grad():
        for _, x in crops.batches(bank, config, fill=True):
            with autocast(config.train.precision, x.device):
                parts.append(model.feature_map(x).float())
    maps = torch.cat(parts)[:n_crops]
    of_crops = owner[crops.owner]
    if model.attention is None:
        found, logits = _of_recordings(predictor, maps, crops, of_crops, wanted)
        probs = _pooled(logits, crops, of_crops, wanted, config.predict.crop_pool)
    else:
        found, probs = _of_patients(predictor, maps, crops, of_crops, wanted)
    return Looks(
        _spread(found, crops, bank, recordings, config), (maps.shape[2], maps.shape[3]), probs
    )


def cam(features: torch.Tensor, gradient: torch.Tensor) -> torch.Tensor:
    """The formula above, (n, C, h, w) twice -> (n, h, w)."""
    weights = gradient.mean(dim=(2, 3), keepdim=True)
    return (weights * features).sum(dim=1).clamp_min(0)


def _of_recordings(
    predictor: Predictor,
    maps: torch.Tensor,
    crops: Crops,
    owner: np.ndarray,
    wanted: Sequence[tuple[Task, int]],
) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """Each crop is told by itself; the class activation, and the logits of the tasks asked for."""
    features = maps.detach().requires_grad_()
    beside = predictor.beside(crops.rows)
    logits = predictor.model.classify(predictor.model.of_map(features), beside)
    total = features.new_zeros(())
    for row, (task, index) in enumerate(wanted):
        mine = torch.from_numpy(np.flatnonzero(owner == row)).to(features.device)
        total = total + logits[task.name][mine, index].sum()
    (gradient,) = torch.autograd.grad(total, features)
    asked = {task.name for task, _ in wanted}
    return cam(maps, gradient), {name: logits[name].detach() for name in asked}


def _pooled(
    logits: dict[str, torch.Tensor],
    crops: Crops,
    owner: np.ndarray,
    wanted: Sequence[tuple[Task, int]],
    rule: str,
) -> np.ndarray:
    """Probability of the class of each recording, (n_recordings,)."""
    of_task = {name: each.double().softmax(dim=1).cpu().numpy() for name, each in logits.items()}
    n_recordings = int(crops.owner.max()) + 1
    found = np.empty(n_recordings)
    for task in {task.name: task for task, _ in wanted}.values():
        probs = pool_groups(
            of_task[task.name], crops.owner, n_recordings, rule,
            task.positive_index,
        )  # fmt: skip
        for row, (other, index) in enumerate(wanted):
            if other.name == task.name:
                mine = np.unique(crops.owner[owner == row])
                found[mine] = probs[mine, index]
    return found


def _of_patients(
    predictor: Predictor,
    maps: torch.Tensor,
    crops: Crops,
    owner: np.ndarray,
    wanted: Sequence[tuple[Task, int]],
) -> tuple[torch.Tensor, np.ndarray]:
    """All crops of a patient are told at once, by attention; see `Predictor.of_patients`."""
    model = predictor.model
    assert model.attention is not None
    share = torch.from_numpy(1 / np.bincount(crops.owner).astype(np.float32)[crops.owner])
    found, probs = torch.empty_like(maps[:, 0]), np.empty(len(wanted))
    for row, (task, index) in enumerate(wanted):
        mine = torch.from_numpy(np.flatnonzero(owner == row)).to(maps.device)
        features = maps[mine].detach().requires_grad_()
        pooled = model.attention.of_groups(
            model.of_map(features), torch.zeros_like(mine), 1, share.to(maps.device)[mine]
        )
        beside = predictor.beside(crops.rows[mine[:1]])
        logits = model.classify(pooled, beside)[task.name]
        (gradient,) = torch.autograd.grad(logits[0, index], features)
        found[mine] = cam(maps[mine], gradient)
        probs[row] = float(logits.detach().double().softmax(dim=1)[0, index])
    return found, probs


def _spread(
    found: torch.Tensor, crops: Crops, bank: Bank, recordings: np.ndarray, config: Config
) -> list[np.ndarray]:
    """Maps of crops, (n_crops, h, w), laid over the recordings that they are of."""
    n_frames = config.train.crop_frames
    size = (bank.n_mels, n_frames)
    starts, lengths = crops.starts.tolist(), bank.length.cpu().numpy()[recordings]
    whole = [np.zeros((bank.n_mels, int(n)), dtype=np.float32) for n in lengths]
    times = [np.zeros(int(n), dtype=np.float32) for n in lengths]
    for crop, owner in enumerate(crops.owner.tolist()):
        one = interpolate(found[crop][None, None], size, mode="bilinear", align_corners=False)
        end = min(starts[crop] + n_frames, int(lengths[owner]))  # one that is shorter is repeated
        whole[owner][:, starts[crop] : end] += one[0, 0, :, : end - starts[crop]].cpu().numpy()
        times[owner][starts[crop] : end] += 1
    return [each / np.maximum(n, 1) for each, n in zip(whole, times, strict=True)]
