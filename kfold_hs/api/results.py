"""Reports as objects: what lies in a folder under `reports/`, as numbers, frames and figures.

They are made from the files alone, so that a report of last year is the same object as one that was
made a moment ago.
"""

from __future__ import annotations

import io
import itertools
import os
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar
from urllib.parse import quote

import pandas as pd

from kfold_hs.api.card import card, frame
from kfold_hs.errors import KfoldHsError, unknown_name
from kfold_hs.files import stored
from kfold_hs.files.paths import write_text
from kfold_hs.judge.results.json_part import JsonPart
from kfold_hs.judge.results.sentences import is_simulated

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from kfold_hs.workflows.pages import Drawn

Content = TypeVar("Content", bound=JsonPart)


class Results(ABC, Generic[Content]):
    """What a call left in a folder under `reports/`.

    Parameters
    ----------
    folder : str or Path

    Attributes
    ----------
    name : str
        Of the folder.
    folder, page : Path
        The folder, and the HTML page in it, which opens offline.
    result : JsonPart
        The typed content of the folder's JSON file; `result.to_json()` are plain values.
    tables : mapping of str to DataFrame
        Every table of the page, by section and caption; numbers are exact.
    figures : mapping of str to plotly.graph_objects.Figure
        Every figure of the page; a notebook draws one that ends a cell.

    Raises
    ------
    KfoldHsError
        The folder holds nothing of the kind, or damaged files.
    """

    content: ClassVar[str]
    """The file that tells what kind of results a folder holds."""
    html: ClassVar[str]
    """The page."""
    kind: ClassVar[type[JsonPart]]

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder).expanduser().absolute()
        path = self.folder / self.content
        if not path.is_file():
            raise KfoldHsError(
                f"{self.folder} has no {self.content}. Give the folder of results, such as "
                "reports/NAME, or finish them by repeating the call."
            )
        found = stored.read_json(path, "the results")
        with stored.making_sense_of(path):
            self.result: Content = self.kind.from_json(found)  # type: ignore[assignment]

    @property
    def name(self) -> str:
        return self.folder.name

    @property
    def page(self) -> Path:
        return self.folder / self.html

    @cached_property
    def _drawn(self) -> Drawn:
        from kfold_hs.workflows.pages import draw

        return draw(self.folder)

    @cached_property
    def tables(self) -> Mapping[str, pd.DataFrame]:
        found: dict[str, pd.DataFrame] = {}
        for table in self._drawn.page.tables:
            name = _new(table.name, found)
            found[name] = pd.read_csv(io.StringIO(table.csv()), header=0 if table.head else None)
        return found

    def table(self, words: str) -> pd.DataFrame:
        """The table of the page whose name is, or alone holds, these words.

        Parameters
        ----------
        words : str
            A name of `tables`, or words that only one has, e.g. ``"murmur positive class"``.

        Raises
        ------
        KfoldHsError
            No table has them, or several do.
        """
        found: pd.DataFrame = self._named(self.tables, words, "table")
        return found

    @cached_property
    def figures(self) -> Mapping[str, go.Figure]:
        import plotly.graph_objects as go

        from kfold_hs.report.figures import on_paper

        return {
            name: go.Figure(on_paper(figure)) for name, figure in self._drawn.page.figures.items()
        }

    def figure(self, words: str) -> go.Figure:
        """The figure of the page whose name is, or alone holds, these words; raises as `table`.

        Parameters
        ----------
        words : str
            A name of `figures`, or words that only one has, e.g. ``"murmur roc"``.
        """
        return self._named(self.figures, words, "figure")

    def _named(self, each: Mapping[str, Any], words: str, kind: str) -> Any:
        if words in each:
            return each[words]
        wanted = words.lower().replace("-", " ").split()
        found = [name for name in each if wanted and all(word in name.lower() for word in wanted)]
        if len(found) == 1:
            return each[found[0]]
        if found:
            raise KfoldHsError(
                f"several {kind}s of {self.name} are named {words!r:.80}: {', '.join(found)}."
            )
        raise KfoldHsError(unknown_name(f"{kind} of {self.name}", words, each))

    def to_html(self, path: str | Path) -> Path:
        """Write the page to a file of its own; it opens offline.

        Parameters
        ----------
        path : str or Path

        Returns
        -------
        Path
            Of the file.

        Raises
        ------
        StorageError
            The file cannot be written.
        """
        target = Path(path).expanduser()
        write_text(target, self._drawn.page)
        return target

    def show(self, height: int = 800) -> Any:
        """The page below a notebook's cell.

        The output holds the whole page (about 5 MB), and works wherever the notebook is opened.

        Parameters
        ----------
        height : int
            Of the frame, in pixels, at least 100.

        Returns
        -------
        IPython.display.HTML

        Raises
        ------
        KfoldHsError
            The height is too small, or IPython is not installed.
        """
        if height < 100:
            raise KfoldHsError(f"height={height}: give at least 100 pixels.")
        try:
            from IPython.display import HTML
        except ImportError:
            raise KfoldHsError(
                f"show() is for notebooks, and IPython is not installed. The page is {self.page}."
            ) from None
        return HTML(frame(self.name, self._drawn.page, height))

    def open(self) -> None:
        """Open the page in the browser of this machine."""
        import webbrowser

        webbrowser.open(self.page.as_uri())

    @abstractmethod
    def to_frame(self) -> pd.DataFrame:
        """The results as a tidy frame."""

    @abstractmethod
    def _lines(self) -> Iterator[str]:
        """What `repr` and the card say in sentences."""

    @abstractmethod
    def _rows(self) -> tuple[Sequence[str], Sequence[Sequence[str]]]:
        """Head and rows of the card's table."""

    def __repr__(self) -> str:
        lines = [*self._lines(), f"page: {self.page}"]
        return "\n  ".join([f"{type(self).__name__} {self.name}", *lines])

    def _repr_html_(self) -> str:
        simulated = is_simulated(self.result.to_json())
        return card(self.name, simulated, [*self._lines()], self._rows(), self._link)

    @property
    def _link(self) -> str:
        """Of the page, for a notebook, which opens what lies below its folder by relative paths."""
        page, here = self.page, Path.cwd()
        if page.is_relative_to(here):
            return quote(os.path.relpath(page, here))
        return page.as_uri()


def _new(name: str, known: Mapping[str, Any]) -> str:
    numbered = (f"{name}-{number}" for number in itertools.count(2))
    return name if name not in known else next(each for each in numbered if each not in known)
