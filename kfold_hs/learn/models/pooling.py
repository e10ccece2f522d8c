"""From a feature map (n, C, bands, frames) to features (n, C), by name.

From the crops of a patient to one embedding: gated attention, learnt with the rest.

With the crops' features h_k, Ilse et al., "Attention-based Deep Multiple Instance
Learning", ICML 2018, eq. 8 and 9:

    a_k ~ exp(w' (tanh(V h_k) * sigmoid(U h_k))),  sum_k a_k = 1;  z = sum_k a_k h_k
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from kfold_hs.learn.device import in_float32


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


class GatedAttention(nn.Module):
    """The formula above.

    Parameters
    ----------
    n_features : int
        Width of the crops' features.
    n_hidden : int
        Rows of V and U.
    """

    def __init__(self, n_features: int, n_hidden: int = 128) -> None:
        super().__init__()
        self.value = nn.Linear(n_features, n_hidden)
        self.gate = nn.Linear(n_features, n_hidden)
        self.score = nn.Linear(n_hidden, 1)

    def scores(self, features: torch.Tensor) -> torch.Tensor:
        """Log of the weights, up to a constant: (n, n_features) -> (n,) float32."""
        with in_float32(features):
            features = features.float()
            hidden = self.value(features).tanh() * self.gate(features).sigmoid()
            scores: torch.Tensor = self.score(hidden).squeeze(1)
        return scores

    def forward(self, features: torch.Tensor, present: torch.Tensor) -> torch.Tensor:
        """Bags of one size, as training has them.

        Parameters
        ----------
        features : Tensor, shape (n_bags * n_slots, n_features)
            The slots of a bag one after another.
        present : Tensor, shape (n_bags, n_slots)
            0: the slot is padding and gets no weight; a bag has at least one that is not.

        Returns
        -------
        Tensor, shape (n_bags, n_features)
        """
        scores = self.scores(features).view(present.shape)
        weights = scores.masked_fill(present == 0, -torch.inf).softmax(dim=1)
        return (weights[:, :, None] * features.view(*present.shape, -1)).sum(dim=1)

    def of_groups(
        self,
        features: torch.Tensor,
        owner: torch.Tensor,
        n_groups: int,
        share: torch.Tensor,
        scores: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Bags of any size, as prediction has them.

        Parameters
        ----------
        features : Tensor, shape (n, n_features)
        owner : Tensor, shape (n,), int64
            The bag of each crop, in [0, n_groups); each occurs.
        share : Tensor, shape (n,)
            What a crop's weight is multiplied by before the weights are made to sum to 1.
        scores : Tensor, shape (n,), optional
            Of the features, where they are known already.

        Returns
        -------
        Tensor, shape (n_groups, n_features)
        """
        scores = (self.scores(features) if scores is None else scores) + share.log()
        top = scores.new_full((n_groups,), -torch.inf).scatter_reduce(0, owner, scores, "amax")
        weights = (scores - top[owner]).exp()
        weights = weights / weights.new_zeros(n_groups).index_add(0, owner, weights)[owner]
        pooled = features.new_zeros((n_groups, features.shape[1]), dtype=torch.float32)
        return pooled.index_add(0, owner, weights[:, None] * features)
