"""The command `gallery`."""

from __future__ import annotations

from pathlib import Path

import click

from kfold_hs.cli.options import DEVICE, QUIET


@click.command()
@click.argument("folder", type=click.Path(path_type=Path), metavar="RUN")
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    metavar="PATH",
    help="Where the recordings are now. [default: where they were for the run]",
)
@click.option(
    "--patients",
    type=int,
    metavar="N",
    help="Patients shown, at most 20; 0 removes them. [default: as in the run]",
)
@click.option(
    "--audio/--no-audio", default=None, help="With or without their sound. [default: as in the run]"
)
@DEVICE
@QUIET
def gallery(
    folder: Path,
    data: Path | None,
    patients: int | None,
    audio: bool | None,
    device: str,
    quiet: bool,
) -> None:
    """Show the patients who are told worst in a run's report: what they sound like, what the
    model looked at.

    RUN is a run's folder under reports/. `kfold-hs run` does this by itself; for an older run
    the recordings and checkpoints are read again.
    """
    from kfold_hs.cli.tables import Terminal
    from kfold_hs.workflows.cross_validation import report
    from kfold_hs.workflows.gallery.story import GalleryOptions
    from kfold_hs.workflows.gallery.story import gallery as show

    with Terminal(quiet=quiet) as terminal:
        paths = show(folder, terminal, GalleryOptions(data, patients, audio), device)
    result, _ = report(paths.report_folder)
    click.echo(f"Report: {result.paths.report}")
