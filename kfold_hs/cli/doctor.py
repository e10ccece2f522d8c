"""The command `doctor`."""

from __future__ import annotations

import dataclasses
import itertools
from pathlib import Path

import click

from kfold_hs.cli.options import OVERRIDES, ROOT, print_json


@click.command(short_help="Say what is installed here, whether it fits, and what to do.")
@OVERRIDES
@ROOT
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def doctor(overrides: tuple[str, ...], root: Path, as_json: bool) -> None:
    """Look at versions, processor, GPU, memory, folders, extras, plug-ins, browser and fonts, and
    say what to do about each.

    ok: it is there and fits. look: it works, and may not be what you want. missing: it is not
    there. The exit status is 1 if something is missing that `kfold-hs run` needs.

    With -c FILE or KEY=VALUE, whether these settings fit, and what the plug-ins that they name add;
    installed plug-ins are listed anyway.
    """
    from kfold_hs.workflows.doctor import examine

    checks = examine(overrides, root)
    broken = [each for each in checks if each.is_broken]
    if as_json:
        rows = [dataclasses.asdict(each) for each in checks]
        print_json({"is_ready": not broken, "checks": rows})
        raise SystemExit(1 if broken else 0)
    colours = {"ok": "green", "look": "yellow", "missing": "red"}
    for group, members in itertools.groupby(checks, key=lambda each: each.group):
        click.echo(f"{group}:")
        for each in members:
            state = click.style(f"{each.state:8}", fg=colours[each.state])
            click.echo(f"  {state}{each.name:14} {each.found}".rstrip())
            if each.advice:
                click.echo(f"  {'':8}{'':14} {each.advice}")
    names = ", ".join(each.name for each in broken)
    click.echo(f"kfold-hs run does not work here: {names}." if broken else "kfold-hs run can work.")
    raise SystemExit(1 if broken else 0)
