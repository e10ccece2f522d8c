"""The model card of a bundle: README.md, from `card.md.j2`.

Mitchell et al., "Model Cards for Model Reporting", FAT* 2019.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jinja2


def card(content: Mapping[str, Any], summary: Mapping[str, Any]) -> str:
    """The card, as Markdown.

    Parameters
    ----------
    content : mapping
        bundle.json.
    summary : mapping
        summary.json of the run.
    """
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("kfold_hs.ship", "."),
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        undefined=jinja2.StrictUndefined,
        autoescape=False,  # Markdown
    )
    environment.filters["number"] = _number
    return environment.get_template("card.md.j2").render(bundle=content, run=summary)


def _number(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3f}"
