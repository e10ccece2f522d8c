"""notebooks/colab.ipynb: what Colab would run, a session that is lost, errors with a way out."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import sys
import types
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from support.api import TASKS
from support.colab import NOTEBOOK, cells, nbformat, said, stand_in
from support.commands import Child
from support.project import write_table

import kfold_hs as kf

nbclient = pytest.importorskip("nbclient")
LOSING = """
from kfold_hs.orchestrator.progress import NullProgress

class Losing(NullProgress):
    def epoch(self, fold, row):
        if fold.fold == 1:
            import os, signal
            from kfold_hs.files.folder_copy import FolderCopy
            FolderCopy(Path("runs").absolute(), COPY).save()  # the five minutes are over
            os.kill(os.getpid(), signal.SIGKILL)

SETTINGS["progress"] = Losing()
"""


def execute(book: Any, folder: Path) -> Any:
    folder.mkdir()
    client = nbclient.NotebookClient(
        book, timeout=600, kernel_name="python3", resources={"metadata": {"path": str(folder)}}
    )
    client.execute()
    return book


def lose(colab: Path, choices: str) -> None:
    """A session that ends in the second fold: its cells by themselves, as a kernel runs them."""
    parts = cells()
    begun = [parts[name].source for name in ("Drive", "Install", "The GPU", "Recordings")]
    train = parts["Train every fold, and report"].source
    path = "import os, sys\nsys.path.insert(0, os.environ['PYTHONPATH'])"
    script = colab / "lost.py"
    words = [path, parts["Your choices"].source, choices, *begun, LOSING, train]
    script.write_text("\n".join(words))
    (colab / "first").mkdir()
    session = Child([], colab / "first", script)
    _, told = session.communicate()
    assert session.returncode == -signal.SIGKILL, told


@pytest.fixture
def colab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A folder with the stand-in, which kernels will find; TensorBoard is ended afterwards."""
    for name, value in stand_in(tmp_path).items():
        monkeypatch.setenv(name, value)
    yield tmp_path
    for note in tmp_path.glob(".tensorboard-info/pid-*.info"):
        with contextlib.suppress(ProcessLookupError):
            os.kill(json.loads(note.read_text())["pid"], signal.SIGTERM)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of the notebook's own packages
def test_a_lost_session_is_continued_by_run_all(
    colab: Path, report: kf.Report, tiny: dict[str, Any]
) -> None:
    (colab / "mine").mkdir()
    write_table(colab / "mine")
    shutil.make_archive(str(colab / "drive/mine"), "zip", colab, "mine")
    more = {"path": "table.csv", "person_column": "person", "tasks": TASKS}
    mine = f'DATA, KIND, MORE = "drive/MyDrive/mine.zip", "table", {more!r}\nSETTINGS = {tiny!r}'
    choices = nbformat.v4.new_code_cell(mine)
    lose(colab, mine)

    book = nbformat.read(NOTEBOOK, as_version=4)
    assert not any(cell.get("outputs") for cell in book.cells), "commit it without outputs"
    at = next(i for i, cell in enumerate(book.cells) if cell.source.startswith("SOURCE"))
    book.cells.insert(at + 1, choices)
    execute(book, colab / "second")

    (run,) = (colab / "second/runs/reports").glob("*/report.html")
    again = kf.read_report(run.parent)
    pd.testing.assert_frame_equal(again.predictions, report.predictions)
    seconds = again.history.groupby("fold")["seconds"].first()
    before = pd.read_csv(next((colab / "first/runs/checkpoints").glob("*/r0-s0-f0/history.csv")))
    assert seconds[0] == pytest.approx(before["seconds"][0])  # fold 0 was not trained again

    asked = said(colab)
    assert [what[0] for what in asked] == ["mount"] * 2 + ["download"] * 3 + ["flush_and_unmount"]
    kept = {path.name for path in (colab / "drive/kfold-hs" / again.name).iterdir()}
    assert kept >= {"best_model.pt", "report.html", f"bundle-{again.name}.zip"}
    shown = "".join(
        output.get("text", "") + "".join(output.get("data", {}).values())
        for cell in book.cells
        for output in cell.get("outputs", [])
    )
    for text in ("No GPU", "colab.kernel.proxyPort", "srcdoc=", "The page</a>", "fold {'repeat'"):
        assert text in shown, text


