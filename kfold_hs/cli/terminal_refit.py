"""What a person at a terminal sees of `export --compare-refit`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text


def show_refit(content: Mapping[str, Any]) -> None:
    """Speed, and every score of every model with what it is above the ensemble."""
    console = Console(highlight=False)
    speed = content["speed"]
    told = ", ".join(
        f"{name} {one['recordings_per_s']:.1f} ({one['n_models']} models)"
        for name, one in speed.items()
    )
    who = f"{content['n_persons']} test persons, {content['n_recordings']} recordings"
    console.print(Text(f"{who}; recordings a second: {told}."), soft_wrap=True)
    for task, metrics in content["tasks"].items():
        table = Table(title=escape(task), title_justify="left")
        table.add_column("metric")
        for name in speed:
            table.add_column(name, justify="right")
        for each in metrics:
            cells = [_estimate(each["models"][name]) for name in speed]
            for k, name in enumerate(speed):
                if name in each["above_first"]:
                    cells[k] += f"\n{_estimate(each['above_first'][name], '+.3f')}"
            table.add_row(each["label"], *cells)
        console.print(table)
    console.print(
        Text(
            "Below each value, how far it is above the ensemble's. 95 % intervals of these models "
            "on other people; the person is the unit."
        ),
        soft_wrap=True,
    )


def _estimate(found: Mapping[str, Any], form: str = ".3f") -> str:
    if found["value"] is None:
        return "–"
    if found["low"] is None:
        return format(found["value"], form) + " (interval cannot be told)"
    low, high = format(found["low"], form), format(found["high"], form)
    return f"{format(found['value'], form)} ({low} to {high})"
