"""The floors of the house: arrows point down, and judge/ needs no torch."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "kfold_hs"

# A part may import itself, its own floor's lower neighbours as listed, and nothing else.
GROUND = {"errors", "atomic", "paths", "stored", "cache", "names", "walk"}
SETTINGS = GROUND | {"settings", "overrides", "config"}
ALLOWED = {
    "errors": set(),
    "names": set(),
    "openmp": set(),
    "atomic": {"errors"},
    "paths": {"errors", "atomic"},
    "stored": {"errors", "atomic"},
    "cache": {"errors", "atomic", "stored"},
    "walk": {"errors"},
    "settings": {"errors", "names"},
    "overrides": {"errors", "settings"},
    "config": GROUND | {"overrides", "settings"},
    "space": SETTINGS,
    "variants": SETTINGS,
    "cohort": SETTINGS,
    "predictions": GROUND,
    "splits": SETTINGS | {"cohort"},
    "pool": set(),
    "learn": SETTINGS | {"pool", "cohort", "predictions"},
    "judge": SETTINGS | {"pool", "cohort", "predictions"},
    "fleet": SETTINGS | {"cohort", "predictions", "splits", "learn", "openmp"},
    "runs": SETTINGS | {"predictions", "splits"},
    "judgement": SETTINGS | {"cohort", "predictions", "splits", "runs", "judge"},
    "ground": SETTINGS | {"cohort", "splits", "learn"},
    "experiment": SETTINGS
    | {"space", "cohort", "predictions", "splits", "runs", "learn", "judge", "judgement", "fleet"}
    | {"ground", "showing"},
    "reporting": SETTINGS | {"judge", "experiment"},
    "gallery": SETTINGS | {"cohort", "predictions", "splits", "learn", "judge", "fleet"},
    "showing": SETTINGS
    | {"cohort", "predictions", "splits", "runs", "ground", "learn", "judge", "gallery"},
    "cli_gallery": {"experiment", "showing", "terminal", "cli_options"},
    "ship": SETTINGS | {"pool", "cohort", "predictions", "splits", "learn", "judge"},
    "shipping": SETTINGS | {"splits", "runs", "ground", "learn", "ship"},
    "serve": SETTINGS | {"cohort", "predictions", "learn", "ship"},
    "refit": SETTINGS
    | {"cohort", "predictions", "splits", "runs", "ground", "learn", "judge", "fleet", "ship"},
    "serving": SETTINGS | {"learn", "ship", "serve"},
    "challenge_entry": SETTINGS
    | {"cohort", "ground", "learn", "judge", "ship", "experiment", "shipping"},
    "terminal_numbers": set(),
    "terminal": {"errors", "terminal_numbers"},
    "terminal_tune": {"terminal_numbers"},
    "terminal_refit": set(),
    "trying": SETTINGS
    | {"predictions", "ground", "variants", "learn", "judge", "fleet", "experiment"},
    "comparing": SETTINGS
    | {"runs", "ground", "variants", "learn", "judge", "fleet"}
    | {"experiment", "trying"},
    "faults": GROUND | {"fleet"},
    "search": SETTINGS | {"space", "variants"},
    "trials": GROUND,
    "study": SETTINGS | {"space", "trials"},
    "racing": SETTINGS | {"predictions", "ground", "variants", "trying", "judge"},
    "tuning": SETTINGS
    | {"predictions", "runs", "space", "ground", "variants", "learn", "judge"}
    | {"fleet", "trying", "search", "trials", "study", "racing", "faults"},
    "nesting": SETTINGS
    | {"predictions", "splits", "ground", "variants", "learn", "judge", "fleet"}
    | {"experiment", "judgement", "trying", "search", "tuning"},
    "cli_tune": {"fleet", "tuning", "search", "terminal", "terminal_tune", "cli_options"},
    "foresight": SETTINGS | {"ground", "learn", "fleet", "experiment"},
    "cli_options": {"fleet"},
    "cli_foresight": {"foresight", "fleet", "settings", "terminal"},
    "cli_compare": {"comparing", "fleet", "cli_foresight", "variants", "terminal", "cli_options"},
    "cli_lr_find": {"config", "experiment", "terminal", "cli_options"},
    "cli_plan": {"errors", "experiment", "terminal"},
    "cli_report": {"reporting", "terminal", "terminal_tune", "cli_options"},
    "cli_score": {"judge"},
    "cli_ship": {"config", "challenge_entry", "shipping", "refit", "terminal", "cli_options"}
    | {"terminal_refit"},
    "cli_serve": {"serving", "cli_options"},
    "cli": SETTINGS
    | {"experiment", "ground", "terminal", "splits", "cli_options", "cli_compare", "cli_plan"}
    | {"fleet", "cli_foresight", "cli_gallery", "cli_lr_find", "cli_report"}
    | {"cli_score", "cli_serve", "cli_ship", "cli_tune", "nesting", "search"}
    | {"terminal_tune"},
    "__init__": {"openmp"},
}
FORBIDDEN = {
    "judge": {"torch", "timm", "click", "torchaudio", "torchvision"},
    "cohort": {"torch", "timm", "click"},
    "splits": {"torch", "timm", "click"},
}
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
    part = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    for name in imports(path):
        words = name.split(".")
        if words[0] == "kfold_hs" and len(words) > 1 and words[1] != "__version__":
            assert words[1] in ALLOWED[part] | {part}, f"{part} may not import {name}"
        assert words[0] not in FORBIDDEN.get(part, set()), f"{part} may not import {name}"


def test_every_module_is_small_enough_to_read() -> None:
    long = {str(p): n for p in MODULES if (n := len(p.read_text().splitlines())) > 350}
    assert not long


def test_importing_loads_no_torch() -> None:
    code = """
import importlib, sys
for module in ("cli", "terminal", "judge.report", "judge.summary"):
    importlib.import_module(f"kfold_hs.{module}")
    assert "torch" not in sys.modules, module
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
