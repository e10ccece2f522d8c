"""`serve`: a bundle, an application around it, a server."""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path

from kfold_hs.errors import ConfigError, StorageError
from kfold_hs.workflows.bundles import PredictOptions

LOOPBACK = ("127.0.0.1", "localhost", "::1", "[::1]")


def serve(
    bundle_folder: Path,
    address: tuple[str, int],
    ready: Callable[[str], None],
    options: PredictOptions,
    **limits: float,
) -> None:
    """Answer until interrupted.

    Parameters
    ----------
    bundle_folder : Path
    address : (str, int)
        Host and port to listen at; port 0: any that is free.
    ready : callable
        Called with the address when requests are answered.
    options : PredictOptions
        Its device, coverage and promise.
    limits
        Of `kfold_hs.bundle.server.limits.Limits`.

    Raises
    ------
    ConfigError
        The extra `serve` is not installed.
    KfoldHsError
        The bundle cannot be used, or nobody may listen there.
    """
    try:
        import uvicorn

        from kfold_hs.bundle.server.app import make_app
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"serving needs the package {error.name}: pip install 'kfold-hs[serve]'."
        ) from error
    from kfold_hs.bundle.format import Bundle
    from kfold_hs.bundle.server.limits import Limits
    from kfold_hs.bundle.server.service import Answers
    from kfold_hs.learn.device import pick_device

    bundle, (host, port) = Bundle.read(bundle_folder), address
    answers = Answers(bundle, pick_device(options.device), Limits(**limits), options.rows)  # type: ignore[arg-type]
    app = make_app(answers, LOOPBACK if host in LOOPBACK else ("*",))
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind((host, port))
        except OSError as error:
            raise StorageError(
                f"cannot listen at {host}:{port}: {error.strerror}. Name another --port."
            ) from error
        name = f"[{host}]" if ":" in host else host
        ready(f"http://{name}:{listening.getsockname()[1]}/")
        uvicorn.Server(uvicorn.Config(app, log_level="warning")).run([listening])
