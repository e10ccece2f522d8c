"""docs/tutorial.md, as a newcomer types it: every block, in its order, with its own settings.

python -m pytest -m slow tests/docs/test_tutorial.py
"""

from __future__ import annotations

import json
import re
import shlex
import shutil
from pathlib import Path

import pytest
from support import doc_blocks
from support.doc_blocks import PROGRAM, ROOT
from support.project import kfold_hs

PAGE = ROOT / "docs" / "tutorial.md"


@pytest.mark.slow  # ten minutes of a newcomer are some here, too
@pytest.mark.timeout(7200)
def test_the_blocks_of_the_tutorial_run_as_they_stand(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    said = {}
    for block in doc_blocks.blocks(PAGE):
        if block.language == "python":
            exec(compile(block.text, block.place, "exec"), {"__name__": "__main__"})
        for words in block.lines if block.is_shell else ():
            if words[0] == "cd":
                monkeypatch.chdir(words[1])
                continue
            assert words[0] == PROGRAM, shlex.join(words)
            done = kfold_hs(*words[1:], cwd=Path.cwd())
            assert done.returncode == 0, f"{shlex.join(words)}: {done.stderr}"
            said[shlex.join(words[1:])] = done.stdout

    folder = tmp_path / "clinic"
    summary = json.loads((folder / "reports" / "first" / "summary.json").read_text())
    assert summary["cohort"]["n_patients"] == 60
    assert (folder / "reports" / "first" / "report.html").is_file()
    shown = next(text for text in said.values() if "Looked at" in text)
    # What the page shows of it are lines of it.
    (quoted,) = re.findall(r"^```\n(Looked at.*?)^```$", PAGE.read_text(), re.M | re.S)
    assert not [line for line in quoted.splitlines() if line.strip() != "..." and line not in shown]
    rows = (folder / "predictions.csv").read_text().splitlines()
    assert len(rows) == 61
    shutil.rmtree(folder)
