"""Every shell block of the documentation: what it asks exists, and is understood."""

from __future__ import annotations

import configparser
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from support import doc_blocks
from support.doc_blocks import PROGRAM, ROOT, Block
from support.plugin_files import examples, importable

from kfold_hs.cli.main import cli

BLOCKS = doc_blocks.shell_blocks()
LIST = ROOT / "docs" / "commands.md"


@pytest.fixture(scope="module", autouse=True)
def folder_of_a_reader(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Where the plug-ins of docs/plugins.md and a study file lie."""
    folder = tmp_path_factory.mktemp("reader")
    for name, source in examples().items():
        (folder / name).write_text(source)
    (folder / "study.yaml").write_text("data: {kind: table, path: people.csv}\n")
    with importable(folder), pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        yield


@pytest.mark.parametrize("page", doc_blocks.PAGES, ids=lambda page: page.name)
def test_commands_of_a_page_parse_and_compose(page: Path) -> None:
    for block in doc_blocks.shell_blocks(page):
        for words in doc_blocks.our_commands(block):
            is_right = doc_blocks.is_known(words)
            if block.why_not is None:  # otherwise settings may name what is not here
                is_right = is_right and not doc_blocks.fails(words)
            assert is_right, f"{block.place}: {PROGRAM} {' '.join(words)}"
    for words in doc_blocks.spans(page):
        assert doc_blocks.is_known(words), f"{page.name}: {PROGRAM} {' '.join(words)}"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["runn"], "no such command"),
        (["run", "--fold", "3", "--wide"], "No such option"),
        (["run", "train.epoks=3"], "train.epoks"),
        (["compare", "sched=onecycle", "sched=cosin"], "cosin"),
        (["tune", "optim.lr=1e-4,fast"], "optim.lr"),
        (["predict"], "bundle"),
    ],
)
def test_a_wrong_command_would_be_seen(words: list[str], said: str) -> None:
    assert said in (doc_blocks.fails(words) or "")


def test_a_wrong_option_in_a_sentence_would_be_seen() -> None:
    assert doc_blocks.is_known(["report", "RUN"])
    assert not doc_blocks.is_known(["report", "RUN", "--pictures"])
    assert not doc_blocks.is_known(["reports", "RUN"])


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block.place)
def test_other_programs_of_a_block_are_ones_that_are_there(block: Block) -> None:
    for words in block.lines if block.why_not is None else ():
        if PROGRAM not in words:
            assert _is_there(words), f"{block.place}: {' '.join(words)}"


def _is_there(words: Sequence[str]) -> bool:
    """Whether a line's program is ours, and takes these words."""
    program, *rest = words
    if program == "make":
        targets = [word for word in rest if "=" not in word]
        return {*targets} <= _make_targets()
    if program in ("pip", "uv") and "install" in rest:
        extras = [name for word in rest for name in _extras_of(word)]
        return {*extras} <= _extras()
    if program == "python":
        return (ROOT / rest[0]).is_file() or rest[:2] == ["-m", "venv"]
    if program in (".", "source", "cd"):
        return len(rest) == 1
    return (ROOT / program).is_file()


def _make_targets() -> set[str]:
    return set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


def _extras_of(word: str) -> list[str]:
    match = re.fullmatch(r"(?:\.|kfold-hs)\[(.+)\]", word)
    return match[1].split(",") if match else []


def _extras() -> set[str]:
    metadata = configparser.ConfigParser()
    metadata.read(ROOT / "setup.cfg")
    return set(metadata["options.extras_require"])


def test_what_is_not_run_says_why() -> None:
    reasons = [block.why_not for block in BLOCKS if block.why_not is not None]
    assert reasons
    assert all(len(reason.split()) >= 3 for reason in reasons)


def test_every_command_is_in_the_list_of_commands() -> None:
    text = LIST.read_text()
    for name in cli.commands:
        assert re.search(rf"^{PROGRAM} {name}\b", text, re.MULTILINE), name
