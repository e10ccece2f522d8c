"""Where a call from Python shows its progress: nowhere, in a terminal, or in a notebook's cell."""

from __future__ import annotations

import html
import sys
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from kfold_hs.files.paths import FoldId
from kfold_hs.orchestrator.progress import NullProgress, Progress
from kfold_hs.orchestrator.rich_progress import RichProgress

Shown = bool | Progress | None
"""True, False, somebody who wants to know; None: a bar in a notebook, and nothing elsewhere."""
_EVERY_S = 0.2
"""Least time between two drawings of a bar: a message of the kernel each."""
_MOST_NOTES = 5


@contextmanager
def watching(progress: Shown) -> Iterator[Progress]:
    """Who is called while a workflow runs."""
    in_notebook = is_notebook()
    if in_notebook:  # bars of libraries that would be drawn with widgets: none are drawn here
        warnings.filterwarnings("ignore", "IProgress not found")
    if progress is None:
        progress = in_notebook
    if progress is False:
        yield NullProgress()
    elif progress is not True:
        yield progress
    elif in_notebook:
        bar = NotebookProgress()
        try:
            yield bar
        finally:
            bar.close()
    else:
        with RichProgress() as terminal:
            yield terminal


def is_notebook() -> bool:
    """Whether cells of a notebook are running, which can show HTML."""
    ipython = sys.modules.get("IPython")
    shell: Any = ipython.get_ipython() if ipython is not None else None
    return shell is not None and getattr(shell, "kernel", None) is not None


class NotebookProgress:
    """A bar below the cell, and the last notes; one output that is drawn anew.

    It needs IPython, which every notebook has, and no widgets.
    """

    def __init__(self) -> None:
        from IPython.display import HTML, display

        self._html = HTML
        self._stage, self._done, self._total = "", 0, 0
        self._n_epochs, self._detail = 0, ""
        self._reached: dict[FoldId, int] = {}
        self._notes: list[str] = []
        self._drawn = time.monotonic()
        self._handle: Any = display(HTML(""), display_id=True)

    def stage(self, name: str) -> None:
        self._stage, self._done, self._total, self._detail = name, 0, 0, ""
        self._draw()

    def step(self, done: int, total: int) -> None:
        self._done, self._total = done, total
        self._draw(done == total)

    def training(self, n_folds: int, n_epochs: int) -> None:
        self._stage, self._detail = "training", ""
        self._done, self._total, self._n_epochs = 0, n_folds * n_epochs, n_epochs
        self._reached = {}
        self._draw(True)

    def fold(self, fold: FoldId, state: str, note: str = "") -> None:
        if state == "found":
            self._done += self._n_epochs
        elif state == "failed":
            self.note(f"{fold.name} failed: {note}")
        self._draw(state == "done")

    def epoch(self, fold: FoldId, row: Mapping[str, float]) -> None:
        number = int(row["epoch"]) + 1
        # The first row of a continued fold counts for the epochs before it, too.
        self._done += max(0, number - self._reached.get(fold, 0))
        self._reached[fold] = number
        self._detail = (
            f"{fold.name}, epoch {number} of {self._n_epochs}: "
            f"loss {row['train_loss']:.3f}, out of fold {row['val_loss']:.3f}"
        )
        self._draw()

    def note(self, text: str) -> None:
        self._notes.append(text)
        self._draw(True)

    def close(self) -> None:
        """Leave the notes, and take the bar away."""
        self._handle.update(self._html(self._said()))

    def _draw(self, at_once: bool = False) -> None:
        now = time.monotonic()
        if not at_once and now - self._drawn < _EVERY_S:
            return
        self._drawn = now
        counts = f" {self._done} of {self._total}" if self._total else ""
        value = f' value="{self._done}" max="{self._total}"' if self._total else ""
        bar = (
            f"<div><progress{value} style='width: 16em; vertical-align: middle'></progress> "
            f"{html.escape(self._stage)}{counts} <small>{html.escape(self._detail)}</small></div>"
        )
        self._handle.update(self._html(bar + self._said()))

    def _said(self) -> str:
        notes = self._notes[-_MOST_NOTES:]
        if rest := len(self._notes) - len(notes):
            notes = [f"{rest} earlier notes", *notes]
        return "".join(f"<div><small>{html.escape(each)}</small></div>" for each in notes)
