"""Where a plug-in's module is, by the name that a user gives; and its import from a file."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import re
import sys
from pathlib import Path

from kfold_hs.errors import ConfigError

GROUP = "kfold_hs.plugins"
"""Of the entry points of installed plug-ins."""


def installed() -> dict[str, str]:
    """Entry points of installed plug-ins: name -> module."""
    return {e.name: e.value for e in importlib.metadata.entry_points(group=GROUP)}


def module_of(name: str) -> tuple[str, Path | None]:
    """Name of the module, and its file where one was given."""
    if name.endswith(".py"):
        path = Path(name)
        if not path.is_file():
            raise ConfigError(f"plugins={name} does not exist (from {Path.cwd()}).")
        if not path.stem.isidentifier():
            better = re.sub(r"\W", "_", path.stem)
            raise ConfigError(
                f"plugins={name}: {path.stem!r} cannot be the name of a module. Rename the file, "
                f"e.g. {better if better.isidentifier() else f'my_{better}'}.py."
            )
        return path.stem, path.resolve()
    if name in sys.stdlib_module_names and Path(f"{name}.py").is_file():
        raise ConfigError(
            f"plugins={name}: Python has a module {name} of its own, which would be imported. "
            f"Rename {name}.py."
        )
    name = installed().get(name, name)
    if not all(part.isidentifier() for part in name.split(".")):
        raise ConfigError(
            f"plugins={name[:80]!r} does not fit: the name of a module, e.g. my_module, or a file, "
            "e.g. nets/my_module.py."
        )
    return name, None


def import_file(module: str, path: Path) -> None:
    """Import a file under its own name; what lies beside it can be imported by it."""
    if (known := sys.modules.get(module)) is not None:
        if getattr(known, "__file__", None) == str(path):
            return
        raise ConfigError(
            f"plugins={path}: another module is called {module} already "
            f"({getattr(known, '__file__', 'built in')}). Rename the file."
        )
    if str(path.parent) not in sys.path:
        sys.path.append(str(path.parent))
    spec = importlib.util.spec_from_file_location(module, path)
    assert spec is not None
    assert spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    sys.modules[module] = made
    try:
        spec.loader.exec_module(made)
    except BaseException:
        del sys.modules[module]
        raise
