"""Plug-ins as files: those of docs/plugins.md, and a folder to import them from."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from kfold_hs.config import plugins

DOCS = Path(__file__).parent.parent.parent / "docs" / "plugins.md"
_BLOCK = re.compile(r"```(python|sh)\n(.*?)```", re.DOTALL)


def examples() -> dict[str, str]:
    """Name of the file -> its source, of every example in the documentation."""
    found = {}
    for kind, text in _BLOCK.findall(DOCS.read_text()):
        if kind == "python" and text.startswith("# my_"):
            found[text.split("\n", 1)[0].removeprefix("# ")] = text.split("\n", 1)[1]
    return found


def commands() -> list[str]:
    """The `kfold-hs run` lines of the documentation."""
    lines = [
        line.removeprefix("kfold-hs ")
        for kind, text in _BLOCK.findall(DOCS.read_text())
        for line in text.splitlines()
        if kind == "sh" and line.startswith("kfold-hs run plugins=")
    ]
    return list(dict.fromkeys(lines))


@contextmanager
def importable(folder: Path) -> Iterator[None]:
    """What tests import from a folder is forgotten: the next one may call a module alike."""
    path, modules = [*sys.path], {*sys.modules}
    rows = {name: dict(registry) for name, registry in plugins.REGISTRIES.items()}
    kept = dict(plugins._loaded), dict(plugins._faults)
    sys.path.append(str(folder))
    try:
        yield
    finally:
        sys.path[:] = path
        for name in {*sys.modules} - modules:
            if str(folder) in str(getattr(sys.modules[name], "__file__", "")):
                del sys.modules[name]
        for name, registry in plugins.REGISTRIES.items():
            registry.clear()
            registry.update(rows[name])
        for state, before in zip((plugins._loaded, plugins._faults), kept, strict=True):
            state.clear()  # type: ignore[attr-defined]
            state.update(before)  # type: ignore[arg-type]
        plugins.forget()
