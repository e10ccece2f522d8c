"""The command `learning-curve`."""

from __future__ import annotations

import dataclasses

import click

from kfold_hs.cli.dry_run import print_cost
from kfold_hs.cli.options import (
    DRY_RUN,
    OVERRIDES,
    CommandOptions,
    command_line,
    print_json,
    resumable,
    run_options,
)


def _shares(text: str) -> tuple[float, ...]:
    """Several numbers, such as 0.25,0.5,1."""
    from kfold_hs.errors import shown

    try:
        return tuple(float(each) for each in text.split(","))
    except ValueError:
        raise click.BadParameter(
            f"{shown(text)} is no list of shares such as 0.25,0.5,0.75,1."
        ) from None


@click.command("learning-curve", short_help="Say whether more people would help.")
@OVERRIDES
@click.option(
    "--shares",
    type=_shares,
    default="0.25,0.5,0.75,1",
    show_default=True,
    metavar="S,...",
    help="Shares of each fold's training people, two or more; three or more draw a curve.",
)
@run_options("learning curve", "learning-curve-<data>-<digest>", "learning_curve.json")
@DRY_RUN
def learning_curve(
    overrides: tuple[str, ...], shares: tuple[float, ...], options: CommandOptions, dry_run: bool
) -> None:
    """Say whether more people would help, by training on shares of those that there are.

    Every share is a run of its own (train.people_share) on the same split: people are drawn
    stratified, and those of a smaller share are among those of a larger. An inverse power law
    through the values, with a band, is extrapolated to twice the people.
    """
    from kfold_hs.cli.tables import show_learning_curve
    from kfold_hs.orchestrator.rich_progress import RichProgress
    from kfold_hs.workflows import learning_curve as workflow

    command = command_line()
    design = workflow.design_of([*overrides, *options.counts], shares)
    if dry_run:
        configs = {each.name: each.config for each in design.variants}
        print_cost(configs, dataclasses.replace(options, name=None))
        return
    with resumable(command), RichProgress(options.quiet) as progress:
        found = workflow.learning_curve(design, progress, options.run(command))
    if options.as_json:
        print_json(found.result.to_json())
    else:
        show_learning_curve(found.result.to_json(), found.paths.page)
