"""notebooks/tour.ipynb runs from its first cell to its last."""

from __future__ import annotations

from pathlib import Path

import pytest

nbformat = pytest.importorskip("nbformat")
nbclient = pytest.importorskip("nbclient")
TOUR = Path(__file__).parents[2] / "notebooks" / "tour.ipynb"


@pytest.mark.slow  # what it calls is called by the code of docs/python.md and by Colab's notebook
@pytest.mark.filterwarnings("ignore")  # of the notebook's own packages
def test_the_tour_runs(tmp_path: Path) -> None:
    book = nbformat.read(TOUR, as_version=4)
    assert not any(cell.get("outputs") for cell in book.cells), "commit it without outputs"
    client = nbclient.NotebookClient(
        book, timeout=600, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}
    )
    client.execute()
    shown = [
        output["data"]["text/plain"]
        for cell in book.cells
        for output in cell.get("outputs", [])
        if "text/plain" in output.get("data", {})
    ]
    for kind in ("Cohort", "Report", "Checked", "ComparisonReport", "ValidationReport"):
        assert any(text.startswith(kind) for text in shown), kind
    pages = {path.name for path in tmp_path.glob("tour/reports/*/*.html")}
    assert pages >= {"report.html", "comparison.html", "validation.html"}
