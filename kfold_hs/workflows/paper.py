"""The story of `paper`: what reviewers ask of a run, in four formats; nothing is trained."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kfold_hs import __version__
from kfold_hs.errors import ConfigError, KfoldHsError, enumerated, unknown_name
from kfold_hs.files import stored
from kfold_hs.files.atomic import sha256_of
from kfold_hs.files.paths import (
    RunPaths,
    ValidationPaths,
    whose,
    write_bytes,
    write_json,
    write_text,
)
from kfold_hs.judge.results.for_papers import PREVALENCES, derived
from kfold_hs.report.figures import write_figures
from kfold_hs.report.paper import writers
from kfold_hs.report.paper.content import Figure, Paper
from kfold_hs.report.paper.paper import paper_of

FORMATS = ("html", "md", "docx", "tex")
SCHEMA = 1


@dataclass(frozen=True)
class PaperOptions:
    """What is written, and where.

    Parameters
    ----------
    output : Path
        The folder of the files.
    validation : Path, optional
        Folder of a validation of the run's bundle.
    prevalences : sequence of float
        At which PPV and NPV are given beside the share scored.
    formats : sequence of str
        Of `FORMATS`.
    figures : bool
        Draw the curves as files, too, and place them in Markdown, DOCX and LaTeX.
    force : bool
        Replace files of an earlier paper, and what authors wrote into them.

    Raises
    ------
    ConfigError
        A format has another name, or there is none.
    """

    output: Path
    validation: Path | None = None
    prevalences: Sequence[float] = PREVALENCES
    formats: Sequence[str] = FORMATS
    figures: bool = False
    force: bool = False

    def __post_init__(self) -> None:
        for each in self.formats:
            if each not in FORMATS:
                raise ConfigError(unknown_name("format", each, FORMATS))
        if not self.formats:
            raise ConfigError(f"--formats is empty: name one or more of {', '.join(FORMATS)}.")


def paper(folder: Path, options: PaperOptions) -> list[Path]:
    """Write ``paper.html``, ``.md``, ``.docx`` and ``.tex``, paper.json and numbers.csv.

    Parameters
    ----------
    folder : Path
        Of a run or an evaluation under ``reports/``.
    options : PaperOptions

    Returns
    -------
    list of Path
        Of the files.

    Raises
    ------
    KfoldHsError
        A folder holds no such results, the validation is of another run, files are there already,
        or a library or browser is missing.
    """
    _check_free(options)
    if "docx" in options.formats:
        writers.new_document()  # a missing library is said before anything is written
    paths = RunPaths(*whose(folder))
    if not paths.summary.is_file():
        raise KfoldHsError(
            f"{folder} is not the folder of a finished run: it has no summary.json. Give a folder "
            "of `run` or `evaluate` under reports/."
        )
    files, config = {"summary.json": paths.summary}, dict[str, Any]()
    summary = stored.read_json(paths.summary, "the summary")
    if paths.config.is_file():
        files["config.yaml"] = paths.config
        config = stored.read_yaml(paths.config, "the configuration")
    validation = None
    if options.validation is not None:
        files["validation.json"] = _content_of(options.validation)
        validation = stored.read_json(files["validation.json"], "the validation")
    with stored.making_sense_of(*files.values()):
        if validation is not None:
            _check_one_run(folder, summary, options.validation, validation)
        found = {
            "schema": SCHEMA,
            "kfold-hs": __version__,
            "sha256": {name: sha256_of(path) for name, path in files.items()},
            **derived(summary, validation, options.prevalences),
        }
        material = paper_of(summary, config, found, validation)
    return _written(material, found, options)


def _check_free(options: PaperOptions) -> None:
    """Refuse to write over a paper: authors fill it in."""
    names = [*(f"paper.{kind}" for kind in options.formats), "paper.json", "numbers.csv"]
    paths = [options.output / name for name in [*names, *(["figures"] if options.figures else [])]]
    there = [str(path) for path in paths if path.exists()]
    if there and not options.force:
        raise ConfigError(
            f"{there[0]} is there already, and what was written into it would be lost: --force "
            "replaces it, -o names another folder."
        )


def _content_of(folder: Path) -> Path:
    content = ValidationPaths(*whose(folder)).content
    if not content.is_file():
        raise KfoldHsError(
            f"{folder} is not the folder of a validation: it has no validation.json. Give one that "
            "`kfold-hs validate` made, under reports/."
        )
    return content


def _check_one_run(
    folder: Path, summary: Mapping[str, Any], other: Path | None, validation: Mapping[str, Any]
) -> None:
    """Refuse a validation of other models; names alone may have been given twice."""
    if validation["run"] != summary["run"]:
        differs = f"is of the run {validation['run']}, and {folder} is {summary['run']}"
    else:
        mine = summary["provenance"]["digests"]
        theirs = validation["development"].get("digests", {})
        changed = [name for name in mine if theirs.get(name, mine[name]) != mine[name]]
        if not changed:
            return
        differs = f"is of another run of this name: its {enumerated(changed)} differ"
    raise ConfigError(
        f"--validation {other} {differs}: give a validation of this run's bundle, as it is now."
    )


def _written(material: Paper, found: dict[str, Any], options: PaperOptions) -> list[Path]:
    folder = options.output
    images: dict[str, Path] = {}
    if options.figures:
        names = [b.name for s in material.sections for b in s.blocks if isinstance(b, Figure)]
        names = [name for name in names if name in material.figures]
        drawn = write_figures({n: material.figures[n] for n in names}, folder / "figures")
        images = {n: each.with_suffix("") for n, each in zip(names, drawn[::3], strict=True)}
    contents: dict[str, Callable[[], str | bytes]] = {
        "html": lambda: writers.html(material),
        "md": lambda: writers.markdown(material, images),
        "docx": lambda: writers.docx(material, images),
        "tex": lambda: writers.latex(material, images),
    }
    written = []
    for kind in options.formats:
        path, content = folder / f"paper.{kind}", contents[kind]()
        if isinstance(content, bytes):
            write_bytes(path, content)
        else:
            write_text(path, content)
        written.append(path)
    write_json(folder / "paper.json", found)
    write_text(folder / "numbers.csv", writers.numbers(material))
    return [*written, folder / "paper.json", folder / "numbers.csv"]
