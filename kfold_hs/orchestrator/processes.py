"""Trains a plan on this machine, several folds at once, each in a process of its own.

A process takes one fold after another. On Linux all are forked from one that has loaded torch and
computed nothing, so that those of a second variant begin at once. Elsewhere each starts anew: what
has loaded macOS's libraries must not be forked, and Windows does not fork. Each maps the bank from
its file, so that all share the same pages of memory, and computes with as many threads as a run
without --jobs: the results are the same to the bit (see `kfold_hs.learn.device`). One that the
system ends takes its fold with it and no other. All end with the process that started them, however
that ends.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import sys
import threading
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from typing import Any

import torch

from kfold_hs.errors import KfoldHsError
from kfold_hs.files.paths import FoldId
from kfold_hs.learn.device import threads_of
from kfold_hs.openmp import FEW, SPINS
from kfold_hs.orchestrator.context import RunContext
from kfold_hs.orchestrator.plan import Plan
from kfold_hs.orchestrator.progress import Progress
from kfold_hs.orchestrator.worker import (
    Outcome,
    check_outcomes,
    failed,
    folds_to_do,
    train_fold,
)

_PATIENCE_S = 30.0
"""So long a process may write what it has before it is ended for good."""
_Connection = Any
"""An end of a pipe: `multiprocessing.connection.Connection`, on Windows a `PipeConnection`."""
_KILLED = -9
"""Exit code of a process that SIGKILL ended, which Windows has not."""


def train(plan: Plan, context: RunContext, progress: Progress, n_jobs: int) -> None:
    """As `kfold_hs.orchestrator.sequential.train`, `n_jobs` folds at once.

    The features are in the cache, where the processes find them. The device "cuda" without a
    number spreads the processes over all GPUs.

    Raises
    ------
    As `kfold_hs.orchestrator.sequential.train`.
    """
    left = deque(folds_to_do(plan, context, progress))
    devices = spread(context.device, min(n_jobs, len(left)))
    n_threads = threads_of(context.config.train.threads)
    outcomes: list[Outcome] = []
    free = list(reversed(devices))
    started: list[_Worker] = []
    ready: list[_Worker] = []
    busy: dict[Any, _Worker] = {}
    try:
        while left or busy:
            while left and (ready or free):
                worker = ready.pop() if ready else _start(context, free.pop(), n_threads, started)
                worker.give(left.popleft())
                progress.fold(worker.fold, "start")
                busy[worker.pipe] = worker
            for pipe in wait(list(busy)):
                worker = busy[pipe]
                message = worker.receive()
                if isinstance(message, KfoldHsError):
                    raise message
                if not isinstance(message, Outcome):
                    progress.epoch(worker.fold, message)
                    continue
                outcomes.append(message)
                del busy[pipe]
                if worker.has_ended:
                    free.append(worker.device)
                else:
                    ready.append(worker)
                progress.fold(worker.fold, message.state, message.text)
    finally:
        for worker in started:  # all at once; then each has time to write what it has
            worker.process.terminate()
        for worker in started:
            worker.end()
    check_outcomes(outcomes, len(plan))


def gpus(device: torch.device) -> list[torch.device]:
    """All GPUs, where the device is "cuda" without a number; else none."""
    if device.type != "cuda" or device.index is not None:
        return []
    return [torch.device("cuda", index) for index in range(torch.cuda.device_count())]


def spread(device: torch.device, n_jobs: int) -> list[torch.device]:
    """The device of every process: all GPUs in turn, where the device stands for them."""
    each = gpus(device) or [device]
    return [each[job % len(each)] for job in range(n_jobs)]


@dataclass
class _Worker:
    """A process, as the one that started it sees it."""

    context: RunContext
    device: torch.device
    process: BaseProcess
    pipe: _Connection
    fold: FoldId = field(init=False)
    has_ended: bool = False

    def give(self, fold: FoldId) -> None:
        self.fold = fold
        with contextlib.suppress(OSError):  # it has ended; `receive` says so
            self.pipe.send(fold)

    def receive(self) -> Mapping[str, float] | Outcome | KfoldHsError:
        """A row of the fold's history, how it ended, or what ends them all."""
        try:
            message: Mapping[str, float] | Outcome | KfoldHsError = self.pipe.recv()
        except (EOFError, OSError):
            self.has_ended = True
            self.process.join()
            killed = self.process.exitcode == _KILLED  # as for want of memory
            return failed(self.context, self.fold, self._obituary(), {}, killed)
        return message

    def end(self) -> None:
        """Wait until it has written what it has, but not for ever."""
        self.process.join(_PATIENCE_S)
        self.process.kill()
        self.process.join()
        self.pipe.close()

    def _obituary(self) -> str:
        fold, code = self.fold.name, self.process.exitcode or 0
        if code >= 0:
            return f"The process of {fold} ended with status {code}; what it printed says why."
        name = signal.Signals(-code).name
        if code != _KILLED:
            return f"The process of {fold} was ended by {name}."
        return (
            f"The process of {fold} was killed ({name}), as the system does when the memory is "
            "full. Its whole epochs are kept: repeat the command with fewer --jobs, or train with "
            "a smaller train.batch_size."
        )


