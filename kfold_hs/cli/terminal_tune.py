"""What a person at a terminal sees of searches, once they are over."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from kfold_hs.cli.numbers import interval, number


def show_tune(content: Mapping[str, Any], page: Path) -> None:
    """Every trial, the best first; the answer, and where the page is."""
    console = Console(highlight=False)
    sign = 1 if content["objective"]["higher_is_better"] else -1
    table = Table(title=escape(content["objective"]["label"]), title_justify="left")
    table.add_column("trial", justify="right")
    table.add_column("value", justify="right", no_wrap=True)
    table.add_column("95 % interval", justify="right")
    for key in content["space"]["space"]:
        table.add_column(escape(key), justify="right", overflow="fold")
    worst = float("inf")
    for each in sorted(
        content["trials"],
        key=lambda t: worst if t["value"] is None else -sign * t["value"],
    ):
        found = each["estimate"]
        table.add_row(
            str(each["number"]),
            each["state"] if found is None else number(each["value"]),
            "" if found is None else interval(found),
            *(escape(str(value)) for value in each["params"].values()),
        )
    console.print(table)
    if content["importances"]:
        told = ", ".join(f"{key} {share:.0%}" for key, share in content["importances"].items())
        console.print(Text(f"Importance: {told}.".replace("%", " %")), soft_wrap=True)
    racing = content["racing"]
    if racing["n_stopped"]:
        console.print(
            Text(
                f"Racing stopped {racing['n_stopped']} of the trials: {racing['n_models']} fold "
                f"models were trained, not {racing['n_models_without']}."
            ),
            soft_wrap=True,
        )
    console.print(Text(content["sentence"]), soft_wrap=True)
    console.print(Text(f"Its command: {content['winner']['command']}"), soft_wrap=True)
    console.print(Text(f"Search: {page}"), soft_wrap=True)


def show_nested(nested: Mapping[str, Any]) -> None:
    """What every outer fold chose, what was claimed for it and what it was worth."""
    console = Console(highlight=False)
    table = Table(
        title=escape(f"chosen inside every fold by {nested['label']}"), title_justify="left"
    )
    table.add_column("fold", justify="right")
    table.add_column("chosen", overflow="fold")
    for column in ("claimed", "corrected", "delivered"):
        table.add_column(column, justify="right", no_wrap=True)
    for each in nested["folds"]:
        place = f"{each['repeat']}/{each['fold']}"
        values = (each[name] for name in ("claimed", "corrected", "delivered"))
        table.add_row(place, escape(each["name"]), *(number(value) for value in values))
    console.print(table)
    console.print(Text(nested["sentence"]), soft_wrap=True)
