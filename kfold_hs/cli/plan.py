"""The command `plan`."""

from __future__ import annotations

from pathlib import Path

import click

from kfold_hs.cli.options import print_json


def _counts(text: str) -> tuple[int, ...]:
    """One whole number or several, such as 300,600."""
    from kfold_hs.errors import shown

    try:
        return tuple(int(each) for each in text.split(",") if text)
    except ValueError:
        raise click.BadParameter(
            f"{shown(text)} is not a whole number, and no list of them such as 300,600."
        ) from None


@click.command(short_help="Say what a design would see before it is run.")
@click.option(
    "--people",
    type=_counts,
    default="",
    metavar="N,...",
    help="Number of people, e.g. 300 or 300,600.",
)
@click.option(
    "--prevalence", type=float, metavar="P", help="Share of positives, above 0 and below 1."
)
@click.option(
    "--metric",
    default="accuracy",
    metavar="[TASK.]METRIC",
    help="Metric to compare; of a run also its headline, such as mean.accuracy. "
    "[default: accuracy]",
)
@click.option(
    "--difference",
    type=float,
    required=True,
    metavar="D",
    help="Smallest difference between two variants that matters.",
)
@click.option(
    "--repeats",
    type=_counts,
    default="1,3,5",
    metavar="N,...",
    help="Number of repeats. [default: 1,3,5]",
)
@click.option(
    "--folds",
    type=_counts,
    default="",
    metavar="N,...",
    help="Number of folds. [default: that of the run; else 5,10]",
)
@click.option(
    "--run",
    "folder",
    type=click.Path(path_type=Path),
    metavar="RUN",
    help="Take the uncertainty from a run's folder under reports/.",
)
@click.option("--task", metavar="NAME", help="Task of the run. [default: its first]")
@click.option("--value", type=float, help="Assumed value of the metric. [default: 0.85]")
@click.option(
    "--person-share",
    type=float,
    help="Share of a person's error that is the same for all models. [default: 0.7]",
)
@click.option(
    "--model-sd",
    type=float,
    help="Standard deviation of the metric between fold models. [default: 0.01]",
)
@click.option(
    "--reciprocal-share",
    type=float,
    help="What people add who test models trained on each other, over what a person always adds: "
    "0 where models are sure, 1 near chance. [default: 0.25]",
)
@click.option(
    "--correlation",
    type=float,
    help="Correlation of two variants' errors on a person. [default: 0.7]",
)
@click.option("--json", "as_json", is_flag=True, help="Print the plan as JSON.")
def plan(
    people: tuple[int, ...],
    metric: str,
    difference: float,
    repeats: tuple[int, ...],
    folds: tuple[int, ...],
    folder: Path | None,
    task: str | None,
    as_json: bool,
    **assumptions: float | None,
) -> None:
    """Say what a design would see before it is run: the width of its intervals, and its power
    to detect a difference.

    Every combination of --folds, --repeats and --people is a design.
    """
    from kfold_hs.cli.tables import show_plan
    from kfold_hs.workflows import sample_size
    from kfold_hs.workflows.sample_size import Designs, Known

    given = {name: value for name, value in assumptions.items() if value is not None}
    asked, known = Designs(people, repeats, folds), Known(given, folder, task)
    found = sample_size.plan(metric, difference, asked, known)
    if as_json:
        print_json(found)
    else:
        show_plan(found)
