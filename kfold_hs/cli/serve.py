"""The command `serve`."""

from __future__ import annotations

import ipaddress
from pathlib import Path

import click

from kfold_hs.cli.options import DEVICE


@click.command()
@click.argument("bundle", type=click.Path(path_type=Path))
@click.option("--host", default="127.0.0.1", metavar="NAME", help="[default: 127.0.0.1]")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=8000, metavar="N", help="[default: 8000]"
)
@click.option(
    "--max-mib",
    type=click.IntRange(1),
    default=32,
    metavar="N",
    help="Of all that one request uploads. [default: 32]",
)
@click.option(
    "--max-files",
    type=click.IntRange(1),
    default=16,
    metavar="N",
    help="Recordings of one request. [default: 16]",
)
@click.option(
    "--max-seconds",
    type=click.FloatRange(0, min_open=True),
    default=180,
    metavar="S",
    help="Of each recording. [default: 180]",
)
@click.option(
    "--timeout",
    type=click.FloatRange(0, min_open=True),
    default=60,
    metavar="S",
    help="Until an answer is given up. [default: 60]",
)
@click.option(
    "--coverage",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    default=0.9,
    metavar="P",
    help="Of the conformal sets. [default: 0.9]",
)
@DEVICE
def serve(
    bundle: Path,
    host: str,
    port: int,
    max_mib: int,
    max_files: int,
    max_seconds: float,
    timeout: float,
    coverage: float,
    device: str,
) -> None:
    """Answer for a bundle over HTTP: POST /predict, and a page to drop recordings on.

    An answer is the row of `kfold-hs predict` as JSON; /openapi.json describes it. Reachable from
    this machine only, unless --host says otherwise. Nothing that is uploaded is kept.
    """
    from kfold_hs.workflows.bundles import PredictOptions
    from kfold_hs.workflows.serving import serve as serve_bundle

    if not is_loopback(host):
        click.echo(
            f"Warning: --host {host} lets everybody who reaches this machine ask, unencrypted and "
            "without a password.",
            err=True,
        )

    def ready(address: str) -> None:
        click.echo(f"Serving {bundle} at {address} until Ctrl-C.")

    serve_bundle(
        bundle, (host, port), ready, PredictOptions(device=device, coverage=coverage),
        max_bytes=max_mib * 2**20, max_files=max_files, max_seconds=max_seconds, timeout_s=timeout,
    )  # fmt: skip


def is_loopback(host: str) -> bool:
    """Whether an address is of this machine alone."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
