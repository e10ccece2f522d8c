"""What --dry-run prints, for `run` and for `compare`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from kfold_hs.config.schema import Config
    from kfold_hs.orchestrator.executor import Fleet


def print_foreseen(
    variants: Mapping[str, Config],
    name: str | None,
    root: Path,
    device: str,
    fleet: Fleet,
    as_json: bool,
    quiet: bool,
) -> None:
    """See `kfold_hs.workflows.cost.foresee`."""
    from kfold_hs.cli.tables import Terminal, show_foreseen
    from kfold_hs.workflows.cost import foresee
    from kfold_hs.workflows.options import RunOptions

    with Terminal(quiet=quiet) as terminal:
        options = RunOptions(name, root, device, fleet=fleet)
        found = foresee(variants, terminal, options)
    if as_json:
        click.echo(json.dumps(found, indent=1, allow_nan=False))
    else:
        show_foreseen(found)
