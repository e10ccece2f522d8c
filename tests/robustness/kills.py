"""Kills commands at random moments, repeats them, and holds what is left against one go.

    python tests/robustness/kills.py [--seed N] [--kills N] [--only COMMAND ...] [--write]

Each command is run twice in one go: what these two leave differently (times, names of event files)
is not compared. Then, --kills times, it is ended by SIGKILL at a moment drawn from the time that it
takes, some of them once more while it is repeated, and repeated to its end. Compared is every file:
JSON by its values, tables by their columns, checkpoints by their tensors, to the bit. A file that
one go does not leave is a leftover. Commands are forked from a process that has loaded torch, so
that a kill hits work and not loading; no other process is touched. By name, decides no test.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import re
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent), str(HERE.parent / "bench")]

import pandas as pd  # noqa: E402
import torch  # noqa: E402
from measure import publish, table  # noqa: E402
from support.project import TINY, write_table  # noqa: E402

from kfold_hs.cli.main import main as kfold_hs  # noqa: E402

PAGE = HERE.parent.parent / "docs" / "reliability.md"
LIMIT_S = 600
_OTHERWISE = ("train.epochs", "judge.gallery")
SETTINGS = [word for word in TINY if not word.startswith(_OTHERWISE)]
SETTINGS += ["train.epochs=2", "judge.gallery.patients=1"]
# What is drawn anew in every process: times, and the number of an Ogg stream.
_DRAWN = re.compile(r"/audio$|second|_s\b|_s/|time|started|ended|energy|joule|host|load")
Leaves = dict[tuple[str, str], str]


def commands(data: Sequence[str]) -> dict[str, list[str]]:
    """Words of every command; those after `tune` need a finished run, and `predict` a bundle."""
    train = [*data, "--device", "cpu", "-q"]
    return {
        "split": ["split", *data, "-o", "split.json"],
        "run": ["run", *train, "--name", "two"],
        "run --jobs 2": ["run", *train, "--name", "two", "--jobs", "2"],
        "compare": ["compare", "sched=onecycle", "sched=cosine", *train],
        "tune": ["tune", "optim.lr=1e-4,1e-3", *train],
        "export": ["export", "reports/one", "-o", "new-bundle", "-q"],
        "predict": ["predict", "bundle", data[-1].split("=")[1], "-o", "rows.csv", "-q"],
        "report": ["report", "reports/one"],
        "gallery": ["gallery", "reports/one", "--patients", "2", "-q"],
        "learning-curve": ["learning-curve", *train, "--shares", "0.7,1"],
        "validate": ["validate", "bundle", *people(data), "--known", "held-out", "--name", "v"],
        "evaluate": ["evaluate", "said.csv", "--name", "other", "--bands", "200"],
        "paper": ["paper", "reports/one", "-o", "paper", "--figures"],
    }


def people(data: Sequence[str]) -> list[str]:
    """Of the words of a run, those that say who its people are."""
    return [word for word in data if word.startswith("data")]


def write_said(path: Path) -> None:
    """What another program said of some patients, for `evaluate`."""
    draw = random.Random(0)
    rows = []
    for i in range(40):
        ill = i % 3 == 0
        p = min(0.99, max(0.01, 0.4 + 0.2 * ill + draw.gauss(0, 0.2)))
        rows.append({"patient": f"s{i}", "label": ("Normal", "Abnormal")[ill], "fold": i % 4,
                     "p.Abnormal": round(p, 3), "p.Normal": round(1 - p, 3)})  # fmt: skip
    pd.DataFrame(rows).to_csv(path, index=False)


@dataclass
class Fate:
    """What became of a command."""

    kills: int = 0
    too_late: int = 0
    same: int = 0
    refused: list[str] = field(default_factory=list)
    differences: Counter[str] = field(default_factory=Counter)
    leftovers: Counter[str] = field(default_factory=Counter)


def started(words: Sequence[str], folder: Path) -> int:
    """Fork a process, the first of its own group, that runs a command in a folder."""
    if pid := os.fork():
        return pid
    status = 1
    try:
        os.setsid()
        os.chdir(folder)
        os.environ["KFOLD_HS_CACHE"] = str(folder / "cache")
        said = os.open(folder.with_suffix(".said"), os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(said, 1)
        os.dup2(said, 2)
        sys.argv = ["kfold-hs", *words]
        kfold_hs(list(words))
        status = 0
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else 1
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(status)


def ended(pid: int, after_s: float | None = None) -> int:
    """Exit status of a process, minus the signal's number if one ended it; killed after a time."""
    until = time.monotonic() + (LIMIT_S if after_s is None else after_s)
    while time.monotonic() < until:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.002)
    os.killpg(pid, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def leaves(folder: Path) -> Leaves:
    """Digest of every part of every file; locks and the pages' drawings are no parts.

    Nor are checksums, which speak of the bytes of the very files that are compared by their values.
    """
    found: Leaves = {}
    unlike = {".lock", ".sha256"}
    for path in sorted(p for p in folder.rglob("*") if p.is_file() and p.suffix not in unlike):
        name = str(path.relative_to(folder))
        name = re.sub(r"events\.out\.tfevents.*|(?<=tensorboard/).*", "events", name)
        for leaf, value in parts(path):
            found[name, leaf] = hashlib.sha256(value).hexdigest()
    return found


def parts(path: Path) -> Iterator[tuple[str, bytes]]:
    """Parts of a file that can be named."""
    if path.suffix == ".json":
        yield from flat(json.loads(path.read_text()), "")
    elif path.suffix in {".csv", ".parquet"}:
        read = pd.read_csv if path.suffix == ".csv" else pd.read_parquet
        content = read(path)
        for column in content:
            yield str(column), content[column].astype(str).str.cat(sep="\n").encode()
    elif path.suffix == ".pt":
        yield from flat(torch.load(path, map_location="cpu", weights_only=True), "")
    elif path.suffix in {".html", ".sqlite3", ".db", ".log"} or "tensorboard" in str(path):
        yield "", b""
    else:
        yield "", path.read_bytes()


def flat(value: Any, name: str) -> Iterator[tuple[str, bytes]]:
    """Values of nested ones, each by its way."""
    if isinstance(value, dict):
        for key, each in value.items():
            yield from flat(each, f"{name}/{key}")
    elif isinstance(value, list | tuple):
        for key, each in enumerate(value):
            yield from flat(each, f"{name}/{key}")
    elif isinstance(value, torch.Tensor):
        yield name, value.detach().contiguous().numpy().tobytes()
    else:
        yield name, repr(value).encode()


def copied(template: Path, to: Path) -> Path:
    shutil.rmtree(to, ignore_errors=True)
    shutil.copytree(template, to, symlinks=True)
    return to


def campaign(words: Sequence[str], template: Path, n: int, draw: random.Random) -> Fate:
    """Kill a command n times, each in a fresh copy of its folder."""
    folder = template.with_name("try")  # the same path each time: some files hold it
    goes: list[Leaves] = []
    for _ in range(2):
        copied(template, folder)
        begun = time.monotonic()
        status = ended(started(words, folder))
        lasts_s = time.monotonic() - begun
        if status != 0:
            raise SystemExit(f"{' '.join(words)}: {folder.with_suffix('.said').read_text()}")
        goes.append(leaves(folder))
    whole, again = goes
    wanted = {k: v for k, v in whole.items() if again.get(k) == v and not _DRAWN.search(k[1])}
    names = {name for name, _ in (*whole, *again)}
    fate = Fate()
    for _ in range(n):
        copied(template, folder)
        for _ in range(draw.randint(1, 2)):
            killed = ended(started(words, folder), draw.uniform(0, lasts_s)) == -signal.SIGKILL
            fate.kills += killed
            fate.too_late += not killed
        status = ended(started(words, folder))
        if status != 0:
            fate.refused.append(folder.with_suffix(".said").read_text().strip()[-300:])
        found = leaves(folder)
        other = Counter(
            f"{name} {leaf}" for (name, leaf), v in wanted.items() if found.get((name, leaf)) != v
        )
        more = Counter(dict.fromkeys({name for name, _ in found} - names, 1))
        fate.differences += other
        fate.leftovers += more
        fate.same += not other and not more
    return fate


def row(name: str, n: int, fate: Fate) -> dict[str, str]:
    """Of the table."""
    return {
        "command": f"`{name}`",
        "kills": f"{fate.kills} in {n} tries",
        "same as in one go": f"{fate.same} of {n}",
        "values that differ": few(fate.differences),
        "leftovers": few(fate.leftovers),
        "repeat ended in an error": str(len(fate.refused)),
    }


def few(found: Counter[str]) -> str:
    most = "; ".join(f"`{name}` ({n})" for name, n in found.most_common(3))
    return f"{len(found)}: {most}" if found else "0"


def main(words: Sequence[str] | None = None) -> list[dict[str, str]]:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kills", type=int, default=20, help="tries a command")
    parser.add_argument("--only", nargs="+", help="some commands")
    parser.add_argument("--write", action="store_true", help="into docs/reliability.md")
    given = parser.parse_args(words)
    draw, rows = random.Random(given.seed), []
    with tempfile.TemporaryDirectory(prefix="kills-") as name:
        root = Path(name).resolve()
        (root / "data").mkdir()
        csv = write_table(root / "data", n_patients=12, n_recordings=1)
        data = [*SETTINGS, f"data.path={csv}"]
        template = root / "template"
        template.mkdir()
        write_said(template / "said.csv")
        made = ["run", *data, "--device", "cpu", "-q", "--name", "one"]
        for each in (made, ["export", "reports/one", "-o", "bundle", "-q"]):
            if ended(started(each, template)) != 0:
                raise SystemExit(template.with_suffix(".said").read_text())
        shutil.rmtree(template / "cache")
        for what, each in commands(data).items():
            if given.only is None or what in given.only:
                fate = campaign(each, template, given.kills, draw)
                rows.append(row(what, given.kills, fate))
                print(rows[-1], *fate.refused, sep="\n", flush=True)
    publish("kills", [f"Seed {given.seed}.", "", *table(rows)], given.write, PAGE)
    return rows


if __name__ == "__main__":
    main()
