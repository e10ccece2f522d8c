"""The commands `split` and `audit`."""

from __future__ import annotations

from pathlib import Path

import click

from kfold_hs.cli.options import (
    FOLDS,
    OVERRIDES,
    QUIET,
    REPEATS,
    composed,
    counts,
    leading_path,
    print_json,
    with_settings,
)


@click.command(short_help="Draw a split and show its balance.")
@OVERRIDES
@FOLDS
@REPEATS
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the split to this file, to be used as split.file=FILE.",
)
@QUIET
def split(
    overrides: tuple[str, ...],
    folds: int | None,
    repeats: int | None,
    output: Path | None,
    quiet: bool,
) -> None:
    """Draw the split of a cohort and show how well its folds are balanced."""
    from kfold_hs.cli.tables import show_split
    from kfold_hs.orchestrator.rich_progress import RichProgress
    from kfold_hs.splits.balance import balance, compare
    from kfold_hs.splits.make import check_output, split_of
    from kfold_hs.workflows.inputs import cohort_to_split

    with RichProgress(quiet) as progress:
        settings = composed(overrides, counts(folds, repeats))
        if output is not None:
            check_output(settings, output)
        cohort = cohort_to_split(settings, progress)
        drawn = split_of(settings, cohort)
    balances = [balance(cohort, drawn, repeat) for repeat in range(drawn.n_repeats)]
    show_split(drawn.to_dict(), balances, compare(cohort, drawn))
    if output is not None:
        drawn.write(output)
        click.echo(f"Written to {output}.")


@click.command(short_help="Look for leaks in a split, or in the data.")
@with_settings("words", "[SPLIT] [KEY=VALUE]...", has_path=True)
@FOLDS
@REPEATS
@click.option(
    "--aliases",
    type=click.Path(dir_okay=False, path_type=Path),
    help="CSV with two columns; each line holds two ids that are one person.",
)
@click.option("--fix", is_flag=True, help="Join the ids that are one person; write a new split.")
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    default=Path("split.json"),
    help="The file that --fix writes. [default: split.json]",
)
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON.")
@QUIET
def audit(
    words: tuple[str, ...],
    folds: int | None,
    repeats: int | None,
    aliases: Path | None,
    fix: bool,
    output: Path,
    as_json: bool,
    quiet: bool,
) -> None:
    """Look for leaks in a split; without SPLIT, in the data. The exit status is 1 on a leak.

    SPLIT is a split.json, a CSV of patient and fold, nnU-Net's splits_final.json, a folder that
    holds one folder for each fold, or column:NAME, a column of the data's own table.
    """
    from kfold_hs.cli.tables import show_findings
    from kfold_hs.orchestrator.rich_progress import RichProgress
    from kfold_hs.splits.make import fix_split
    from kfold_hs.workflows.audit import audit_split

    source, overrides = leading_path(words)
    with RichProgress(quiet) as progress:
        settings = composed(overrides, counts(folds, repeats))
        cohort, findings = audit_split(settings, source, aliases, progress)
    rows = [finding.to_dict() for finding in findings]
    if as_json:
        print_json(rows)
    else:
        show_findings(rows, cohort.n_recordings)
    has_leaks = any(finding.is_leak for finding in findings)
    if fix and has_leaks:
        new, table = fix_split(settings, cohort, findings, output)
        click.echo(
            f"Written: {output} (split {new.digest[:16]}) and {table}. Train with\n"
            f"  data.aliases={table} split.file={output} split.n_folds={new.n_folds}",
            err=as_json,
        )
    raise SystemExit(1 if has_leaks else 0)
