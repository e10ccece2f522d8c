"""The model card of a bundle: README.md, from `card.md.j2`.

Mitchell et al., "Model Cards for Model Reporting", FAT* 2019.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import jinja2

from kfold_hs.judge.results.sentences import counted, ends
from kfold_hs.judge.selection.conformal import Conformal, most_promised


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
        loader=jinja2.PackageLoader("kfold_hs.bundle", "."),
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        undefined=jinja2.StrictUndefined,
        autoescape=False,  # Markdown
    )
    environment.filters |= {
        "number": _number, "ends": ends, "counted": counted, "plain": plain, "code": code,
        "most_promised": most_promised,
    }  # fmt: skip
    split = summary["split"]
    return environment.get_template("card.md.j2").render(
        bundle=content,
        run=summary,
        # Earlier versions did not count the hold-out test persons apart.
        who=split.get("development", summary["cohort"]),
        n_test=split.get("n_test_persons", 0),
        persons={
            name: Conformal(content["conformal"][name]).n_persons(len(task["classes"]))
            for name, task in summary["tasks"].items()
        },
    )


def plain(text: object) -> str:
    """A user's word as Markdown that shows it as it is, in a sentence or in a cell of a table."""
    shown = " ".join(str(text).split())
    return re.sub(r"([\\`*_\[\]<>|&~$])", r"\\\1", shown)


def code(text: object) -> str:
    """The same as code, between more backticks than are in it."""
    shown = " ".join(str(text).split()).replace("|", "\\|")
    longest = max((len(run) for run in re.findall("`+", shown)), default=0)
    fence, room = "`" * (longest + 1), " " if longest else ""
    return f"{fence}{room}{shown}{room}{fence}"


def _number(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3f}"
