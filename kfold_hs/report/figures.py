"""The figures of a page as files for a paper: PDF, SVG and PNG.

They are those that the page draws, black on white. Plotly draws in a browser, which
kaleido (extra `figures`) starts and which needs no display and no network.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from kfold_hs.errors import KfoldHsError
from kfold_hs.files.paths import write_bytes
from kfold_hs.report.tables import distinct

WIDTH_PX = 700
"""Of a figure; at the PNG's scale these are 7 inches at 300 dots per inch."""
SCALE = 3
FONT_PX = 13


def write_figures(figures: Mapping[str, Mapping[str, Any]], folder: Path) -> list[Path]:
    """Draw every figure of a page as PDF, as SVG and as PNG.

    Returns
    -------
    list of Path
        ``<name>.pdf``, ``<name>.svg`` and ``<name>.png``, in the order of the page's data.

    Raises
    ------
    KfoldHsError
        kaleido is not installed, finds no Chrome or Chromium, or cannot use it.
    """
    if not figures:
        return []
    kinds = ("pdf", "svg", "png")
    # A thread of its own: where this is called from, as in a notebook, a loop may be running.
    with ThreadPoolExecutor(1) as thread:
        drawing = _drawn([on_paper(figure) for figure in figures.values()], kinds)
        drawn = thread.submit(asyncio.run, drawing).result()
    names = distinct(re.sub(r"[^A-Za-z0-9._-]+", "_", figure)[:100] for figure in figures)
    paths = [folder / f"{name}.{kind}" for name in names for kind in kinds]
    for path, content in zip(paths, drawn, strict=True):
        write_bytes(path, content)
    return paths


async def _drawn(figures: list[dict[str, Any]], kinds: tuple[str, ...]) -> list[bytes]:
    """Every figure in every kind, from one browser."""
    try:
        import kaleido
        from kaleido.errors import BrowserClosedError, BrowserFailedError, ChromeNotFoundError
    except ImportError as error:
        raise KfoldHsError(
            "--figures draws with kaleido, which is not installed: pip install 'kfold-hs[figures]'."
        ) from error
    try:
        async with kaleido.Kaleido(n=1, mathjax=False) as browser:
            return [
                await browser.calc_fig(figure, opts={"format": kind, "scale": _scale(kind)})
                for figure in figures
                for kind in kinds
            ]
    except (ChromeNotFoundError, BrowserFailedError, BrowserClosedError) as error:
        raise KfoldHsError(
            "--figures needs Chrome or Chromium to draw with, and could not use one "
            f"({type(error).__name__}): apt install chromium, or kaleido_get_chrome, or name one "
            "in BROWSER_PATH."
        ) from error


def _scale(kind: str) -> int:
    return SCALE if kind == "png" else 1


def on_paper(figure: Mapping[str, Any]) -> dict[str, Any]:
    """A figure of a page as the page prints it: black on white."""
    layout = figure["layout"] | {
        "width": WIDTH_PX,
        "font": {"color": "#000", "family": "sans-serif", "size": FONT_PX},
        "paper_bgcolor": "#fff",
        "plot_bgcolor": "#fff",
    }
    lines = {"gridcolor": "#d0d7de", "zerolinecolor": "#d0d7de", "linecolor": "#d0d7de"}
    for axis in ("xaxis", "yaxis"):
        if axis in layout:
            # Plotly leaves less room for larger titles than their letters need.
            title = layout[axis].get("title", {}) | {"font": {"size": FONT_PX}}
            layout[axis] = layout[axis] | lines | {"title": title}
    return {"data": figure["data"], "layout": layout}
