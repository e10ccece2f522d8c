"""Trains a plan on a Ray cluster: a task a fold, on whichever node has room.

The run's folder is on a file system that all nodes see. What a lost node has trained goes on
elsewhere, from its last whole epoch. Features travel through Ray's object store, which holds them
once a node; the tasks of a node read them there without a copy.
"""

from __future__ import annotations

import contextlib
import os
import platform
import socket
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from kfold_hs.errors import ClusterError, ConfigError, KfoldHsError
from kfold_hs.files.paths import FoldId
from kfold_hs.learn.device import pick_device, threads, threads_of
from kfold_hs.learn.features.bank import Bank
from kfold_hs.orchestrator.context import RunContext, build_bank
from kfold_hs.orchestrator.executor import Fleet
from kfold_hs.orchestrator.plan import Plan
from kfold_hs.orchestrator.progress import Progress
from kfold_hs.orchestrator.worker import (
    Outcome,
    check_outcomes,
    failed,
    folds_to_do,
    train_fold,
)

RETRIES = 3
"""So often may a fold lose its node or its process before it counts as failed."""
_POLL_S = 0.5
_PATIENCE_S = 30.0
_CALL_S = 10.0


def train(plan: Plan, context: RunContext, progress: Progress, fleet: Fleet) -> None:
    """As `kfold_hs.orchestrator.sequential.train`, on a cluster.

    The device of the context is not used: a fold is trained on a GPU where `fleet` asks for one,
    else on the CPU.

    Raises
    ------
    ClusterError
        There is no such cluster, no node is large enough, or a node does not see the run's folder.
    UnfinishedError, TrainingError
        As `kfold_hs.orchestrator.sequential.train`.
    """
    paths = replace(context.paths, root=context.paths.root.resolve())
    context = replace(context, paths=paths)
    left = folds_to_do(plan, context, progress)
    outcomes: list[Outcome] = []
    if left:
        paths.checkpoint_folder.mkdir(parents=True, exist_ok=True)
        n_threads = threads_of(context.config.train.threads)
        asked = reserved(n_threads, fleet.cpus, fleet.gpus)
        with connected(fleet.address) as ray:
            _check_room(ray, asked)
            job = _Job(context.without_bank(), n_threads, fleet.gpus > 0, os.getcwd())  # noqa: PTH109
            bank = context.bank or build_bank(context.config, context.cohort)
            tasks = _Tasks(ray, job, ray.put(_packed(bank)), asked, progress)
            outcomes = tasks.run(left, fleet.jobs or len(left))
    check_outcomes(outcomes, len(plan))


def reserved(n_threads: int, n_cpus: float | None, n_gpus: float) -> dict[str, float]:
    """num_cpus and num_gpus of a fold, for Ray."""
    by_itself = 1 if n_gpus else n_threads
    return {"num_cpus": by_itself if n_cpus is None else n_cpus, "num_gpus": n_gpus}


def _rules(asked: Mapping[str, float]) -> dict[str, Any]:
    """Of a task. A process that has seen a GPU sees no other: Ray must not give it to the next."""
    one_fold = {"max_calls": 1} if asked["num_gpus"] else {}
    return {"max_retries": RETRIES, **asked, **one_fold}


@dataclass(frozen=True)
class _Job:
    """What every task of a run is told.

    Parameters
    ----------
    folder : str
        Working folder of the command; paths of the configuration may be relative to it.
    """

    context: RunContext
    n_threads: int
    on_gpu: bool
    folder: str


class _Tasks:
    """The tasks of a run, as the process that submits them sees them."""

    def __init__(
        self, ray: Any, job: _Job, packed: Any, asked: Mapping[str, float], progress: Progress
    ) -> None:
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
        self._ray, self._context, self._progress = ray, job.context, progress
        self._board = ray.remote(_Board).options(num_cpus=0, scheduling_strategy=here).remote()
        self._shared = [ray.put(job), packed]
        self._task = ray.remote(**_rules(asked))(_train)
        self._begun: set[FoldId] = set()

    def run(self, folds: list[FoldId], n_jobs: int) -> list[Outcome]:
        ray, waiting, outcomes = self._ray, list(reversed(folds)), []
        under_way: dict[Any, FoldId] = {}
        try:
            while waiting or under_way:
                while waiting and len(under_way) < n_jobs:
                    fold = waiting.pop()
                    arguments = [*self._shared, fold, self._board]
                    under_way[self._task.remote(*arguments)] = fold
                done, _ = ray.wait(list(under_way), num_returns=1, timeout=_POLL_S)
                self._receive()
                for each in done:
                    fold = under_way.pop(each)
                    outcomes.append(self._end(each, fold))
                    self._progress.fold(fold, outcomes[-1].state, outcomes[-1].text)
        finally:
            for each in under_way:  # each writes what it has
                ray.cancel(each)
            if under_way:
                ray.wait(list(under_way), num_returns=len(under_way), timeout=_PATIENCE_S)
        return outcomes

    def _receive(self) -> None:
        for fold, row in self._ray.get(self._board.take.remote()):
            if row is not None:
                self._progress.epoch(fold, row)
            elif fold in self._begun:
                self._progress.fold(fold, "start", "lost its node and goes on elsewhere")
            else:
                self._begun.add(fold)
                self._progress.fold(fold, "start")

    def _end(self, task: Any, fold: FoldId) -> Outcome:
        try:
            outcome: Outcome = self._ray.get(task)
        except self._ray.exceptions.RayTaskError as error:
            if isinstance(error.cause, KfoldHsError):
                raise error.cause from None
            raise ClusterError(
                f"a node could not work on a fold: {_line(error.cause)}. All nodes need the same "
                "kfold-hs and the same packages."
            ) from error
        except self._ray.exceptions.RayError as error:
            return failed(
                self._context,
                fold,
                f"The process or the node of {fold.name} was lost {RETRIES + 1} times "
                f"({type(error).__name__}), as happens when the memory is full. Its whole epochs "
                "are kept: repeat the command with more --cpus-per-fold, so that fewer folds "
                "share a node, or train with a smaller train.batch_size.",
                {},
            )
        return outcome


