"""The command `paper`."""

from __future__ import annotations

from pathlib import Path

import click


def _prevalences(text: str) -> tuple[float, ...]:
    from kfold_hs.errors import shown

    try:
        return tuple(float(each) for each in text.split(",") if text)
    except ValueError:
        raise click.BadParameter(
            f"{shown(text)} is no list of prevalences such as 0.01,0.05,0.2."
        ) from None


@click.command(short_help="Write what reviewers ask of a paper.")
@click.argument("folder", type=click.Path(path_type=Path), metavar="RUN")
@click.option(
    "--validation",
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    help="Folder of a validation of the run's bundle, under reports/.",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    required=True,
    metavar="DIR",
    help="Folder of the files.",
)
@click.option(
    "--prevalence",
    type=_prevalences,
    default="0.01,0.05,0.1,0.3",
    show_default=True,
    metavar="P,...",
    help="Shares of the positive class at which PPV and NPV are given, beside the share scored.",
)
@click.option(
    "--formats",
    default="html,md,docx,tex",
    show_default=True,
    metavar="F,...",
    help="What to write: paper.html, paper.md, paper.docx, paper.tex.",
)
@click.option(
    "--figures",
    is_flag=True,
    help="Draw the curves as files, too, and place them in Markdown, DOCX and LaTeX.",
)
@click.option("--force", is_flag=True, help="Replace the files of an earlier paper.")
def paper(
    folder: Path,
    validation: Path | None,
    output: Path,
    prevalence: tuple[float, ...],
    formats: str,
    figures: bool,
    force: bool,
) -> None:
    """Write what a paper on a run is asked for, as HTML, Markdown, DOCX and LaTeX.

    RUN is the folder of a run or an evaluation under reports/. The checklists of TRIPOD+AI,
    STARD-AI and PROBAST+AI are filled in where the run knows an item, and marked where the authors
    must. Nothing is trained or judged anew.
    """
    from kfold_hs.workflows.paper import PaperOptions
    from kfold_hs.workflows.paper import paper as write

    kinds = tuple(dict.fromkeys(each.strip() for each in formats.split(",") if each.strip()))
    options = PaperOptions(output, validation, prevalence, kinds, figures, force)
    for path in write(folder, options):
        click.echo(path)
