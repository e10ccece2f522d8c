"""Where training crops come from: the bank, and what decides where in it they start."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from kfold_hs.cohort import Cohort
from kfold_hs.learn.bank import Bank
from kfold_hs.learn.cycles import Cycles
from kfold_hs.settings import Config


@dataclass(frozen=True)
class Source:
    """A bank of features; with `train.align=cycle`, the heart cycles of its recordings."""

    bank: Bank
    cycles: Cycles | None = None

    @classmethod
    def of(cls, config: Config, cohort: Cohort, bank: Bank) -> Source:
        """What the configuration asks for.

        Raises
        ------
        CohortError
            `train.align=cycle`, and no recording has a segmentation.
        """
        align, device = config.train.align == "cycle", bank.frames.device
        return cls(bank, Cycles.of(cohort, config.features, device) if align else None)

    def digests(self) -> dict[str, str]:
        """Of what predictions stand on besides the bank; nothing where there is nothing else."""
        return {} if self.cycles is None else {"cycles": self.cycles.digest}

    def starts(self, recordings: torch.Tensor, n_frames: int, draw: torch.Tensor) -> torch.Tensor:
        """First frames of crops: anywhere in the recording where one fits, or at an S1 there.

        Parameters
        ----------
        recordings : Tensor of int64, any shape
        n_frames : int
            Length of a crop.
        draw : Tensor, of the shape of `recordings`
            Uniform in [0, 1).
        """
        room = self.bank.length - n_frames
        anywhere = (draw * (room[recordings].clamp_min(0) + 1)).long()
        if self.cycles is None:
            return anywhere
        aligned, found = self.cycles.starts(recordings, room, draw)
        return torch.where(found, aligned, anywhere)
