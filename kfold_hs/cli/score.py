"""The command `score`."""

from __future__ import annotations

from pathlib import Path

import click

from kfold_hs.cli.options import print_json


@click.command(short_help="Score outputs as the 2022 challenge does.")
@click.argument("labels", type=click.Path(path_type=Path))
@click.argument("outputs", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print the scores as JSON, unrounded.")
def score(labels: Path, outputs: Path, as_json: bool) -> None:
    """Score outputs as the official script of the PhysioNet/CinC Challenge 2022 does.

    LABELS is a folder with a file <id>.txt for every patient: the true murmur and outcome. OUTPUTS
    is a folder with a file <id>.csv for every patient: the output of a model.
    """
    from kfold_hs.judge.results.challenge2022 import as_text, score_folders

    scores = score_folders(labels, outputs)
    if as_json:
        print_json(scores)
    else:
        click.echo(as_text(scores))
