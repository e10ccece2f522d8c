"""Damages every file that kfold-hs left, one at a time, and runs what reads it.

    python tests/robustness/damage.py [--seed N] [--flips N] [--only COMMAND] [--write]

Made first: a run, another run, a comparison, a search, a bundle, an interrupted prediction, an
interrupted training, and the cache of all of them. Then, for each command and each file that it
may read, each mutation of `mutations`, and in its place the same file of the other run: what the
command comes to is held against what it comes to without damage. Each is tried twice: with the
checksums beside the files, and without them, as files of older versions or copied alone are;
without them nobody can know of a changed digit, but nothing may end in a traceback.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import io
import json
import logging
import os
import random
import shutil
import signal
import sys
import tempfile
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

import pandas as pd

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

from mutations import Mutation, mutations  # noqa: E402
from support.project import TINY, write_table  # noqa: E402

from kfold_hs.cli.main import main as kfold_hs  # noqa: E402
from kfold_hs.files import stored  # noqa: E402
from kfold_hs.files.atomic import checksum_file  # noqa: E402

PAGE = HERE.parent.parent / "docs" / "reliability.md"
MARKS = ("<!-- damage: begin -->", "<!-- damage: end -->")
SAME, ERROR, ANEW = "same output", "error of ours", "computed anew"
OTHER, TRACE, SILENT, HANG = "other output", "traceback", "silent difference", "hang"
OUTCOMES = (SAME, ERROR, ANEW, OTHER, TRACE, SILENT, HANG)
LIMIT_S = 120
SETTINGS = [word for word in TINY if not word.startswith(("train.epochs", "judge.gallery"))]
SETTINGS += ["train.epochs=2", "data.path=table.csv", "judge.gallery.patients=1"]


class HangError(BaseException):
    """The limit of a try is over."""


@dataclass(frozen=True)
class Said:
    """What a command came to: exit status, what it said, and the digest of its result."""

    status: int
    text: str
    result: str = ""


@dataclass(frozen=True)
class Command:
    """A command, the files that it may read, and how its result is told.

    words : of the command line
    patterns : globs of files, from the folder of all
    result : folder of all -> what is compared
    before : what is done to the folder of all first
    """

    name: str
    words: Sequence[str]
    patterns: Sequence[str]
    result: Callable[[Path], Any]
    before: Callable[[Path], None] = field(default=lambda root: None)


def page(name: str) -> Callable[[Path], str]:
    return lambda root: (root / "reports" / name).read_text()


def csv_file(root: Path) -> str:
    return (root / "people.csv").read_text()


def bundle(root: Path) -> str:
    return json.dumps(
        {str(p.relative_to(root)): hashlib.sha256(p.read_bytes()).hexdigest()
         for p in sorted((root / "new").rglob("*")) if p.is_file()}
    )  # fmt: skip


def run_of(name: str) -> Callable[[Path], Any]:
    """Predictions of a run, and its summary but for what is about this execution."""

    def result(root: Path) -> Any:
        folder = root / "reports" / name
        table = pd.read_parquet(folder / "predictions.parquet")
        summary = json.loads((folder / "summary.json").read_text())
        summary.pop("provenance")
        history = pd.read_csv(folder / "history.csv").drop(columns="seconds")
        return [table.to_json(), history.to_json(), _timeless(summary)]

    return result


def _timeless(value: Any) -> Any:
    """Without what is about this execution: how long it took, and what it drew."""
    if isinstance(value, list):
        return [_timeless(each) for each in value]
    if isinstance(value, dict):
        kept = {k: v for k, v in value.items() if k not in {"seconds", "joules", "kilojoules"}}
        return {key: _timeless(each) for key, each in kept.items()}
    return value


def content_of(name: str, file: str) -> Callable[[Path], Any]:
    def result(root: Path) -> Any:
        content = json.loads((root / "reports" / name / file).read_text())
        content.pop("provenance")
        for trial in [*content.get("trials", []), content.get("winner", {})]:
            trial.pop("seconds", None)
        return content

    return result


def remove(*names: str) -> Callable[[Path], None]:
    def before(root: Path) -> None:
        for name in names:
            path = root / name
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)

    return before


REPORTS = ["reports/a/*.json", "reports/a/*.yaml", "reports/a/*.csv", "reports/a/*.parquet"]
COMMANDS = (
    Command("report of a run", ["report", "reports/a"], REPORTS, page("a/report.html")),
    Command("report of a comparison", ["report", "reports/c"], ["reports/c/*.json"],
            page("c/comparison.html")),
    Command("report of a search", ["report", "reports/t"], ["reports/t/tune.json"],
            page("t/tune.html")),
    Command("list of results", ["report"],
            ["reports/a/summary.json", "reports/c/*.json", "reports/t/*.json",
             "reports/a/config.yaml"], page("index.html")),
    Command("export", ["export", "reports/a", "-o", "new"],
            [*REPORTS, "checkpoints/a/r*/last.pt"], bundle),
    Command("predict (bundle)", ["predict", "bundle", "wav", "-o", "people.csv"],
            ["bundle/*.json", "bundle/models/*"], csv_file, remove(".people.csv.rows")),
    Command("predict (journal)", ["predict", "bundle", "wav", "-o", "people.csv"],
            [".people.csv.rows"], csv_file),
    Command("gallery", ["gallery", "reports/a", "--no-audio"],
            ["reports/a/gallery.json", "reports/a/*.parquet", "reports/a/history.csv",
             "checkpoints/a/r*/last.pt"], page("a/gallery.json")),
    Command("run (finished)", ["run", "--name", "a", *SETTINGS],
            [*REPORTS, "checkpoints/a/r*/*.csv", "checkpoints/a/r*/*.parquet",
             "checkpoints/a/r*/best_model.pt"], run_of("a")),
    Command("run (other runs' files)", ["run", "--name", "a", *SETTINGS],
            ["reports/b/config.yaml", "reports/b/split.json", "reports/b/summary.json",
             "reports/c/comparison.json", "reports/t/tune.json"], run_of("a")),
    Command("run (resumed)", ["run", "--name", "i", *SETTINGS, "optim.lr=3e-3"],
            ["checkpoints/i/r*/resume.pt", "checkpoints/i/r*/*.csv", "checkpoints/i/r*/*.parquet"],
            run_of("i")),
    Command("run (cache)", ["run", "--name", "a", *SETTINGS],
            ["cache/features/*/*", "cache/copies/*.json"], run_of("a")),
    Command("run (built-in cohort)", ["split", "data=synthetic", "data.n_patients=40",
                                      "split.n_folds=2", "-o", "drawn.json"],
            ["cache/synthetic/*/table.csv", "cache/synthetic/*/SHA256SUMS",
             "cache/synthetic/*/recordings/1*0_AV.*"],
            lambda root: (root / "drawn.json").read_text()),
    Command("compare", ["compare", "--name", "c", *SETTINGS, "optim.lr=1e-3,2e-3"],
            ["reports/c/*.json"], content_of("c", "comparison.json")),
    Command("tune", ["tune", "--name", "t", *SETTINGS, "optim.lr=1e-3,2e-3"],
            ["reports/t/*.json", "reports/t/study.db", "reports/t/trials/*.json"],
            content_of("t", "tune.json")),
)  # fmt: skip


def call(words: Sequence[str], root: Path, limit_s: int = LIMIT_S) -> Said:
    """A command in this process; what it says, and whatever it ends in."""
    out = io.StringIO()
    told = logging.StreamHandler(out)
    logging.getLogger("kfold_hs").addHandler(told)
    stored.warn.cache_clear()
    signal.signal(signal.SIGALRM, _hang)
    signal.alarm(limit_s)
    try:
        with (
            contextlib.chdir(root),
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(out),
            mock.patch.object(sys, "argv", ["kfold-hs", *words]),
        ):
            kfold_hs(list(words))
    except SystemExit as end:
        return Said(int(end.code or 0), out.getvalue())
    except HangError:
        return Said(-2, out.getvalue())
    except Exception:
        return Said(-1, out.getvalue() + traceback.format_exc())
    finally:
        signal.alarm(0)
        logging.getLogger("kfold_hs").removeHandler(told)
    raise AssertionError("main always exits")


def _hang(*_: object) -> None:
    raise HangError


def make(root: Path) -> None:
    """All that is damaged later."""
    write_table(root, n_patients=8, n_recordings=1)
    (root / "wav").mkdir()
    for path in root.glob("p[2-4]_0.wav"):
        shutil.copy(path, root / "wav")
    for words in (
        ["run", "--name", "a", *SETTINGS],
        ["run", "--name", "b", *SETTINGS, "optim.lr=5e-3"],
        ["compare", "--name", "c", *SETTINGS, "optim.lr=1e-3,2e-3"],
        ["tune", "--name", "t", *SETTINGS, "optim.lr=1e-3,2e-3"],
        ["run", "--name", "a", *SETTINGS],  # so that all variants are counted
        ["export", "reports/a", "-o", "bundle"],
        ["split", "data=synthetic", "data.n_patients=40", "split.n_folds=2", "-o", "drawn.json"],
        ["report"],
    ):
        said = call(words, root, 10 * LIMIT_S)
        assert said.status == 0, (words, said)
    with mock.patch("kfold_hs.bundle.writers.opened", side_effect=KeyboardInterrupt):
        call(["predict", "bundle", "wav", "-o", "people.csv"], root)
    from kfold_hs.orchestrator.rich_progress import RichProgress

    with mock.patch.object(RichProgress, "epoch", side_effect=KeyboardInterrupt):
        call(["run", "--name", "i", *SETTINGS, "optim.lr=3e-3"], root)
    assert (root / ".people.csv.rows").exists()
    assert list(root.glob("checkpoints/i/*/resume.pt"))


def tries(
    command: Command, base: Path, flips: int, rng: random.Random
) -> Iterator[tuple[str, str, bytes]]:
    """File, name of the mutation, and the file's bytes after it."""
    files = sorted({path for pattern in command.patterns for path in base.glob(pattern)})
    assert files, command.patterns
    for path in files:
        raw, name = path.read_bytes(), str(path.relative_to(base))
        kinds: dict[str, Mutation] = mutations(path.name, flips)
        for kind, mutate in kinds.items():
            if (changed := mutate(raw, rng)) != raw:
                yield name, kind, changed
        other = base / name.replace("/a/", "/b/")
        if other != path and other.exists() and other.read_bytes() != raw:
            yield name, "of another run", other.read_bytes()


