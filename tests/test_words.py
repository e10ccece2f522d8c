"""Words: one meaning each, and standard terms only, in identifiers, messages and pages."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "kfold_hs"
TEMPLATES = sorted(
    path for suffix in ("*.j2", "*.html", "*.py.txt") for path in PACKAGE.rglob(suffix)
)

MODULES = {
    "ground": "inputs",
    "trying": "variant_runs",
    "showing": "a noun",
    "beside": "paired, comparison",
    "bench": "runner",
    "foresight": "cost",
    "rehearsal": "cost",
    "foreign": "imported",
    "swaps": "local_search",
    "copies": "near_duplicates",
    "obtain": "make",
    "sinks": "writers",
    "journal": "resume_log",
    "typical": "data_quality",
    "flips": "discordant",
    "tally": "counts",
    "budget": "variance_components",
    "racing": "pruning",
    "again": "reload",
    "outcome": "held_out",
    "front": "input_scaling",
    "pace": "optimizer",
    "pool": "aggregation",
    "telling": "predictive_covariates",
}
"""Names of modules that were given up -> what is used instead."""

CLASSES = {
    "Ground": "RunInputs",
    "Place": "FoldId",
    "Outer": "FoldId",
    "Listener": "Progress",
    "Terminal": "RichProgress",
    "Bench": "a runner",
    "Tried": "a result",
    "Ear": "AudioReader",
    "Watch": "PruningProgress",
    "Look": "InterimTest",
    "Rivals": "FinishedTrials",
    "Rehearsal": "TimingRun",
}

WORDS = {
    "told": "the noun it holds",
    "hear": "read, predict",
    "heard": "read",
    "foresee": "estimate",
    "foreseen": "estimated",
    "rehearse": "time",
    "rehearsal": "timing run",
    "foreign": "imported",
    "swaps": "exchanges",
    "obtain": "make",
    "sinks": "writers",
    "journal": "resume_log",
    "trying": "running",
    "ground": "inputs",
    "rivals": "finished trials",
    "tally": "counts",
    "listener": "progress",
}
"""Words of identifiers; `snake_case` and `CamelCase` are split into their words."""

TEXTS = {
    r"told worst": "highest loss",
    r"\btold\b": "say what is known",
    r"\bhear(s|d|ing)?\b": "trained on, recorded, read",
    r"\bstands? (there|twice|in it)\b": "occurs, is repeated",
    r"\bstands more than once\b": "occurs more than once",
    r"\bof which\b|\bof whom\b": "two sentences",
    r"\bas of\b": "see",
    r"\bforesee\w*": "estimate",
    r"\brehears\w*": "timing run",
    r"\bnobody's\b": "no person's",
    r"\bwhat (a run|it) stands on\b": "inputs",
    r"\bforeign\b": "imported",
    r"\bgoes on where\b|\bgo on with\b|\bgone on with\b": "continues",
    r"\btakes? part\b": "is used",
}
"""Patterns of messages, command help and pages; case does not matter."""

MODULE_FILES = sorted(PACKAGE.rglob("*.py"))


def identifiers(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """Names that a module defines, with their lines: classes, functions, parameters, variables."""
    for node in ast.walk(tree):
        if isinstance(node, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            yield node.name, node.lineno
        elif isinstance(node, ast.arg):
            yield node.arg, node.lineno
        elif isinstance(node, (ast.Name, ast.Attribute)) and isinstance(node.ctx, ast.Store):
            yield (node.id if isinstance(node, ast.Name) else node.attr), node.lineno


def words_of(name: str) -> list[str]:
    return [each.lower() for each in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", name)]


def texts(tree: ast.AST, is_command: bool) -> Iterator[tuple[str, int]]:
    """Texts of several words that a user may see; docstrings only where they are help."""
    hidden = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    if is_command:
        functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
        hidden -= {
            id(each.body[0].value) for each in functions if isinstance(each.body[0], ast.Expr)
        }
    for node in ast.walk(tree):
        text = ""
        if isinstance(node, ast.JoinedStr):
            hidden |= {id(each) for each in node.values}
            parts = [each.value for each in node.values if isinstance(each, ast.Constant)]
            text = "…".join(map(str, parts))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            text = "" if id(node) in hidden else node.value
        if " " in text:
            yield text, node.lineno


def faults() -> Iterator[tuple[str, str]]:
    """Every broken rule and its place."""
    for path in MODULE_FILES:
        place = str(path.relative_to(PACKAGE))
        if path.stem in MODULES:
            yield f"module {path.stem}", place
        tree = ast.parse(path.read_text())
        for name, line in identifiers(tree):
            if name in CLASSES:
                yield f"class {name}", f"{place}:{line}"
            for word in {*words_of(name)} & {*WORDS}:
                yield f"word {word}", f"{place}:{line} {name}"
        for text, line in texts(tree, is_command=place.startswith("cli/")):
            for pattern in TEXTS:
                if found := re.search(pattern, text, re.IGNORECASE):
                    yield f"text {pattern}", f"{place}:{line} {found[0]!r} in {text[:80]!r}"
    for path in TEMPLATES:
        place = str(path.relative_to(PACKAGE))
        shown = re.sub(r"\{[{%#].*?[}%#]\}", " ", path.read_text(), flags=re.DOTALL)
        for number, text in enumerate(shown.split("\n"), start=1):
            for pattern in TEXTS:
                if re.search(pattern, text, re.IGNORECASE):
                    yield f"text {pattern}", f"{place}:{number} {text.strip()[:80]!r}"


RULES = {
    f"{kind} {name}": instead
    for kind, names in (("module", MODULES), ("class", CLASSES), ("word", WORDS), ("text", TEXTS))
    for name, instead in names.items()
}


@pytest.fixture(scope="module")
def found() -> list[tuple[str, str]]:
    return list(faults())


@pytest.mark.parametrize("rule", RULES)
def test_an_old_word_is_not_used(found: list[tuple[str, str]], rule: str) -> None:
    places = [place for broken, place in found if broken == rule]
    assert not places, f"instead of {rule!r}, write: {RULES[rule]}"


def test_the_glossary_has_every_word_once_and_no_old_one() -> None:
    text = (ROOT / "docs" / "glossary.md").read_text()
    rows = re.findall(r"^\| (.+?) \| (.+?) \|$", text, re.MULTILINE)
    words = [each for word, _ in rows if word != "word" for each in word.split(", ")]
    assert len(words) == len(set(words)) > 100
    assert not [pattern for pattern in TEXTS if re.search(pattern, text, re.IGNORECASE)]
