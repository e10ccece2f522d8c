"""From a feature map (n, C, bands, frames) to features (n, C), by name."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn


class Average(nn.Module):
    """Mean over bands and frames."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.mean(dim=(2, 3))


class Maximum(nn.Module):
    """Maximum over bands and frames."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.amax(dim=(2, 3))


class GeM(nn.Module):
    """Generalised mean, (mean x^p)^(1/p), with a learnt p that begins at 3.

    Radenovic et al., "Fine-tuning CNN Image Retrieval with No Human Annotation", TPAMI 2019.
    """

    def __init__(self) -> None:
        super().__init__()
        self.p = nn.Parameter(torch.tensor(3.0))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        p = self.p.clamp(1, 10)
        return x.float().clamp_min(1e-6).pow(p).mean(dim=(2, 3)).pow(1 / p)


class TimeAttention(nn.Module):
    """Mean over bands, then a weighted mean over frames with learnt weights.

    Ilse et al., "Attention-based Deep Multiple Instance Learning", ICML 2018, eq. 8.
    """

    def __init__(self, n_features: int, n_hidden: int = 128) -> None:
        super().__init__()
        self.score = nn.Sequential(
            nn.Linear(n_features, n_hidden), nn.Tanh(), nn.Linear(n_hidden, 1)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        frames = x.mean(dim=2).transpose(1, 2)
        weights = self.score(frames).softmax(dim=1)
        pooled: torch.Tensor = (weights * frames).sum(dim=1)
        return pooled


POOLINGS: dict[str, Callable[[int], nn.Module]] = {
    "avg": lambda n: Average(),
    "max": lambda n: Maximum(),
    "gem": lambda n: GeM(),
    "attention": lambda n: TimeAttention(n),
}
