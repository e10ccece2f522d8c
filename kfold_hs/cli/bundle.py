"""The commands `export` and `predict`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from kfold_hs.cli.options import DEVICE, QUIET, SETS, leading_path, print_json, with_settings

if TYPE_CHECKING:
    from kfold_hs.orchestrator.rich_progress import RichProgress

FORMATS = ("csv", "json", "parquet", "challenge")


@click.command(short_help="Make a bundle of a run, to predict new people.")
@with_settings("words", "[RUN] [KEY=VALUE]...", has_path=True)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Folder of the bundle; it must not exist yet.",
)
@click.option(
    "--challenge",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Write an entry to the PhysioNet/CinC Challenge 2022 to this folder, not a bundle.",
)
@click.option(
    "--onnx",
    is_flag=True,
    help="Add ONNX files of each model and of the ensemble: from samples to probabilities.",
)
@click.option("--pt2", is_flag=True, help="Add the same as torch.export files.")
@click.option(
    "--hub-ready",
    "hub",
    is_flag=True,
    help="Name nobody, and add what a hub of models wants: a folder that can be uploaded as it is.",
)
@click.option(
    "--license",
    metavar="NAME",
    help="Licence of a --hub-ready folder, as the hub writes it, e.g. apache-2.0.",
)
@click.option(
    "--forget-people",
    "forgets",
    is_flag=True,
    help="Leave the digests of recordings out of a --hub-ready folder; then it knows nobody.",
)
@click.option(
    "--compare-refit",
    "refit",
    is_flag=True,
    help="Train one model on everybody, and one distilled from the folds; compare both with the "
    "ensemble on the test persons of the split.",
)
@DEVICE
@QUIET
def export(
    words: tuple[str, ...],
    output: Path | None,
    challenge: Path | None,
    onnx: bool,
    pt2: bool,
    hub: bool,
    license: str | None,
    forgets: bool,
    refit: bool,
    device: str,
    quiet: bool,
) -> None:
    """Make a bundle of a finished run: its models, and everything that predicting new people takes.

    RUN is a run's folder under reports/. The recordings are read again, from the place that the
    run's configuration names.

    With --challenge, the folder gets a team_code.py, which trains with the settings of RUN, and
    RUN's bundle. Without RUN, it trains with the settings KEY=VALUE, and there is no bundle.
    """
    from kfold_hs.orchestrator.rich_progress import RichProgress

    run, overrides = leading_path(words)
    graphs = [kind for kind, is_asked in (("onnx", onnx), ("pt2", pt2)) if is_asked]
    if (output is None) == (challenge is None):
        raise click.UsageError("give -o DIR for a bundle, or --challenge DIR for an entry.")
    if not hub and (license or forgets):
        raise click.UsageError("--license and --forget-people are about --hub-ready: add it.")
    if hub and refit:
        raise click.UsageError(
            "--compare-refit adds bundles that name people, and --hub-ready names nobody: export "
            "twice, to two folders."
        )
    with RichProgress(quiet) as progress:
        if challenge is not None:
            _check_entry([*graphs, *["hub-ready"] * hub], refit, run, overrides)
            _write_entry(challenge, run, overrides, progress)
            done, found = f"Entry: {challenge}", None
        else:
            if run is None or overrides:
                raise click.UsageError("a bundle needs one RUN, and takes no KEY=VALUE.")
            assert output is not None
            how = _How(graphs, device if refit else None, hub, license, forgets)
            done, found = _write_bundle(run, output, how, progress)
    click.echo(done)
    if found is not None:
        from kfold_hs.cli.tables import show_refit

        show_refit(found)


def _check_entry(
    graphs: Sequence[str], refit: bool, run: Path | None, overrides: Sequence[str]
) -> None:
    flags = [f"--{graph}" for graph in graphs] + ["--compare-refit"] * refit
    if flags:
        raise click.UsageError(f"{flags[0]} needs a bundle: give -o DIR, not --challenge.")
    if run is not None and overrides:
        raise click.UsageError(f"{run} has its own settings. Leave out {' '.join(overrides)}.")


def _write_entry(
    folder: Path, run: Path | None, overrides: Sequence[str], progress: RichProgress
) -> None:
    from kfold_hs.config.compose import compose, load_yaml
    from kfold_hs.workflows.challenge_entry import write_entry

    on_circor = ["data=circor", "data.root=data", *overrides]
    config = compose(on_circor) if run is None else load_yaml(run / "config.yaml")
    write_entry(folder, config, run, progress)


@dataclass(frozen=True)
class _How:
    """How a bundle is made.

    Parameters
    ----------
    refit_on : str, optional
        The device that models of everybody are trained on; without it they are not.
    """

    graphs: Sequence[str]
    refit_on: str | None
    hub: bool
    license: str | None
    forgets: bool


def _write_bundle(
    run: Path, folder: Path, how: _How, progress: RichProgress
) -> tuple[str, dict[str, Any] | None]:
    """Write a bundle; what to print of it, and the comparison with the models of everybody."""
    from kfold_hs.errors import counted
    from kfold_hs.workflows import bundles

    hub = bundles.hub_options(how.license, how.forgets) if how.hub else None
    if how.refit_on is not None:
        from kfold_hs.workflows import refit

        # Before the folder is made, so that an interrupted command can be repeated.
        refit.train_both(run, progress, how.refit_on)
    content = bundles.export(run, folder, progress, how.graphs, hub)
    found = None
    if how.refit_on is not None:
        found = refit.compare_refit(run, folder, progress, how.refit_on)
    return f"{counted(len(content['models']), 'model')} of {content['run']}: {folder}", found


@click.command(short_help="Predict new people with a bundle.")
@click.argument("bundle", type=click.Path(path_type=Path))
@click.argument("inputs", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="File of the rows; with --format challenge, a folder. [default: standard output]",
)
@click.option(
    "--format",
    "kind",
    type=click.Choice(FORMATS),
    help="Format of the rows; challenge writes one file <id>.csv for every patient. "
    "[default: the suffix of -o, otherwise csv]",
)
@click.option(
    "--coverage",
    type=float,
    default=0.9,
    metavar="P",
    help="Coverage of the conformal sets, above 0 and below 1. [default: 0.9]",
)
@SETS
@click.option(
    "--calibration",
    type=click.Choice(["temperature", "vector", "isotonic"]),
    default="temperature",
    help="Method of the calibrated probabilities. [default: temperature]",
)
@DEVICE
@click.option(
    "--json",
    "as_json",
    is_flag=True,
    help="Print a summary of the predictions as JSON; needs -o.",
)
@QUIET
def predict(
    bundle: Path,
    inputs: tuple[Path, ...],
    output: Path | None,
    kind: str | None,
    coverage: float,
    promise: str,
    calibration: str,
    device: str,
    as_json: bool,
    quiet: bool,
) -> None:
    """Predict new people with a bundle; one row for every patient.

    INPUTS are WAV, FLAC or AIFF files, folders of them, folders in CirCor's layout (without labels,
    too), or a CSV with a row for every recording.

    A header or the column patient_id says which patient a recording belongs to. Without these, the
    file's name does: <patient>_<site>.wav, where the site is AV, PV, TV, MV or Phc. Any other file
    is a patient of its own. Files of the same name in two folders, such as P1/rec1.wav and
    P2/rec1.wav, are two patients.

    The bundle may know a person, by id or by a recording. Only the models that were not trained on
    this person predict them.
    """
    from kfold_hs.orchestrator.rich_progress import RichProgress
    from kfold_hs.workflows.bundles import PredictOptions
    from kfold_hs.workflows.bundles import predict as predict_inputs

    if as_json and output is None:
        raise click.UsageError(
            "--json needs standard output. Write the rows to a file with -o FILE."
        )
    with RichProgress(quiet) as progress:
        options = PredictOptions(output, kind, device, coverage, calibration, promise)
        done = predict_inputs(bundle, inputs, progress, options)
        if not as_json:
            for sentence in done.sentences:
                progress.note(sentence)
    if as_json:
        print_json(done.counts)
