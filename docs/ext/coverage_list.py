"""What of the public names, commands, options and settings is documented.

`of_code` looks for texts where the code is, and needs no Sphinx; `of_site` looks for each in the
site that was built.
"""

from __future__ import annotations

import inspect
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import click
import reference
import settings

from kfold_hs.cli.main import cli


class Item(NamedTuple):
    """One thing that a user can name: its kind, its name in an inventory, whether a text says
    what it is.
    """

    kind: str
    name: str
    is_told: bool


def of_code() -> list[Item]:
    """Everything there is to document."""
    return [*_python(), *_commands(), *_settings()]


def _python() -> Iterator[Item]:
    for name in reference.public_names():
        value = reference.found(name)
        yield Item("name", name, bool(value.__doc__))
        yield from _parameters(name, value, value)
        if not inspect.isclass(value):
            continue
        told = reference.in_section("Attributes", value)
        for member, attribute in reference.members(value):
            text = getattr(attribute, "__doc__", None)
            yield Item("member", f"{name}.{member}", member in told or bool(text))
            function = getattr(attribute, "__func__", attribute)
            if inspect.isfunction(function):
                yield from _parameters(f"{name}.{member}", function, function)


def _parameters(name: str, value: Any, told_by: Any) -> Iterator[Item]:
    """What a call takes; of a class, what making one takes."""
    named = reference.in_section("Parameters", told_by)
    if inspect.isclass(value):
        if value.__init__ is object.__init__ or issubclass(value, Exception):
            return
        named |= reference.in_section("Attributes", told_by)  # of what is not made by hand
    for parameter in inspect.signature(value).parameters.values():
        if parameter.name not in ("self", "cls") and not parameter.name.startswith("_"):
            wanted = _keywords(value, parameter) or {parameter.name}
            yield Item("parameter", f"{name}({parameter.name})", wanted <= named)


def _keywords(value: Any, parameter: inspect.Parameter) -> set[str]:
    """The names that `**options: Unpack[...]` stands for."""
    match = re.fullmatch(r"Unpack\[(\w+)\]", str(parameter.annotation))
    return set(value.__globals__[match[1]].__annotations__) if match else set()


def _commands() -> Iterator[Item]:
    for name, command in cli.commands.items():
        yield Item("command", name, bool(command.help and command.short_help))
        for each in command.params:
            if isinstance(each, click.Option) and not each.hidden:
                yield Item("option", f"{name} {max(each.opts, key=len)}", bool(each.help))


def _settings() -> Iterator[Item]:
    missing = set(settings.undocumented())
    for key in settings.all_keys():
        yield Item("setting", key, key not in missing)


def of_site(folder: Path) -> tuple[str, list[str]]:
    """A table of counts, and what is missing in the site that lies in a folder."""
    from sphinx.util.inventory import InventoryFile

    inventory = InventoryFile.loads((folder / "objects.inv").read_bytes(), uri="")
    known = {kind: set(names) for kind, names in inventory.data.items()}
    python = {name for kind, names in known.items() if kind.startswith("py:") for name in names}
    options = {" ".join(name.rsplit(".", 1)) for name in known["std:cmdoption"]}
    page = (folder / "commands.html").read_text()

    def is_shown(item: Item) -> bool:
        if item.kind == "setting":
            return item.name in known["std:confval"]
        if item.kind == "command":
            return f'id="{reference.PROGRAM}-{item.name}"' in page
        if item.kind == "option":
            return f"{reference.PROGRAM}-{item.name}" in options
        name = item.name.partition("(")[0]
        owner, _, member = name.rpartition(".")
        return name in python or (owner in python and member in _told(owner))

    items = of_code()
    missing = [
        f"{each.kind} {each.name}" for each in items if not (each.is_told and is_shown(each))
    ]
    return table(items, missing), missing


def _told(owner: str) -> set[str]:
    value = reference.found(owner)
    return reference.in_section("Attributes", value) if inspect.isclass(value) else set()


def table(items: list[Item], missing: list[str]) -> str:
    """How many of each kind there are, and are documented."""
    counts, gaps = Counter(each.kind for each in items), Counter(m.split()[0] for m in missing)
    rows = [f"  {kind + 's':12}{n - gaps[kind]:5} of {n}" for kind, n in counts.items()]
    return "\n".join(["Documented:", *rows])
