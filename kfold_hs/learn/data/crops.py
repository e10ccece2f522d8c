"""Where training crops come from: where in the bank they start, and what is done to their sound."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch

from kfold_hs.cohort import Cohort
from kfold_hs.config.schema import AugmentConfig, Config
from kfold_hs.learn.data.augment import band_stop, extra, gain, speeds
from kfold_hs.learn.data.heart_cycles import Cycles
from kfold_hs.learn.data.noise import Noise, noisy
from kfold_hs.learn.features.bank import Bank


@dataclass(frozen=True)
class Source:
    """A bank of features, the heart cycles of its recordings, and noise to add to them.

    `augment` says what else is done to the sound; `cycles` are there with `train.align=cycle`,
    `noise` with `augment.noise_share`.
    """

    bank: Bank
    cycles: Cycles | None = None
    noise: Noise | None = None
    augment: AugmentConfig | None = None

    @classmethod
    def of(cls, config: Config, cohort: Cohort, bank: Bank) -> Source:
        """What the configuration asks for.

        Raises
        ------
        CohortError, ConfigError
            No recording has a segmentation, or the folder of noise cannot be used.
        """
        align, device = config.train.align == "cycle", bank.device
        cycles = Cycles.of(cohort, config.features, device) if align else None
        return cls(bank, cycles, Noise.of(config, device), config.augment)

    def digests(self) -> dict[str, str]:
        """Of what predictions stand on besides the bank, where there is anything."""
        parts = {"cycles": self.cycles, "noise": self.noise}
        return {name: part.digest for name, part in parts.items() if part is not None}

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

    def batches(
        self,
        recordings: torch.Tensor,
        starts: torch.Tensor,
        size: int,
        n_frames: int,
        stream: Mapping[str, np.random.Generator],
    ) -> Iterator[torch.Tensor]:
        """Crops as another stethoscope or another room might have given them, batch by batch.

        Parameters
        ----------
        recordings, starts : Tensor of int64, shape (n_examples, n_slots)
        size : int
            Examples of a batch.
        stream : mapping
            Random generators by purpose (`RandomStreams.of_epoch`).

        Yields
        ------
        Tensor, shape (size * n_slots, 1, n_mels, n_frames)
            In the bank's units: before bands are scaled.
        """
        bank, config = self.bank, self.augment
        assert config is not None
        rows = [each.flatten() for each in torch.split(recordings, size)]
        first = [each.flatten() for each in torch.split(starts, size)]
        rng = stream["stretch"]
        fast = (speeds(len(each), config.stretch, rng, bank.frames.device) for each in rows)
        whole = bank.batches(rows, first, n_frames, fast)
        for number, (each, x) in enumerate(zip(rows, whole, strict=True)):
            if self.noise is not None:
                x = noisy(x, each, bank, self.noise, stream["noise"])
            x = band_stop(gain(x, config, stream["gain"]), config, stream["stop"])
            yield extra(x, config, stream["extra"], is_first=number == 0)
