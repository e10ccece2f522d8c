"""What a notebook shows of results: sentences, a table, and the way to the page.

The colours are those of the notebook, light or dark.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from kfold_hs.judge.results.sentences import SIMULATED_PEOPLE, UNKNOWN_INTERVAL, ends, number

_BOX = (
    "border: 1px solid rgba(128, 128, 128, 0.45); border-radius: 6px; padding: 0.6em 0.9em; "
    "max-width: 56em; overflow-x: auto"
)
_CELL = "text-align: left; padding: 0.15em 1em 0.15em 0"


def estimate(found: Mapping[str, Any], signed: bool = False) -> str:
    """A value with its interval, such as 0.812 (0.740 to 0.871)."""
    known = {key: _known(found.get(key)) for key in ("value", "low", "high")}
    text = number(known["value"], signed)
    if "low" not in found or known["value"] is None:
        return text
    shown = ends(known, signed)
    return f"{text} (interval unknown)" if shown == UNKNOWN_INTERVAL else f"{text} ({shown})"


def card(
    title: str,
    simulated: bool,
    sentences: Sequence[str],
    table: tuple[Sequence[str], Sequence[Sequence[str]]],
    link: str,
) -> str:
    """A box of HTML.

    Parameters
    ----------
    table : tuple
        Head and rows, as texts; the first column names the rows.
    link : str
        URL of the page.
    """
    head, rows = table
    is_said = any(each.startswith(SIMULATED_PEOPLE) for each in sentences)
    mark = f" ({SIMULATED_PEOPLE.rstrip('.')})" if simulated and not is_said else ""
    said = Markup("").join(Markup("<div>{}</div>").format(each) for each in sentences)
    lines = Markup("").join(
        Markup("<tr>{}</tr>").format(
            Markup("").join(_cell("td" if i else "th", each) for i, each in enumerate(row))
        )
        for row in rows
    )
    heads = Markup("").join(_cell("th", each) for each in head)
    return Markup(
        '<div style="{}"><div><b>{}</b>{}</div>{}<table style="margin: 0.5em 0"><thead><tr>{}'
        "</tr></thead><tbody>{}</tbody></table><small>95 % intervals in brackets. "
        '<a href="{}" target="_blank" rel="noopener">The page</a></small></div>'
    ).format(_BOX, title, mark, said, heads, lines, link)


def frame(title: str, page: str, height: int) -> str:
    """A page of HTML as a frame of a notebook; it is part of the frame, and fetches nothing."""
    # In a box: IPython takes what begins with a frame for a mistake.
    return Markup(
        '<div><iframe title="{}" srcdoc="{}" style="width: 100%; height: {}px; border: 0">'
        "</iframe></div>"
    ).format(title, str(page), height)


def _cell(tag: str, text: str) -> Markup:
    return Markup('<{0} style="{1}">{2}</{0}>').format(Markup(tag), _CELL, text)


def _known(value: float | None) -> float | None:
    return None if value is None or math.isnan(value) else value
