"""The command `report`."""

from __future__ import annotations

from pathlib import Path

import click

from kfold_hs.cli.options import ROOT


@click.command(short_help="Draw a page again, or list all pages.")
@click.argument("folder", required=False, type=click.Path(path_type=Path), metavar="[FOLDER]")
@click.option(
    "--figures",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Write every figure of the page into this folder, as PDF, SVG and PNG.",
)
@click.option(
    "--tables",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Write every table of the page into this folder, as CSV and LaTeX.",
)
@ROOT
def report(folder: Path | None, figures: Path | None, tables: Path | None, root: Path) -> None:
    """Draw a page again from its folder under reports/. Without FOLDER, list all pages in
    reports/index.html.

    FOLDER holds a run, a comparison, a search, a validation or a learning curve. Nothing is
    trained.
    """
    from kfold_hs.cli.tables import show_comparison, show_learning_curve, show_run, show_tune
    from kfold_hs.cli.validate import show_validation
    from kfold_hs.errors import counted
    from kfold_hs.workflows import pages

    if folder is None:
        if figures or tables:
            raise click.UsageError("--figures and --tables need a FOLDER.")
        page, entries = pages.index(root)
        click.echo(f"{pages.counts(entries)}: {page}")
        return
    drawn = pages.redraw(folder)
    shows = {"run": show_run, "comparison": show_comparison, "search": show_tune}
    shows["learning curve"] = show_learning_curve
    show = {**shows, "validation": show_validation}[drawn.kind]
    show(drawn.content, drawn.path)
    for kind, (where, files) in pages.take_apart(drawn.page, figures, tables).items():
        click.echo(f"{counted(len(files), 'file')} of {kind}: {where}")
