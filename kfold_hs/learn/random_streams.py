"""Random streams that depend on the place of a fold and on nothing else.

Initial weights, the order of the examples, crops, masks and mixup each draw from a
stream of their own, made from (seed, repeat, seed index, fold, epoch, purpose). Two
variants of a comparison therefore see the same draws: what the one does with its
stream cannot move another. And since every epoch starts its streams anew, a fold
that goes on after an interruption draws what it would have drawn.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kfold_hs.files.paths import FoldId

_PURPOSES = (
    *("init", "order", "crop", "mask", "mixup", "dropout", "cutmix", "stretch"),
    # The order is part of every draw: new ones come last.
    *("sites", "gain", "stop", "noise", "extra"),
    *("frames.init", "frames.order", "frames.crop", "frames.dropout"),
)


@dataclass(frozen=True)
class RandomStreams:
    """The random streams of a fold model.

    Parameters
    ----------
    root_seed : int
        The run's `seed`.
    fold : FoldId
    """

    root_seed: int
    fold: FoldId

    def _sequence(self, purpose: str, epoch: int) -> np.random.SeedSequence:
        key = [self.root_seed, *self.fold, epoch, _PURPOSES.index(purpose)]
        return np.random.SeedSequence(key)

    def generator(self, purpose: str, epoch: int) -> np.random.Generator:
        """A numpy generator for one purpose ("order", "crop", ...) in one epoch."""
        return np.random.Generator(np.random.PCG64(self._sequence(purpose, epoch)))

    def of_epoch(self, epoch: int) -> dict[str, np.random.Generator]:
        """A generator for each purpose in one epoch."""
        return {purpose: self.generator(purpose, epoch) for purpose in _PURPOSES}

    def torch_seed(self, purpose: str, epoch: int) -> int:
        """A seed for torch's global generator, in [0, 2**63)."""
        return int(self._sequence(purpose, epoch).generate_state(1, np.uint64)[0] >> np.uint64(1))
