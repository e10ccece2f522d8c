"""The command `config`."""

from __future__ import annotations

import click

from kfold_hs.cli.options import FOLDS, OVERRIDES, REPEATS, counts


@click.command(short_help="Print all settings of a command line as YAML.")
@OVERRIDES
@FOLDS
@REPEATS
def config(overrides: tuple[str, ...], folds: int | None, repeats: int | None) -> None:
    """Print all settings of a command line as YAML.

    Keys with several values make one document for every variant.
    """
    from kfold_hs.config.compose import compose, expand

    variants = expand([*overrides, *counts(folds, repeats)])
    click.echo("---\n".join(compose(variant).to_yaml() for variant in variants), nl=False)
