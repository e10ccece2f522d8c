"""The command `compare`: parses the variants, runs the story, prints what it came to."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from kfold_hs.cli.dry_run import print_foreseen
from kfold_hs.cli.options import (
    DEVICE,
    DRY_RUN,
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


@click.command()
@click.argument("words", nargs=-1, metavar="[KEY=VALUE]...")
@FOLDS
@REPEATS
@SEEDS
@click.option(
    "--name",
    metavar="NAME",
    help="Name of the comparison's folder. [default: compare-<data>-<digest>]",
)
@ROOT
@DEVICE
@with_fleet
@DRY_RUN
@click.option("--json", "as_json", is_flag=True, help="Print comparison.json on standard output.")
@QUIET
def compare(
    words: tuple[str, ...],
    folds: int | None,
    repeats: int | None,
    seeds: int | None,
    name: str | None,
    root: Path,
    device: str,
    fleet: Fleet,
    dry_run: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Say which of several variants is better, equivalent, or that it cannot be told.

    A key given more than once (sched=onecycle sched=cosine) or with several values
    (optim.lr=1e-4,1e-3) makes variants, several such keys all combinations; the first variant is
    the baseline. All other words are shared. A word in quotes may hold settings that
    belong together: 'loss=focal loss.gamma=3' loss=cross_entropy.

    Every variant is a run of its own on the same split; what was run before is not run again.
    """
    from kfold_hs.cli.tables import Terminal, show_comparison
    from kfold_hs.config.sweep import design
    from kfold_hs.workflows.comparison import compare as compare_variants
    from kfold_hs.workflows.options import RunOptions

    command = command_line()
    variants = design(words, counts(folds, repeats, seeds))
    if dry_run:
        configs = {each.name: each.config for each in variants.variants}
        print_foreseen(configs, None, root, device, fleet, as_json, quiet)
        return
    with resumable(command), Terminal(quiet=quiet) as terminal:
        options = RunOptions(name, root, device, command, fleet)
        found = compare_variants(variants, terminal, options)
    if as_json:
        click.echo(json.dumps(found.content, indent=1, allow_nan=False))
    else:
        show_comparison(found.content, found.paths.page)
