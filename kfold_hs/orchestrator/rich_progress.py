"""Progress on standard error, while a command or a call from Python works.

On a terminal, bars show each fold in training and the time left. In a pipe or a log file, there is
one line for every epoch, with the time left.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Column
from rich.text import Text

from kfold_hs.errors import readable


class RichProgress:
    """A `kfold_hs.orchestrator.progress.Progress` that is shown on standard error."""

    def __init__(self, quiet: bool = False) -> None:
        self._quiet = quiet
        self._console = Console(stderr=True, highlight=False)
        self._live = self._console.is_terminal and not quiet
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=16),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}", table_column=Column(ratio=1, no_wrap=True)),
            console=self._console,
            disable=not self._live,
            expand=True,
        )
        self._stage = ""
        self._steps: TaskID | None = None
        self._epochs: TaskID | None = None
        self._n_epochs = self._n_left = self._n_trained = 0
        self._begun = time.monotonic()
        self._under_way: dict[Any, TaskID] = {}
        self._reached: dict[Any, int] = {}
        self._faults: dict[str, str] = {}

    def __enter__(self) -> RichProgress:
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        self._progress.stop()

    def stage(self, name: str) -> None:
        self._stage, self._steps = name, None

    def step(self, done: int, total: int) -> None:
        if self._steps is None:
            self._steps = self._progress.add_task(self._stage, total=total, note="")
        self._progress.update(self._steps, completed=done)
        if done == total and not self._live:
            self._say(f"{self._stage}: {total}")

    def training(self, n_folds: int, n_epochs: int) -> None:
        self._n_epochs = n_epochs
        self._n_left = total = n_folds * n_epochs
        self._n_trained, self._begun = 0, time.monotonic()
        self._epochs = self._progress.add_task("training epochs", total=total, note="")

    def fold(self, place: Any, state: str, note: str = "") -> None:
        if self._epochs is None:
            return
        label = _place(place)
        if state == "found":
            self._n_left -= self._n_epochs
            self._progress.advance(self._epochs, self._n_epochs)
        if state == "start":
            if note:
                self._say(f"{label} {note}")
            if place in self._under_way:
                return
            bar = self._progress.add_task(label, total=self._n_epochs, note="")
            self._under_way[place] = bar
        else:
            if place in self._under_way:
                self._progress.remove_task(self._under_way.pop(place))
            text = {"found": "was trained before", "done": "done", "failed": "failed"}[state]
            if state == "failed":
                fault = note.removeprefix(f"fold {place.fold}: ")
                earlier = self._faults.setdefault(fault, label)
                note = fault if earlier == label else f"as {earlier} did"
            self._say(f"{label} {text}" + (f"; {note}" if note else ""))

    def epoch(self, place: Any, row: Mapping[str, float]) -> None:
        assert self._epochs is not None
        number = int(row["epoch"]) + 1
        scores = "  ".join(
            f"{name.removeprefix('acc.')} {value:.3f}"
            for name, value in row.items()
            if name.startswith("acc.")
        )
        note = f"loss {row['train_loss']:.3f} / {row['val_loss']:.3f}  {scores}"
        # The first row of a continued fold counts for the epochs before it, too.
        n_new = max(0, number - self._reached.get(place, 0))
        self._progress.advance(self._epochs, n_new)
        self._reached[place] = number
        self._n_left -= n_new
        self._n_trained += 1
        self._progress.update(self._under_way[place], completed=number, note=note)
        if not self._live:
            self._say(f"{_place(place)} epoch {number}/{self._n_epochs}  {note}  {self._left()}")

    def _left(self) -> str:
        """How long all other epochs will take, were they as fast as those until now."""
        each = (time.monotonic() - self._begun) / max(1, self._n_trained)
        seconds = round(each * max(0, self._n_left))
        return f"about {seconds // 60}:{seconds % 60:02} left"

    def note(self, text: str) -> None:
        self._say(text)

    def _say(self, text: str) -> None:
        if not self._quiet:
            self._console.print(Text(readable(text)), soft_wrap=True)


def _place(place: Any) -> str:
    """The name of a fold, such as ``repeat 1 fold 3``; first repeats and seeds are not named."""
    each = {"repeat": place.repeat, "seed": place.seed}
    return "".join(f"{name} {n} " for name, n in each.items() if n) + f"fold {place.fold}"
