"""The command `validate`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import click

from kfold_hs.cli.options import (
    DEVICE,
    OVERRIDES,
    QUIET,
    ROOT,
    command_line,
    composed,
    print_json,
)

_TAKEN = ("data", "headline", "plugins")
"""What a bundle takes: it stays as it is otherwise."""


@click.command(short_help="Score a bundle on labelled people of another cohort.")
@click.argument("bundle", type=click.Path(path_type=Path))
@OVERRIDES
@click.option(
    "--known",
    type=click.Choice(["leave-out", "held-out"]),
    default="leave-out",
    help="People whom the bundle knows: leave them out, or score them by the models that were not "
    "trained on them. [default: leave-out]",
)
@click.option(
    "--match",
    type=click.Choice(["auto", "samples", "ids"]),
    default="auto",
    help="How people are known: by the samples of a recording, or by these and by patient ids. "
    "[default: by ids, too, where both data are the same published data set]",
)
@click.option(
    "--name",
    metavar="NAME",
    help="Name of the validation's folder. [default: validate-<run>-<data>-<digest>]",
)
@click.option("--json", "as_json", is_flag=True, help="Print validation.json on standard output.")
@DEVICE
@ROOT
@QUIET
def validate(
    bundle: Path,
    overrides: tuple[str, ...],
    known: Literal["leave-out", "held-out"],
    match: Literal["auto", "samples", "ids"],
    name: str | None,
    as_json: bool,
    device: str,
    root: Path,
    quiet: bool,
) -> None:
    """Score a bundle, as it is, on labelled people of another cohort (external validation).

    KEY=VALUE names the people: data=NAME and data.KEY=VALUE, as for `run`. data.map says which of
    their labels are a task of the bundle: data.map.outcome=diagnosis, or, with classes,
    'data.map.outcome={task: diagnosis, classes: {Abnormal: ill, Normal: [well, unsure]}}'. Without
    it, tasks and classes of the same name are compared, and the positive classes. headline=KEY is
    the score to lead with, such as outcome.auroc; by default that of the bundle's run.

    Nothing is trained. Beside each metric are the value of the cross-validation and the change.
    """
    from kfold_hs.config.compose import key_of
    from kfold_hs.errors import counted, listing
    from kfold_hs.orchestrator.rich_progress import RichProgress
    from kfold_hs.workflows.options import RunOptions
    from kfold_hs.workflows.validation import ValidationOptions
    from kfold_hs.workflows.validation import validate as validate_bundle

    words, unused = _of_data(overrides)
    _check(words)
    config = composed(words, ())
    headline = config.headline if any(key_of(word) == "headline" for word in words) else ""
    run = RunOptions(name=name, root=root, device=device, command=command_line())
    with RichProgress(quiet) as progress:
        if unused:
            progress.note(
                f"{counted(len(unused), 'setting')} of the study file not used, since a bundle "
                f"stays as it is: {listing(unused)}."
            )
        how = ValidationOptions(run, known, match, headline=headline)
        found = validate_bundle(bundle, config.data, how, progress)
    if as_json:
        print_json(found.result.to_json())
    else:
        show_validation(found.result.to_json(), found.paths.page)


def _of_data(overrides: tuple[str, ...]) -> tuple[tuple[str, ...], list[str]]:
    """The words, without what study files say of trainings; and that."""
    from kfold_hs.config.compose import key_of
    from kfold_hs.config.overrides import Word

    unused: list[str] = [
        word
        for word in overrides
        if isinstance(word, Word) and key_of(word).split(".")[0] not in _TAKEN
    ]
    return tuple(word for word in overrides if word not in unused), unused


def _check(overrides: tuple[str, ...]) -> None:
    """Refuse settings that a bundle does not take: its models are what they are."""
    from kfold_hs.config.compose import key_of

    if not any(key_of(word) == "data" for word in overrides):
        raise click.UsageError("name the people: data=NAME, e.g. data=cinc2016 data.root=DIR.")
    for word in overrides:
        if key_of(word) == "target":
            raise click.UsageError(
                f"{word}: a validation judges no target, but the change from the cross-validation. "
                "Compare the target with the interval that it prints, or leave it out."
            )
        if key_of(word).split(".")[0].lstrip("+~") not in _TAKEN:
            raise click.UsageError(
                f"{word} is a setting of a training. A bundle stays as it is; only data=NAME, "
                "data.KEY=VALUE and headline=KEY are taken."
            )


def show_validation(content: Mapping[str, Any], page: Path) -> None:
    """Print every metric beside the cross-validation's, the answer, and the path of the page."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table
    from rich.text import Text

    from kfold_hs.cli.tables import interval, number
    from kfold_hs.errors import counted

    console = Console(highlight=False)
    for task, found in content["tasks"].items():
        who = f"{content['cohort']['name']}, {counted(found['n_persons'], 'person', 'people')}"
        table = Table(title=escape(f"{task}, {who}"), title_justify="left")
        table.add_column("metric", overflow="fold")
        for column in ("here", "cross-validation", "change"):
            table.add_column(column, justify="right", no_wrap=True)
        table.add_column("verdict")
        for each in found["metrics"].values():
            # Under each value its interval.
            sides = [each[side] for side in ("external", "internal", "change")]
            cells = [
                "not recorded" if side is None else f"{number(side['value'])}\n{interval(side)}"
                for side in sides
            ]
            label = each["label"] + ("" if each["higher_is_better"] else " (lower is better)")
            table.add_row(label, *cells, each["verdict"] or "-")
        console.print(table)
    for sentence in content["sentences"]:
        console.print(Text(sentence), soft_wrap=True)
    people = content["people"]
    n, known = people["n_scored_persons"], people["n_known_persons"]
    treated = {"leave-out": "left out", "held-out": "scored by held-out models"}
    console.print(
        Text(
            f"{n} of {people['n_persons']} people were scored; {known} known to the bundle"
            + (f", {treated[people['handling']]}." if known else ".")
        ),
        soft_wrap=True,
    )
    console.print(Text(f"Validation: {page}"), soft_wrap=True)