def attempt(command: Command, base: Path, work: Path, change: Callable[[Path], None]) -> Said:
    """The command in a copy of all, with a change; its result."""
    shutil.rmtree(work, ignore_errors=True)
    shutil.copytree(base, work)
    command.before(work)
    change(work)
    os.environ["KFOLD_HS_CACHE"] = str(work / "cache")
    said = call(command.words, work)
    if said.status != 0:
        return said
    found = json.dumps(command.result(work), sort_keys=True)
    return Said(0, said.text, hashlib.sha256(found.encode()).hexdigest())


def judge(said: Said, whole: Said, checked: bool, in_page: bool) -> str:
    """Which of `OUTCOMES` it is."""
    if said.status == -2:
        return HANG
    # An error that nobody foresaw is a traceback that the command line hides.
    if said.status == -1 or "Traceback" in said.text or "--debug shows where" in said.text:
        return TRACE
    if said.status != 0:
        return ERROR if said.text.strip() else TRACE
    told = any(word in said.text for word in ("damaged", "anew", "left out of", "of its own"))
    if said.result == whole.result:
        return ANEW if told else SAME
    if told or in_page:
        return ERROR
    return SILENT if checked else OTHER


def campaign(
    base: Path, commands: Sequence[Command], flips: int, seed: int, most: int | None = None
) -> tuple[dict[str, Counter[str]], list[str]]:
    """Counts of outcomes by command, and what should not have been.

    With `most`, so many tries of each command, drawn.
    """
    table: dict[str, Counter[str]] = {}
    bad: list[str] = []
    for command in commands:
        rng = random.Random(f"{seed} {command.name}")
        work = base.with_name("work")
        whole = attempt(command, base, work, lambda root: None)
        assert whole.status == 0, whole.text
        assert attempt(command, base, work, lambda root: None).result == whole.result, command.name
        planned = list(tries(command, base, flips, rng))
        if most is not None:
            planned = rng.sample(planned, min(most, len(planned)))
        for checked in (True, False):
            count: Counter[str] = Counter()
            for name, kind, changed in planned:

                def change(root: Path, name: str = name, changed: bytes = changed) -> None:
                    (root / name).write_bytes(changed)
                    if not checked:  # noqa: B023
                        _forget(root / name)

                said = attempt(command, base, work, change)
                in_page = said.status == 0 and _is_told(work, command)
                outcome = judge(said, whole, checked, in_page)
                count[outcome] += 1
                if outcome in {TRACE, SILENT, HANG}:
                    what = f"{command.name}: {name}, {kind}, {checked=}: {outcome}"
                    bad.append(f"{what}\n{said.text}")
                    print(f"{what} {said.text[-1500:]}", file=sys.stderr, flush=True)
            table[f"{command.name}{'' if checked else ', no checksums'}"] = count
            print(command.name, checked, dict(count), file=sys.stderr, flush=True)
    return table, bad


