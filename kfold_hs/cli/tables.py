"""What a person at a terminal sees: progress while it runs, tables at the end.

On a terminal, live bars with the time left, one for each fold under way; in a pipe or a log
file, one line an epoch. Progress goes to standard error, results to standard output.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.markup import escape
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

from kfold_hs.cli.numbers import interval, number
from kfold_hs.errors import counted, readable

_MOST_ITEMS = 10


class Terminal:
    """A listener (`kfold_hs.workflows.inputs.Listener`) that shows progress on standard error."""

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
        self._under_way: dict[Any, TaskID] = {}
        self._reached: dict[Any, int] = {}
        self._faults: dict[str, str] = {}

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
        # The first row of a fold that goes on stands for the epochs before it, too.
        self._progress.advance(self._epochs, max(0, number - self._reached.get(place, 0)))
        self._reached[place] = number
        self._progress.update(self._under_way[place], completed=number, note=note)
        if not self._live:
            self._say(f"{_place(place)} epoch {number}/{self._n_epochs}  {note}")

    def note(self, text: str) -> None:
        self._say(text)

    def _say(self, text: str) -> None:
        if not self._quiet:
            self._console.print(Text(readable(text)), soft_wrap=True)


def show_run(summary: Mapping[str, Any], report: Path) -> None:
    """The result of a run: one table a task, the answer, where the report is."""
    console = Console(highlight=False)
    for task, result in summary["tasks"].items():
        table = Table(title=escape(f"{task}, out of fold"), title_justify="left")
        table.add_column("metric")
        table.add_column("all folds", justify="right")
        table.add_column("95 % interval", justify="right")
        table.add_column("each fold", justify="right")
        for metric in result["metrics"].values():
            each = "  ".join(number(fold["value"]) for fold in metric["folds"])
            table.add_row(metric["label"], number(metric["value"]), interval(metric), each)
        console.print(table)
        _say_why(console, {each["label"]: each for each in result["metrics"].values()})
    console.print(Text(summary["headline"]["sentence"]))
    console.print(Text(f"Report: {report}"), soft_wrap=True)
    kept = {"last": "last.pt", "inner": "inner.pt"}.get(summary.get("select", {}).get("rule", ""))
    if kept and "nested" not in summary:
        models = f"checkpoints/{summary['provenance']['run']}"
        console.print(
            Text(
                f"Models: {kept} of every fold in {models} is what was scored. best_model.pt is "
                "the epoch that did best on the people it is scored on: to look at, not to report."
            ),
            soft_wrap=True,
        )


def show_comparison(content: Mapping[str, Any], page: Path) -> None:
    """Every variant against the baseline, one table a task; the answer, where the page is."""
    console = Console(highlight=False)
    baseline = content["baseline"]
    for task, metrics in content["tasks"].items():
        for name in (each["name"] for each in content["variants"] if each["name"] != baseline):
            table = Table(title=escape(f"{task}: {name} against {baseline}"), title_justify="left")
            table.add_column("metric")
            for column in ("baseline", "variant", "difference", "95 % interval"):
                table.add_column(column, justify="right")
            table.add_column("verdict")
            for metric in metrics.values():
                found, values = metric["against_baseline"][name], metric["values"]
                apart = found["difference"]
                table.add_row(
                    metric["label"] + ("" if metric["higher_is_better"] else " (lower is better)"),
                    number(values[baseline]),
                    number(values[name]),
                    number(apart["value"]),
                    interval(apart),
                    {"first": "baseline is better", "second": "better"}.get(
                        found["winner"], found["verdict"]
                    ),
                )
            console.print(table)
            found = {m["label"]: m["against_baseline"][name]["difference"]
                     for m in metrics.values()}  # fmt: skip
            _say_why(console, found)
    for sentence in content["sentences"]:
        console.print(Text(sentence), soft_wrap=True)
    console.print(Text(f"Comparison: {page}"), soft_wrap=True)


def show_foreseen(found: Mapping[str, Any]) -> None:
    """What --dry-run found: a row a run, then all of it in words."""
    console = Console(highlight=False)
    table = Table(title=f"what would be trained on {found['device']}", title_justify="left")
    for name in ("variant", "run"):
        table.add_column(name, overflow="fold")
    for name in ("models", "done", "steps", "a step", "a model", "what is left"):
        table.add_column(name, justify="right")
    for run in found["runs"]:
        asked = run["predicted_with"]
        table.add_row(
            run["name"] or "-", run["run"], str(run["folds"]),
            f"by {asked}" if asked else str(run["done"]), str(run["steps"]),
            f"{run['step_s']:.3f} s", _duration(run["fold_s"]), _duration(run["left_s"]),
        )  # fmt: skip
    console.print(table)
    runs, jobs = found["runs"], found["jobs"]
    counts = {"variant": len(runs), "repeat": found["repeats"]}
    counts |= {"seed": found["seeds"], "fold": found["folds"]}
    memory = max(run["memory_bytes"] for run in runs)
    banks = sum({run["bank_bytes"] for run in runs if not run["has_features"]})
    sentences = [
        " x ".join(f"{n} {name}" + ("s" if n > 1 else "") for name, n in counts.items())
        + f": {found['left']} fold models are to be trained.",
        f"Time: about {_duration(found['left_s'])} one after another"
        + (f", with --jobs {jobs} at least {_duration(found['at_least_s'])}" if jobs > 1 else "")
        + ", from a step timed here; crops, checkpoints and the report come on top.",
        f"Memory: about {_size(memory)} for each fold that is trained at once, and "
        f"{_size(max(run['bank_bytes'] for run in runs))} for the features that all share.",
        f"Disk: up to {_size(sum(run['disk_bytes'] for run in runs))} more"
        + (f", {_size(banks)} of it features in the cache." if banks else "."),
    ]
    for sentence in sentences:
        console.print(Text(sentence), soft_wrap=True)


def _duration(seconds: float) -> str:
    """Such as 40 s, 12 min, 3 h 20 min."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def _size(n_bytes: float) -> str:
    """In MB, or GB from a thousand of them."""
    return f"{n_bytes / 1e9:.1f} GB" if n_bytes >= 1e9 else f"{n_bytes / 1e6:.0f} MB"


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
            table.add_row(escape(name), *map(str, row["counts"]), *ends)
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
    said = f"{counted(n_leaks, 'kind')} of leak" if n_leaks else "no leak"
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
            interval(each),
            f"{each['power']:.0%}".replace("%", " %"),
            number(each["detectable"]),
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


def _say_why(console: Console, estimates: Mapping[str, Mapping[str, Any]]) -> None:
    """Why intervals cannot be told and what would tell, a line a reason."""
    reasons: dict[str, list[str]] = {}
    for label, each in estimates.items():
        if each["low"] is None and each.get("method"):
            reasons.setdefault(each["method"], []).append(label)
    for reason, labels in reasons.items():
        console.print(Text(f"Cannot be told, {', '.join(labels)}: {reason}."), soft_wrap=True)
