"""Options that several commands share."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import click

OVERRIDES = click.argument("overrides", nargs=-1, metavar="[KEY=VALUE]...")
FOLDS = click.option("--folds", type=int, metavar="N", help="Folds; short for split.n_folds=N.")
REPEATS = click.option(
    "--repeats", type=int, metavar="R", help="Splits, drawn anew; short for split.n_repeats=R."
)
SEEDS = click.option(
    "--seeds", type=int, metavar="S", help="Trainings of every fold; short for n_seeds=S."
)
ROOT = click.option(
    "--root",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(),
    help="Folder for reports/ and checkpoints/. [default: here]",
)
DEVICE = click.option(
    "--device", default="auto", metavar="DEVICE", help="auto, cpu, cuda or cuda:N. [default: auto]"
)
QUIET = click.option("-q", "--quiet", is_flag=True, help="Only the result and errors.")


def counts(folds: int | None, repeats: int | None, seeds: int | None = None) -> list[str]:
    """The overrides that --folds, --repeats and --seeds are short for."""
    each = {"split.n_folds": folds, "split.n_repeats": repeats, "n_seeds": seeds}
    return [f"{key}={n}" for key, n in each.items() if n is not None]


def with_counts(
    overrides: Sequence[str], folds: int | None, repeats: int | None, seeds: int | None = None
) -> list[str]:
    return [*overrides, *counts(folds, repeats, seeds)]


def command_line() -> str:
    """What the user typed, so that it can be repeated."""
    return shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]])


@contextmanager
def resumable(command: str) -> Iterator[None]:
    """Ctrl-C ends with exit status 130 and the command that goes on."""
    try:
        yield
    except KeyboardInterrupt:
        click.echo(
            f"\nInterrupted. Finished folds and epochs are kept; to go on, repeat\n  {command}",
            err=True,
        )
        raise SystemExit(130) from None
