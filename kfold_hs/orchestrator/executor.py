"""Where a plan is trained: in this process, in several, or on a cluster."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from kfold_hs.config.training import DeviceKind
from kfold_hs.errors import ConfigError

if TYPE_CHECKING:  # a wrong command line is told before torch is loaded
    import torch

    from kfold_hs.orchestrator.context import RunContext
    from kfold_hs.orchestrator.plan import Plan
    from kfold_hs.orchestrator.progress import Progress

Train = Callable[["Plan", "RunContext", "Progress"], None]
"""As `kfold_hs.orchestrator.sequential.train`."""


@dataclass(frozen=True)
class Fleet:
    """What the command line says about it.

    Parameters
    ----------
    jobs : int, optional
        How many folds are trained at once, at least 1. By default one, and with
        ``--device auto`` or ``cuda`` where there are several GPUs, one on each. On a cluster, as
        many as have room.
    executor : str
        local or ray.
    address : str, optional
        Of the cluster, ``HOST:PORT`` or ``ray://HOST:PORT``; by default the one that runs on this
        machine or that RAY_ADDRESS names.
    cpus, gpus : float
        What a fold reserves on the cluster; 0.5 lets two share one. By default as many CPUs as it
        has threads, which are those of a run on this machine, so that results are the same to the
        bit; one on a GPU, where they do not decide the bits, reserves a CPU.

    Raises
    ------
    ConfigError
        A number is out of its bounds, or is about a cluster where none is asked for.
    """

    jobs: int | None = None
    executor: str = "local"
    address: str | None = None
    cpus: float | None = None
    gpus: float = 0.0

    def __post_init__(self) -> None:
        if self.jobs is not None and self.jobs < 1:
            raise ConfigError(f"--jobs {self.jobs}: at least 1 fold is trained at once.")
        if (self.cpus or 0) < 0 or self.gpus < 0:
            raise ConfigError("--cpus-per-fold and --gpus-per-fold are 0 or more.")
        if self.executor == "local" and (self.address or self.cpus is not None or self.gpus):
            raise ConfigError(
                "--address, --cpus-per-fold and --gpus-per-fold are about a cluster: add "
                "--executor ray."
            )

    def device(self, device: torch.device) -> str:
        """What a report says about where models were trained."""
        if self.executor == "ray":
            return f"{self.kind(device)}, on a Ray cluster"
        return str(device)

    def kind(self, device: torch.device) -> DeviceKind:
        """The kind of device that folds are trained on; a cluster's GPUs are taken for new ones."""
        from kfold_hs.learn.device import device_kind

        if self.executor == "ray":
            return "cuda" if self.gpus else "cpu"
        return device_kind(device)

    def n_jobs(self, device: torch.device) -> int:
        """How many folds are trained at once."""
        from kfold_hs.orchestrator.processes import gpus

        return self.jobs or len(gpus(device)) or 1

    def crowding(self, device: torch.device, n_threads: int | None) -> str | None:
        """What to say where folds at once have more threads than there are cores.

        Parameters
        ----------
        n_threads : int, optional
            `train.threads`.
        """
        from kfold_hs.learn.device import threads_of
        from kfold_hs.orchestrator.hardware import n_cores

        jobs, each, cores = self.n_jobs(device), threads_of(n_threads), n_cores()
        if self.executor != "local" or device.type != "cpu" or min(jobs, each) == 1:
            return None
        if jobs * each <= cores:
            return None
        return (
            f"{jobs} folds at once with {each} threads each on {cores} cores: small networks train "
            "faster with train.threads=1, which is a training of its own (other last bits)."
        )

    @contextlib.contextmanager
    def open(self) -> Iterator[None]:
        """Keep the cluster at hand for several plans; each connects by itself otherwise.

        Raises
        ------
        ClusterError
            There is no such cluster.
        """
        if self.executor == "local":
            yield
            return
        from kfold_hs.orchestrator.ray_cluster import connected

        with connected(self.address):
            yield

    def train(self, device: torch.device) -> Train:
        """The function that trains a plan."""
        if self.executor == "ray":
            from kfold_hs.orchestrator import ray_cluster

            return partial(ray_cluster.train, fleet=self)
        from kfold_hs.orchestrator import processes, sequential

        jobs = self.n_jobs(device)
        return sequential.train if jobs == 1 else partial(processes.train, n_jobs=jobs)