def _forget(path: Path) -> None:
    """Remove what says what the file was."""
    checksum_file(path).unlink(missing_ok=True)


def _is_told(work: Path, command: Command) -> bool:
    """Whether the page that was written says that a file is damaged."""
    if command.words[0] != "report":
        return False
    found = command.result(work)
    return "cannot be read" in found or "cannot read" in found or "is damaged" in found


def as_table(table: dict[str, Counter[str]]) -> list[str]:
    lines = [f"| read by | tries | {' | '.join(OUTCOMES)} |", "|---|" + "---:|" * 8]
    for name, count in table.items():
        cells = [str(count[outcome]) for outcome in OUTCOMES]
        lines.append(f"| {name} | {count.total()} | {' | '.join(cells)} |")
    return lines


def write(lines: Sequence[str]) -> None:
    text = PAGE.read_text()
    before, rest = text.split(MARKS[0])
    after = rest.split(MARKS[1])[1]
    PAGE.write_text(before + "\n".join([MARKS[0], *lines, MARKS[1]]) + after)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--flips", type=int, default=3)
    parser.add_argument("--only", default="", help="commands with this in their name")
    parser.add_argument("--most", type=int, help="so many tries of each command, drawn")
    parser.add_argument("--write", action="store_true", help="into docs/reliability.md")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        base = Path(folder) / "base"
        base.mkdir()
        os.environ["KFOLD_HS_CACHE"] = str(base / "cache")
        make(base)
        chosen = [each for each in COMMANDS if given.only in each.name]
        table, bad = campaign(base, chosen, given.flips, given.seed, given.most)
    lines = as_table(table)
    print("\n".join(lines))
    if given.write:
        write(lines)
    print(f"{sum(count.total() for count in table.values())} tries, {len(bad)} that may not be.")
    raise SystemExit(1 if bad else 0)


if __name__ == "__main__":
    main()
