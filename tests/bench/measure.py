"""What the benches of speed and memory share: turns, medians, and the page that figures go to."""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import torch

PAGE = Path(__file__).parent.parent.parent / "docs" / "performance.md"
PACKAGE = Path(__file__).parent.parent.parent


def options(doc: str | None, rounds: int) -> argparse.ArgumentParser:
    """What every bench takes."""
    parser = argparse.ArgumentParser(description=doc)
    parser.add_argument("--rounds", type=int, default=rounds, help="repetitions, in turns")
    parser.add_argument("--quick", action="store_true", help="sizes that show only that it works")
    parser.add_argument("--write", action="store_true", help="into docs/performance.md")
    return parser


def in_turns(jobs: Mapping[str, Callable[[], float]], rounds: int) -> dict[str, list[float]]:
    """What each job gives in every round.

    Jobs take turns, and every other round goes backwards: what else the machine does, and
    whether it grows warm, meets all of them alike.
    """
    found: dict[str, list[float]] = {name: [] for name in jobs}
    for i in range(rounds):
        for name in list(jobs)[:: -1 if i % 2 else 1]:
            found[name].append(jobs[name]())
            print(f"round {i + 1}: {name} {found[name][-1]:.2f}", file=sys.stderr, flush=True)
    return found


def ratio(above: Sequence[float], below: Sequence[float]) -> str:
    """Median of the rounds' ratios, and their range."""
    each = [a / b for a, b in zip(above, below, strict=True)]
    return f"**{statistics.median(each):.2f}** ({min(each):.2f} to {max(each):.2f})"


def table(rows: Sequence[Mapping[str, str]]) -> list[str]:
    """A table in Markdown; the keys of a row are its columns."""
    columns = list(rows[0])
    lines = [f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
    return lines + [f"| {' | '.join(row[column] for column in columns)} |" for row in rows]


def machine() -> str:
    """Where figures come from, in a sentence."""
    return (
        f"{os.cpu_count()} cores ({platform.machine()}), {torch.get_num_threads()} threads, "
        f"torch {torch.__version__}."
    )


def publish(name: str, lines: Sequence[str], write: bool, page: Path = PAGE) -> None:
    """Print a section and, if asked to, put it on a page between the markers of its name."""
    text = "\n".join([machine(), "", *lines])
    print(text)
    if write:
        begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
        before, rest = page.read_text().split(begin)
        page.write_text(f"{before}{begin}\n{text}\n{end}{rest.split(end)[1]}")


def fresh(script: str, *words: str, environment: Mapping[str, str] | None = None) -> str:
    """What a bench prints last when it is run in a process of its own."""
    path = os.pathsep.join([str(PACKAGE), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, script, *words],
        env={**os.environ, "PYTHONPATH": path, **(environment or {})},
        stdout=subprocess.PIPE, text=True, check=True,
    )  # fmt: skip
    return done.stdout.strip().splitlines()[-1]
