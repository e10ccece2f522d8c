"""The command `gallery`."""

from __future__ import annotations

from pathlib import Path

import click

from kfold_hs.cli.options import DEVICE, QUIET


@click.command(short_help="Show the patients with the highest loss in a run's report.")
@click.argument("folder", type=click.Path(path_type=Path), metavar="RUN")
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    metavar="PATH",
    help="Folder or table of the recordings. [default: the run's]",
)
@click.option(
    "--patients",
    type=int,
    metavar="N",
    help="Number of patients shown, 0 to 20; 0 removes the gallery. [default: the run's]",
)
@click.option(
    "--audio/--no-audio", default=None, help="With or without the sound. [default: the run's]"
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
    """Add the patients with the highest loss to a run's report: their sound, and what the model
    looked at.

    RUN is a run's folder under reports/. `kfold-hs run` does this by itself. For an older run,
    this command reads the recordings and checkpoints again.
    """
    from kfold_hs.orchestrator.rich_progress import RichProgress
    from kfold_hs.workflows.cross_validation import report
    from kfold_hs.workflows.gallery.story import GalleryOptions
    from kfold_hs.workflows.gallery.story import gallery as show

    with RichProgress(quiet) as progress:
        paths = show(folder, progress, GalleryOptions(data, patients, audio), device)
    result, _ = report(paths.report_folder)
    click.echo(f"Report: {result.paths.report}")
