"""docs/python.md: its blocks are run as they are printed, one after another."""

from __future__ import annotations

import html
import linecache
import re
from pathlib import Path
from typing import Any

import pytest
from support.plugin_files import importable

import kfold_hs

PAGE = Path(__file__).parents[2] / "docs" / "python.md"


@pytest.mark.slow
def test_the_blocks_of_the_page_run_as_they_stand(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {"__name__": "__main__"}
    with importable(tmp_path):
        for k, block in enumerate(re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)):
            # As in a notebook, whose cells have a source and no file.
            cell = f"<cell {k}>"
            linecache.cache[cell] = len(block), None, block.splitlines(keepends=True), cell
            exec(compile(block, cell, "exec"), names)
    assert "Did you mean 'train.epochs'?" in capsys.readouterr().out
    report, scores = names["report"], names["scores"]
    # Calls find what others left: of all that the page runs, three configurations were trained.
    assert len(list((tmp_path / "checkpoints").glob("*/r0-s0-f0"))) == 3
    own = report.predictions.set_index("patient_id")["p.outcome.Abnormal"]
    assert scores.set_index("patient_id")["p.outcome.Abnormal"].to_dict() == own.to_dict()
    page = re.sub("<[^>]+>", "", (tmp_path / "report.html").read_text())
    assert report.summary.headline.sentence in html.unescape(page)
    assert set(names["comparison"].reports) == {"onecycle", "cosine"}


def test_every_public_name_is_on_the_page_and_has_a_docstring() -> None:
    text = PAGE.read_text()
    results = {"Report", "ComparisonReport", "SearchReport", "ValidationReport", "Models"}
    results |= {"Task", "errors"}
    for name in kfold_hs.__all__:
        assert getattr(kfold_hs, name).__doc__
        assert f"kf.{name}" in text or name in results
