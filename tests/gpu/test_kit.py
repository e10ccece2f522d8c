"""The kit itself, without a GPU: what it carries, what its runner says, and when it fails."""

from __future__ import annotations

import dataclasses
import os
import shutil
import subprocess
from pathlib import Path

import checks
import collect
import pandas as pd
import pytest
from checks import Group, Row
from support import gpu_runs
from support.gpu_runs import Done, within_noise
from support.training import fit

from kfold_hs.cohort import Cohort
from kfold_hs.cohort.readers.registry import read_cohort
from kfold_hs.config.compose import compose

TESTS = Path(__file__).parent.parent


def test_what_is_missing_on_the_machine_is_carried_with_its_own_needs() -> None:
    carried = collect.requirements("3.12", collect.IMAGE)
    there = set(collect.IMAGE) - set(collect.SPARE)
    needs = {"hydra-core", "omegaconf", "antlr4-python3-runtime", "pydantic", "pydantic-core",
             "iterative-stratification", "plotly", "soundfile", "cffi", "pycparser"}  # fmt: skip
    assert needs <= set(carried)
    assert not there & set(carried)
    assert "importlib-resources" not in carried  # of Python before 3.9
    all_of_it = collect.requirements("3.12", [])
    assert {"torch", "timm", "huggingface-hub", "sympy"} <= set(all_of_it)
    assert set(collect.requirements("3.12", all_of_it)) == set(collect.SPARE)


def test_every_version_that_is_carried_is_pinned_or_installed() -> None:
    pinned = collect.pins()
    for name, requirement in collect.requirements("3.12", collect.IMAGE).items():
        version = pinned.get(name) or collect.metadata.version(name)
        assert version in requirement.specifier, name


def test_a_share_of_circor_holds_whole_people_of_all_classes(circor: Path, tmp_path: Path) -> None:
    room = 12 * collect.MIB
    n = collect.share(circor, tmp_path / "circor", room)
    assert 0.9 * room - collect.MIB < collect.size_of(tmp_path) <= room
    whole = pd.read_csv(circor / "training_data.csv", dtype=str)
    some = pd.read_csv(tmp_path / "circor" / "training_data.csv", dtype=str)
    assert n == len(some) > 20
    for column in ("Murmur", "Outcome"):
        shares = [t[column].value_counts(normalize=True) for t in (some, whole)]
        assert (shares[0] - shares[1]).abs().max() < 0.08
    others = some["Additional ID"].dropna()
    assert set(others) & set(whole["Patient ID"]) <= set(some["Patient ID"])
    found = read_cohort(compose(["data=circor", f"data.root={tmp_path / 'circor'}"]).data)
    assert len(found.patients) == n
    lengths = collect.lengths_s(tmp_path / "circor")
    assert sorted(lengths) == sorted(found.recordings["duration_s"].round(2))


def test_what_is_too_large_does_not_travel() -> None:
    collect.check_sizes(30 * collect.MIB, 62 * collect.MIB, 62)
    with pytest.raises(SystemExit, match=r"30\.0 MiB, and at most 30"):
        collect.check_sizes(30 * collect.MIB + 1, 0, 62)
    with pytest.raises(SystemExit, match=r"63\.0 MiB would travel, and the bound is 62"):
        collect.check_sizes(0, 63 * collect.MIB, 62)
    assert collect.travelling() > collect.MIB


