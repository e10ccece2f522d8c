"""The command `compare`."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import click

from kfold_hs.cli.dry_run import print_cost
from kfold_hs.cli.options import (
    DRY_RUN,
    CommandOptions,
    command_line,
    print_json,
    resumable,
    run_options,
    with_settings,
)


@click.command(short_help="Say which of several variants is better.")
@with_settings("words", "[KEY=VALUE]... | TABLE TABLE...")
@run_options("comparison", "compare-<data>-<digest>", "comparison.json")
@DRY_RUN
def compare(words: tuple[str, ...], options: CommandOptions, dry_run: bool) -> None:
    """Say which of several variants is better, that they are equivalent, or that the data cannot
    tell.

    A key given more than once (sched=onecycle sched=cosine) or with several values
    (optim.lr=1e-4,1e-3) makes variants; several such keys make all combinations. The first
    variant is the baseline. All other words apply to every variant. Quotes keep settings together:
    'loss=focal loss.gamma=3' loss=cross_entropy.

    Every variant is a run of its own, on one split unless the variants differ in how it is drawn
    (split.by=person split.by=patient). A finished run is used as it is.

    Tables of predictions that any program made (.csv, .parquet), and folders of runs and of
    evaluations, are compared as they are, on the people that all have. A table whose columns have
    unusual names: `kfold-hs evaluate` it first, and give its folder.

    headline=KEY is the score that is led with: headline=murmur.auroc, or headline=mean.accuracy
    over the tasks, which is the default.
    """
    from kfold_hs.cli.tables import show_comparison
    from kfold_hs.config.sweep import design
    from kfold_hs.orchestrator.rich_progress import RichProgress
    from kfold_hs.workflows import comparison

    command = command_line()
    tables, said = [w for w in words if _is_table(w)], [w for w in words if not _is_table(w)]
    if tables and all(word.startswith("headline=") for word in said):
        _compare_tables(tables, said, options, dry_run)
        return
    variants = design(words, options.counts)
    if dry_run:
        configs = {each.name: each.config for each in variants.variants}
        print_cost(configs, dataclasses.replace(options, name=None))  # the runs name themselves
        return
    with resumable(command), RichProgress(options.quiet) as progress:
        found = comparison.compare(variants, progress, options.run(command))
    if options.as_json:
        print_json(found.result.to_json())
    else:
        show_comparison(found.result.to_json(), found.paths.page)


def _is_table(word: str) -> bool:
    """Whether a word is a file or folder; one that is not there and looks like it, too."""
    looks_like_it = "/" in word or Path(word).suffix in {".csv", ".parquet"}
    return Path(word).exists() or ("=" not in word and looks_like_it)


def _compare_tables(
    tables: list[str], said: list[str], options: CommandOptions, dry_run: bool
) -> None:
    from kfold_hs.cli.options import composed
    from kfold_hs.cli.tables import show_comparison
    from kfold_hs.orchestrator.rich_progress import RichProgress
    from kfold_hs.workflows.table_comparison import TableOptions, compare_tables

    if dry_run or options.counts:
        raise click.UsageError(
            "tables are compared as they are: --dry-run, --folds, --repeats and --seeds do not "
            "apply. Leave them out."
        )
    headline = composed(said, ()).headline if said else ""
    how = TableOptions(options.name, options.root, command_line(), headline)
    with RichProgress(options.quiet) as progress:
        found = compare_tables(tables, how, progress)
    if options.as_json:
        print_json(found.result.to_json())
    else:
        show_comparison(found.result.to_json(), found.paths.page)