def _start(
    context: RunContext, device: torch.device, n_threads: int, started: list[_Worker]
) -> _Worker:
    """A process that waits for folds; it is put on the list of those that must be ended."""
    context = replace(context.without_bank(), device=device)
    ours, theirs = multiprocessing.Pipe()
    process = _process(
        target=_serve, args=(theirs, dict(os.environ), context, n_threads), daemon=True,
        name=f"kfold-hs {context.paths.name}",
    )  # fmt: skip
    with _deaf_to_ctrl_c(), _patient_threads(), without_main():
        process.start()
        worker = _Worker(context, device, process, ours)
        started.append(worker)
    theirs.close()
    return worker


def _process(**words: Any) -> BaseProcess:
    if sys.platform != "linux":
        return multiprocessing.get_context("spawn").Process(**words)
    from multiprocessing import resource_tracker

    server = multiprocessing.get_context("forkserver")
    server.set_forkserver_preload([_serve.__module__])
    # The first process would start it, which lets the signals through again that are held off then.
    resource_tracker.ensure_running()
    return server.Process(**words)


@contextlib.contextmanager
def _deaf_to_ctrl_c() -> Iterator[None]:
    """A terminal sends Ctrl-C to all; processes started in here leave it to their parent."""
    if sys.platform == "win32":  # where they see to it themselves
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextlib.contextmanager
def _patient_threads() -> Iterator[None]:
    """Threads of processes started in here sleep while they wait, and leave the core to others."""
    is_ours = os.environ.get(SPINS) == FEW  # else the user has said how
    if is_ours:
        os.environ[SPINS] = "0"
    try:
        yield
    finally:
        if is_ours:
            os.environ[SPINS] = FEW


@contextlib.contextmanager
def without_main() -> Iterator[None]:
    """Processes started in here do not run the user's script again, which they need nothing of.

    It would start the same work once more where it says no `if __name__ == "__main__"`, and a
    program on standard input (`python -`) cannot be read again.
    """
    main = sys.modules["__main__"]
    hidden = {key: getattr(main, key) for key in ("__file__", "__spec__") if hasattr(main, key)}
    for key in hidden:
        setattr(main, key, None)
    try:
        yield
    finally:
        for key, value in hidden.items():
            setattr(main, key, value)


def _serve(
    pipe: _Connection, environment: Mapping[str, str], context: RunContext, n_threads: int
) -> None:
    """Train the folds that come, tell every epoch and every end."""
    os.environ.clear()  # that of the server is from its start
    os.environ.update(environment)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    if sys.platform == "win32":
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _stop)
    torch.set_num_threads(n_threads)
    try:
        context = context.on_device()
        while True:
            fold = pipe.recv()
            pipe.send(train_fold(context, fold, lambda row: pipe.send(dict(row))))
    except KfoldHsError as error:
        pipe.send(error)
        pipe.recv()  # until the end
    except (EOFError, BrokenPipeError):
        return  # the parent has gone


def _stop(number: int, frame: Any) -> None:
    raise SystemExit(128 + number)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    wait([parent.sentinel])
    os._exit(1)
