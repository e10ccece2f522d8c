"""What a crop goes through before the backbone, none of it learnt by gradients.

[bands with mean 0 and variance 1 over the fold's training recordings] -> [deltas beside it]

It is part of the network, so that whatever holds a model's weights holds its scaling, too.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from kfold_hs.learn.features.bank import Bank

_LEAST_SPREAD = 1e-3
"""A band that varies less (of dB or PCEN) is silent everywhere and is not blown up."""


class Front(nn.Module):
    """Features of crops, (n, 1, n_mels, n_frames) -> (n, 1 + deltas, n_mels, n_frames).

    Parameters
    ----------
    n_bands : int
        Mel bands whose mean and standard deviation `fit` finds; 0: bands are left as they are.
    deltas : int
        How many time derivatives stand beside the features, 0 to 2.
    """

    mean: torch.Tensor | None
    spread: torch.Tensor | None

    def __init__(self, n_bands: int, deltas: int) -> None:
        super().__init__()
        self.deltas = deltas
        self.register_buffer("mean", torch.zeros(n_bands, 1) if n_bands else None)
        self.register_buffer("spread", torch.ones(n_bands, 1) if n_bands else None)

    def fit(self, bank: Bank, recordings: np.ndarray) -> None:
        """Mean and standard deviation of every band, each recording counting once.

        Long and short recordings are drawn equally often in training. The bank is read
        recording by recording and not copied.

        Parameters
        ----------
        recordings : ndarray of int64
            Rows of the bank: those that the fold trains on, and no other.
        """
        if self.mean is None or self.spread is None:
            return
        first, length = bank.on_host
        sums = torch.zeros(2, bank.n_mels, dtype=torch.float64, device=bank.frames.device)
        for row in recordings.tolist():
            frames = bank.frames[first[row] : first[row] + length[row]].double()
            sums += torch.stack([frames.mean(0), frames.square().mean(0)])
        mean, square = sums / len(recordings)
        spread = (square - mean.square()).clamp_min(0).sqrt()
        spread[spread < _LEAST_SPREAD] = 1
        self.mean.copy_(mean[:, None])
        self.spread.copy_(spread[:, None])

    def forward(self, x: torch.Tensor, n_bands: int | None = None) -> torch.Tensor:
        """With `n_bands`, neighbouring bands are averaged so that so many are left."""
        if self.mean is not None and self.spread is not None:
            x = (x - self.mean) / self.spread
        if n_bands is not None and n_bands < x.shape[2]:
            x = nn.functional.adaptive_avg_pool2d(x, (n_bands, x.shape[3]))
        if not self.deltas:
            return x
        orders = [x]
        for _ in range(self.deltas):
            orders.append(delta(orders[-1]))
        return torch.cat(orders, dim=1).contiguous(memory_format=torch.channels_last)


def delta(x: torch.Tensor) -> torch.Tensor:
    """Slope of a straight line through each frame and the two on either side of it, a frame.

        d(t) = sum_k k (x(t + k) - x(t - k)) / (2 sum_k k^2),  k = 1, 2

    Furui, "Speaker-independent isolated word recognition using dynamic features of speech
    spectrum", IEEE Trans. Acoust. Speech Signal Process. 34(1), 1986. The first and the last
    frame are repeated outwards.

    Parameters
    ----------
    x : Tensor, shape (..., n_frames)
    """
    # Not a convolution: that would run in half precision under autocast.
    first, last = x[..., :1].expand(*x.shape[:-1], 2), x[..., -1:].expand(*x.shape[:-1], 2)
    wide, n_frames = torch.cat([first, x, last], dim=-1), x.shape[-1]
    before2, before, _, after, after2 = (wide[..., k : k + n_frames] for k in range(5))
    return (after - before + 2 * (after2 - before2)) / 10
