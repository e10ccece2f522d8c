"""Tries random configurations: each must compose, or end in one short error of ours, soon.

    python tests/robustness/configurations.py [N] [--seed S] [--write]

N (default 10,000) lists of overrides are made of all keys of the schema, all groups, odd
values, pieces of Hydra's grammar and mutations of valid words. All go to `config`; every tenth
to `compare`, `tune` and `plan` as well, as far as to before recordings are read. --write puts
the table into docs/reliability.md.
"""

from __future__ import annotations

import argparse
import random
import time
import traceback
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import click

from kfold_hs.cli.plan import plan
from kfold_hs.config.compose import compose, expand, groups
from kfold_hs.config.keys import keys
from kfold_hs.config.sweep import design
from kfold_hs.errors import LONGEST_MESSAGE, KfoldHsError
from kfold_hs.workflows.search.spec import Search, SearchOptions

SLOW_S = 2.0
DOCUMENT = Path(__file__).parents[2] / "docs" / "reliability.md"
BEGIN, END = "<!-- configurations -->", "<!-- /configurations -->"
BASE = ["data=table", "data.path=x.csv"]
OUTCOMES = ("accepted", "refused", "TRACEBACK", "slow", "long message")
VALUES = [
    "0", "1", "-1", "2", "5", "0.5", "1e-4",
    "1e400", "-1e400", "nan", "inf", "-inf", "true", "null",
    "???", "", " ", "x", "auto", "none", "last",
    "cosine", "/a b/(1)/x,y", "~/a", "a#b", "a&b", "[", "]",
    "{", "}", "(", ")", "[1,2]", "[a,b]",
    "{a: 1}", "{a: {b: [c]}}", "[[],[]]", "1,2", "a,b,c", "'a b'",
    '"a', "'", "\\", "\\'", "a=b", "=", "Größe", "心", "\x1b[31m", "\0", "\udcff",
    "\u202e", "1_000",
    "0x10", "1e3", "+1", "range(0,5)",
    "range(0,1e9)", "range(1,0)", "range(0,1,0)", "choice(1,2)",
    "choice()", "interval(0,1)", "glob(*)", "shuffle(1,2)", "sort(3,1)", "tag(a,1)", "int(1.5)",
    "float(x)", "str(1)", "${seed}", "${nope}", "${oc.env:NOPE}", "${oc.decode:'{'}",
    "${", "${${seed}}",
    "!!python/object:os.system", "&a", "*a", "- 1", "a: b", "9" * 400, "9" * 5000,
    "[" * 15 + "]" * 15, "[" * 2000, "x" * 2000, "a," * 150 + "a",
    "2024-01-01", "1:30", "yes", "[1,null]", "[nan]",
]  # fmt: skip
KEYS = [
    "",
    "=",
    "a",
    "hydra.run.dir",
    "data.tasks.murmur.column",
    "loss.task_weights.murmur",
    "é",
    "a b",
]


def words(rng: random.Random) -> list[str]:
    """One command line."""
    return [
        *BASE[: rng.choice([0, 2, 2, 2])],
        *(_word(rng) for _ in range(rng.choice([1, 1, 2, 4]))),
    ]


def _word(rng: random.Random) -> str:
    kind = rng.random()
    if kind < 0.2:
        name = rng.choice(sorted(groups()))
        return f"{name}={rng.choice([*groups()[name], rng.choice(VALUES)])}"
    key = rng.choice([*keys(), *KEYS]).replace("*", rng.choice(["murmur", "outcome", "x"]))
    key = rng.choice(["", "", "", "", "", "+", "++", "~"]) + key
    word = f"{key}={rng.choice(rng.choice([VALUES, VALUES[:14]]))}"
    if kind < 0.3:
        word = f"{key}={','.join(rng.choice(VALUES) for _ in range(3))}"
    if kind > 0.85:
        place = rng.randrange(len(word) + 1)
        word = (
            word[:place]
            + rng.choice("()[]{},='\"\\#&~$@:. \n\t心")
            + word[place + rng.randint(0, 1) :]
        )
    return word


def _config(line: Sequence[str]) -> None:
    for each in expand(line):
        compose(each).to_yaml()


def _compare(line: Sequence[str]) -> None:
    design([*line, "sched=onecycle,cosine"])


def _tune(line: Sequence[str]) -> None:
    Search.of(
        [*line, "optim.lr=1e-4,1e-3"],
        SearchOptions(objective="accuracy", sampler="tpe", n_trials=2),
    )


def _plan(line: Sequence[str]) -> None:
    values = [word.partition("=")[2] for word in line]
    plan.make_context("plan", ["--difference", values[-1], "--people", values[0]])


COMMANDS: dict[str, Callable[[Sequence[str]], None]] = {
    "config": _config, "compare": _compare, "tune": _tune, "plan": _plan,
}  # fmt: skip


def outcome(command: str, line: Sequence[str]) -> str:
    """What became of a command line, one of `OUTCOMES`; a traceback is printed."""
    started = time.process_time()
    found = "accepted"
    try:
        COMMANDS[command](line)
    except KfoldHsError as error:
        text = str(error)
        fits = len(text) <= LONGEST_MESSAGE and all(c.isprintable() or c in "\n\t" for c in text)
        found = "refused" if fits else "long message"
    except click.ClickException:
        found = "refused"
    except Exception:
        print(command, ascii(list(line))[:500], traceback.format_exc()[-1500:], flush=True)
        return "TRACEBACK"
    if time.process_time() - started > SLOW_S:
        print("slow:", command, ascii(list(line))[:500], flush=True)
        return "slow"
    return found


def campaign(n: int, seed: int) -> dict[str, Counter[str]]:
    """Counts of outcomes by command."""
    rng = random.Random(seed)
    found: dict[str, Counter[str]] = {command: Counter() for command in COMMANDS}
    for number in range(n):
        line = words(rng)
        for command in COMMANDS if number % 10 == 0 else ["config"]:
            found[command][outcome(command, line)] += 1
    return found


def table(found: dict[str, Counter[str]]) -> str:
    rows = [
        "| command | tried | " + " | ".join(OUTCOMES) + " |",
        "|---" * (len(OUTCOMES) + 2) + "|",
    ]
    for command, counts in found.items():
        cells = [f"{counts[name]:,}" for name in OUTCOMES]
        rows.append(f"| {command} | {counts.total():,} | " + " | ".join(cells) + " |")
    return "\n".join(rows)


def write(text: str) -> None:
    """Put the section between its markers, or at the end of the document."""
    document = DOCUMENT.read_text() if DOCUMENT.exists() else "# Reliability\n"
    if BEGIN not in document:
        document = f"{document.rstrip()}\n\n## Random configurations\n\n{BEGIN}\n{END}\n"
    before, _, rest = document.partition(BEGIN)
    DOCUMENT.write_text(f"{before}{BEGIN}\n{text}\n{END}{rest.partition(END)[2]}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("n", type=int, nargs="?", default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--write", action="store_true")
    asked = parser.parse_args()
    told = table(campaign(asked.n, asked.seed))
    print(told)
    if asked.write:
        write(
            "Lists of overrides made at random of all keys, groups, odd values, pieces of Hydra's "
            "grammar and\nmutations, up to before recordings are read; slow: above "
            f"{SLOW_S:g} s of the processor. Made by\n`python tests/robustness/configurations.py "
            f"{asked.n} --seed {asked.seed} --write`.\n\n{told}"
        )


if __name__ == "__main__":
    main()
