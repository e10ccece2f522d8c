"""A stand-in for Google Colab: its modules, which write down what is asked of them."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

nbformat = pytest.importorskip("nbformat")
NOTEBOOK = Path(__file__).parents[2] / "notebooks" / "colab.ipynb"

_SAID = """
import json, os
from pathlib import Path

def said(*what):
    with open(os.environ["COLAB_SAID"], "a") as file:
        file.write(json.dumps(what) + "\\n")
"""
_MODULES = {
    "__init__": "",
    "said": _SAID,
    "drive": """
from google.colab.said import *

def mount(point):
    said("mount", point)
    Path(point).mkdir(exist_ok=True)
    (Path(point) / "MyDrive").symlink_to(os.environ["COLAB_DRIVE"])

def flush_and_unmount():
    said("flush_and_unmount")
""",
    "files": """
from google.colab.said import *

def upload():
    raise AssertionError("nobody is there to choose a file")

def download(path):
    said("download", path)
    assert Path(path).is_file()
""",
}


def stand_in(folder: Path) -> dict[str, str]:
    """Write the modules into a folder; the environment with which a kernel finds them.

    `google` stays a namespace package, since protobuf has a part of it.
    """
    place = folder / "modules/google/colab"
    place.mkdir(parents=True)
    for name, text in _MODULES.items():
        (place / f"{name}.py").write_text(text)
    (folder / "drive").mkdir()
    board = folder / "tensorboard"  # the one of this Python, wherever its programs lie
    board.write_text(f"#!{sys.executable}\nfrom tensorboard.main import run_main\nrun_main()\n")
    board.chmod(0o755)
    return {
        "TENSORBOARD_BINARY": str(board),
        "PYTHONPATH": str(folder / "modules"),
        "COLAB_SAID": str(folder / "said"),
        "COLAB_DRIVE": str(folder / "drive"),
        "TMPDIR": str(folder),  # where TensorBoard notes its processes
    }


def said(folder: Path) -> list[list[str]]:
    """What the notebook asked of Colab."""
    return [json.loads(line) for line in (folder / "said").read_text().splitlines()]


def cells() -> dict[str, Any]:
    """The notebook's cells of code, by the words of the heading above: "Drive", "Install" ...

    A second cell below a heading has a 2 behind them.
    """
    found, title = {}, ""
    for cell in nbformat.read(NOTEBOOK, as_version=4).cells:
        if cell.cell_type == "markdown" and cell.source.startswith("## "):
            title = cell.source.splitlines()[0].lstrip("# 0123456789.")
        elif cell.cell_type == "code":
            found[title if title not in found else f"{title} 2"] = cell
    return found
