"""The command `evaluate`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from kfold_hs.cli.options import QUIET, ROOT, command_line, print_json

_PATH = click.Path(path_type=Path)
_COLUMN = "COLUMN"


def _column(name: str, text: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    return click.option(f"--{name}", metavar=_COLUMN, help=text)


@click.command(short_help="Make the report for predictions that any program made.")
@click.argument("predictions", type=_PATH)
@click.option(
    "--labels",
    type=_PATH,
    metavar="PATH",
    help="What is true of each patient, where PREDICTIONS does not say it: a table with an id and "
    "labels, or the folder of <id>.txt of the 2022 challenge.",
)
@_column("person", "Column of the person. [default: person, subject, participant, ...]")
@_column("patient", "Column of the patient. [default: patient, case, id, ...]")
@_column("recording", "Column of the recording; a patient is the mean of theirs.")
@click.option(
    "--label",
    "label",
    multiple=True,
    metavar="[TASK=]COLUMN",
    help="Column of the true class; of several tasks, one option each. [default: label, y_true, "
    "label.TASK, ...]",
)
@click.option(
    "--probability",
    "probability",
    multiple=True,
    metavar="[TASK.]CLASS=COLUMN",
    help="Column of the probability of a class, or COLUMN alone for that of the positive class of "
    "two. [default: p.CLASS, prob_CLASS, CLASS, ...]",
)
@click.option(
    "--score",
    "score",
    multiple=True,
    metavar="[TASK=]COLUMN",
    help="Column of a score: any real number, higher for the positive class.",
)
@click.option(
    "--called",
    "called",
    multiple=True,
    metavar="[TASK=]COLUMN",
    help="Column of the class that was decided on. [default: called, prediction, y_pred, ...]",
)
@click.option(
    "--positive",
    "positive",
    multiple=True,
    metavar="[TASK=]CLASS",
    help="The positive class. [default: Present, Abnormal, positive, yes, ...; of two numbers the "
    "larger]",
)
@_column("fold", "Column of the fold. [default: fold, if there is one]")
@_column("repeat", "Column of the repeat. [default: repeat, if there is one]")
@_column("seed", "Column of the seed; probabilities of seeds are averaged.")
@click.option(
    "--group",
    "group",
    multiple=True,
    metavar=_COLUMN,
    help="Column by which groups of people are compared, such as age; can be repeated.",
)
@click.option(
    "--normalise",
    is_flag=True,
    help="Divide the probabilities of a row by their sum.",
)
@click.option(
    "--headline",
    metavar="KEY",
    help="Score that the report leads with: TASK.METRIC, or mean.METRIC over the tasks. [default: "
    "mean.accuracy, and of scores mean.auroc]",
)
@click.option(
    "--target", type=float, help="Value of the headline that the report judges. [default: none]"
)
@click.option(
    "--bands",
    "band_resamples",
    type=int,
    default=1000,
    show_default=True,
    metavar="N",
    help="Resamples of the people for the bands of curves; 0 for none.",
)
@click.option(
    "--bca",
    type=int,
    default=0,
    show_default=True,
    metavar="N",
    help="Resamples of the people for intervals of these models; 0 for the closed forms.",
)
@click.option(
    "--audit/--no-audit",
    default=True,
    help="Refuse a table in which a person is scored by two folds, or is predicted twice. "
    "[default: audit]",
)
@click.option(
    "--name", metavar="NAME", help="Name of the folder. [default: evaluate-<file>-<digest>]"
)
@ROOT
@click.option("--json", "as_json", is_flag=True, help="Print summary.json on standard output.")
@QUIET
def evaluate(predictions: Path, as_json: bool, quiet: bool, **given: Any) -> None:
    """Make the report of a cross-validation for predictions that any program made.

    PREDICTIONS is a table (.csv, .parquet) with a row for each patient: who it is, the true class,
    and a probability for each class; and the fold in which the person was held out, if it is known.
    Or it is a folder of outputs of the 2022 challenge, or one with a folder for each fold.

    What the table does not say is left out of the report. Nothing is trained.
    """
    from kfold_hs.cli.tables import show_run
    from kfold_hs.orchestrator.rich_progress import RichProgress
    from kfold_hs.workflows import evaluation

    for name in ("label", "score", "called", "positive"):
        given[name] = _named(name, given[name], "TASK")
    given["probability"] = _named("probability", given["probability"], "CLASS")
    with RichProgress(quiet) as progress:
        found = evaluation.evaluate(predictions, progress=progress, command=command_line(), **given)
    if as_json:
        print_json(found.summary.to_json())
    else:
        show_run(found.summary.to_json(), found.paths.report)


def _named(option: str, words: tuple[str, ...], what: str) -> Any:
    """None, the only value, or a mapping from the names before the equals signs."""
    if not words:
        return None
    if len(words) == 1 and "=" not in words[0]:
        return words[0]
    if odd := [word for word in words if "=" not in word]:
        raise click.UsageError(
            f"--{option} {odd[0]} does not name its {what.lower()}, and there are several: give "
            f"--{option} {what}={odd[0]}."
        )
    return dict(word.split("=", 1) for word in words)
