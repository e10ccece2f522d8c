"""In a notebook: a bar while a call works, a card at its end, the stop button."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import kfold_hs as kf

nbformat = pytest.importorskip("nbformat")
nbclient = pytest.importorskip("nbclient")


def outputs(cells: list[str], folder: Path) -> list[list[dict[str, Any]]]:
    """What the cells of a notebook show when a kernel has run them."""
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(each) for each in cells])
    client = nbclient.NotebookClient(
        book, timeout=300, kernel_name="python3", resources={"metadata": {"path": str(folder)}}
    )
    client.execute()
    return [cell.outputs for cell in book.cells]


WORK = """
from kfold_hs.api.progress import watching
from kfold_hs.files.paths import FoldId
with watching(None) as progress:
    progress.stage("recordings")
    progress.step(2, 2)
    progress.note("1 <odd> recording")
    progress.training(2, 3)
    progress.fold(FoldId(0, 0, 0), "found")
    progress.fold(FoldId(0, 0, 1), "start")
    for epoch in range(3):
        progress.epoch(FoldId(0, 0, 1), {"epoch": epoch, "train_loss": 1, "val_loss": 2})
    progress.fold(FoldId(0, 0, 1), "done")
    SHOW
"""


@pytest.mark.filterwarnings("ignore")  # of the notebook's own packages
def test_a_cell_shows_a_bar_and_then_the_card(report: kf.Report, place: Path) -> None:
    asked = f"import kfold_hs as kf\nkf.read_report({str(report.folder)!r})"
    until = "import IPython; bar = progress._handle; kept = progress._done, progress._total"
    found = outputs([asked, WORK.replace("SHOW", until), "print(kept)"], place)
    assert "reports/tiny/report.html" in found[0][0]["data"]["text/html"]
    assert "Report tiny" in found[0][0]["data"]["text/plain"]
    (bar,) = found[1]  # one output, drawn anew; at the end the notes are left
    assert bar["data"]["text/html"] == "<div><small>1 &lt;odd&gt; recording</small></div>"
    assert found[2][0]["text"] == "(6, 6)\n"


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_the_stop_button_leaves_a_call_that_continues(place: Path, tiny: dict[str, Any]) -> None:
    cells = [
        "import kfold_hs as kf, pandas as pd, os, signal, threading\n"
        'cohort = kf.Cohort.from_frame(pd.read_csv("table.csv"), "outcome", person="person")\n'
        f'options = {{"name": "notebook", "jobs": 2, **{tiny!r}, "epochs": 30}}\n'
        'options["train"]["epochs"] = options.pop("epochs")',
        "threading.Timer(20, os.kill, (os.getpid(), signal.SIGINT)).start()\n"
        "try:\n    kf.cross_validate(cohort, **options)\n"
        "except KeyboardInterrupt as stop:\n    print(stop.__notes__[0])",
        "kf.cross_validate(cohort, **options)",
    ]
    found = outputs(cells, place)
    assert "Accuracy" in found[2][-1]["data"]["text/html"]
