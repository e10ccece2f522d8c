"""What a person at a terminal sees: progress while it runs, tables at the end.

On a terminal, live bars with the time left; in a pipe or a log file, one line an
epoch. Progress goes to standard error, results to standard output.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
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
from rich.table import Column, Table
from rich.text import Text


class Terminal:
    """A listener (`kfold_hs.experiment.Listener`) that shows progress on standard error."""

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
        self._n_epochs = 0
        self._first: set[Any] = set()

    def __enter__(self) -> Terminal:
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
        total = n_folds * n_epochs
        self._epochs = self._progress.add_task("training epochs", total=total, note="")

    def fold(self, place: Any, state: str, note: str = "") -> None:
        if self._epochs is None:
            return
        label = f"fold {place.fold}"
        if state == "found":
            self._progress.advance(self._epochs, self._n_epochs)
        if state == "start":
            self._first.add(place)
        else:
            text = {"found": "was trained before", "done": "done", "failed": "failed"}[state]
            self._say(f"{label} {text}" + (f"; {note}" if note else ""))

    def epoch(self, place: Any, row: Mapping[str, float]) -> None:
        assert self._epochs is not None
        number = int(row["epoch"]) + 1
        scores = "  ".join(
            f"{name.removeprefix('acc.')} {value:.3f}"
            for name, value in row.items()
            if name.startswith("acc.")
        )
        note = (
            f"fold {place.fold} epoch {number}/{self._n_epochs}  "
            f"loss {row['train_loss']:.3f} / {row['val_loss']:.3f}  {scores}"
        )
        # The first row of a fold that goes on stands for the epochs before it, too.
        ahead = number if place in self._first else 1
        self._first.discard(place)
        self._progress.update(self._epochs, advance=ahead, note=note)
        if not self._live:
            self._say(note)

    def note(self, text: str) -> None:
        self._say(text)

    def _say(self, text: str) -> None:
        if not self._quiet:
            self._console.print(Text(text), soft_wrap=True)


def show_run(summary: Mapping[str, Any], report: Path) -> None:
    """The result of a run: one table a task, the answer, where the report is."""
    console = Console(highlight=False)
    for task, result in summary["tasks"].items():
        table = Table(title=f"{task}, out of fold", title_justify="left")
        table.add_column("metric")
        table.add_column("all folds", justify="right")
        table.add_column("95 % interval", justify="right")
        table.add_column("each fold", justify="right")
        for metric in result["metrics"].values():
            each = "  ".join(_number(fold["value"]) for fold in metric["folds"])
            interval = f"{_number(metric['low'])} to {_number(metric['high'])}"
            table.add_row(metric["label"], _number(metric["value"]), interval, each)
        console.print(table)
    console.print(Text(summary["headline"]["sentence"]))
    console.print(Text(f"Report: {report}"), soft_wrap=True)


def show_split(split: Mapping[str, Any], rows: list[dict[str, Any]]) -> None:
    """Counts of everything in every fold."""
    console = Console(highlight=False)
    title = f"split {split['digest'][:16]}, seed {split['seed']}, patients by fold"
    table = Table(title=title, title_justify="left")
    table.add_column("of")
    table.add_column("class")
    for fold in range(split["n_folds"]):
        table.add_column(f"fold {fold}", justify="right")
    for row in rows:
        table.add_row(row["task"], row["class"], *(str(count) for count in row["counts"]))
    console.print(table)


def _number(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3f}"
