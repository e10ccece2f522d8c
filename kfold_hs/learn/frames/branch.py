"""A frame branch: trained on a fold's people, asked about any recording."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch

from kfold_hs.config.schema import Config
from kfold_hs.learn.features.bank import Bank
from kfold_hs.learn.frames.decoding import Decoded, decode
from kfold_hs.learn.frames.measures import measure
from kfold_hs.learn.frames.network import FrameNet, band_scale
from kfold_hs.learn.frames.sojourn import Sojourn
from kfold_hs.learn.frames.targets import CLASSES, STATE_NAMES


@dataclass(frozen=True, eq=False)
class FrameBranch:
    """What a fold learnt of the heart cycle.

    Parameters
    ----------
    net : FrameNet
        On the device of the banks that it is asked about, in evaluation mode.
    sojourn : Sojourn
    frame_s : float
        From frame to frame.
    """

    net: FrameNet
    sojourn: Sojourn
    frame_s: float

    def log_probs(self, bank: Bank, row: int) -> np.ndarray:
        """Of every frame's classes, (n_frames, n_classes) float32, each as frequent as any other.

        A recording is taken whole and alone, so that its numbers are its own to the bit.

        Parameters
        ----------
        row : int
            Of the bank.
        """
        return np.asarray(self.asked(bank, row).cpu().numpy())

    @torch.inference_mode()
    def asked(self, bank: Bank, row: int) -> torch.Tensor:
        """`log_probs` where the network is: nothing is waited for."""
        frames = frames_of(bank, row)
        mean, spread = band_scale(frames)
        logits: torch.Tensor = self.net(((frames - mean) / spread).T[None])[0]
        return logits.T.log_softmax(dim=1)

    def cycles(self, bank: Bank, recordings: Sequence[int] | np.ndarray) -> HeartCycles:
        """The heart cycles of some rows of the bank."""
        rows = [int(row) for row in recordings]
        asked = [self.asked(bank, row) for row in rows]
        return HeartCycles.of(bank, rows, [each.cpu().numpy() for each in asked], self)

    def to_state(self) -> dict[str, Any]:
        """For a checkpoint: tensors and plain values."""
        return {
            "net": self.net.state_dict(),
            "sojourn": self.sojourn.to_dict(),
            "frame_s": self.frame_s,
        }

    @classmethod
    def from_state(cls, state: dict[str, Any], config: Config, device: torch.device) -> FrameBranch:
        """What `to_state` gave, of a fold with these settings."""
        net = untrained_net(config)
        net.load_state_dict(state["net"])
        sojourn = Sojourn.from_dict(state["sojourn"])
        return cls(net.to(device).eval(), sojourn, float(state["frame_s"]))


@dataclass(frozen=True, eq=False)
class HeartCycles:
    """Heart cycles of some recordings.

    Parameters
    ----------
    decoded : list of Decoded
    measures : DataFrame
        A row a recording: `measures.measure`.
    """

    decoded: list[Decoded]
    measures: pd.DataFrame

    @classmethod
    def of(
        cls, bank: Bank, rows: Sequence[int], log_probs: Sequence[np.ndarray], branch: FrameBranch
    ) -> HeartCycles:
        """Decoded by a branch's times, from probabilities that it or several gave."""
        decoded = decode(log_probs, branch.sojourn, branch.frame_s)
        numbers = [
            measure(each, probs, _levels(bank, row), branch.frame_s)
            for each, probs, row in zip(decoded, log_probs, rows, strict=True)
        ]
        return cls(decoded, pd.DataFrame(numbers))


def untrained_net(config: Config) -> FrameNet:
    """The network of these settings, with weights to be trained or loaded."""
    frames = config.frames
    n_classes = len(STATE_NAMES) if frames.task is None else len(CLASSES)
    return FrameNet(config.features.n_mels, frames.channels, n_classes, frames.dropout)


def frames_of(bank: Bank, row: int) -> torch.Tensor:
    """Of a recording, (n_frames, n_mels) float32, on the bank's device."""
    first, length = (int(each[row]) for each in bank.on_host)
    return bank.frames[first : first + length].to(bank.device).float()


def _levels(bank: Bank, row: int) -> np.ndarray:
    """In the unit of the features, up to a constant: (n_frames, n_mels) float64."""
    _, spread = bank.scale(torch.tensor([row], device=bank.device))
    return frames_of(bank, row).cpu().numpy().astype(np.float64) * float(spread.flatten()[0])
