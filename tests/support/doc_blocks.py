"""The shell blocks of the documentation, and what can be said of a command without running it."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from kfold_hs.cli.main import cli
from kfold_hs.cli.options import leading_path
from kfold_hs.config.compose import compose, expand
from kfold_hs.config.sweep import design
from kfold_hs.workflows.search.spec import Search, SearchOptions

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
PROGRAM = "kfold-hs"

_FENCE = re.compile(
    r"^(?:<!-- not run: (?P<why>.+?) -->\n)?```(?P<language>\w*)\n(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
_SPAN = re.compile(r"(?<!`)`(kfold-hs [^`]+)`(?!`)")


@dataclass(frozen=True)
class Block:
    """A block of code: its page, line and language, and why it is not run, where it says so."""

    page: Path
    line: int
    language: str
    text: str
    why_not: str | None

    @property
    def place(self) -> str:
        return f"{self.page.name}:{self.line}"

    @property
    def is_shell(self) -> bool:
        """A block without a language is one where it shows our command."""
        return self.language in ("sh", "bash") or (
            not self.language and self.text.startswith(f"{PROGRAM} ")
        )

    @property
    def lines(self) -> list[list[str]]:
        """The words of every command; a line that ends with a backslash goes on."""
        joined = self.text.replace("\\\n", " ").splitlines()
        split = (shlex.split(line, comments=not line.startswith("#!")) for line in joined)
        return [words for words in split if words]


def blocks(page: Path) -> list[Block]:
    """Every block of a page."""
    text = page.read_text()
    return [
        Block(
            page, text.count("\n", 0, m.start("language")) + 1, m["language"], m["text"], m["why"]
        )
        for m in _FENCE.finditer(text)
    ]


def shell_blocks(*pages: Path) -> list[Block]:
    return [block for page in pages or PAGES for block in blocks(page) if block.is_shell]


def our_commands(block: Block) -> Iterator[list[str]]:
    """What a block asks `kfold-hs`, wherever it is in a line."""
    for words in block.lines:
        is_image = words[0] == "docker"  # its name, before a command or none
        if PROGRAM in words and not (is_image and words[1] == "build"):
            asked = words[words.index(PROGRAM) + 1 :]
            if asked or not is_image:
                yield asked


def spans(page: Path) -> Iterator[list[str]]:
    """Commands within sentences, such as `kfold-hs report RUN`."""
    text = _FENCE.sub("", page.read_text())
    for found in _SPAN.finditer(text):
        yield shlex.split(" ".join(found[1].split()))[1:]


def check(words: Sequence[str]) -> None:
    """Parse a command as click does, and compose every variant of its settings.

    Raises
    ------
    click.UsageError, KfoldHsError
        There is no such command, option, key or name; a value or argument does not fit.
    """
    name, command = words[0], cli.get_command(click.Context(cli), words[0])
    if command is None:
        raise click.UsageError(f"no such command: {name}")
    found = command.make_context(name, [*words[1:]]).params
    settings = tuple(word for key in ("overrides", "words") for word in found.get(key) or ())
    _, settings = leading_path(settings)
    if found.get("studies"):
        from kfold_hs.config.study import layered

        settings = tuple(layered(found["studies"], settings))
    if name == "compare" and all("=" in word for word in settings) and settings:
        design(settings, [])
    elif name == "tune" or found.get("nested"):
        Search.of(settings, _asked(found))
    else:
        for variant in expand([word for word in settings if "=" in word]):
            compose(variant)


def _asked(found: Mapping[str, Any]) -> SearchOptions:
    return SearchOptions(
        found["space"], found["objective"] or "accuracy", found["sampler"] or "tpe"
    )


def is_known(words: Sequence[str]) -> bool:
    """Whether a command within a sentence names a command and options that there are."""
    if not words or words[0] not in cli.commands:
        return words[:1] in (["--help"], ["--version"])
    params = cli.commands[words[0]].params
    options = {opt for each in params for opt in (*each.opts, *each.secondary_opts)}
    asked = {word.split("=")[0] for word in words if re.match(r"--?[a-z]", word)}
    return asked <= options | {"--help", "--debug", "-h"}


def fails(words: Sequence[str]) -> str | None:
    """What is wrong with a command, or nothing."""
    from kfold_hs.errors import KfoldHsError

    try:
        check(words)
    except (click.ClickException, KfoldHsError) as error:
        return getattr(error, "message", None) or str(error)
    return None
