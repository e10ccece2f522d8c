"""The command `tune`."""

from __future__ import annotations

import click

from kfold_hs.cli.options import (
    CommandOptions,
    SearchFlags,
    command_line,
    print_json,
    resumable,
    run_options,
    search_options,
    with_settings,
)


@click.command(short_help="Search for the best settings.")
@with_settings("words")
@search_options
@run_options("search", "tune-<data>-<digest>", "tune.json")
def tune(words: tuple[str, ...], search: SearchFlags, options: CommandOptions) -> None:
    """Search a space of settings. Say which are best, with a score corrected for the choice.

    A key with several values (optim.lr=1e-4,1e-3 sched=onecycle,cosine) is searched; all other
    words apply to every trial. Every trial is a run of its own on the same split. A finished run
    is used as it is. An interrupted search continues when the command is repeated; the same
    command in several terminals shares the trials among them.
    """
    from kfold_hs.cli.tables import show_tune
    from kfold_hs.orchestrator.rich_progress import RichProgress
    from kfold_hs.workflows.search import tuning

    command, space = command_line(), search.over(words, options.counts)
    with resumable(command), RichProgress(options.quiet) as progress:
        found = tuning.tune(space, progress, options.run(command))
    if options.as_json:
        print_json(found.result.to_json())
    else:
        show_tune(found.result.to_json(), found.paths.page)
