"""A run that ends itself by SIGKILL at a moment: python tests/support/killed.py MOMENT N WORDS...

    step N      before the N-th training step
    half N      while the N-th file is written: half of it is there
    before N    the N-th file is written and has its temporary name
    after N     the N-th file has just got its name

Counted from 1, over all threads of the process.
"""

from __future__ import annotations

import os
import signal
import sys
from itertools import count
from pathlib import Path

from kfold_hs.config.compose import compose
from kfold_hs.learn.training.step import Step
from kfold_hs.workflows import cross_validation
from kfold_hs.workflows.options import RunOptions

DEVICE = os.environ.get("KFOLD_HS_TEST_DEVICE", "cpu")
MOMENTS = ("step", "half", "before", "after")


def end() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def arm(moment: str, n: int) -> None:
    """Put the end where it belongs."""
    steps, writes, renames = count(1), count(1), count(1)
    call, write, rename = Step.__call__, Path.write_bytes, Path.replace

    def stepping(*arguments: object) -> object:
        if next(steps) == n and moment == "step":
            end()
        return call(*arguments)  # type: ignore[arg-type]

    def writing(self: Path, content: bytes) -> int:
        if next(writes) == n and moment == "half":
            write(self, bytes(content)[: len(content) // 2])
            end()
        return write(self, content)

    def renaming(self: Path, target: Path) -> Path:
        is_it = next(renames) == n
        if is_it and moment == "before":
            end()
        done = rename(self, target)
        if is_it and moment == "after":
            end()
        return done

    Step.__call__ = stepping  # type: ignore[method-assign,assignment]
    Path.write_bytes = writing  # type: ignore[method-assign,assignment]
    Path.replace = renaming  # type: ignore[method-assign,assignment]


class Mute:
    """A listener that hears nothing."""

    def __getattr__(self, name: str) -> object:
        return lambda *_: None


if __name__ == "__main__":
    moment, number, *words = sys.argv[1:]
    arm(moment, int(number))
    cross_validation.run(compose(words), Mute(), RunOptions(name="a", device=DEVICE))  # type: ignore[arg-type]
