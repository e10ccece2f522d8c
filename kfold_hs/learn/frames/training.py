"""The training of a frame branch, on the segmented stretches of a fold's training people."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch

from kfold_hs.errors import TrainingError
from kfold_hs.learn.data.fold import Fold
from kfold_hs.learn.device import to_device
from kfold_hs.learn.features.bank import Bank
from kfold_hs.learn.frames.branch import FrameBranch, frames_of, untrained_net
from kfold_hs.learn.frames.network import FrameNet, band_scale
from kfold_hs.learn.frames.sojourn import Sojourn
from kfold_hs.learn.frames.targets import FrameTargets

WEIGHT_DECAY, GRAD_CLIP = 0.01, 5.0
MOST_WEIGHT = 100.0
"""Of a class against the mean frame: one that hardly occurs shall not rule the others."""


def targets_of(fold: Fold) -> FrameTargets:
    """Targets of the fold's training recordings; the .tsv of the cohort are read."""
    return FrameTargets.of(fold.config, fold.cohort, fold.data.train, fold.bank.on_host[1])


def fit_branch(fold: Fold, targets: FrameTargets | None = None) -> FrameBranch:
    """Train a frame branch on the fold's training people.

    Parameters
    ----------
    targets : FrameTargets, optional
        `targets_of` the fold, where they are known already.

    Raises
    ------
    CohortError
        Too few of their recordings are segmented.
    TrainingError
        The loss is not a finite number.
    """
    config, frames = fold.config, fold.config.frames
    assert config.features.frame_s is not None  # `Config` refuses it
    targets = targets or targets_of(fold)
    targets.check(len(fold.data.train), f"fold {fold.id.fold}")
    sojourn = Sojourn.fit(targets.segmentations)
    examples, loss = Examples.of(fold, targets), Loss(targets, fold.device)
    torch.manual_seed(fold.streams.torch_seed("frames.init", 0))
    net = untrained_net(config).to(fold.device)
    optimizer = torch.optim.AdamW(net.parameters(), lr=frames.lr, weight_decay=WEIGHT_DECAY)
    n_steps = frames.epochs * len(examples.order(fold, 0))
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, frames.lr, total_steps=n_steps)
    for epoch in range(frames.epochs):
        torch.manual_seed(fold.streams.torch_seed("frames.dropout", epoch))
        total = torch.zeros((), device=fold.device)
        for x, allowed in examples.batches(fold, epoch):
            total += train_step(net, loss, optimizer, x, allowed)
            schedule.step()
        if not torch.isfinite(total + _sum(net)):
            raise TrainingError(
                f"fold {fold.id.fold}: the loss or the weights of the frame branch are no finite "
                f"numbers after epoch {epoch + 1} of {frames.epochs}. Lower frames.lr="
                f"{frames.lr:g}."
            )
    return FrameBranch(net.eval(), sojourn, config.features.frame_s)


def train_step(
    net: FrameNet,
    loss: Loss,
    optimizer: torch.optim.Optimizer,
    x: torch.Tensor,
    allowed: torch.Tensor,
) -> torch.Tensor:
    """The loss of a batch, before the step that it leads to; nothing is waited for."""
    found = loss(net.train(), x, allowed)
    optimizer.zero_grad()
    found.backward()  # type: ignore[no-untyped-call]
    torch.nn.utils.clip_grad_norm_(net.parameters(), GRAD_CLIP)
    optimizer.step()
    return found.detach()


@torch.no_grad()
def _sum(net: FrameNet) -> torch.Tensor:
    """Of all weights and batch statistics: a finite number when they all are."""
    sums = [each.double().sum() for each in (*net.parameters(), *net.buffers())]
    return torch.stack(sums).sum()


