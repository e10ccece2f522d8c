"""The story of `report`: pages drawn again from what lies in their folders, and taken apart.

Nothing here is trained or judged anew, and nothing needs torch.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from kfold_hs.errors import DamagedFileError, KfoldHsError
from kfold_hs.files import stored
from kfold_hs.files.paths import (
    ComparisonPaths,
    LearningCurvePaths,
    RunPaths,
    TunePaths,
    ValidationPaths,
    whose,
    write_text,
)
from kfold_hs.judge.results.comparison_result import Comparison
from kfold_hs.judge.results.people_curve import PeopleCurve
from kfold_hs.judge.results.search_result import SearchResult
from kfold_hs.judge.results.summary import Summary
from kfold_hs.judge.results.validation_result import Validation
from kfold_hs.report.comparison_page import render_comparison
from kfold_hs.report.figures import write_figures
from kfold_hs.report.index_page import (
    Entry,
    counted_kinds,
    of_comparison,
    of_people_curve,
    of_run,
    of_tune,
    of_validation,
    render_index,
)
from kfold_hs.report.people_curve_page import render_people_curve
from kfold_hs.report.render import Page
from kfold_hs.report.search_page import render_tune
from kfold_hs.report.tables import write_tables
from kfold_hs.report.validation_page import render_validation
from kfold_hs.workflows import cross_validation
from kfold_hs.workflows.evaluation import draw_evaluation, is_evaluation


@dataclass(frozen=True)
class Drawn:
    """A page that was drawn from the files of its folder.

    Parameters
    ----------
    kind : str
        "run", "comparison", "search", "validation" or "learning curve".
    path : Path
        Of the page.
    content : dict
        Of summary.json or its counterpart of another kind.
    page : Page
    """

    kind: str
    path: Path
    content: dict[str, Any]
    page: Page


def redraw(folder: Path) -> Drawn:
    """Draw the page of a folder's results again, and write it; as `draw`."""
    drawn = draw(folder)
    write_text(drawn.path, drawn.page)
    return drawn


def draw(folder: Path) -> Drawn:
    """The page of a run, a comparison, a search or a validation; nothing is written.

    Raises
    ------
    KfoldHsError
        The folder holds none of them, or files that do not belong together.
    """
    place = whose(folder)
    kinds: tuple[tuple[str, Any, Any, Callable[..., Page]], ...] = (
        ("comparison", ComparisonPaths(*place), Comparison, render_comparison),
        ("search", TunePaths(*place), SearchResult, render_tune),
        ("validation", ValidationPaths(*place), Validation, render_validation),
        ("learning curve", LearningCurvePaths(*place), PeopleCurve, render_people_curve),
    )
    for kind, paths, result, render in kinds:
        if paths.content.is_file():
            content = stored.read_json(paths.content, f"the {kind}")
            with stored.making_sense_of(paths.content):
                page = render(result.from_json(content))
            return Drawn(kind, paths.page, content, page)
    if is_evaluation(evaluated := RunPaths(*place)):
        found = draw_evaluation(evaluated)
        return Drawn("run", evaluated.report, found.summary.to_json(), found.page)
    run, page = cross_validation.draw(folder)
    return Drawn("run", run.paths.report, run.summary.to_json(), page)


def take_apart(
    page: Page, figures: Path | None, tables: Path | None
) -> dict[str, tuple[Path, list[Path]]]:
    """Write the figures and tables of a page as files, each kind where it is asked for.

    Returns
    -------
    dict
        "figures" and "tables", where asked for -> the folder and the files in it.

    Raises
    ------
    KfoldHsError
        No browser can draw the figures.
    """
    written = {}
    if tables is not None:
        written["tables"] = tables, write_tables(page.tables, tables)
    if figures is not None:
        written["figures"] = figures, write_figures(page.figures, figures)
    return written


def counts(entries: list[Entry]) -> str:
    """How many there are of each kind: `2 runs and 1 learning curve`."""
    return counted_kinds(entries)


def index(root: Path = Path()) -> tuple[Path, list[Entry]]:
    """Write `reports/index.html` of all that lies in `reports/`.

    Returns
    -------
    Path
        Of the page.
    list of Entry
        What it lists.

    Raises
    ------
    KfoldHsError
        There is no `reports/` under `root`.
    """
    reports = root / "reports"
    if not reports.is_dir():
        raise KfoldHsError(
            f"{reports} is not there: run in the folder that holds reports/, name it with --root, "
            "or give the folder of one run, comparison or search."
        )
    entries = list(_entries(root))
    page = reports / "index.html"
    write_text(page, render_index(entries))
    return page, entries


def _config_of(run: RunPaths) -> dict[str, Any]:
    """What the run was configured as, unchecked; empty for what has no configuration."""
    is_there = run.config.is_file()
    return stored.read_yaml(run.config, "the configuration") if is_there else {}


def _row_of_run(run: RunPaths, name: str, summary: Summary) -> Entry:
    return of_run(name, summary, _config_of(run))


_INNER = re.compile(r"(.+)-r\d+-f\d+")


def _entries(root: Path) -> Iterator[Entry]:
    for folder in sorted((root / "reports").iterdir()):
        name = folder.name
        if (outer := _INNER.fullmatch(name)) and RunPaths(outer[1], root).config.is_file():
            continue  # one of the searches of a nested run, whose row stands for them
        run, comparison = RunPaths(name, root), ComparisonPaths(name, root)
        search = TunePaths(name, root)
        kinds: dict[Path, tuple[Any, Callable[..., Entry]]] = {
            run.summary: (Summary, partial(_row_of_run, run)),
            comparison.content: (Comparison, of_comparison),
            search.content: (SearchResult, of_tune),
            ValidationPaths(name, root).content: (Validation, of_validation),
            LearningCurvePaths(name, root).content: (PeopleCurve, of_people_curve),
        }
        for content, (kind, entry_of) in kinds.items():
            if content.is_file():
                try:
                    found = stored.read_json(content, "the results")
                    with stored.making_sense_of(content):
                        entry = entry_of(name, kind.from_json(found))
                        render_index([entry])
                    yield entry
                except DamagedFileError as error:
                    yield Entry(name, "unknown", "unreadable", str(error))
                break
        else:
            if run.config.is_file():
                yield Entry(name, "run", "not finished", "Repeat its command to go on.")
            elif comparison.plan.is_file():
                yield Entry(name, "comparison", "not finished", "Repeat its command to go on.")
            elif search.terms.is_file():
                yield Entry(name, "search", "not finished", "Repeat its command to go on.")
