"""The storeys of the house: arrows point down, and judge/ and report/ need no torch."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "kfold_hs"

# A folder may import itself and what its row names, and nothing else.
GROUND = {"errors", "files", "config"}
ALLOWED = {
    "errors": set(),
    "openmp": set(),
    "files": {"errors"},
    "config": {"errors", "files"},
    "cohort": GROUND,
    "predictions": GROUND | {"cohort"},
    "splits": GROUND | {"cohort", "predictions"},
    "learn": GROUND | {"cohort", "predictions"},
    "judge": GROUND | {"cohort", "predictions"},
    "report": GROUND | {"predictions", "judge"},
    "orchestrator": GROUND | {"cohort", "predictions", "splits", "learn", "openmp"},
    "bundle": GROUND | {"cohort", "predictions", "splits", "learn", "judge", "orchestrator"},
    "workflows": GROUND
    | {"cohort", "predictions", "splits", "learn", "judge", "report", "bundle", "orchestrator"},
    "register": GROUND | {"judge"},
    "testing": GROUND | {"learn", "bundle", "orchestrator", "predictions", "workflows", "register"},
    "cli": GROUND | {"splits", "judge", "orchestrator", "workflows"},
    "api": GROUND
    | {"cohort", "predictions", "splits", "judge", "report", "bundle", "orchestrator", "workflows"}
    | {"learn", "register"},
    "__init__": {"openmp", "errors", "cohort", "api", "splits", "register", "testing"},
}
# Rooms of a folder: each needs only those right of it.
ROOMS = {
    "judge": ("results", "selection", "stats", "metrics"),
    "learn": ("training", "tracking", "prediction", "frames", "models", "data", "features"),
    "cohort": ("readers", "synthetic"),
}
WITHOUT_TORCH = {"judge", "report", "cohort", "splits", "predictions", "config", "files"}
FORBIDDEN = {"torch", "timm", "click", "torchaudio", "torchvision"}
MODULES = sorted(PACKAGE.rglob("*.py"))


def imports(path: Path) -> list[str]:
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            found += [f"{node.module}.{alias.name}" for alias in node.names]
    return found


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_point_down(path: Path) -> None:
    here = path.relative_to(PACKAGE).with_suffix("").parts
    for name in imports(path):
        words = name.split(".")
        is_free = here[0] not in WITHOUT_TORCH or words[0] not in FORBIDDEN
        assert is_free, f"{here[0]} may not import {name}"
        if words[0] != "kfold_hs" or words[1] == "__version__":
            continue
        assert words[1] in ALLOWED[here[0]] | {here[0]}, f"{here[0]} may not import {name}"
        if words[1] == here[0]:
            assert height(words[1:]) <= height(here), f"{'.'.join(here)} may not import {name}"


def height(module: Sequence[str]) -> int:
    """How high the room of a module is in its folder; what has no room is the ground of all."""
    rooms = ROOMS.get(module[0], ())
    return len(rooms) - rooms.index(module[1]) if module[1:] and module[1] in rooms else 0


def test_a_module_is_one_noun() -> None:
    long = {str(p): n for p in MODULES if (n := len(p.read_text().splitlines())) > 420}
    assert not long


def test_importing_loads_no_torch() -> None:
    code = """
import importlib, sys
modules = ("cli.main", "cli.tables", "report.run_page", "judge.results.run")
for module in (*modules, "workflows.evaluation", "workflows.table_comparison"):
    importlib.import_module(f"kfold_hs.{module}")
    assert "torch" not in sys.modules, module
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
