"""Options that several commands share."""

from __future__ import annotations

import functools
import shlex
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

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
    help="Folder for reports/ and checkpoints/. [default: the current folder]",
)
DEBUG = click.option(
    "--debug", is_flag=True, expose_value=False, help="Show the traceback of an error."
)
DEVICE = click.option(
    "--device", default="auto", metavar="DEVICE", help="auto, cpu, cuda or cuda:N. [default: auto]"
)
_FLEET = (
    click.option(
        "--jobs",
        type=int,
        metavar="N",
        help="Folds trained at once. [default: 1; one on each GPU; on a cluster, all that fit]",
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


def with_fleet(command: Callable[..., None]) -> Callable[..., None]:
    """Options that say where folds are trained; the command takes them as one `fleet`."""

    @functools.wraps(command)
    def wrapped(
        jobs: int | None,
        executor: str,
        address: str | None,
        cpus_per_fold: float | None,
        gpus_per_fold: float,
        **others: Any,
    ) -> None:
        from kfold_hs.orchestrator.executor import Fleet

        fleet = Fleet(jobs, executor, address, cpus_per_fold, gpus_per_fold)
        command(fleet=fleet, **others)

    for option in reversed(_FLEET):
        wrapped = option(wrapped)
    return wrapped


DRY_RUN = click.option(
    "--dry-run",
    is_flag=True,
    help="Say what would be trained, with time, memory and disk from a timed step; train nothing.",
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
