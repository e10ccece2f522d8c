"""The command `score`: two folders in, the challenge's scores out."""

from __future__ import annotations

import json
from pathlib import Path

import click


@click.command()
@click.argument("labels", type=click.Path(path_type=Path))
@click.argument("outputs", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print the scores as JSON, unrounded.")
def score(labels: Path, outputs: Path, as_json: bool) -> None:
    """Score outputs as the official script of the PhysioNet/CinC Challenge 2022 does.

    LABELS holds <id>.txt with the true murmur and outcome of every patient, OUTPUTS the <id>.csv
    that a model wrote for each.
    """
    from kfold_hs.judge.results.challenge2022 import as_text, score_folders

    scores = score_folders(labels, outputs)
    click.echo(json.dumps(scores, indent=1, allow_nan=False) if as_json else as_text(scores))
