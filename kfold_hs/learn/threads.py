"""How many threads torch computes with: they decide the last bits of a result on the CPU.

Sums are divided among threads, and floating-point sums depend on how they are divided. Two
trainings are alike to the bit only when they compute with equally many.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch


@contextlib.contextmanager
def threads(n: int | None) -> Iterator[None]:
    """Compute with `n` threads, and then with as many as before; None changes nothing."""
    before = torch.get_num_threads()
    torch.set_num_threads(n or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def threads_of(n: int | None) -> int:
    """What `train.threads=n` comes to here: null stands for torch's own choice, all cores."""
    return n or torch.get_num_threads()
