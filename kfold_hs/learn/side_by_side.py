"""Small pieces of inference on the CPU: several at once, each computed with one thread.

A batch of a few dozen crops is too little work to be divided: two cores ask a network 1.1 to 1.25
times faster by taking a batch each, and several times faster beside other programs, where threads
that share a batch wait for the one that was interrupted. What comes out does not depend on how many
threads there are, since none shares its sums.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

import torch

MOST_WORKERS = 16
"""Each holds the activations of a batch."""

Piece = TypeVar("Piece")
Result = TypeVar("Result")


def side_by_side(
    function: Callable[[Piece], Result], pieces: Iterable[Piece], device: torch.device
) -> Iterator[Result]:
    """Results in the order of the pieces, which are taken up a few ahead.

    Parameters
    ----------
    function : callable
        Runs in torch's inference mode, and changes nothing that pieces share.
    device : torch.device
        What computes. Work of a GPU is queued: there it is one piece after another.
    """

    def run(piece: Piece) -> Result:
        with torch.inference_mode():  # a setting of each thread
            return function(piece)

    n_threads = torch.get_num_threads()
    n_workers = min(n_threads, MOST_WORKERS)
    if n_workers == 1 or device.type != "cpu":
        yield from map(run, pieces)
        return
    with ThreadPoolExecutor(n_workers, thread_name_prefix="asking") as pool:
        _compute_with_one_thread(pool, n_workers, n_threads)
        yield from several_ahead(pool, run, pieces, n_workers)


def several_ahead(
    pool: ThreadPoolExecutor,
    function: Callable[[Piece], Result],
    pieces: Iterable[Piece],
    n_ahead: int,
) -> Iterator[Result]:
    """As `pool.map`, which takes up all pieces at once: here no more than `n_ahead` wait."""
    waiting: deque[Future[Result]] = deque()
    try:
        for piece in pieces:
            waiting.append(pool.submit(function, piece))
            if len(waiting) > n_ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:  # after an error, or if nobody wants the rest
        for each in waiting:
            each.cancel()


def _compute_with_one_thread(pool: ThreadPoolExecutor, n_workers: int, n_before: int) -> None:
    """Each worker of a fresh pool; the caller's threads stay as they are.

    torch's number is of the thread that sets it, and of all threads that begin to compute later:
    those get the caller's again. A thread begins with its first question for the number.
    """
    met = threading.Barrier(n_workers + 1)

    def begin() -> None:
        torch.get_num_threads()
        torch.set_num_threads(1)
        met.wait()

    for _ in range(n_workers):
        pool.submit(begin)
    met.wait()
    torch.set_num_threads(n_before)
