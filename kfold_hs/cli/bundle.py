"""The commands `export` and `predict`."""

from __future__ import annotations

import json
from pathlib import Path

import click

from kfold_hs.cli.options import DEVICE, QUIET

FORMATS = ("csv", "json", "parquet", "challenge")


@click.command()
@click.argument("words", nargs=-1, metavar="[RUN] [KEY=VALUE]...")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="The bundle's folder, made anew.",
)
@click.option(
    "--challenge",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Make an entry to the PhysioNet/CinC Challenge 2022 here instead.",
)
@click.option(
    "--onnx",
    is_flag=True,
    help="Along with the bundle, ONNX files of each model and of all: samples to probabilities.",
)
@click.option("--pt2", is_flag=True, help="The same as torch.export files.")
@click.option(
    "--compare-refit",
    "refit",
    is_flag=True,
    help="Train one model on everybody and one distilled from the folds, and hold all against "
    "each other on the test persons of the split.",
)
@DEVICE
@QUIET
def export(
    words: tuple[str, ...],
    output: Path | None,
    challenge: Path | None,
    onnx: bool,
    pt2: bool,
    refit: bool,
    device: str,
    quiet: bool,
) -> None:
    """Make a bundle of a finished run: its models and all that it takes to predict new people.

    RUN is a run's folder under reports/. The recordings are read again, from where the run's
    configuration says.

    With --challenge, a folder with team_code.py, which trains with the settings of RUN, and has its
    bundle along; or with those that KEY=VALUE make, and no RUN.
    """
    from kfold_hs.cli.tables import Terminal

    run, overrides = split_words(words)
    if (output is None) == (challenge is None):
        raise click.UsageError("give -o DIR for a bundle, or --challenge DIR for an entry.")
    graphs = [kind for kind, asked in (("onnx", onnx), ("pt2", pt2)) if asked]
    if challenge is not None:
        if graphs:
            raise click.UsageError(f"--{graphs[0]} goes with a bundle, -o DIR.")
        if refit:
            raise click.UsageError("--compare-refit goes with a bundle, -o DIR.")
        if run is not None and overrides:
            raise click.UsageError(f"{run} has its settings; leave out {' '.join(overrides)}.")
        from kfold_hs.config.compose import compose, load_yaml
        from kfold_hs.workflows.challenge_entry import write_entry

        on_circor = ["data=circor", "data.root=data", *overrides]
        config = compose(on_circor) if run is None else load_yaml(run / "config.yaml")
        with Terminal(quiet=quiet) as terminal:
            write_entry(challenge, config, run, terminal)
        click.echo(f"Entry: {challenge}")
        return
    if run is None or overrides:
        raise click.UsageError("a bundle is made of one RUN, and takes no KEY=VALUE.")
    from kfold_hs.workflows.bundles import export as export_run

    assert output is not None
    with Terminal(quiet=quiet) as terminal:
        if refit:
            from kfold_hs.workflows.refit import train_both

            train_both(run, terminal, device)  # before the folder is made: it can be gone on with
        content = export_run(run, output, terminal, graphs)
        if refit:
            from kfold_hs.workflows.refit import compare_refit

            found = compare_refit(run, output, terminal, device)
    click.echo(f"{len(content['models'])} models of {content['run']}: {output}")
    if refit:
        from kfold_hs.cli.terminal_refit import show_refit

        show_refit(found)


def split_words(words: tuple[str, ...]) -> tuple[Path | None, tuple[str, ...]]:
    """RUN, if the first word is one, and the overrides."""
    if words and ("=" not in words[0] or Path(words[0]).exists()):
        return Path(words[0]), words[1:]
    return None, words


@click.command()
@click.argument("bundle", type=click.Path(path_type=Path))
@click.argument("inputs", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Where the rows go; a folder for --format challenge. [default: standard output]",
)
@click.option(
    "--format",
    "kind",
    type=click.Choice(FORMATS),
    help="challenge: a file <id>.csv a patient. [default: by the suffix of -o, else csv]",
)
@click.option(
    "--coverage",
    type=float,
    default=0.9,
    metavar="P",
    help="Coverage of the conformal sets, between 0 and 1. [default: 0.9]",
)
@click.option(
    "--calibration",
    type=click.Choice(["temperature", "vector", "isotonic"]),
    default="temperature",
    help="Method of the calibrated probabilities. [default: temperature]",
)
@DEVICE
@click.option("--json", "as_json", is_flag=True, help="Print the audit as JSON; needs -o.")
@QUIET
def predict(
    bundle: Path,
    inputs: tuple[Path, ...],
    output: Path | None,
    kind: str | None,
    coverage: float,
    calibration: str,
    device: str,
    as_json: bool,
    quiet: bool,
) -> None:
    """Score people by a bundle: one row a patient.

    INPUTS are WAV, FLAC or AIFF files, folders of them, folders in CirCor's layout (labels are not
    needed), or a CSV with a row a recording. Where no header and no column patient_id says whose a
    recording is, its name does: <patient>_<site>.wav, with a site AV, PV, TV, MV or Phc; any other
    file is a patient of its own. A name counts within its folder, so that P1/rec1.wav and
    P2/rec1.wav are two patients. Who is known to the bundle, by id or by a recording,
    is scored only by the models that did not train on them.
    """
    from kfold_hs.cli.tables import Terminal
    from kfold_hs.workflows.bundles import PredictOptions
    from kfold_hs.workflows.bundles import predict as predict_inputs

    if as_json and output is None:
        raise click.UsageError("--json prints the audit where the rows would go: give -o FILE.")
    with Terminal(quiet=quiet) as terminal:
        options = PredictOptions(output, kind, device, coverage, calibration)
        done = predict_inputs(bundle, inputs, terminal, options)
        if not as_json:
            for sentence in done.sentences:
                terminal.note(sentence)
    if as_json:
        click.echo(json.dumps(done.counts, indent=1))
