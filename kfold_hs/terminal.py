"""What a person at a terminal sees: progress while it runs, tables at the end.

On a terminal, live bars with the time left; in a pipe or a log file, one line an
epoch. Progress goes to standard error, results to standard output.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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

_MOST_ITEMS = 10


class Terminal:
    """A listener (`kfold_hs.ground.Listener`) that shows progress on standard error."""

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
        label = _place(place)
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
            f"{_place(place)} epoch {number}/{self._n_epochs}  "
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


def show_comparison(content: Mapping[str, Any], page: Path) -> None:
    """Every variant against the baseline, one table a task; the answer, where the page is."""
    console = Console(highlight=False)
    baseline = content["baseline"]
    for task, metrics in content["tasks"].items():
        for name in (each["name"] for each in content["variants"] if each["name"] != baseline):
            table = Table(title=f"{task}: {name} against {baseline}", title_justify="left")
            table.add_column("metric")
            for column in ("baseline", "variant", "difference", "95 % interval"):
                table.add_column(column, justify="right")
            table.add_column("verdict")
            for metric in metrics.values():
                found, values = metric["against_baseline"][name], metric["values"]
                apart = found["difference"]
                table.add_row(
                    metric["label"] + ("" if metric["higher_is_better"] else " (lower is better)"),
                    _number(values[baseline]),
                    _number(values[name]),
                    _number(apart["value"]),
                    f"{_number(apart['low'])} to {_number(apart['high'])}",
                    {"first": "baseline is better", "second": "better"}.get(
                        found["winner"], found["verdict"]
                    ),
                )
            console.print(table)
    for sentence in content["sentences"]:
        console.print(Text(sentence), soft_wrap=True)
    console.print(Text(f"Comparison: {page}"), soft_wrap=True)


def show_split(
    split: Mapping[str, Any],
    balances: Sequence[Sequence[Mapping[str, Any]]],
    comparison: Sequence[Mapping[str, Any]],
) -> None:
    """Counts of everything in every fold, and how even they are beside other splits."""
    console = Console(highlight=False)
    by = "people" if split["settings"]["by"] == "person" else "patient ids"
    for repeat, rows in enumerate(balances):
        title = f"split {split['digest'][:16]}, seed {split['seed']}, {by} by fold"
        title += f", repeat {repeat}" if len(balances) > 1 else ""
        table = Table(title=title, title_justify="left")
        table.add_column("of")
        for fold in range(split["n_folds"]):
            table.add_column(str(fold), justify="right")
        table.add_column("off by", justify="right")
        table.add_column("at best", justify="right")
        for row in rows:
            name = row["class"] if "+" in row["task"] else f"{row['task']} {row['class']}"
            ends = (f"{row['deviation']:.1%}", f"{row['limit']:.1%}")
            table.add_row(name, *map(str, row["counts"]), *ends)
        console.print(table)
    title = "worst relative deviation of a fold (above what rounding to whole people costs)"
    table = Table(title=title, title_justify="left")
    table.add_column("split")
    for name in ("classes", "covariates", "sizes"):
        table.add_column(name, justify="right")
    for row in comparison:
        each = [row[kind] for kind in ("label", "covariate", "size")]
        table.add_row(row["name"], *(_off(value) for value in each))
    console.print(table)


def _off(value: Mapping[str, float | None]) -> str:
    if value["deviation"] is None or value["above_limit"] is None:
        return "-"
    return f"{value['deviation']:.1%} (+{max(0.0, value['above_limit']):.1%})"


def show_findings(findings: Sequence[Mapping[str, Any]], n_recordings: int) -> None:
    """What the audit found, one paragraph each, leaks first."""
    console = Console(highlight=False)
    for finding in findings:
        word = Text("LEAK  " if finding["is_leak"] else "note  ")
        word.stylize("bold red" if finding["is_leak"] else "bold")
        console.print(word + Text(f"{finding['kind']}: {finding['text']}."), soft_wrap=True)
        for item in finding["items"][:_MOST_ITEMS]:
            console.print(Text(f"      {item}"), soft_wrap=True)
        if (rest := len(finding["items"]) - _MOST_ITEMS) > 0:
            console.print(Text(f"      and {rest} more (--json shows all)"))
        console.print(Text(f"      {finding['advice']}"), soft_wrap=True)
    n_leaks = sum(finding["is_leak"] for finding in findings)
    said = f"{n_leaks} kinds of leak" if n_leaks else "no leak"
    console.print(Text(f"{n_recordings} recordings looked at: {said}."))


def show_plan(plan: Mapping[str, Any]) -> None:
    """One row a design, and everything that was assumed."""
    console = Console(highlight=False)
    difference, metric = plan["difference"], plan["metric"]
    table = Table(title=f"{metric}, a difference of {difference:g}", title_justify="left")
    for name in ("folds", "repeats", "people"):
        table.add_column(name, justify="right")
    table.add_column("95 % interval", justify="right", no_wrap=True)
    for name in ("power", "detectable", "people needed"):
        table.add_column(name, justify="right")
    for each in plan["designs"]:
        needed = each["people_needed"]
        table.add_row(
            *(str(each[name]) for name in ("folds", "repeats", "people")),
            f"{_number(each['low'])} to {_number(each['high'])}",
            f"{each['power']:.0%}".replace("%", " %"),
            _number(each["detectable"]),
            "none" if needed is None else str(needed),
        )
    console.print(table)
    console.print(
        Text(
            "Interval: of one variant's recipe. Power: chance that two variants which differ by "
            f"{difference:g} are told apart at 5 %. Detectable: the difference seen with 80 % "
            f"power. People needed: to see {difference:g} with 80 % power; none where no number "
            "would do. Assumed:"
        ),
        soft_wrap=True,
    )
    for sentence in plan["assumptions"]:
        console.print(Text(f"- {sentence}."), soft_wrap=True)


def _place(place: Any) -> str:
    """fold 3, and of which repeat and seed where that is not the first."""
    each = {"repeat": place.repeat, "seed": place.seed}
    return "".join(f"{name} {n} " for name, n in each.items() if n) + f"fold {place.fold}"


def _number(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3f}"
