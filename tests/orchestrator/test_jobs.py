"""Several folds at once: the same bits as one after another, and nobody falls with another."""

from __future__ import annotations

import json
import multiprocessing
import os
import pickle
import signal
import threading
from contextlib import ExitStack
from multiprocessing import forkserver
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner
from support.commands import Child
from support.jobs import CPU, check_same_bits, fit, wait_for_the_end_of
from support.project import TINY, Silent
from support.training import config

from kfold_hs.cli.main import cli
from kfold_hs.cohort import Cohort
from kfold_hs.errors import ConfigError, KfoldHsError, StorageError, UnfinishedError
from kfold_hs.files.paths import FoldId, RunPaths, sweep
from kfold_hs.judge.stats.sequential import InterimTest
from kfold_hs.learn.data.fold import Fold
from kfold_hs.learn.device import threads
from kfold_hs.learn.features import bank as banks
from kfold_hs.orchestrator import hardware, processes, sequential, worker
from kfold_hs.orchestrator.context import RunContext, RunInputs
from kfold_hs.orchestrator.executor import Fleet
from kfold_hs.orchestrator.lock import lock
from kfold_hs.orchestrator.rich_progress import RichProgress
from kfold_hs.splits import stratify
from kfold_hs.workflows.search.pruning import StoppedError


class Murderer(Silent):
    """Kills one of the processes when the first epoch is told."""

    def epoch(self, place: object, row: object) -> None:
        if not self.rows:
            child, *_ = multiprocessing.active_children()
            os.kill(child.pid, signal.SIGKILL)  # type: ignore[arg-type]
        super().epoch(place, row)


def test_two_at_once_are_the_same_bits_and_a_killed_one_takes_no_other_along(
    cohort: Cohort, tmp_path: Path
) -> None:
    with threads(2):
        listener = Murderer()
        with pytest.raises(
            UnfinishedError, match=r"r0-s0-f\d was killed \(SIGKILL\).*fewer --jobs"
        ):
            fit(cohort, tmp_path / "jobs", listener, n_jobs=2)
        assert not multiprocessing.active_children()
        paths = RunPaths("run", tmp_path / "jobs")
        assert paths.fold(FoldId(0, 0, 2)).is_done  # by a process that took the place of one
        faults = [paths.fold(FoldId(0, 0, fold)).fault for fold in range(3)]
        records = [json.loads(fault.read_text()) for fault in faults if fault.exists()]
        assert len(records) == listener.states.count("failed") == 1
        assert listener.states.count("done") == 2
        assert all("memory is full" in record["cause"] for record in records)
        # The same folds, one after another, go on where the processes were.
        listener = Silent()
        fit(cohort, tmp_path / "jobs", listener)
        assert listener.states.count("done") == len(records)
        assert not any(fault.exists() for fault in faults)
        check_same_bits(fit(cohort, tmp_path / "once", Silent()), paths)


def test_ctrl_c_ends_all_processes_and_their_whole_epochs_are_kept(
    shared_table_csv: Path, tmp_path: Path
) -> None:
    words = ["run", "--folds", "2", "--name", "a", "--jobs", "2", *TINY[:-1]]
    words += [f"data.path={shared_table_csv}", "train.epochs=2000"]
    process = Child(words, tmp_path, alone=True)
    heard = set()
    for line in process.stderr:
        heard |= {fold for fold in (0, 1) if f"fold {fold} epoch" in line}
        if heard == {0, 1}:
            break
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to every one of them
    _, rest = process.communicate()
    assert process.returncode == 130
    assert "To continue, repeat" in rest
    assert "Traceback" not in rest
    wait_for_the_end_of(process.pid)
    for fold in range(2):
        files = RunPaths("a", tmp_path).fold(FoldId(0, 0, fold))
        assert not files.is_done
        assert torch.load(files.resume, weights_only=True)["history"]


@pytest.mark.slow
def test_a_trial_that_is_stopped_leaves_no_process_and_no_lock(
    cohort: Cohort, tmp_path: Path
) -> None:
    """As racing does, which raises in the listener."""

    class Stops(Silent):
        def epoch(self, place: object, row: object) -> None:
            super().epoch(place, row)
            if len({fold for fold, _ in self.rows}) == 2:
                raise StoppedError(InterimTest(1, -1.0, 0.0, 0.01), "best", 1, 3, 1)

    with pytest.raises(StoppedError):
        fit(cohort, tmp_path, Stops(), "train.epochs=500", n_jobs=2)
    assert not multiprocessing.active_children()
    for fold in range(2):
        files = RunPaths("run", tmp_path).fold(FoldId(0, 0, fold))
        assert not files.is_done
        assert torch.load(files.resume, weights_only=True)["history"]  # its whole epochs
        with lock(files.lock, "the fold"):
            pass


