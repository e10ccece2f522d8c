"""The command `doctor`."""

from __future__ import annotations

import click

from kfold_hs.cli.options import OVERRIDES, print_json


@click.command(short_help="Say what is installed here, and which plug-ins are found.")
@OVERRIDES
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def doctor(overrides: tuple[str, ...], as_json: bool) -> None:
    """Say what is installed here, and which plug-ins are found.

    With `plugins=[...]`, what each of them adds; installed ones are listed anyway.
    """
    from kfold_hs.workflows.doctor import examine

    found = examine(overrides)
    if as_json:
        print_json(found)
        return
    for title, values in found.items():
        click.echo(f"{title}:")
        for name, value in values.items() or [("none", "")]:
            click.echo(f"  {name:22} {value}".rstrip())
