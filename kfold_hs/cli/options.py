"""Options that several commands share."""

from __future__ import annotations

import dataclasses
import functools
import json
import shlex
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from kfold_hs.cli.completion import complete_settings, complete_study

if TYPE_CHECKING:
    from kfold_hs.config.schema import Config
    from kfold_hs.orchestrator.executor import Fleet
    from kfold_hs.workflows.options import RunOptions
    from kfold_hs.workflows.search.spec import Search

STUDY = click.option(
    "-c",
    "--config",
    "studies",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="FILE",
    shell_complete=complete_study,
    help="Study file: settings in YAML, its paths relative to it. Of several, later ones win; "
    "KEY=VALUE wins over all. `kfold-hs init` writes one.",
)


def with_settings(
    parameter: str, metavar: str = "[KEY=VALUE]...", has_path: bool = False
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command words KEY=VALUE and study files, which it takes together as one tuple.

    Parameters
    ----------
    parameter : str
        The command's name for them.
    has_path : bool
        The first word may be a path, see `leading_path`; it stays the first.
    """

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(command)
        def wrapped(**values: Any) -> None:
            studies, words = values.pop("studies"), values.pop(parameter)
            if studies:
                from kfold_hs.config.study import layered

                path, words = leading_path(words) if has_path else (None, words)
                words = (*([str(path)] if path else []), *layered(studies, words))
            command(**{parameter: words}, **values)

        argument = click.argument(
            parameter, nargs=-1, metavar=metavar, shell_complete=complete_settings
        )
        return argument(STUDY(wrapped))

    return decorate


OVERRIDES = with_settings("overrides")
FOLDS = click.option(
    "--folds", type=int, metavar="N", help="Number of folds; the same as split.n_folds=N."
)
REPEATS = click.option(
    "--repeats",
    type=int,
    metavar="R",
    help="Number of splits, each drawn anew; the same as split.n_repeats=R.",
)
SEEDS = click.option(
    "--seeds", type=int, metavar="S", help="Trainings of every fold; the same as n_seeds=S."
)
ROOT = click.option(
    "--root",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(),
    help="Folder that holds reports/ and checkpoints/. [default: the current folder]",
)
DEBUG = click.option(
    "--debug", is_flag=True, expose_value=False, help="Show the traceback of an error."
)
DEVICE = click.option(
    "--device", default="auto", metavar="DEVICE", help="auto, cpu, cuda or cuda:N. [default: auto]"
)
DRY_RUN = click.option(
    "--dry-run",
    is_flag=True,
    help="Train nothing; print what would be trained, and the time, memory and disk space that "
    "it takes, estimated from one timed step.",
)
SETS = click.option(
    "--sets",
    "promise",
    type=click.Choice(["class", "all"]),
    default="class",
    help="To whom conformal sets promise their coverage: class, to the patients of every class; "
    "all, to all patients together, so that rare classes get less. [default: class]",
)
QUIET = click.option("-q", "--quiet", is_flag=True, help="Print only the result and errors.")
_FLEET = (
    click.option(
        "--jobs",
        type=int,
        metavar="N",
        help="Folds trained at the same time. [default: 1; with several GPUs, one on each; on a "
        "cluster, all that fit]",
    ),
    click.option(
        "--executor",
        type=click.Choice(["local", "ray"]),
        default="local",
        help="Where folds are trained: on this machine, or on a Ray cluster. [default: local]",
    ),
    click.option(
        "--address",
        metavar="HOST:PORT",
        help="Address of the Ray cluster. [default: the cluster of this machine]",
    ),
    click.option(
        "--cpus-per-fold",
        type=float,
        metavar="N",
        help="CPUs that a fold reserves on the cluster, e.g. 2 or 0.5. [default: its threads]",
    ),
    click.option(
        "--gpus-per-fold",
        type=float,
        default=0.0,
        metavar="N",
        help="GPUs that a fold reserves on the cluster; 0 trains on the CPU. [default: 0]",
    ),
)
_SEARCH = (
    click.option(
        "--space",
        metavar="FILE",
        help="Space to search: a file, or a name in configs/tune/. [default: the keys that have "
        "several values; without any, the space named table]",
    ),
    click.option(
        "--sampler",
        type=click.Choice(["grid", "random", "tpe"]),
        help="How points are chosen. [default: tpe]",
    ),
    click.option(
        "--trials",
        type=int,
        metavar="N",
        help="Number of trials in all. [default: 20; with grid, every point]",
    ),
    click.option(
        "--objective",
        metavar="[TASK.]METRIC",
        help="Out-of-fold score to improve: of one task, or the mean over the tasks. "
        "[default: the setting headline, which is accuracy]",
    ),
    click.option(
        "--racing/--no-racing",
        default=None,
        help="Stop a trial between two folds when it is worse than the best trial so far. "
        "[default: racing]",
    ),
)


@dataclass(frozen=True)
class CommandOptions:
    """The options that every command has which trains folds."""

    folds: int | None
    repeats: int | None
    seeds: int | None
    name: str | None
    root: Path
    device: str
    jobs: int | None
    executor: str
    address: str | None
    cpus_per_fold: float | None
    gpus_per_fold: float
    as_json: bool
    quiet: bool

    @property
    def counts(self) -> list[str]:
        """The overrides that --folds, --repeats and --seeds stand for."""
        return counts(self.folds, self.repeats, self.seeds)

    @property
    def fleet(self) -> Fleet:
        """Where folds are trained."""
        from kfold_hs.orchestrator.executor import Fleet

        return Fleet(self.jobs, self.executor, self.address, self.cpus_per_fold, self.gpus_per_fold)

    def run(self, command: str = "", name: str | None = None) -> RunOptions:
        """How a workflow is carried out."""
        from kfold_hs.workflows.options import RunOptions

        return RunOptions(name or self.name, self.root, self.device, command, self.fleet)


@dataclass(frozen=True)
class SearchFlags:
    """The options of a search; None where one is not given."""

    space: str | None
    sampler: str | None
    trials: int | None
    objective: str | None
    racing: bool | None

    @property
    def is_empty(self) -> bool:
        """Whether no option is given."""
        return all(each is None for each in dataclasses.astuple(self))

    def over(self, words: Sequence[str], more: Sequence[str]) -> Search:
        """The search over what these words name, see `Search.of`."""
        from kfold_hs.workflows.search.spec import Search, SearchOptions

        options = SearchOptions(
            self.space,
            self.objective,
            self.sampler or "tpe",
            self.trials,
            self.racing is not False,
        )
        return Search.of(words, options, more)


def run_options(kind: str, name: str, content: str) -> Callable[[Callable[..., None]], Any]:
    """Give a command the options of `CommandOptions`, which it takes as `options`.

    Parameters
    ----------
    kind, name : str
        What the command makes a folder for, and the folder's default name.
    content : str
        The file that --json prints.
    """
    help_of_name = f"Name of the {kind}'s folder. [default: {name}]"
    as_json = click.option(
        "--json", "as_json", is_flag=True, help=f"Print {content} on standard output."
    )
    own = click.option("--name", metavar="NAME", help=help_of_name)
    each = (FOLDS, REPEATS, SEEDS, own, ROOT, DEVICE, *_FLEET, as_json, QUIET)
    return functools.partial(_gathered, CommandOptions, "options", each)


def search_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options of `SearchFlags`, which it takes as `search`."""
    return _gathered(SearchFlags, "search", _SEARCH, command)


def _gathered(
    kind: type[Any],
    parameter: str,
    options: Sequence[Callable[[Callable[..., None]], Callable[..., None]]],
    command: Callable[..., None],
) -> Callable[..., None]:
    """A command with these options, which takes them as one object."""
    names = [field.name for field in dataclasses.fields(kind)]

    @functools.wraps(command)
    def wrapped(**values: Any) -> None:
        gathered = kind(**{name: values.pop(name) for name in names})
        command(**{parameter: gathered}, **values)

    for option in reversed(options):
        wrapped = option(wrapped)
    return wrapped


def counts(folds: int | None, repeats: int | None, seeds: int | None = None) -> list[str]:
    """The overrides that --folds, --repeats and --seeds stand for."""
    each = {"split.n_folds": folds, "split.n_repeats": repeats, "n_seeds": seeds}
    return [f"{key}={n}" for key, n in each.items() if n is not None]


def composed(overrides: Sequence[str], more: Sequence[str]) -> Config:
    """The configuration of a command line."""
    from kfold_hs.config.compose import compose

    return compose([*overrides, *more])


def leading_path(words: tuple[str, ...]) -> tuple[Path | None, tuple[str, ...]]:
    """The first word where it is a path, and the words after it, which are KEY=VALUE."""
    if words and ("=" not in words[0] or Path(words[0]).exists()):
        return Path(words[0]), words[1:]
    return None, words


def print_json(content: Any) -> None:
    """Print a result as indented JSON."""
    click.echo(json.dumps(content, indent=1, allow_nan=False))


def command_line() -> str:
    """The command as the user typed it, to be repeated."""
    started = getattr(sys.modules["__main__"], "__spec__", None)
    if started is not None and started.name.startswith("kfold_hs."):  # by python -m
        return shlex.join([Path(sys.executable).name, "-m", started.name, *sys.argv[1:]])
    return shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]])


@contextmanager
def resumable(command: str) -> Iterator[None]:
    """End with exit status 130 after Ctrl-C, and print the command that continues the work."""
    try:
        yield
    except KeyboardInterrupt:
        click.echo(
            f"\nInterrupted. Finished folds and epochs are kept. To continue, repeat\n  {command}",
            err=True,
        )
        raise SystemExit(130) from None