GROUP = """
import time
import pytest

@pytest.mark.parametrize("number", [1e-3, 2e-3])
def test_passes(record_property, number):
    record_property("losses", number)

@pytest.mark.parametrize("n", [1, 2])
def test_fails(n):
    assert n == 1, "two is not one"

def test_needs_more():
    pytest.skip("no CUDA device")

def test_crashes():
    __import__("os")._exit(11)

def test_hangs():
    time.sleep(600)
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "test_group.py").write_text(GROUP)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(TESTS), str(TESTS.parent)]))
    return tmp_path


def found(
    folder: Path, words: str, limit_s: float = 60, n_workers: int = 0
) -> tuple[list[Row], str]:
    group = Group("group", limit_s, ("test_group.py", "-k", words), n_workers=n_workers)
    ended = checks.run(group, limit_s, folder)
    return checks.rows(group, ended), checks.faults(ended)


@pytest.mark.parametrize("n_workers", [0, 1])
def test_a_group_gives_a_row_a_function(folder: Path, n_workers: int) -> None:
    """A test of a process of pytest-xdist is reported once."""
    rows, faults = found(folder, "passes or fails or more", n_workers=n_workers)
    assert [(row.check, row.result, row.figure, row.failed) for row in rows] == [
        ("group: passes", "2 passed", "losses 0.002", False),
        ("group: fails", "FAILED: 1 of 2", "", True),
        ("group: needs more", "skipped: no CUDA device", "", False),
    ]
    assert "test_fails[2]" in faults
    assert "two is not one" in faults
    assert "group: needs more  skipped: no CUDA device" in checks.table(rows)


def test_a_group_that_crashes_or_hangs_is_a_failure(folder: Path) -> None:
    rows, _ = found(folder, "passes or crashes")
    assert [(row.check, row.failed) for row in rows] == [("group: passes", False), ("group", True)]
    assert rows[1].result == "failed: pytest ended with 11"
    rows, _ = found(folder, "hangs", limit_s=3)
    assert [(row.result, row.failed) for row in rows] == [
        ("ended after 3 s, its limit; 0 tests were done", True)
    ]
    rows, faults = found(folder, "nothing")
    assert rows[0].result == "failed: pytest ended with 5"
    assert "deselected" in faults


def test_what_needs_cuda_is_skipped_and_what_has_no_time_left_is_a_failure() -> None:
    on_gpu, other = Group("one", 9, (), "cuda"), Group("two", 9, ())
    rows, tests = checks.run_all([on_gpu, other], limit_s=5, has_cuda=False)
    assert [row.result for row in rows] == [
        "skipped: no CUDA device",
        "not run: the 5 s of all checks are over",
    ]
    assert [row.failed for row in rows] == [False, True]
    assert not tests


def test_an_installation_with_faults_is_a_failure() -> None:
    about = {"python": "3.12.3", "torch": "2.11.0", "card": "no CUDA device"}
    assert not checks.first_row({**about, "environment": "installed"}).failed
    assert checks.first_row({**about, "environment": "with faults: ERROR: no rich"}).failed


def test_what_was_done_before_the_limit_counts() -> None:
    test = {"file": "f", "test": "test_passes[1]", "result": "passed", "seconds": 1.0,
            "figures": {}, "why": ""}  # fmt: skip
    rows = checks.rows(Group("group", 9, ()), checks.Ended(None, 9.0, [test]))
    assert [row.result for row in rows] == [
        "1 passed",
        "ended after 9 s, its limit; 1 tests were done",
    ]
    assert [row.failed for row in rows] == [False, True]


def test_groups_name_files_that_are_there() -> None:
    for group in checks.GROUPS:
        files = [word for word in group.words if word.startswith("tests/")]
        assert files
        assert all((TESTS.parent / name).exists() for name in files)


def test_without_the_kit_nothing_is_run(tmp_path: Path) -> None:
    (tmp_path / "tests" / "gpu").mkdir(parents=True)
    script = shutil.copy(TESTS / "gpu" / "run.sh", tmp_path / "tests" / "gpu")
    done = subprocess.run([script], capture_output=True, text=True)
    assert done.returncode == 2
    assert "make gpu-kit" in done.stderr
    done = subprocess.run([script, "chekcs"], capture_output=True, text=True)
    assert done.returncode == 2
    assert "usage" in done.stderr
    done = subprocess.run([script, "--help"], capture_output=True, text=True)
    assert done.returncode == 0
    assert "VENV: where to make the\nenvironment" in done.stdout
    assert [path.name for path in (tmp_path / "tests/gpu").iterdir()] == ["run.sh"]


def test_scores_within_noise_and_beyond() -> None:
    assert within_noise([0.91, 0.88, 0.9], [0.9, 0.89, 0.9]) == pytest.approx(0)
    with pytest.raises(AssertionError, match=r"-0\.100 with a standard error of 0\.000"):
        within_noise([0.8, 0.8, 0.8], [0.9, 0.9, 0.9])


def test_runs_are_held_together_row_by_row(cohort: Cohort, tmp_path: Path) -> None:
    found = fit(cohort, tmp_path, "train.epochs=1")[1]

    def done(**columns: object) -> Done:
        return Done(dataclasses.replace(found, table=found.table.assign(**columns)), {}, 0.0)

    assert gpu_runs.apart(done(), done()) == 0
    down, up = "p.murmur.Present", "p.murmur.Absent"
    moved = done(**{down: found.table[down] - 0.125, up: found.table[up] + 0.125})
    assert gpu_runs.apart(moved, done()) == pytest.approx(0.125)
    with pytest.raises(AssertionError):
        gpu_runs.apart(done(fold=1 - found.table["fold"]), done())
