"""The command `serve`."""

from __future__ import annotations

import ipaddress
from pathlib import Path

import click

from kfold_hs.cli.options import DEVICE, SETS


@click.command(short_help="Predict over HTTP.")
@click.argument("bundle", type=click.Path(path_type=Path))
@click.option("--host", default="127.0.0.1", metavar="NAME", help="Address. [default: 127.0.0.1]")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=8000, metavar="N", help="Port. [default: 8000]"
)
@click.option(
    "--max-mib",
    type=click.IntRange(1),
    default=32,
    metavar="N",
    help="Largest size of one request, in MiB. [default: 32]",
)
@click.option(
    "--max-files",
    type=click.IntRange(1),
    default=16,
    metavar="N",
    help="Most recordings in one request. [default: 16]",
)
@click.option(
    "--max-seconds",
    type=click.FloatRange(0, min_open=True),
    default=180,
    metavar="S",
    help="Longest recording, in seconds. [default: 180]",
)
@click.option(
    "--timeout",
    type=click.FloatRange(0, min_open=True),
    default=60,
    metavar="S",
    help="Longest time for one request, in seconds. [default: 60]",
)
@click.option(
    "--coverage",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    default=0.9,
    metavar="P",
    help="Coverage of the conformal sets. [default: 0.9]",
)
@SETS
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
    promise: str,
    device: str,
) -> None:
    """Predict over HTTP with a bundle: POST /predict, and a page to drop recordings on.

    An answer is a row of `kfold-hs predict` as JSON; /openapi.json describes it. Only this machine
    reaches the server, unless --host says otherwise. Uploaded recordings are not kept.
    """
    from kfold_hs.workflows.bundles import PredictOptions
    from kfold_hs.workflows.serving import serve as serve_bundle

    if not is_loopback(host):
        click.echo(
            f"Warning: with --host {host}, everybody who reaches this machine can use the server, "
            "without encryption and without a password.",
            err=True,
        )

    def ready(address: str) -> None:
        click.echo(f"Serving {bundle} at {address} until Ctrl-C.")

    serve_bundle(
        bundle, (host, port), ready,
        PredictOptions(device=device, coverage=coverage, promise=promise),
        max_bytes=max_mib * 2**20, max_files=max_files, max_seconds=max_seconds, timeout_s=timeout,
    )  # fmt: skip


def is_loopback(host: str) -> bool:
    """Whether an address is of this machine alone."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