@dataclass(frozen=True, eq=False)
class Examples:
    """Training recordings, of which crops are drawn where they are annotated.

    Parameters
    ----------
    rows : ndarray of int64, shape (n,)
        Of the bank.
    mean, spread : Tensor, shape (n, n_mels)
        Of every band of each.
    allowed : Tensor of uint8
        Targets of all frames, one recording after another.
    first, length : Tensor of int64, shape (n,)
        Where each one's targets begin, and how many they are.
    low, high : ndarray of int64, shape (n,)
        First and last start of its crops.
    """

    bank: Bank
    rows: np.ndarray
    mean: torch.Tensor
    spread: torch.Tensor
    allowed: torch.Tensor
    first: torch.Tensor
    length: torch.Tensor
    low: np.ndarray
    high: np.ndarray
    n_frames: int

    @classmethod
    def of(cls, fold: Fold, targets: FrameTargets) -> Examples:
        bank, device, config = fold.bank, fold.device, fold.config
        assert config.features.frame_s is not None
        n_frames = round(config.frames.crop_s / config.features.frame_s)
        scales = [band_scale(frames_of(bank, int(row))) for row in targets.recordings]
        mean, spread = (torch.stack(each) for each in zip(*scales, strict=True))
        length = np.array([len(each) for each in targets.allowed])
        marked = [np.flatnonzero(each)[[0, -1]] for each in targets.allowed]
        begin, end = np.array(marked).T
        margin = n_frames // 6  # of sound that is not annotated, on either side
        low = np.clip(begin - margin, 0, np.maximum(length - n_frames, 0))
        high = np.clip(end + margin - n_frames, low, np.maximum(length - n_frames, 0))
        first = np.cumsum(length) - length
        return cls(
            bank,
            targets.recordings,
            mean[:, None, :, None],
            spread[:, None, :, None],
            to_device(np.concatenate(targets.allowed), device),
            to_device(first, device),
            to_device(length, device),
            low,
            high,
            n_frames,
        )

    def order(self, fold: Fold, epoch: int) -> np.ndarray:
        """Which examples make each batch, (n_batches, batch)."""
        n = len(self.rows)
        batch = min(fold.config.frames.batch_size, n)
        order = fold.streams.generator("frames.order", epoch).permutation(n)
        return order[: n // batch * batch].reshape(-1, batch)

    def batches(self, fold: Fold, epoch: int) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """A crop of each example: (n, n_mels, n_frames), and its targets (n, n_frames) uint8.

        A recording shorter than a crop is repeated from its start.
        """
        device, order = self.first.device, self.order(fold, epoch)
        rng = fold.streams.generator("frames.crop", epoch)
        drawn = rng.integers(self.low[order], self.high[order] + 1)
        at, rows, starts = (to_device(each, device) for each in (order, self.rows[order], drawn))
        offsets = torch.arange(self.n_frames, device=device)
        crops = self.bank.batches(list(rows), list(starts), self.n_frames)
        for x, each, start in zip(crops, at, starts, strict=True):
            frames = (start[:, None] + offsets) % self.length[each, None]
            x = (x - self.mean[each]) / self.spread[each]
            yield x[:, 0], self.allowed[self.first[each, None] + frames]


class Loss:
    """Mean of -log P(a class that is allowed) over annotated frames, classes weighted alike.

    A frame that may be of two classes weighs as the network divides it among them.
    """

    def __init__(self, targets: FrameTargets, device: torch.device) -> None:
        allowed = np.concatenate(targets.allowed)
        counts = np.array([(allowed == 1 << k).sum() for k in range(targets.n_classes)])
        share = counts / max(counts.sum(), 1)
        weight = 1 / np.maximum(share * targets.n_classes, 1 / MOST_WEIGHT)
        self._weight = torch.tensor(weight, dtype=torch.float32, device=device)
        self._bits = torch.arange(targets.n_classes, device=device)

    def __call__(self, net: FrameNet, x: torch.Tensor, allowed: torch.Tensor) -> torch.Tensor:
        log_probs = net(x).log_softmax(dim=1).transpose(1, 2)
        may = (allowed[..., None] >> self._bits) & 1 > 0
        among = log_probs.masked_fill(~may, -torch.inf)
        marked = allowed > 0
        log_right = torch.where(marked[..., None], among, 0.0).logsumexp(dim=-1)
        with torch.no_grad():
            division = (among - log_right[..., None]).exp()
            weight = torch.where(marked, (division * self._weight).sum(dim=-1), 0.0)
        return -(weight * torch.where(marked, log_right, 0.0)).sum() / weight.sum().clamp_min(1e-6)
