"""The command `tune`, and what `run --nested` shares with it: parses what is searched, prints."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from kfold_hs.cli.options import (
    DEVICE,
    FOLDS,
    QUIET,
    REPEATS,
    ROOT,
    SEEDS,
    command_line,
    counts,
    resumable,
    with_fleet,
)

if TYPE_CHECKING:
    from kfold_hs.orchestrator.executor import Fleet
    from kfold_hs.workflows.search.spec import Search

SPACE = click.option(
    "--space",
    metavar="FILE",
    help="Space to search: a file, or a name of configs/tune/. [default: table, or the keys that "
    "have several values]",
)
SAMPLER = click.option(
    "--sampler",
    type=click.Choice(["grid", "random", "tpe"]),
    help="How points are chosen. [default: tpe]",
)
TRIALS = click.option(
    "--trials", type=int, metavar="N", help="Trials in all. [default: 20; grid: every point]"
)
OBJECTIVE = click.option(
    "--objective",
    metavar="[TASK.]METRIC",
    help="Out-of-fold score to improve, of a task or on the mean of the tasks. [default: accuracy]",
)
RACING = click.option(
    "--racing/--no-racing",
    default=None,
    help="Stop a trial between two folds when it is worse than the best so far. [default: racing]",
)


@dataclass(frozen=True)
class Asked:
    """What the options say about a search; None where they say nothing."""

    space: str | None
    sampler: str | None
    trials: int | None
    objective: str | None
    racing: bool | None

    @property
    def is_empty(self) -> bool:
        """Whether no option was given."""
        return all(
            each is None
            for each in (self.space, self.sampler, self.trials, self.objective, self.racing)
        )

    def search(self, words: Sequence[str], more: Sequence[str]) -> Search:
        """With these words, see `Search.of`."""
        from kfold_hs.workflows.search.spec import Search, SearchOptions

        options = SearchOptions(
            self.space,
            self.objective or "accuracy",
            self.sampler or "tpe",
            self.trials,
            self.racing is not False,
        )
        return Search.of(words, options, more)


def with_search(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options of a search, handed on as one `asked`."""

    @functools.wraps(command)
    def wrapped(
        *args: Any,
        space: str | None,
        sampler: str | None,
        trials: int | None,
        objective: str | None,
        racing: bool | None,
        **rest: Any,
    ) -> Any:
        return command(*args, asked=Asked(space, sampler, trials, objective, racing), **rest)

    for option in (RACING, OBJECTIVE, TRIALS, SAMPLER, SPACE):
        wrapped = option(wrapped)
    return wrapped


@click.command()
@click.argument("words", nargs=-1, metavar="[KEY=VALUE]...")
@with_search
@FOLDS
@REPEATS
@SEEDS
@click.option(
    "--name", metavar="NAME", help="Name of the search's folder. [default: tune-<data>-<digest>]"
)
@ROOT
@DEVICE
@with_fleet
@click.option("--json", "as_json", is_flag=True, help="Print tune.json on standard output.")
@QUIET
def tune(
    words: tuple[str, ...],
    asked: Asked,
    folds: int | None,
    repeats: int | None,
    seeds: int | None,
    name: str | None,
    root: Path,
    device: str,
    fleet: Fleet,
    as_json: bool,
    quiet: bool,
) -> None:
    """Search a space of settings; say which are best, and what that is worth.

    A key with several values (optim.lr=1e-4,1e-3 sched=onecycle,cosine) is searched; all other
    words are shared by all trials. Every trial is a run of its own on the same split, and what
    was run before is used. Repeating a command goes on with it; the same command
    in several terminals at once shares the trials among them.
    """
    from kfold_hs.cli.tables import Terminal
    from kfold_hs.cli.terminal_tune import show_tune
    from kfold_hs.workflows.options import RunOptions
    from kfold_hs.workflows.search import tuning

    command = command_line()
    search = asked.search(words, counts(folds, repeats, seeds))
    with resumable(command), Terminal(quiet=quiet) as terminal:
        options = RunOptions(name, root, device, command, fleet)
        found = tuning.tune(search, terminal, options)
    if as_json:
        click.echo(json.dumps(found.content, indent=1, allow_nan=False))
    else:
        show_tune(found.content, found.paths.page)