def run_cell(name: str, **values: Any) -> dict[str, Any]:
    """A cell's code in this process, after the choices as they stand and `values`."""
    names: dict[str, Any] = {}
    exec(cells()["Your choices"].source, names)
    exec("from pathlib import Path\ncolab = COPY = None", names)
    names |= values
    exec(cells()[name].source, names)
    return names


def test_without_drive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert run_cell("Drive")["COPY"] is None  # not on Colab

    def refuse(_: str) -> None:
        raise ValueError("mount failed")

    modules = {name: types.ModuleType(f"google.colab.{name}") for name in ("drive", "files")}
    modules["drive"].mount = refuse  # type: ignore[attr-defined]
    colab = types.ModuleType("google.colab")
    colab.__dict__.update(modules)
    google = types.ModuleType("google")
    google.colab = colab  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "google", google)
    monkeypatch.setitem(sys.modules, "google.colab", colab)
    with pytest.raises(RuntimeError, match=r"mount failed.*Run this cell again.*DRIVE_FOLDER"):
        run_cell("Drive")
    assert run_cell("Drive", DRIVE_FOLDER="")["COPY"] is None


def test_recordings_that_are_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "drive/MyDrive").mkdir(parents=True)
    (tmp_path / "drive/MyDrive/other.zip").touch()
    for wrong in ("drive/MyDrive/mine.zip", "drive/MyDrive/deep/mine.zip"):
        with pytest.raises(FileNotFoundError, match=r"mine.zip.*MyDrive holds: other.zip"):
            run_cell("Recordings", DATA=wrong)
    for wrong in ("lost.zip", "upload"):  # the dialog is Colab's
        with pytest.raises(FileNotFoundError, match=rf"{wrong}' is not there.*holds: drive"):
            run_cell("Recordings", DATA=wrong)
    chosen = types.SimpleNamespace(upload=dict)  # the dialog was closed
    with pytest.raises(FileNotFoundError, match="'no file was chosen' is not there"):
        run_cell("Recordings", DATA="upload", colab=True, files=chosen)


def test_the_gpu_cell_says_what_there_is(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run_cell("The GPU")
    assert re.search(r"No GPU.*Runtime > Change runtime type", capsys.readouterr().out, re.S)
    cuda = "torch.cuda."
    monkeypatch.setattr(f"{cuda}is_available", lambda: True)
    monkeypatch.setattr(f"{cuda}get_device_capability", lambda: (7, 5))
    monkeypatch.setattr(f"{cuda}get_device_name", lambda: "Tesla T4")
    run_cell("The GPU")
    assert capsys.readouterr().out == "Tesla T4 (compute capability 7.5)\n"
    run_cell("The GPU", SETTINGS={"train": {"precision": "bfloat16"}})
    assert "bfloat16 slowly" in capsys.readouterr().out


def test_a_package_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(FileNotFoundError, match=r"'kfold.zip': no such file. On Drive: drive"):
        run_cell("Install", SOURCE="kfold.zip")
    with pytest.raises(RuntimeError, match="say in SOURCE"):
        run_cell("Install")
    with pytest.raises(FileNotFoundError, match="'no file was chosen': no such file"):
        run_cell("Install", colab=True, files=types.SimpleNamespace(upload=dict))


@pytest.mark.parametrize("beside", ["__MACOSX/x", "setup.cfg"])
def test_the_root_of_a_zipped_package(
    beside: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a Mac adds is no package; a zip without a folder of its own is one."""
    monkeypatch.chdir(tmp_path)
    Path("package.zip").touch()
    asked: list[list[str]] = []

    def run(words: list[str], **_: Any) -> types.SimpleNamespace:
        asked.append(words)
        for name in ("kfold-hs/kfold_hs/a.py", "__MACOSX/x", beside):
            path = Path("kfold-hs-source", name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        if beside == "setup.cfg":  # flat: two folders of the package stand beside it
            Path("kfold-hs-source/docs").mkdir(exist_ok=True)
        return types.SimpleNamespace(returncode=len(asked) - 1, stderr="seen")

    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    monkeypatch.setattr("subprocess.run", run)
    with pytest.raises(RuntimeError, match="seen"):
        run_cell("Install", SOURCE="package.zip")
    root = "kfold-hs-source" + "/kfold-hs" * (beside != "setup.cfg")
    assert asked[1][-1] == root
