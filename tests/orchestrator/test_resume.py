"""kill -9 at any moment, and the same command again: the same bits as in one go."""

from __future__ import annotations

import random
import signal
from pathlib import Path

import pytest
import torch
from support.commands import Child
from support.jobs import wait_for_the_end_of
from support.killed import MOMENTS
from support.project import TINY, Silent

from kfold_hs.config.compose import compose
from kfold_hs.config.schema import Config
from kfold_hs.files.paths import FoldId, RunPaths
from kfold_hs.predictions.table import Predictions
from kfold_hs.workflows import cross_validation
from kfold_hs.workflows.options import RunOptions

N_STEPS, N_FILES = 2 * 3 * 2, 18
"""Training steps and written files of a run of `TINY`, at least."""


def settings(table_csv: Path) -> list[str]:
    return [
        *TINY,
        f"data.path={table_csv}",
        "train.average=ema",
        "train.average_decay=0.9",
        "model.dropout=0.2",
    ]


@pytest.fixture(scope="module")
def once(tmp_path_factory: pytest.TempPathFactory, shared_table_csv: Path) -> RunPaths:
    """A run in one go."""
    return resume(compose(settings(shared_table_csv)), tmp_path_factory.mktemp("once"))[0]


def resume(config: Config, root: Path) -> tuple[RunPaths, Silent]:
    listener = Silent()
    return cross_validation.run(
        config, listener, RunOptions(root=root, name="a", device="cpu")
    ).paths, listener


def kill(words: list[str], root: Path, moment: str, n: int) -> None:
    """Begin or go on with the run, up to a moment that it must come to."""
    script = Path(__file__).parents[1] / "support" / "killed.py"
    process = Child([moment, str(n), *words], root, script)
    _, told = process.communicate()
    assert process.returncode == -signal.SIGKILL, told


def check_same(run: RunPaths, once: RunPaths) -> None:
    assert Predictions.read(run.predictions).table.equals(Predictions.read(once.predictions).table)
    for fold in range(2):
        for name in ("last_model", "best_model"):
            first, second = (
                torch.load(getattr(files, name), weights_only=True)["model_state_dict"]
                for files in (run.fold(FoldId(0, 0, fold)), once.fold(FoldId(0, 0, fold)))
            )
            assert all(torch.equal(first[key], second[key]) for key in first)
        assert not run.fold(FoldId(0, 0, fold)).resume.exists()
    folders = (run.checkpoint_folder, run.report_folder)
    left = [p for folder in folders for p in folder.rglob(".*.*") if p.suffix != ".lock"]
    assert not left, "temporary files of killed processes"


def test_killed_in_a_fold_and_while_its_checkpoint_is_written(
    once: RunPaths, shared_table_csv: Path, tmp_path: Path
) -> None:
    words = settings(shared_table_csv)
    kill(words, tmp_path, "step", 4)
    kill(words, tmp_path, "half", 6)  # config, cohort, best model and resume of an epoch come first
    run, listener = resume(compose(words), tmp_path)
    assert listener.rows[0] > (0, 0)  # not from the start
    check_same(run, once)


DRAW = random.Random(6)
RANDOM = [
    (moment, DRAW.randint(1, N_STEPS if moment == "step" else N_FILES))
    for moment in [*MOMENTS, *MOMENTS, "step", "half"]
]


@pytest.mark.slow
@pytest.mark.parametrize(("moment", "n"), RANDOM)
def test_killed_at_random(
    once: RunPaths, shared_table_csv: Path, tmp_path: Path, moment: str, n: int
) -> None:
    words = settings(shared_table_csv)
    kill(words, tmp_path, moment, n)
    check_same(resume(compose(words), tmp_path)[0], once)


@pytest.mark.slow
@pytest.mark.parametrize("epoch", [1, 3])
def test_killed_with_several_folds_under_way(
    once: RunPaths, shared_table_csv: Path, tmp_path: Path, epoch: int
) -> None:
    """Processes end with their parent, so that the next command is alone with the run."""
    words = settings(shared_table_csv)
    process = Child(["run", "--name", "a", "--jobs", "2", *words], tmp_path, alone=True)
    for line in process.stderr:
        if f"epoch {epoch}/3" in line:
            process.send_signal(signal.SIGKILL)
            break
    process.communicate()  # closed when the last of its processes has ended
    run, _ = resume(compose(words), tmp_path)
    check_same(run, once)
    wait_for_the_end_of(process.pid)
