"""A plan: the fold models that a run consists of, in the order they are trained."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from kfold_hs.learn.random_streams import Place


@dataclass(frozen=True)
class Plan:
    """All (repeat, seed, fold) of a run.

    Parameters
    ----------
    root_seed : int
        The run's `seed`.
    n_repeats, n_seeds, n_folds : int
        At least 1, 1 and 2.
    only : frozenset of (repeat, fold), optional
        A part of the run; all of it by default.
    """

    root_seed: int
    n_repeats: int
    n_seeds: int
    n_folds: int
    only: frozenset[tuple[int, int]] | None = None

    def __iter__(self) -> Iterator[Place]:
        for repeat in range(self.n_repeats):
            for seed in range(self.n_seeds):
                for fold in range(self.n_folds):
                    if self.only is None or (repeat, fold) in self.only:
                        yield Place(self.root_seed, repeat, seed, fold)

    def __len__(self) -> int:
        n_all = self.n_repeats * self.n_folds
        return self.n_seeds * (n_all if self.only is None else len(self.only))
