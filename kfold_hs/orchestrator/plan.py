"""A plan: the fold models that a run consists of, in the order they are trained."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from kfold_hs.config.schema import Config
from kfold_hs.files.paths import FoldId
from kfold_hs.splits import Split


@dataclass(frozen=True)
class Plan:
    """All (repeat, seed, fold) of a run.

    Parameters
    ----------
    n_repeats, n_seeds, n_folds : int
        At least 1, 1 and 2.
    only : frozenset of (repeat, fold), optional
        A part of the run; all of it by default.
    """

    n_repeats: int
    n_seeds: int
    n_folds: int
    only: frozenset[tuple[int, int]] | None = None

    @classmethod
    def of(
        cls, config: Config, split: Split, only: frozenset[tuple[int, int]] | None = None
    ) -> Plan:
        return cls(split.n_repeats, config.n_seeds, split.n_folds, only)

    def __iter__(self) -> Iterator[FoldId]:
        for repeat in range(self.n_repeats):
            for seed in range(self.n_seeds):
                for fold in range(self.n_folds):
                    if self.only is None or (repeat, fold) in self.only:
                        yield FoldId(repeat, seed, fold)

    def __len__(self) -> int:
        n_all = self.n_repeats * self.n_folds
        return self.n_seeds * (n_all if self.only is None else len(self.only))
