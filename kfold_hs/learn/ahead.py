"""Things that are made in a thread while those before them are used."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
Item = TypeVar("Item")
_END = object()


def ahead(made: Iterator[T], n: int = 2) -> Iterator[T]:
    """What `made` gives, in its order, up to `n` of it before it is asked for.

    An error in the making comes up where the thing would have been taken.
    """
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="ahead") as thread:
        waiting = deque(thread.submit(next, made, _END) for _ in range(n))
        while (each := waiting.popleft().result()) is not _END:
            waiting.append(thread.submit(next, made, _END))
            yield each  # type: ignore[misc]


def in_order(
    pool: ThreadPoolExecutor, function: Callable[[Item], T], items: Iterable[Item], most: int
) -> Iterator[T]:
    """Results in the order of the items, at most so many of them begun ahead."""
    waiting: deque[Future[T]] = deque()
    for item in items:
        waiting.append(pool.submit(function, item))
        if len(waiting) >= most:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()