def test_processes_know_what_changed_since_the_first_of_them_began(
    cohort: Cohort, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All come of one that has loaded torch already, and have the environment of today."""
    servers, caches = set(), [tmp_path / "one", tmp_path / "other"]
    for n_bands, cache in zip((12, 10), caches, strict=True):
        monkeypatch.setenv("KFOLD_HS_CACHE", str(cache))
        fit(cohort, cache, Silent(), f"features.n_mels={n_bands}", "train.epochs=1", n_jobs=2)
        servers.add(forkserver._forkserver._forkserver_pid)  # type: ignore[attr-defined]
    assert len(servers) == 1
    # Neither process found no features where they are now, and made them where they had been.
    assert [len(list((cache / "features").iterdir())) for cache in caches] == [1, 1]


@pytest.mark.slow
def test_what_every_fold_would_meet_ends_the_run(cohort: Cohort, tmp_path: Path) -> None:
    (tmp_path / "reports").mkdir()
    (tmp_path / "reports" / "run").write_text("a file where a folder should be")
    with pytest.raises(StorageError, match="TensorBoard"):
        fit(cohort, tmp_path, Silent(), n_jobs=2)
    assert not multiprocessing.active_children()


def test_an_error_that_nobody_foresaw_is_of_one_fold(
    cohort: Cohort, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original, full = (
        worker.fit_fold,
        RuntimeError("DefaultCPUAllocator: can't allocate memory: 9 bytes"),
    )

    def fitted(fold: Fold, *rest: Any) -> int | None:
        if fold.id.fold < 2:
            raise full if fold.id.fold else ZeroDivisionError("by nothing")
        return original(fold, *rest)

    monkeypatch.setattr(worker, "fit_fold", fitted)
    listener = Silent()
    with pytest.raises(
        UnfinishedError, match=r"2 of 3.*ZeroDivision.*memory of cpu is full.*--job"
    ):
        fit(cohort, tmp_path, listener)
    assert listener.states == ["start", "failed", "start", "failed", "start", "done"]
    record = json.loads(RunPaths("run", tmp_path).fold(FoldId(0, 0, 0)).fault.read_text())
    assert "Traceback" in record["trace"]


def test_threads_decide_the_bits_so_they_are_a_setting(cohort: Cohort, tmp_path: Path) -> None:
    """Why --jobs does not divide the threads among the folds."""
    before = torch.get_num_threads()
    with threads(2):
        one = fit(cohort, tmp_path / "one", Silent(), "train.threads=1", "train.epochs=1")
        assert torch.get_num_threads() == 2
    again = fit(cohort, tmp_path / "again", Silent(), "train.threads=1", "train.epochs=1")
    check_same_bits(one, again)
    assert torch.get_num_threads() == before
    assert (
        config("train.threads=1").digest != config().digest == config("train.threads=null").digest
    )


def test_a_context_is_sent_without_the_bank(cohort: Cohort, tmp_path: Path) -> None:
    bank, inputs = banks.build(cohort, config().features), RunInputs(cohort, stratify(cohort, 2, 0))
    context = RunContext(config(), inputs, RunPaths("run", tmp_path), {}, CPU, bank)
    sent = pickle.dumps(context.without_bank())
    again = pickle.loads(sent)
    assert again.split == context.split
    assert torch.equal(again.on_device().bank.frames, bank.frames)
    assert bank.frames.numpy()[:1].tobytes() not in sent


def test_processes_take_all_gpus_in_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    everything, second = torch.device("cuda"), torch.device("cuda:1")
    assert [str(d) for d in processes.spread(everything, 3)] == ["cuda:0", "cuda:1", "cuda:0"]
    assert processes.spread(second, 2) == [second, second]
    assert processes.spread(CPU, 2) == [CPU, CPU]
    assert Fleet().train(everything).keywords == {"n_jobs": 2}  # type: ignore[attr-defined]
    for device in (CPU, second):
        assert Fleet().train(device) is sequential.train
    with pytest.raises(ConfigError, match="--jobs 0"):
        Fleet(0)


def test_more_threads_than_cores_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hardware, "n_cores", lambda: 4)
    told = Fleet(2).crowding(CPU, 3)
    assert told is not None
    assert told.startswith("2 folds at once with 3 threads each on 4 cores: ")
    for fleet, device, n_threads in [
        (Fleet(2), CPU, 2), (Fleet(8), CPU, 1), (Fleet(), CPU, 8),
        (Fleet(2), torch.device("cuda:0"), 8), (Fleet(2, executor="ray"), CPU, 8),
    ]:  # fmt: skip
        assert fleet.crowding(device, n_threads) is None


def test_a_lock_is_waited_for_and_told(tmp_path: Path) -> None:
    path, what = tmp_path / "a" / ".lock", "the run a"
    with (
        lock(path, what),
        pytest.raises(KfoldHsError, match="working on the run a"),
        lock(path, what),
    ):
        pass
    holds = ExitStack()
    holds.enter_context(lock(path, what))
    threading.Timer(0.3, holds.close).start()
    with lock(path, what, wait_s=30):
        pass


def test_what_a_kill_left_half_written_is_swept(tmp_path: Path) -> None:
    for name in (".resume.pt.a1b2c3d4", "resume.pt", ".lock"):
        (tmp_path / name).write_bytes(b"")
    sweep(tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == [".lock", "resume.pt"]


def test_every_fold_under_way_has_a_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")  # as on a terminal
    row = {"epoch": 0, "train_loss": 1.0, "val_loss": 2.0, "acc.murmur": 0.5}
    first, second = FoldId(0, 0, 0), FoldId(0, 0, 1)
    with RichProgress() as terminal:
        terminal.training(3, 2)
        for place in (first, second):
            terminal.fold(place, "start")
        terminal.epoch(first, row)
        terminal.fold(second, "start", "lost its node and goes on elsewhere")
        terminal.epoch(second, {**row, "epoch": 1})  # goes on: it stands for two
        terminal.epoch(second, {**row, "epoch": 1})
        bars = {task.description: task.completed for task in terminal._progress.tasks}
        assert bars == {"training epochs": 3, "fold 0": 1, "fold 1": 2}
        terminal.fold(second, "done")
        assert [task.description for task in terminal._progress.tasks] == [
            "training epochs",
            "fold 0",
        ]


def test_a_nested_search_refuses_what_it_would_not_heed() -> None:
    done = CliRunner().invoke(cli, ["run", "--nested", "--dry-run"])
    assert done.exit_code == 2
    assert "--dry-run does not work with --nested" in done.output
