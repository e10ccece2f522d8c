"""Crops that start where a heart cycle does."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
import torch

from kfold_hs.cohort import Cohort
from kfold_hs.cohort.segmentation import segmentations_of
from kfold_hs.config.schema import FeatureSettings
from kfold_hs.errors import ConfigError


@dataclass(frozen=True)
class Cycles:
    """Frames at which S1 begins.

    Parameters
    ----------
    onsets : Tensor, shape (n_onsets,), int64
        Frame within the recording, ascending in each, the recordings one after another.
    owner : Tensor, shape (n_onsets,), int64
        The recording of each: a row of `cohort.recordings`.
    first : Tensor, shape (n_recordings,), int64
        Where each recording starts in `onsets`; it may have none.
    """

    onsets: torch.Tensor
    owner: torch.Tensor
    first: torch.Tensor

    @classmethod
    def of(cls, cohort: Cohort, config: FeatureSettings, device: torch.device) -> Cycles:
        """Those that are marked beside the recordings.

        Raises
        ------
        CohortError
            None is.
        """
        found = [each.s1_onsets for each in segmentations_of(cohort)]
        counts = np.array([len(each) for each in found])
        if (hop_s := config.frame_s) is None:
            raise ConfigError(
                f"train.align=cycle starts crops at heart sounds, and features={config.kind} makes "
                "one frame of a recording: set train.align=none."
            )
        # Frames are centred at multiples of it.
        onsets = np.round(np.concatenate(found) / hop_s).astype(np.int64)
        owner = np.repeat(np.arange(len(found)), counts)
        first = np.cumsum(counts) - counts
        return cls(*(torch.from_numpy(each).to(device) for each in (onsets, owner, first)))

    @property
    def digest(self) -> str:
        """SHA-256 (hex) of the frames and whose they are."""
        content = torch.stack([self.onsets, self.owner]).cpu().numpy().tobytes()
        return hashlib.sha256(content).hexdigest()

    def starts(
        self, recordings: torch.Tensor, room: torch.Tensor, draw: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """An onset of each recording, any of those after which a crop fits equally likely.

        In a recording shorter than a crop, which is repeated from its start, all fit.

        Parameters
        ----------
        recordings : Tensor of int64, any shape
            Rows of `cohort.recordings`.
        room : Tensor of int64, shape (n_recordings,)
            Last frame at which a crop of each recording of the cohort fits; below 0: shorter.
        draw : Tensor, of the shape of `recordings`
            Uniform in [0, 1).

        Returns
        -------
        starts : Tensor of int64, of the shape of `recordings`
        found : Tensor of bool, of the shape of `recordings`
            False where no onset fits; `starts` says nothing there.
        """
        mine = room[self.owner]
        fits = ((self.onsets <= mine) | (mine < 0)).long()
        counts = torch.zeros_like(self.first).index_add(0, self.owner, fits)[recordings]
        # Onsets ascend, so that those that fit come first.
        chosen = (draw * counts).long().minimum(counts - 1).clamp_min(0)
        at = (self.first[recordings] + chosen).clamp_max(len(self.onsets) - 1)
        return self.onsets[at], counts > 0
