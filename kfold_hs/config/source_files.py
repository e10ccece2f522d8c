"""The source files of a module, and their digest."""

from __future__ import annotations

import ast
import hashlib
import inspect
import sys
import sysconfig
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kfold_hs.errors import ConfigError


def files_of(module: str) -> dict[str, Path]:
    """Source files of a module, of its package, and of what they import from beside it."""
    loaded = sys.modules.get(module.partition(".")[0])
    file = getattr(loaded, "__file__", None)
    if module == "__main__" or file is None or not Path(file).is_file():
        return {}
    top = Path(file)
    root = top.parent.parent if hasattr(loaded, "__path__") else top.parent
    libraries = {Path(sysconfig.get_path(each)) for each in ("purelib", "platlib", "stdlib")}
    found: dict[str, Path] = {}
    left = sorted(top.parent.rglob("*.py")) if hasattr(loaded, "__path__") else [top]
    while left:
        path = left.pop()
        name = path.relative_to(root).as_posix()
        if name in found:
            continue
        found[name] = path
        if root not in libraries:
            left += [each for other in _imported(path) for each in _beside(root, other)]
    return found


def _imported(path: Path) -> set[str]:
    """First names of what a file imports."""
    found = set()
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.partition(".")[0])
    return found


def _beside(root: Path, name: str) -> list[Path]:
    if (root / f"{name}.py").is_file():
        return [root / f"{name}.py"]
    if (root / name / "__init__.py").is_file():
        return sorted((root / name).rglob("*.py"))
    return []


def digest(files: Mapping[str, Path]) -> str:
    """Of files as they are now; "": there are none."""
    try:
        return digest_of({name: path.read_bytes() for name, path in files.items()})
    except OSError:
        return "gone"


def digest_of(contents: Mapping[str, bytes]) -> str:
    if not contents:
        return ""
    parts = [f"{name} {hashlib.sha256(contents[name]).hexdigest()}" for name in sorted(contents)]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def text_of(thing: Any) -> str:
    """Source of a class or function.

    Raises
    ------
    ConfigError
        It cannot be found, as that of what was typed at a prompt.
    """
    try:
        if not inspect.isclass(thing) or thing.__module__ != "__main__":
            return inspect.getsource(thing)
        # A cell of a notebook is no file: its functions know where their code is, classes do not.
        methods = [each for each in vars(thing).values() if inspect.isfunction(each)]
        return "".join(inspect.getsource(each) for each in methods)
    except (OSError, TypeError, SyntaxError) as error:
        raise ConfigError(
            f"the source of {getattr(thing, '__qualname__', thing)} cannot be found ({error}), so "
            "that nobody could tell whether it has changed: write it into a file NAME.py and give "
            "plugins=[NAME]."
        ) from error
