"""The command `init`."""

from __future__ import annotations

import shlex
from pathlib import Path

import click

_COLUMN = "COLUMN"


@click.command(short_help="Look at a table or folder, and write a study file.")
@click.argument("path", type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="The study file. [default: study.yaml beside the table or in the folder]",
)
@click.option("--recording", metavar=_COLUMN, help="Column of the recordings' paths.")
@click.option("--patient", metavar=_COLUMN, help="Column of the patient.")
@click.option(
    "--person", metavar=_COLUMN, help="Column of the person, who can be several patients."
)
@click.option("--site", metavar=_COLUMN, help="Column of the site of auscultation.")
@click.option(
    "--label",
    "labels",
    multiple=True,
    metavar=_COLUMN,
    help="Column of the labels, besides those that are guessed; of several tasks, one option each.",
)
@click.option(
    "--no-label",
    "no_labels",
    multiple=True,
    metavar=_COLUMN,
    help="Column that is no label, though it looks like one.",
)
@click.option("--force", is_flag=True, help="Replace files that are there.")
def init(
    path: Path,
    output: Path | None,
    recording: str | None,
    patient: str | None,
    person: str | None,
    site: str | None,
    labels: tuple[str, ...],
    no_labels: tuple[str, ...],
    force: bool,
) -> None:
    """Look at a table or folder of recordings, guess what it means, and write a study file.

    PATH is a CSV with a row for each recording; or a folder: CirCor, CinC 2016, BMD-HS or ZCHSound
    in the official layout, one that holds such a CSV, or one with a folder for each class. What is
    guessed is printed with its reason, and what is unsure with the line to change. Then:

        kfold-hs run -c study.yaml
    """
    from kfold_hs.workflows.init.guess import Named
    from kfold_hs.workflows.init.study import init as start

    named = Named(recording, patient, person, site, labels, no_labels)
    found = start(path, output, named, force)
    click.echo(f"Looked at {found.seen}.")
    for setting, reason in found.guesses:
        click.echo(f"  {setting}  ({reason})")
    for note in found.notes:
        click.echo(f"  {note}")
    if found.questions:
        click.echo("Unsure:")
    for line, key, text in found.questions:
        click.echo(f"  {found.study}, line {line} ({key}): {text}")
    click.echo(f"Written: {', '.join(map(str, found.written))}")
    click.echo(f"Next: kfold-hs run -c {shlex.quote(str(found.study))}")
