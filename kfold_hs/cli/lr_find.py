"""The command `lr-find`."""

from __future__ import annotations

from pathlib import Path

import click

from kfold_hs.cli.options import DEVICE, OVERRIDES, QUIET


@click.command("lr-find", short_help="Suggest a learning rate.")
@OVERRIDES
@click.option(
    "--from", "lowest", type=float, default=1e-6, metavar="LR", help="Lowest rate. [default: 1e-6]"
)
@click.option(
    "--to", "highest", type=float, default=1.0, metavar="LR", help="Highest rate. [default: 1]"
)
@click.option(
    "--steps", type=int, default=120, metavar="N", help="Number of optimizer steps. [default: 120]"
)
@DEVICE
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    default=Path("lr-find.html"),
    help="File of the plot. [default: lr-find.html]",
)
@QUIET
def lr_find(
    overrides: tuple[str, ...],
    lowest: float,
    highest: float,
    steps: int,
    device: str,
    output: Path,
    quiet: bool,
) -> None:
    """Suggest a learning rate: train some steps with a growing rate, and plot the loss."""
    from kfold_hs.config.compose import compose
    from kfold_hs.orchestrator.rich_progress import RichProgress
    from kfold_hs.workflows.lr_range import Range, find_lr

    with RichProgress(quiet) as progress:
        found = find_lr(compose(overrides), progress, Range(lowest, highest, steps), device, output)
    click.echo(
        f"The loss falls fastest at {found.steepest:.1e} and is lowest at {found.lowest:.1e}.\n"
        f"Try optim.lr={found.steepest:.1e}; a tenth of the lowest is {found.lowest / 10:.1e}.\n"
        f"Plot: {output}"
    )
