"""The command `run`, with and without a search inside every fold."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from kfold_hs.cli.dry_run import print_cost
from kfold_hs.cli.options import (
    DRY_RUN,
    OVERRIDES,
    CommandOptions,
    SearchFlags,
    command_line,
    composed,
    print_json,
    resumable,
    run_options,
    search_options,
)

if TYPE_CHECKING:
    from kfold_hs.config.schema import Config


@click.command(short_help="Cross-validate a model and write the report.")
@OVERRIDES
@run_options("run", "<data>-<recipe>-<digest>", "summary.json")
@DRY_RUN
@click.option(
    "--nested",
    is_flag=True,
    help="Search inside every fold. The keys with several values, or --space, are searched.",
)
@click.option(
    "--inner-folds",
    type=int,
    metavar="N",
    help="Number of folds of each search of --nested. [default: 3]",
)
@search_options
def run(
    overrides: tuple[str, ...],
    options: CommandOptions,
    dry_run: bool,
    nested: bool,
    inner_folds: int | None,
    search: SearchFlags,
) -> None:
    """Cross-validate: train a model in every fold, and report on the people that it was not
    trained on.

    An interrupted run continues when the command is repeated; a finished fold is never trained
    again. With --nested, keys with several values are searched on the training people of every
    fold, and the fold scores the model that was chosen.
    """
    from kfold_hs.cli.tables import show_run
    from kfold_hs.orchestrator.rich_progress import RichProgress
    from kfold_hs.workflows import cross_validation

    if nested:
        if dry_run:
            raise click.UsageError(
                "--dry-run does not work with --nested, since the cost depends on what the search "
                "chooses. Leave one of them out."
            )
        _run_nested(overrides, options, inner_folds, search)
        return
    if inner_folds is not None or not search.is_empty:
        raise click.UsageError("the options of a search need --nested, or the command `tune`.")
    config = composed(overrides, options.counts)
    if dry_run:
        print_cost({"": config}, options)
        return
    command = command_line()
    with resumable(command), RichProgress(options.quiet) as progress:
        progress.note(_beginning(config))  # the libraries that train take seconds to load
        result = cross_validation.run(config, progress, options.run(command), gallery=True)
    if options.as_json:
        print_json(result.summary.to_json())
    else:
        show_run(result.summary.to_json(), result.paths.report)


def _beginning(config: Config) -> str:
    """What begins, in a line."""
    from kfold_hs.config.data import SyntheticData

    if isinstance(config.data, SyntheticData):
        return f"SIMULATED people: the built-in cohort, with recipe={config.recipe}."
    return f"Cross-validating data={config.data.kind} with recipe={config.recipe}."


def _run_nested(
    words: tuple[str, ...], options: CommandOptions, inner_folds: int | None, search: SearchFlags
) -> None:
    from kfold_hs.cli.tables import show_nested, show_run
    from kfold_hs.orchestrator.rich_progress import RichProgress
    from kfold_hs.workflows.search.nested import INNER_FOLDS, nested

    command, space = command_line(), search.over(words, options.counts)
    n_folds = INNER_FOLDS if inner_folds is None else inner_folds
    with resumable(command), RichProgress(options.quiet) as progress:
        result = nested(space, progress, options.run(command), n_folds)
    if options.as_json:
        print_json(result.summary.to_json())
    else:
        assert result.summary.nested is not None
        show_nested(result.summary.nested)
        show_run(result.summary.to_json(), result.paths.report)
