"""What comes into a page where it says `<!-- generated: WHAT -->`, as MyST Markdown.

`settings`: every setting. `commands`: every command with its options. `python NAME NAME ...`:
these names of `kfold_hs`, or of a module (`kfold_hs.register.model`). `errors`: all of them.
"""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Callable, Iterator
from functools import cached_property
from typing import Any

import settings

import kfold_hs
from kfold_hs import errors, register, testing
from kfold_hs.cli.main import SECTIONS

MARK = re.compile(r"^<!-- generated: (\w+)(.*?) -->$", re.MULTILINE | re.DOTALL)
UNFILLED = re.compile(r"^> In a checkout .*\n(> .*\n)*\n?", re.MULTILINE)
"""What tells readers of the file alone where to look; the site has no need of it."""
OUTSIDE = re.compile(r"\[([^\[\]]+)\]\(\.\./([\w/]+\.md)\)")
"""A link to a page that is not of the site, such as CONTRIBUTING.md."""
PROGRAM = "kfold-hs"
BASES = ("kfold_hs.api.results.Results",)
"""What public classes share, without being a public name."""


def filled(text: str) -> str:
    """A page with the references in their places; pages of the repository alone are only named."""
    text = OUTSIDE.sub(r"\1 (`\2`)", UNFILLED.sub("", text))
    return MARK.sub(lambda match: KINDS[match[1]](match[2].split()), text)


def commands(_: list[str]) -> str:
    """A section for each command, by what a user wants to do."""
    parts = []
    for title, each in SECTIONS.items():
        parts.append(f"## {title}\n")
        for command in each:
            function = inspect.unwrap(command.callback)
            path = f"{function.__module__}:{function.__name__}"
            click = f".. click:: {path}\n   :prog: {PROGRAM} {command.name}\n   :nested: full\n"
            parts.append(f"```{{eval-rst}}\n{click}```\n")
    return "\n".join(parts)


def python(names: list[str]) -> str:
    """Directives of autodoc for names of the package."""
    return "\n".join(map(_directive, names))


def raised(_: list[str]) -> str:
    """Every error class."""
    return python([f"kfold_hs.errors.{name}" for name in error_names()])


KINDS: dict[str, Callable[[list[str]], str]] = {
    "settings": lambda _: settings.page(),
    "commands": commands,
    "python": python,
    "errors": raised,
}


def error_names() -> list[str]:
    """Error classes, as they stand in the module."""
    return [
        name
        for name, value in vars(errors).items()
        if inspect.isclass(value) and value.__module__ == errors.__name__
    ]


def public_names() -> list[str]:
    """Every public name with its module, less modules."""
    names = [f"kfold_hs.{name}" for name in kfold_hs.__all__]
    names = [name for name in names if not inspect.ismodule(found(name))]
    names = [name for name in names if not name.endswith(".KfoldHsError")] + [*BASES]
    names += [f"kfold_hs.register.{name}" for name in register.__all__]
    names += [
        f"kfold_hs.testing.{name}"
        for name, value in vars(testing).items()
        if not name.startswith("_") and getattr(value, "__module__", "") == testing.__name__
    ]
    return names + [f"kfold_hs.errors.{name}" for name in error_names()]


def found(name: str) -> Any:
    """The object of a dotted name that begins with kfold_hs."""
    value: Any = kfold_hs
    for k, part in enumerate(parts := name.split("."), start=1):
        if k > 1:
            value = getattr(value, part, None) or importlib.import_module(".".join(parts[:k]))
    return value


def members(kind: type) -> Iterator[tuple[str, Any]]:
    """Public methods and properties of a class, its own ones first.

    Those of other packages and of `BASES`, which are shown by themselves, are left out.
    """
    seen: set[str] = set()
    shown = {found(name) for name in BASES}
    for each in kind.__mro__:
        if not each.__module__.startswith("kfold_hs.") or (each in shown and each is not kind):
            continue
        for name, value in vars(each).items():
            is_method = isinstance(value, (property, cached_property, classmethod, staticmethod))
            if name.startswith("_") or name in seen or not (is_method or inspect.isfunction(value)):
                continue
            seen.add(name)
            yield name, value


def _directive(name: str) -> str:
    value = found(name)
    if not inspect.isclass(value):
        return f"```{{eval-rst}}\n.. autofunction:: {name}\n```\n"
    told = in_section("Attributes", value)
    chosen = [each for each, _ in members(value) if each not in told]
    shown = {found(each) for each in public_names()}
    options = "   :show-inheritance:\n" if shown & {*value.__mro__[1:]} else ""
    if chosen:
        options += f"   :members: {', '.join(chosen)}\n"
        if not set(chosen) <= set(vars(value)):
            options += "   :inherited-members:\n"
    return f"```{{eval-rst}}\n.. autoclass:: {name}\n{options}```\n"


def in_section(title: str, value: Any) -> set[str]:
    """Names that a section of a docstring describes; of a class, also those of its bases."""
    named: set[str] = set()
    for each in value.__mro__ if inspect.isclass(value) else (value,):
        text = inspect.cleandoc(each.__doc__ or "") if each.__module__.startswith("kfold") else ""
        section = re.search(rf"^{title}\n-+\n(.*?)(?=^\w+\n-+\n|\Z)", text, re.M | re.S)
        for head in re.findall(r"^[\w*].*$", section[1] if section else "", re.M):
            named |= {word.strip().lstrip("*") for word in head.split(" : ")[0].split(",")}
    return named