class _Board:
    """Where tasks pin what they have done: a Ray actor on the node of the run's own process."""

    def __init__(self) -> None:
        self._notes: list[tuple[FoldId, Mapping[str, float] | None]] = []

    def pin(self, fold: FoldId, row: Mapping[str, float] | None) -> None:
        """A row of a fold's history; None: it begins."""
        self._notes.append((fold, row))

    def take(self) -> list[tuple[FoldId, Mapping[str, float] | None]]:
        notes, self._notes = self._notes, []
        return notes


def _train(job: _Job, packed: tuple[Any, ...], fold: FoldId, board: Any) -> Outcome:
    """The task: one fold."""
    import ray

    shared = job.context.paths.checkpoint_folder
    if not shared.is_dir():
        raise ClusterError(
            f"the node {platform.node()} does not see {shared}: choose a "
            "folder by --root that is on a file system which all nodes of the cluster share."
        )
    with contextlib.suppress(OSError):  # what the configuration names may be relative to it
        os.chdir(job.folder)
    # Of this node, whatever the machine has that the command runs on.
    device = pick_device("cuda" if job.on_gpu else "cpu")

    def pin(row: Mapping[str, float] | None) -> None:
        ray.get(board.pin.remote(fold, row))

    pin(None)
    context = replace(job.context, device=device).on_device(_unpacked(packed))
    with threads(job.n_threads):
        return train_fold(context, fold, lambda row: pin(dict(row)))


def _packed(bank: Bank) -> tuple[Any, ...]:
    level = None if bank.level is None else bank.level.numpy()
    return bank.frames.numpy(), bank.first.numpy(), bank.length.numpy(), bank.digest, level


def _unpacked(packed: tuple[Any, ...]) -> Bank:
    frames, first, length, digest, level = packed

    def tensor(array: np.ndarray) -> torch.Tensor:
        with warnings.catch_warnings():  # nobody writes to what the store shows read-only
            warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
            return torch.from_numpy(array)

    shown = None if level is None else tensor(level)
    return Bank(tensor(frames), tensor(first), tensor(length), digest, shown)


@contextlib.contextmanager
def connected(address: str | None) -> Iterator[Any]:
    """ray, connected to the cluster; disconnected afterwards unless it was before.

    Raises
    ------
    ClusterError
        There is no such cluster.
    ConfigError
        Ray is not installed.
    """
    try:
        import ray
    except ImportError:
        raise ConfigError(
            "--executor ray needs the package ray: pip install 'kfold-hs[ray]'."
        ) from None
    if ray.is_initialized():
        yield ray
        return
    try:
        _call_at(address)
        ray.init(address or "auto", log_to_driver=False, logging_level="ERROR")
    except (OSError, RuntimeError, ValueError) as error:
        raise ClusterError(
            f"no Ray cluster at {address or 'this machine'}: {_line(error)}. Start one by "
            "`ray start --head`, join nodes by `ray start --address=HOST:6379`, and name it by "
            "--address HOST:6379."
        ) from error
    try:
        yield ray
    finally:
        ray.shutdown()


def _call_at(address: str | None) -> None:
    """Fail soon where nobody answers; Ray itself would try again for minutes."""
    if address is None or address == "auto":
        return
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not host or not port.isdigit():
        raise ValueError("an address is HOST:PORT or ray://HOST:PORT")
    with socket.create_connection((host, int(port)), timeout=_CALL_S):
        pass


def _check_room(ray: Any, asked: Mapping[str, float]) -> None:
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    names = {"num_cpus": "CPU", "num_gpus": "GPU"}
    if any(all(n.get(names[k], 0) >= value for k, value in asked.items()) for n in nodes):
        return
    most = ", ".join(f"{n.get('CPU', 0):g} CPUs and {n.get('GPU', 0):g} GPUs" for n in nodes)
    raise ClusterError(
        f"a fold asks for {asked['num_cpus']:g} CPUs and {asked['num_gpus']:g} GPUs, and no node "
        f"has them: there is {most}. Lower --cpus-per-fold or --gpus-per-fold."
    )


def _line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
