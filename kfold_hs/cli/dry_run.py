"""The result of --dry-run, for `run` and for `compare`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from kfold_hs.cli.options import CommandOptions, print_json

if TYPE_CHECKING:
    from kfold_hs.config.schema import Config


def print_cost(variants: Mapping[str, Config], options: CommandOptions) -> None:
    """Print what training these variants would cost, see `kfold_hs.workflows.cost`."""
    from kfold_hs.cli.tables import show_cost
    from kfold_hs.orchestrator.rich_progress import RichProgress
    from kfold_hs.workflows.cost import estimate_cost

    with RichProgress(options.quiet) as progress:
        found = estimate_cost(variants, progress, options.run())
    if options.as_json:
        print_json(found)
    else:
        show_cost(found)
