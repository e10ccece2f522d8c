"""The command `segment`."""

from __future__ import annotations

from pathlib import Path

import click

from kfold_hs.cli.options import DEVICE, QUIET, print_json


@click.command(short_help="Find the heart cycle in recordings with a bundle.")
@click.argument("bundle", type=click.Path(path_type=Path))
@click.argument("inputs", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--output",
    required=True,
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Folder of the segmentations; it may be the folder of the recordings.",
)
@click.option(
    "--confidence",
    type=float,
    metavar="P",
    help="Leave a beat out (state 0) if the mean probability of its states is below P. 0 keeps "
    "every beat. [default: 0.5]",
)
@click.option(
    "--force",
    is_flag=True,
    help="Overwrite .tsv files that kfold-hs segment did not write, such as marks by hand.",
)
@DEVICE
@click.option("--json", "as_json", is_flag=True, help="Print the counts as JSON.")
@QUIET
def segment(
    bundle: Path,
    inputs: tuple[Path, ...],
    output: Path,
    confidence: float | None,
    force: bool,
    device: str,
    as_json: bool,
    quiet: bool,
) -> None:
    """Find S1, systole, S2 and diastole in recordings, with a bundle of a run with frames=cycle.

    INPUTS are as in `kfold-hs predict`. Every recording gets a file RECORDING.tsv in CirCor's
    format (start, end, state), at the place below DIR that it has below its input. With the input
    folder as DIR, `kfold-hs run train.align=cycle` or frames=cycle can train on the files.
    segmentation.csv has a row for every recording: confidence, heart rate, murmur score.

    The bundle may know a person, by id or by a recording. Only the models that were not trained on
    this person segment their recordings.
    """
    from kfold_hs.orchestrator.rich_progress import RichProgress
    from kfold_hs.workflows.segmenting import SegmentOptions
    from kfold_hs.workflows.segmenting import segment as segment_inputs

    with RichProgress(quiet) as progress:
        options = SegmentOptions(device, confidence, force)
        done = segment_inputs(bundle, inputs, output, progress, options)
        if not as_json:
            for sentence in done.sentences:
                progress.note(sentence)
    if as_json:
        print_json(done.counts)
