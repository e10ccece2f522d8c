"""Things that are made in a thread while those before them are used."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
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
