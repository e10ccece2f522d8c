"""Who wants to know how far the work is: the command line, a notebook, or nobody."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from kfold_hs.files.paths import FoldId


class Progress(Protocol):
    """Called while a workflow runs."""

    def stage(self, name: str) -> None:
        """A new part of the work begins."""

    def step(self, done: int, total: int) -> None:
        """The part has come so far."""

    def training(self, n_folds: int, n_epochs: int) -> None:
        """Training begins."""

    def fold(self, fold: FoldId, state: str, note: str = "") -> None:
        """A fold was "found" done, or is at "start", "done" or "failed"."""

    def epoch(self, fold: FoldId, row: Mapping[str, float]) -> None:
        """An epoch of a fold ended; `row` is its row of history.csv."""

    def note(self, text: str) -> None:
        """Something about the data that the user should know."""


class NullProgress:
    """Says nothing."""

    def stage(self, name: str) -> None: ...

    def step(self, done: int, total: int) -> None: ...

    def training(self, n_folds: int, n_epochs: int) -> None: ...

    def fold(self, fold: FoldId, state: str, note: str = "") -> None: ...

    def epoch(self, fold: FoldId, row: Mapping[str, float]) -> None: ...

    def note(self, text: str) -> None: ...
